//! HTTP/2 as each lane wants it.
//!
//! Replication moves bulk under its own credit: windows at least as wide as that, and large frames. The window that
//! adapts itself stays off, because it overrides both sizes. Control lanes keep the defaults.

use std::time::Duration;

use tonic::transport::{Endpoint, Server};

use super::Lane;
use crate::base::limits::{
    REPLICATION_CONNECTION_WINDOW_BYTES, REPLICATION_HTTP2_FRAME_BYTES, REPLICATION_KEEPALIVE_MS,
    REPLICATION_KEEPALIVE_PATIENCE_MS, REPLICATION_STREAM_WINDOW_BYTES,
};

const KEEPALIVE: Duration = Duration::from_millis(REPLICATION_KEEPALIVE_MS);
const PATIENCE: Duration = Duration::from_millis(REPLICATION_KEEPALIVE_PATIENCE_MS);

impl Lane {
    /// The dialling end.
    pub(super) fn endpoint(self) -> Endpoint {
        // The address is the connection's own; HTTP/2 only wants some authority to name.
        let endpoint = Endpoint::from_static("http://peer");
        match self {
            Self::Control => endpoint,
            Self::Live | Self::CatchUp => endpoint
                .initial_stream_window_size(REPLICATION_STREAM_WINDOW_BYTES)
                .initial_connection_window_size(REPLICATION_CONNECTION_WINDOW_BYTES)
                .http2_adaptive_window(false)
                .max_frame_size(REPLICATION_HTTP2_FRAME_BYTES)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_timeout(PATIENCE)
                .keep_alive_while_idle(true),
        }
    }

    /// The end that was dialled.
    pub fn server(self) -> Server {
        match self {
            Self::Control => Server::builder(),
            Self::Live | Self::CatchUp => Server::builder()
                .initial_stream_window_size(REPLICATION_STREAM_WINDOW_BYTES)
                .initial_connection_window_size(REPLICATION_CONNECTION_WINDOW_BYTES)
                .http2_adaptive_window(Some(false))
                .max_frame_size(REPLICATION_HTTP2_FRAME_BYTES)
                .http2_keepalive_interval(Some(KEEPALIVE))
                .http2_keepalive_timeout(Some(PATIENCE)),
        }
    }
}

//! Why a connection ends, and how loudly that is said.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{debug, warn};

use crate::wire::frame::FrameError;
use crate::wire::header::HeaderError;
use crate::wire::{ApiKey, DecodeError, EncodeError};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Hangup {
    #[error("the client has closed it")]
    ByPeer,
    #[error("the client has closed it in the middle of a request, after {received} bytes")]
    CutShort { received: usize },
    #[error("nothing was said for {} s (connections.max.idle.ms)", .0.as_secs())]
    Idle(Duration),
    #[error("a request did not arrive in time: {received} bytes so far")]
    Slow { received: usize },
    #[error("there was no memory for a large request: too many others are on their way")]
    NoMemory,
    #[error("max.connections was lowered, and others were used more recently")]
    NoPlace,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Body(#[from] DecodeError),
    #[error("{api} is not served")]
    NotServed { api: ApiKey },
    #[error("a produce request with acks=0 failed, and there is no other way to tell: {why}")]
    UnacknowledgedFailure { why: String },
    #[error("the answer cannot be said: {0}")]
    Answer(#[from] EncodeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Hangup {
    /// Clients come and go; only what somebody should look into is a warning.
    pub fn report(&self, from: SocketAddr) {
        match self {
            Self::ByPeer
            | Self::CutShort { .. }
            | Self::Idle(_)
            | Self::NoPlace
            | Self::Io(_)
            | Self::UnacknowledgedFailure { .. } => {
                debug!(event = "kafka.connection_ended", %from, why = %self, "a connection ended");
            }
            _ => warn!(event = "kafka.connection_refused", %from, why = %self, "a connection was closed"),
        }
    }
}

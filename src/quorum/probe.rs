//! Whether a process is gone: its port is dialled, and what happens is evidence.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::base::limits::{PROBE_MS_MAX, PROBE_PAUSE_MS};
use crate::base::network::Network;

/// How often a port has to refuse: a process that is being replaced refuses for a moment.
pub(super) const PROBES: usize = 2;

/// What a probe found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probed {
    /// Nobody listens, each time: the process is gone.
    Refused,
    Answered,
    /// Nobody said anything, which proves nothing.
    Silent,
}

/// Dials a port, again if it refuses.
pub(super) async fn probe(network: Arc<dyn Network>, address: String) -> Probed {
    for probe in 0..PROBES {
        if probe > 0 {
            sleep(Duration::from_millis(PROBE_PAUSE_MS)).await;
        }
        match timeout(Duration::from_millis(PROBE_MS_MAX), network.connect(&address)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(Ok(_)) => return Probed::Answered,
            Ok(Err(_)) | Err(_) => return Probed::Silent,
        }
    }
    Probed::Refused
}

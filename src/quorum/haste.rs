//! Elections hurried by evidence: a follower that sees its leader's process die does not wait for timers.
//!
//! Each voter holds a connection to each other, which an election then finds open. The operating system closes it when
//! the process at the other end dies, however it dies; if the port then refuses, twice, and it was the leader's, there
//! is nobody to wait for. Whoever merely cannot be reached proves nothing: then time decides, as Raft does by itself.
//!
//! Invariants: this only chooses the moment of an election. Who may be elected, and what is committed, is Raft's alone,
//! so evidence that deceives costs an election and nothing else. That is also why nothing may rely on a leader's lease.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, pending};
use tokio::time::sleep;
use tracing::info;

use super::handle::{Fellow, Quorum};
use super::probe::{Probed, probe};
use crate::base::limits::{FELLOW_DIAL_MS_MAX, FELLOW_REDIAL_MS};
use crate::base::network::Network;

/// Watches the other voters, for as long as this node is a controller.
pub(super) async fn watch(network: Arc<dyn Network>, quorum: Quorum) {
    loop {
        let fellows = quorum.fellows();
        let watching = async {
            join_all(fellows.iter().map(|fellow| watch_one(&network, &quorum, fellow))).await;
            pending::<()>().await
        };
        tokio::select! {
            biased;
            goes_on = quorum.fellows_changed(&fellows) => if !goes_on {
                return;
            },
            () = watching => {}
        }
    }
}

async fn watch_one(network: &Arc<dyn Network>, quorum: &Quorum, fellow: &Fellow) -> Infallible {
    let mut broke_off = false;
    loop {
        // One that was never there has not died.
        broke_off |= fellow.peer.hold(Duration::from_millis(FELLOW_DIAL_MS_MAX)).await.is_ok();
        // A process that is dying takes connections for a moment longer: then it is looked for again.
        if broke_off && probe(Arc::clone(network), fellow.address.clone()).await == Probed::Refused {
            info!(event = "quorum.fellow_died", fellow = %fellow.id, "the process of another controller is gone");
            quorum.stand_against(fellow.id).await;
            broke_off = false;
        }
        sleep(Duration::from_millis(FELLOW_REDIAL_MS)).await;
    }
}

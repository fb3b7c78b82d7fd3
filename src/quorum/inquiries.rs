//! Inquiries after silent nodes: this controller's own, and the list of whom others are asked to look for.
//!
//! Invariants: one inquiry after a node at a time; the list is what every session tells its node.
//! Absent on purpose: what an answer means (`controller/liveness.rs`).

use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;

use crate::base::ids::NodeId;
use crate::base::limits::INQUIRIES_MAX;
use crate::base::network::Network;
use crate::net::{Inquiring, Inquiry};

/// Nodes that have not been heard of late, as sessions tell them.
pub(super) type Silent = watch::Receiver<Vec<NodeId>>;

/// The inquiries of one controller.
pub(super) struct Inquiries {
    silent: watch::Sender<Vec<NodeId>>,
    inquiring: Inquiring,
}

impl Inquiries {
    pub fn new(network: Arc<dyn Network>, silent: watch::Sender<Vec<NodeId>>) -> Self {
        Self { silent, inquiring: Inquiring::new(network) }
    }

    /// Inquires after these, who are found at these addresses, and has others do it too.
    pub fn inquire(&mut self, mut suspects: Vec<(NodeId, String)>) {
        suspects.truncate(INQUIRIES_MAX);
        let list: Vec<NodeId> = suspects.iter().map(|(node, _)| *node).collect();
        for node in list.iter().filter(|node| !self.silent.borrow().contains(node)) {
            info!(event = "node.silent", %node, "a node is not heard and is looked for");
        }
        self.silent.send_if_modified(|told| {
            *told != list && {
                *told = list;
                true
            }
        });
        for (node, address) in suspects {
            self.inquiring.begin(node, address);
        }
    }

    /// The next answer, or that there is none; waits for ever while nobody is asked.
    pub async fn next(&mut self) -> (NodeId, Inquiry) {
        self.inquiring.next().await
    }
}

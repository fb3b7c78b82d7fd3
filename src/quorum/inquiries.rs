//! Inquiries after silent nodes: this controller's own, and the list of whom others are asked to look for.
//!
//! Invariants: one inquiry after a node at a time; the list is what every session tells its node.
//! Absent on purpose: what an answer means (`controller/liveness.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::base::executor::BoxFuture;
use crate::base::ids::NodeId;
use crate::base::limits::INQUIRIES_MAX;
use crate::base::network::Network;
use crate::net::{Inquiry, inquire};

/// Nodes that have not been heard of late, as sessions tell them.
pub(super) type Silent = watch::Receiver<Vec<NodeId>>;

/// The inquiries of one controller.
pub(super) struct Inquiries {
    network: Arc<dyn Network>,
    silent: watch::Sender<Vec<NodeId>>,
    asked: BTreeSet<NodeId>,
    under_way: FuturesUnordered<BoxFuture<'static, (NodeId, Inquiry)>>,
}

impl Inquiries {
    pub fn new(network: Arc<dyn Network>, silent: watch::Sender<Vec<NodeId>>) -> Self {
        Self { network, silent, asked: BTreeSet::new(), under_way: FuturesUnordered::new() }
    }

    /// Inquires after these, who are found at these addresses, and has others do it too.
    pub fn inquire(&mut self, mut suspects: Vec<(NodeId, String)>) {
        suspects.truncate(INQUIRIES_MAX);
        let list: Vec<NodeId> = suspects.iter().map(|(node, _)| *node).collect();
        self.silent.send_if_modified(|told| {
            *told != list && {
                *told = list;
                true
            }
        });
        for (node, address) in suspects {
            if self.asked.insert(node) {
                let network = Arc::clone(&self.network);
                self.under_way.push(Box::pin(async move { (node, inquire(&*network, &address).await) }));
            }
        }
    }

    /// The next answer, or that there is none; waits for ever while nobody is asked.
    pub async fn next(&mut self) -> (NodeId, Inquiry) {
        match self.under_way.next().await {
            Some((node, inquiry)) => {
                self.asked.remove(&node);
                (node, inquiry)
            }
            None => std::future::pending().await,
        }
    }
}

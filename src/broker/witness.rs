//! What this broker can say of others that a controller has not heard of late: it looks for them, and tells.
//!
//! Invariants: one inquiry after a node at a time; nothing is said of a node that could not be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::debug;

use super::Broker;
use crate::base::executor::BoxFuture;
use crate::base::ids::NodeId;
use crate::base::limits::INQUIRIES_MAX;
use crate::net::{Inquiry, inquire};
use crate::rpc::controller as proto;
use proto::session_up::Message;

/// The inquiries that one controller has asked for.
pub(super) struct Witness {
    broker: Broker,
    asked: BTreeSet<NodeId>,
    under_way: FuturesUnordered<BoxFuture<'static, (NodeId, Inquiry)>>,
}

impl Witness {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, asked: BTreeSet::new(), under_way: FuturesUnordered::new() }
    }

    /// Looks for these nodes, as far as metadata says where they are.
    pub(super) fn look_for(&mut self, silent: impl Iterator<Item = NodeId>) {
        let image = self.broker.image();
        for node in silent.take(INQUIRIES_MAX).filter(|node| *node != self.broker.node()) {
            let Some(known) = image.nodes().get(node) else { continue };
            if self.asked.insert(node) {
                let network = Arc::clone(&self.broker.0.around.world.network);
                let address = known.registration.peer_address.clone();
                self.under_way.push(Box::pin(async move { (node, inquire(&*network, &address).await) }));
            }
        }
    }

    /// What was found next; waits for ever while nobody is looked for.
    pub(super) async fn testimony(&mut self) -> Message {
        while let Some((node, inquiry)) = self.under_way.next().await {
            self.asked.remove(&node);
            debug!(event = "broker.inquired", %node, ?inquiry, "a node that a controller does not hear was looked for");
            let around = &self.broker.0.around;
            match inquiry {
                Inquiry::Answered => {
                    around.suspects.on_connected(node);
                    return Message::Found(proto::Found { node_ids: vec![node.0] });
                }
                Inquiry::Unanswered => {
                    around.suspects.on_lost(node, around.now());
                    return Message::Lost(proto::Lost { node_ids: vec![node.0] });
                }
                Inquiry::Unasked => {}
            }
        }
        std::future::pending().await
    }
}

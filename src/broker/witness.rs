//! What this broker can say of others that a controller has not heard of late: it looks for them, and tells.
//!
//! Invariants: one inquiry after a node at a time; nothing is said of a node that could not be asked.

use std::sync::Arc;

use tracing::debug;

use super::Broker;
use crate::base::ids::NodeId;
use crate::base::limits::INQUIRIES_MAX;
use crate::net::{Inquiring, Inquiry};
use crate::rpc::controller as proto;
use proto::session_up::Message;

/// The inquiries that one controller has asked for.
pub(super) struct Witness {
    broker: Broker,
    inquiring: Inquiring,
}

impl Witness {
    pub(super) fn new(broker: Broker) -> Self {
        let inquiring = Inquiring::new(Arc::clone(&broker.world().network));
        Self { broker, inquiring }
    }

    /// Looks for these nodes, as far as metadata says where they are.
    pub(super) fn look_for(&mut self, silent: impl Iterator<Item = NodeId>) {
        let image = self.broker.image();
        for node in silent.take(INQUIRIES_MAX).filter(|node| *node != self.broker.node()) {
            let Some(known) = image.nodes().get(node) else { continue };
            self.inquiring.begin(node, known.registration.peer_address.clone());
        }
    }

    /// What was found next; waits for ever while nobody is looked for.
    pub(super) async fn testimony(&mut self) -> Message {
        loop {
            let (node, inquiry) = self.inquiring.next().await;
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
    }
}

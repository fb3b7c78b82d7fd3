//! What is told besides an error code: who leads a partition, and where (KIP-951), so that a client need not ask again.

use super::client::{Asked, Endpoint};
use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::broker::PartitionError;
use crate::metadata::Image;

/// Collects the leaders that one response names.
pub struct Hints<'a> {
    asked: &'a Asked,
    image: &'a Image,
    endpoints: Vec<Endpoint>,
}

impl<'a> Hints<'a> {
    pub fn new(asked: &'a Asked, image: &'a Image) -> Self {
        Self { asked, image, endpoints: Vec::new() }
    }

    /// Who leads instead, as far as it is known, when the error means that somebody else does.
    pub fn leader(
        &mut self,
        topic: TopicId,
        index: PartitionIndex,
        error: &PartitionError,
    ) -> Option<(NodeId, LeaderEpoch)> {
        let known = match error {
            PartitionError::NotLeader { hint } => *hint,
            PartitionError::FencedLeaderEpoch { .. } => None,
            _ => return None,
        };
        self.named(known.or_else(|| self.leader_of(topic, index))?)
    }

    /// A leader that is known, if clients can reach it.
    pub fn named(&mut self, (leader, epoch): (NodeId, LeaderEpoch)) -> Option<(NodeId, LeaderEpoch)> {
        let endpoint = self.asked.endpoint(self.image.nodes().get(leader)?)?;
        if self.endpoints.iter().all(|known| known.node != leader) {
            self.endpoints.push(endpoint);
        }
        Some((leader, epoch))
    }

    /// Where the leaders are that were named.
    pub fn into_endpoints(self) -> Vec<Endpoint> {
        self.endpoints
    }

    fn leader_of(&self, topic: TopicId, index: PartitionIndex) -> Option<(NodeId, LeaderEpoch)> {
        let state = &self.image.topics().get(topic)?.partition(index)?.state;
        Some((state.leader?, state.leader_epoch))
    }
}

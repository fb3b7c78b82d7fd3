//! Whether a node is ready: a list of conditions, each of which is met at some moment of its start.
//!
//! Invariants: a condition that is not met keeps the node from being ready; once met it may be lost again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Something a node must have before it can serve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// The data directory is ours alone and can be written.
    DataDirectory,
    /// The node knows which cluster it belongs to.
    Cluster,
    /// Somebody leads the quorum.
    QuorumLeader,
    /// The metadata here reaches up to the present reign.
    Metadata,
    /// The cluster has let this node's broker in, where it has one.
    Broker,
    /// The node is up: every server it should have is open.
    Started,
}

impl Condition {
    const ALL: [Self; 6] =
        [Self::DataDirectory, Self::Cluster, Self::QuorumLeader, Self::Metadata, Self::Broker, Self::Started];

    /// The condition as a probe shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataDirectory => "data directory locked",
            Self::Cluster => "cluster found",
            Self::QuorumLeader => "quorum has a leader",
            Self::Metadata => "metadata caught up",
            Self::Broker => "broker let in",
            Self::Started => "servers open",
        }
    }
}

/// A node's conditions. Clones are the same conditions.
#[derive(Clone)]
pub struct Health {
    met: Arc<Mutex<BTreeMap<Condition, bool>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { met: Arc::new(Mutex::new(Condition::ALL.map(|condition| (condition, false)).into())) }
    }
}

impl Health {
    pub fn set(&self, condition: Condition, is_met: bool) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(condition, is_met);
    }

    /// What still keeps the node from being ready.
    pub fn missing(&self) -> Vec<Condition> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.iter().filter(|(_, is_met)| !**is_met).map(|(condition, _)| *condition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_nothing_is_missing_and_no_longer_when_something_is_lost() {
        let health = Health::default();
        assert_eq!(health.missing(), Condition::ALL);
        Condition::ALL.into_iter().for_each(|condition| health.set(condition, true));
        assert_eq!(health.missing(), []);
        health.clone().set(Condition::Started, false);
        assert_eq!(health.missing(), [Condition::Started]);
    }
}

//! Fellow brokers that may just have died: a connection with them broke off a moment ago.
//!
//! That is no proof, and nothing is decided by it. But what is said of such a broker («it leads», «ask it») is likely
//! to be wrong in a moment, and a client that acts on it waits out its back-off. So whoever would say it waits a little
//! for the metadata to settle what it is.
//!
//! Invariants: a suspicion ends by itself; one entry per broker.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::ids::NodeId;
use crate::base::limits::SUSPICION_MS;
use crate::base::time::Millis;

/// Whose connection broke off, and when it last did.
#[derive(Default)]
pub struct Suspects(Mutex<BTreeMap<NodeId, Millis>>);

impl Suspects {
    /// A connection with the broker has broken off.
    pub(super) fn on_lost(&self, node: NodeId, now: Millis) {
        self.lock().insert(node, now);
    }

    /// There is a connection with it again.
    pub(super) fn on_connected(&self, node: NodeId) {
        self.lock().remove(&node);
    }

    /// Whether the broker may just have died.
    pub(super) fn contains(&self, node: NodeId, now: Millis) -> bool {
        self.lock().get(&node).is_some_and(|lost| now.since(*lost).as_millis() < u128::from(SUSPICION_MS))
    }

    /// All who may just have died.
    pub(super) fn all(&self, now: Millis) -> Vec<NodeId> {
        let known: Vec<NodeId> = self.lock().keys().copied().collect();
        known.into_iter().filter(|node| self.contains(*node, now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(3);

    #[test]
    fn a_suspicion_ends_by_time_or_by_a_new_connection() {
        let suspects = Suspects::default();
        assert!(!suspects.contains(NODE, Millis(0)));
        suspects.on_lost(NODE, Millis(1_000));
        assert!(suspects.contains(NODE, Millis(1_000 + SUSPICION_MS - 1)));
        assert!(!suspects.contains(NODE, Millis(1_000 + SUSPICION_MS)));
        suspects.on_connected(NODE);
        assert!(!suspects.contains(NODE, Millis(1_000)));
    }
}

//! Fellow brokers that were fenced a moment ago: clients are told of them a little longer.
//!
//! A client whose connection broke asks who leads now. Were the dead broker missing from that very answer, librdkafka
//! would decommission it before it has moved the partitions away from it, and then move them by a detour that takes up
//! to a second (seen in 2.12: 0.3 to 0.9 s instead of 0.1 s). That nobody serves there any more the client knows best.
//!
//! Invariants: a departure is forgotten by itself; one entry per broker.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::ids::NodeId;
use crate::base::limits::DEPARTED_TOLD_MS;
use crate::base::time::Millis;
use crate::metadata::nodes::Node;
use crate::metadata::{Delta, Image};

/// Who was fenced lately, and when.
#[derive(Default)]
pub struct Departed(Mutex<BTreeMap<NodeId, Millis>>);

impl Departed {
    /// Metadata has changed.
    pub(super) fn on_metadata(&self, old: &Image, new: &Image, delta: &Delta, now: Millis) {
        let is_open = |image: &Image, node: &NodeId| image.nodes().get(*node).is_some_and(|node| !node.is_fenced());
        let left = delta.nodes.iter().filter(|node| is_open(old, node) && !is_open(new, node));
        let mut lately = self.lock();
        lately.retain(|_, at| is_recent(*at, now));
        lately.extend(left.map(|node| (*node, now)));
    }

    /// Whether clients are told of a broker, although it may be fenced.
    pub(super) fn tells_of(&self, node: &Node, now: Millis) -> bool {
        !node.is_fenced() || self.lock().get(&node.id).is_some_and(|at| is_recent(*at, now))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: Millis, now: Millis) -> bool {
    now.since(at).as_millis() < u128::from(DEPARTED_TOLD_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{BrokerEpoch, DirectoryId, MetadataIndex, Uuid};
    use crate::metadata::Fact;
    use crate::metadata::nodes::Registration;

    const NODE: NodeId = NodeId(2);
    const EPOCH: BrokerEpoch = BrokerEpoch(5);

    /// An image in which the node has come and gone as these facts say.
    fn image(facts: &[Fact]) -> Image {
        let registration = Box::new(Registration::example(2));
        let mut image = Image::default();
        image.apply(MetadataIndex(1), &Fact::NodeIdAllocated { node: NODE, directory: DirectoryId(Uuid([2; 16])) });
        image.apply(MetadataIndex(2), &Fact::NodeRegistered { node: NODE, epoch: EPOCH, registration });
        facts.iter().for_each(|fact| image.apply(MetadataIndex(3), fact));
        image
    }

    #[test]
    fn a_broker_that_was_fenced_is_told_of_a_little_longer() {
        let (departed, delta) = (Departed::default(), Delta { nodes: [NODE].into(), ..Delta::default() });
        let there = image(&[Fact::NodeUnfenced { node: NODE, epoch: EPOCH }]);
        let gone = image(&[]);
        let tells = |image: &Image, at: u64| departed.tells_of(image.nodes().get(NODE).unwrap(), Millis(at));
        assert!(tells(&there, 0));
        assert!(!tells(&gone, 0), "nobody knows it from before");
        departed.on_metadata(&there, &gone, &delta, Millis(1_000));
        assert!(tells(&gone, 1_000 + DEPARTED_TOLD_MS - 1));
        assert!(!tells(&gone, 1_000 + DEPARTED_TOLD_MS));
    }
}

//! What changed: so that whoever acts on metadata does work for what changed, and not for all there is.
//!
//! Absent on purpose: how it was before and how it is now; both images are at hand where a delta is read.

use super::configs::ConfigScope;
use super::topics::Topic;
use super::{Fact, Image};
use crate::base::ids::{NodeId, PartitionIndex, TopicId};
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two images.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Delta {
    /// The feature level, the active controller or the producer ids.
    pub cluster: bool,
    pub nodes: BTreeSet<NodeId>,
    pub topics: BTreeMap<TopicId, TopicDelta>,
    pub configs: BTreeSet<ConfigScope>,
}

/// What differs in a topic.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TopicDelta {
    /// It was there and is no more; what it had is in the older image.
    pub deleted: bool,
    /// New or changed.
    pub partitions: BTreeSet<PartitionIndex>,
}

impl Delta {
    /// Whatever differs: for who was handed a whole image instead of the batches that lead to it.
    pub fn between(old: &Image, new: &Image) -> Self {
        let scopes = old.configs().scopes().chain(new.configs().scopes());
        let node_ids = old.nodes().iter().chain(new.nodes().iter()).map(|node| node.id);
        let mut delta = Self {
            cluster: old.cluster() != new.cluster(),
            nodes: node_ids.filter(|id| old.nodes().get(*id) != new.nodes().get(*id)).collect(),
            topics: BTreeMap::new(),
            configs: scopes.filter(|scope| !old.configs().of(scope).eq(new.configs().of(scope))).collect(),
        };
        for topic in old.topics().iter().filter(|topic| new.topics().get(topic.id).is_none()) {
            delta.topics.entry(topic.id).or_default().deleted = true;
        }
        for topic in new.topics().iter() {
            let partitions = differing_partitions(old.topics().get(topic.id), topic);
            if !partitions.is_empty() {
                delta.topics.entry(topic.id).or_default().partitions = partitions;
            }
        }
        delta
    }

    pub(super) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::ClusterFounded { .. }
            | Fact::FeatureLevelSet { .. }
            | Fact::ControllerActivated { .. }
            | Fact::ProducerIdsAllocated { .. } => self.cluster = true,
            Fact::NodeIdAllocated { node, .. }
            | Fact::NodeRegistered { node, .. }
            | Fact::NodeFenced { node, .. }
            | Fact::NodeUnfenced { node, .. }
            | Fact::NodeShuttingDown { node, .. }
            | Fact::NodeDraining { node, .. }
            | Fact::NodeRemoved { node } => {
                self.nodes.insert(*node);
            }
            Fact::TopicCreated { topic, .. } => {
                self.topics.entry(*topic).or_default();
            }
            Fact::TopicDeleted { topic } => self.topics.entry(*topic).or_default().deleted = true,
            Fact::PartitionsCreated { topic, first, partitions } => {
                let new = (first.0..).map(PartitionIndex).take(partitions.len());
                self.topics.entry(*topic).or_default().partitions.extend(new);
            }
            Fact::PartitionsChanged { topic, changes } => {
                let changed = changes.iter().map(|change| change.partition);
                self.topics.entry(*topic).or_default().partitions.extend(changed);
            }
            Fact::ConfigSet { scope, .. } | Fact::ConfigUnset { scope, .. } => {
                self.configs.insert(scope.clone());
            }
        }
    }
}

fn differing_partitions(old: Option<&Topic>, new: &Topic) -> BTreeSet<PartitionIndex> {
    if old.is_some_and(|old| std::ptr::eq(old, new)) {
        return BTreeSet::new(); // images share the topics that did not change
    }
    let before = |index| old.and_then(|topic| topic.partition(index));
    new.partitions().filter(|(index, now)| before(*index) != Some(*now)).map(|(index, _)| index).collect()
}

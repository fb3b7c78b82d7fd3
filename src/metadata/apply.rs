//! Facts become so: the only place where an image changes.
//!
//! Invariants: an epoch in a fact is one more than the epoch before; a fact about something names something that is
//! there. What breaks this was written by a bug or by a broken disk: it stops the node, with its position.

use super::cluster::ActiveController;
use super::codec::MetadataError;
use super::configs::{self, ConfigScope};
use super::nodes::{Node, NodeState, Registration, digest_of_id};
use super::partitions::Partition;
use super::record::{Batch, Fact, FeatureLevel, PartitionChange};
use super::topics::{Topic, partition_digest};
use super::{Delta, Image, cluster::Cluster};
use crate::base::ids::{BrokerEpoch, DirectoryId, MetadataIndex, NodeId, PartitionIndex, TopicId};

/// Why a fact cannot be true.
type Impossible = &'static str;

impl Image {
    /// Takes in one entry of the log, and says what it changed.
    ///
    /// # Panics
    /// As [`Image::apply`].
    pub fn apply_batch(&mut self, at: MetadataIndex, batch: &Batch) -> Result<Delta, MetadataError> {
        let header = &batch.header;
        if header.feature_level > FeatureLevel::MAX {
            return Err(MetadataError::TooNew { at, level: header.feature_level });
        }
        if header.state_hash != self.hash {
            return Err(MetadataError::Diverged { at, expected: header.state_hash, found: self.hash });
        }
        let mut delta = Delta::default();
        for fact in &batch.facts {
            self.apply(at, fact);
            delta.note(fact);
        }
        self.applied = at;
        Ok(delta)
    }

    /// Makes one fact so.
    ///
    /// # Panics
    /// When the fact cannot be true of this image.
    pub fn apply(&mut self, at: MetadataIndex, fact: &Fact) {
        if let Err(why) = self.try_apply(fact) {
            panic!("entry {at} of the metadata log cannot be true: {why}: {fact:?}");
        }
    }

    /// Leaves the image in pieces when it fails: it is dropped then.
    pub(super) fn try_apply(&mut self, fact: &Fact) -> Result<(), Impossible> {
        match fact {
            Fact::ClusterFounded { cluster } => {
                require(self.cluster.id.is_none(), "the cluster exists")?;
                self.change_cluster(|it| it.id = Some(*cluster));
                Ok(())
            }
            Fact::FeatureLevelSet { level } => {
                require(*level <= FeatureLevel::MAX, "the level is above what this program understands")?;
                self.change_cluster(|it| it.feature_level = *level);
                Ok(())
            }
            Fact::ControllerActivated { node, epoch, reign } => {
                let before = self.cluster.controller;
                require(before.is_none_or(|it| it.epoch < *epoch && it.reign < *reign), "a later reign has begun")?;
                let now = ActiveController { node: *node, epoch: *epoch, reign: *reign };
                self.change_cluster(|it| it.controller = Some(now));
                Ok(())
            }
            Fact::NodeIdAllocated { node, directory } => self.give_id(*node, *directory),
            Fact::NodeRegistered { node, epoch, registration } => self.register(*node, *epoch, registration),
            Fact::NodeFenced { node, epoch } => self.move_node(*node, *epoch, NodeState::Fenced),
            Fact::NodeUnfenced { node, epoch } => self.move_node(*node, *epoch, NodeState::Active),
            Fact::NodeShuttingDown { node, epoch } => self.move_node(*node, *epoch, NodeState::ShuttingDown),
            Fact::NodeDraining { node, draining } => self.change_node(*node, |it| it.draining = *draining),
            Fact::NodeRemoved { node } => self.remove_node(*node),
            Fact::TopicCreated { topic, name } => self.create_topic(*topic, name),
            Fact::TopicDeleted { topic } => self.delete_topic(*topic),
            Fact::PartitionsCreated { topic, first, partitions } => self.create_partitions(*topic, *first, partitions),
            Fact::PartitionsChanged { topic, changes } => self.change_partitions(*topic, changes),
            Fact::ConfigSet { scope, key, value } => self.configure(scope, key, Some(value)),
            Fact::ConfigUnset { scope, key } => self.configure(scope, key, None),
            Fact::ProducerIdsAllocated { next, .. } => {
                require(*next > self.cluster.next_producer_id, "these producer ids are given out already")?;
                self.change_cluster(|it| it.next_producer_id = *next);
                Ok(())
            }
        }
    }

    fn change_cluster(&mut self, change: impl FnOnce(&mut Cluster)) {
        self.hash.toggle(self.cluster.digest());
        change(&mut self.cluster);
        self.hash.toggle(self.cluster.digest());
    }

    fn give_id(&mut self, node: NodeId, directory: DirectoryId) -> Result<(), Impossible> {
        require(node.0 >= 0, "a node id is not negative")?;
        if let Some(before) = self.nodes.give_id(node, directory) {
            self.hash.toggle(digest_of_id(node, before));
        }
        self.hash.toggle(digest_of_id(node, directory));
        Ok(())
    }

    fn register(&mut self, id: NodeId, epoch: BrokerEpoch, registration: &Registration) -> Result<(), Impossible> {
        require(self.nodes.directory_of(id).is_some(), "nobody gave out this node id")?;
        let before = self.nodes.get(id);
        require(before.is_none_or(|it| it.epoch < epoch), "a later registration of the node exists")?;
        require(before.is_none_or(Node::is_fenced), "the run before it is not fenced")?;
        let draining = before.is_some_and(|it| it.draining);
        self.put_node(Node { id, epoch, registration: registration.clone(), state: NodeState::Fenced, draining });
        Ok(())
    }

    fn move_node(&mut self, id: NodeId, epoch: BrokerEpoch, state: NodeState) -> Result<(), Impossible> {
        let node = self.nodes.get(id).ok_or("no such node is registered")?;
        require(node.epoch == epoch, "the fact is about another registration")?;
        let possible = match state {
            NodeState::Fenced => node.state != NodeState::Fenced,
            NodeState::Active => node.state == NodeState::Fenced,
            NodeState::ShuttingDown => node.state == NodeState::Active,
        };
        require(possible, "no way leads there from the node's state")?;
        self.change_node(id, |it| it.state = state)
    }

    fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) -> Result<(), Impossible> {
        let mut node = self.nodes.get(id).ok_or("no such node is registered")?.clone();
        change(&mut node);
        self.put_node(node);
        Ok(())
    }

    fn put_node(&mut self, node: Node) {
        self.hash.toggle(node.digest());
        if let Some(before) = self.nodes.put(node) {
            self.hash.toggle(before.digest());
        }
    }

    fn remove_node(&mut self, id: NodeId) -> Result<(), Impossible> {
        let node = self.nodes.remove(id).ok_or("no such node is registered")?;
        require(node.is_fenced(), "a node that is not fenced cannot go")?;
        require(self.topics.hosted_by(id).next().is_none(), "the node has replicas")?;
        self.hash.toggle(node.digest());
        self.forget_configs(&ConfigScope::Node(id));
        Ok(())
    }

    fn create_topic(&mut self, id: TopicId, name: &str) -> Result<(), Impossible> {
        require(self.topics.get(id).is_none(), "the topic id is taken")?;
        require(self.topics.similarly_named(name).is_none(), "the name is taken")?;
        let topic = Topic::new(id, name);
        self.hash.toggle(topic.digest());
        self.topics.insert(topic);
        Ok(())
    }

    fn delete_topic(&mut self, id: TopicId) -> Result<(), Impossible> {
        let topic = self.topics.remove(id).ok_or("no such topic")?;
        self.hash.toggle(topic.digest());
        for (index, partition) in topic.partitions() {
            self.hash.toggle(partition_digest(id, index, partition));
        }
        self.forget_configs(&ConfigScope::Topic(id));
        Ok(())
    }

    fn create_partitions(
        &mut self,
        id: TopicId,
        first: PartitionIndex,
        partitions: &[Partition],
    ) -> Result<(), Impossible> {
        let topic = self.topics.get(id).ok_or("no such topic")?;
        require(topic.partition_count() == first.0 as usize, "partitions are numbered without gaps")?;
        for (place, partition) in partitions.iter().enumerate() {
            check(partition)?;
            self.hash.toggle(partition_digest(id, PartitionIndex(first.0 + place as i32), partition));
        }
        self.topics.grow(id, partitions);
        Ok(())
    }

    fn change_partitions(&mut self, id: TopicId, changes: &[PartitionChange]) -> Result<(), Impossible> {
        let topic = self.topics.get_mut(id).ok_or("no such topic")?;
        for PartitionChange { partition: index, state } in changes {
            let partition = topic.partition_mut(*index).ok_or("no such partition")?;
            let before = partition_digest(id, *index, partition);
            let old = std::mem::replace(&mut partition.state, *state);
            require(state.partition_epoch == old.partition_epoch.next(), "the partition epoch is not the next one")?;
            let led_anew = state.leader != old.leader;
            let epoch = if led_anew { old.leader_epoch.next() } else { old.leader_epoch };
            require(state.leader_epoch == epoch, "the leader epoch counts the leaders")?;
            check(partition)?;
            self.hash.toggle(before);
            self.hash.toggle(partition_digest(id, *index, partition));
        }
        Ok(())
    }

    fn configure(&mut self, scope: &ConfigScope, key: &str, value: Option<&str>) -> Result<(), Impossible> {
        let exists = match scope {
            ConfigScope::Cluster | ConfigScope::Group(_) => true,
            ConfigScope::Node(node) => self.nodes.directory_of(*node).is_some(),
            ConfigScope::Topic(topic) => self.topics.get(*topic).is_some(),
        };
        require(exists, "it configures something that is not there")?;
        let before = self.configs.replace(scope.clone(), key, value);
        for value in [before.as_deref(), value].into_iter().flatten() {
            self.hash.toggle(configs::digest(scope, key, value));
        }
        Ok(())
    }

    fn forget_configs(&mut self, scope: &ConfigScope) {
        for (key, value) in self.configs.remove(scope).iter() {
            self.hash.toggle(configs::digest(scope, key, value));
        }
    }
}

/// What every partition must be.
fn check(partition: &Partition) -> Result<(), Impossible> {
    let Partition { replicas, state } = partition;
    require((1..=super::partitions::REPLICAS_MAX).contains(&replicas.len()), "the number of replicas is out of range")?;
    let all = super::partitions::ReplicaSet::first(replicas.len());
    require(state.isr.is_subset_of(all) && state.elr.is_subset_of(all), "the ISR or ELR holds more than the replicas")?;
    require(state.isr.and(state.elr).is_empty(), "a replica is both in the ISR and in the ELR")?;
    require(state.offline.is_subset_of(all), "more is offline than there are replicas")?;
    require(state.offline.and(state.isr.with(state.elr)).is_empty(), "an offline replica is in the ISR or in the ELR")?;
    let led_from_isr = state.leader.is_none_or(|leader| !partition.only(leader).and(state.isr).is_empty());
    require(led_from_isr, "the leader is not in the ISR")
}

fn require(condition: bool, otherwise: Impossible) -> Result<(), Impossible> {
    if condition { Ok(()) } else { Err(otherwise) }
}

//! What a client knows of the cluster: where the brokers are, and who leads what. Pure.
//!
//! Invariants: what is known of a partition never goes back to an older leader epoch, as long as the topic is the same
//! one; brokers answer from images of different age.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId, Uuid};
use crate::wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use crate::wire::{ErrorCode, Text};

/// One partition, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TopicPartition {
    pub topic: Text,
    pub index: PartitionIndex,
}

impl TopicPartition {
    pub fn new(topic: &Text, index: PartitionIndex) -> Self {
        Self { topic: topic.clone(), index }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    pub node: NodeId,
    pub epoch: LeaderEpoch,
}

/// A topic as Metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicView {
    pub id: TopicId,
    pub partitions: BTreeMap<PartitionIndex, PartitionView>,
}

/// A partition as Metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionView {
    /// None while nobody leads it.
    pub leader: Option<NodeId>,
    pub epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub in_sync: Vec<NodeId>,
}

/// All of it.
#[derive(Default)]
pub(super) struct View {
    brokers: BTreeMap<NodeId, String>,
    topics: BTreeMap<Text, TopicView>,
}

impl View {
    pub(super) fn brokers(&self) -> &BTreeMap<NodeId, String> {
        &self.brokers
    }

    pub(super) fn topic(&self, name: &str) -> Option<&TopicView> {
        self.topics.get(name)
    }

    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        let known = self.topics.get(&partition.topic)?.partitions.get(&partition.index)?;
        Some(Leader { node: known.leader?, epoch: known.epoch })
    }

    pub(super) fn learn(&mut self, answer: &MetadataResponse) {
        let addresses =
            answer.brokers.iter().map(|broker| (NodeId(broker.node_id), address(&broker.host, broker.port)));
        self.brokers = addresses.collect();
        for topic in &answer.topics {
            match (&topic.name, topic.error_code) {
                (Some(name), ErrorCode::None) => self.learn_topic(name, topic),
                (Some(name), ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) => {
                    self.topics.remove(name);
                }
                _ => {} // a passing condition; what is known stays
            }
        }
    }

    fn learn_topic(&mut self, name: &Text, answer: &MetadataResponseTopic) {
        let id = TopicId(answer.topic_id);
        let known = self.topics.entry(name.detached()).or_insert_with(|| TopicView { id, partitions: BTreeMap::new() });
        if known.id != id {
            *known = TopicView { id, partitions: BTreeMap::new() };
        }
        for partition in &answer.partitions {
            let index = PartitionIndex(partition.partition_index);
            let newer = PartitionView::of(partition);
            if known.partitions.get(&index).is_none_or(|known| known.epoch <= newer.epoch) {
                known.partitions.insert(index, newer);
            }
        }
    }

    /// Takes a leader from the refusal of a broker that knew better (KIP-951).
    pub(super) fn hint(&mut self, partition: &TopicPartition, leader: Leader, endpoint: Option<(&str, i32)>) {
        if let Some((host, port)) = endpoint {
            self.brokers.insert(leader.node, address(host, port));
        }
        let topic = self.topics.get_mut(&partition.topic);
        let known = topic.and_then(|topic| topic.partitions.get_mut(&partition.index));
        if let Some(known) = known
            && leader.epoch > known.epoch
            && self.brokers.contains_key(&leader.node)
        {
            known.leader = Some(leader.node);
            known.epoch = leader.epoch;
        }
    }
}

impl PartitionView {
    fn of(answer: &MetadataResponsePartition) -> Self {
        Self {
            leader: (answer.leader_id >= 0).then_some(NodeId(answer.leader_id)),
            epoch: LeaderEpoch(answer.leader_epoch),
            replicas: answer.replica_nodes.iter().copied().map(NodeId).collect(),
            in_sync: answer.isr_nodes.iter().copied().map(NodeId).collect(),
        }
    }
}

fn address(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Whether an answer, which names its topic by id in newer versions and by name in older ones, is about this topic.
pub(super) fn is_about(name: &Text, id: Uuid, answered_name: &Text, answered_id: Uuid) -> bool {
    if answered_id.is_zero() { name == answered_name } else { id == answered_id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::metadata::MetadataResponseBroker;

    const ORDERS: Text = Text::from_static("orders");

    fn answer(id: u8, leader: i32, epoch: i32) -> MetadataResponse {
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: Text::from_static("::1"),
            port: 9092,
            ..Default::default()
        };
        let partition = MetadataResponsePartition { leader_id: leader, leader_epoch: epoch, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some(ORDERS),
            topic_id: Uuid([id; 16]),
            partitions: vec![partition],
            ..Default::default()
        };
        MetadataResponse { brokers: vec![broker(1), broker(2)], topics: vec![topic], ..Default::default() }
    }

    fn leader(view: &View) -> Option<(i32, i32)> {
        let leader = view.leader(&TopicPartition::new(&ORDERS, PartitionIndex(0)))?;
        Some((leader.node.0, leader.epoch.0))
    }

    #[test]
    fn an_older_image_does_not_bring_back_an_older_leader() {
        let mut view = View::default();
        view.learn(&answer(1, 1, 5));
        view.learn(&answer(1, 2, 4));
        assert_eq!(leader(&view), Some((1, 5)));
        view.learn(&answer(1, 2, 6));
        assert_eq!(leader(&view), Some((2, 6)));
        assert_eq!(view.brokers()[&NodeId(1)], "[::1]:9092");
    }

    #[test]
    fn a_topic_made_again_under_its_name_begins_anew() {
        let mut view = View::default();
        view.learn(&answer(1, 1, 5));
        view.learn(&answer(2, 2, 0));
        assert_eq!(leader(&view), Some((2, 0)));
    }

    #[test]
    fn a_hint_counts_when_it_is_newer_and_leads_somewhere() {
        let orders = TopicPartition::new(&ORDERS, PartitionIndex(0));
        let hinted = |node, epoch| Leader { node: NodeId(node), epoch: LeaderEpoch(epoch) };
        let mut view = View::default();
        view.learn(&answer(1, 1, 5));
        view.hint(&orders, hinted(2, 5), None);
        assert_eq!(leader(&view), Some((1, 5)), "not newer");
        view.hint(&orders, hinted(3, 6), None);
        assert_eq!(leader(&view), Some((1, 5)), "where is broker 3?");
        view.hint(&orders, hinted(3, 6), Some(("c", 9092)));
        assert_eq!(leader(&view), Some((3, 6)));
    }

    #[test]
    fn nobody_leads_while_metadata_says_so() {
        let mut view = View::default();
        view.learn(&answer(1, -1, 5));
        assert_eq!(leader(&view), None);
    }
}

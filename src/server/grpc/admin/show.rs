//! Metadata as messages: the one place where an image becomes what people see.

use crate::base::ids::{NodeId, PartitionIndex};
use crate::broker::Offline;
use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;
use crate::metadata::nodes::{Node, NodeState};
use crate::metadata::partitions::Partition;
use crate::metadata::topics::Topic;
use crate::rpc::admin as proto;

use super::QuorumSeen;

pub(super) fn cluster(image: &Image, answered_by: Option<NodeId>, offline: Vec<Offline>) -> proto::ClusterStatus {
    let cluster = image.cluster();
    let active = cluster.controller.map(|it| proto::Controller { node_id: it.node.0, epoch: it.epoch.0 });
    let mut partitions = proto::PartitionCounts::default();
    image.topics().iter().for_each(|topic| count(image, topic, &mut partitions));
    proto::ClusterStatus {
        cluster_id: cluster.id.unwrap_or_default().to_string(),
        answered_by: answered_by.map(|node| node.0),
        applied: image.applied().0,
        feature_level: cluster.feature_level.0,
        controller: active,
        nodes: nodes(image),
        topics: image.topics().count() as u64,
        partitions: Some(partitions),
        offline_replicas: offline.into_iter().map(offline_replica).collect(),
    }
}

fn offline_replica(replica: Offline) -> proto::OfflineReplica {
    let Offline { topic, index, why, .. } = replica;
    proto::OfflineReplica { topic: topic.to_string(), partition: index.0, why: why.to_string() }
}

pub(super) fn nodes(image: &Image) -> Vec<proto::Node> {
    image.nodes().iter().map(|it| node(image, it)).collect()
}

pub(super) fn node(image: &Image, node: &Node) -> proto::Node {
    let registration = &node.registration;
    let listeners = registration.listeners.iter();
    let hosted = image.topics().hosted_by(node.id);
    let (replicas, leads) = hosted.fold((0, 0), |(replicas, leads), (_, _, partition)| {
        (replicas + 1, leads + u64::from(partition.state.leader == Some(node.id)))
    });
    proto::Node {
        node_id: node.id.0,
        broker_epoch: node.epoch.0,
        state: node_state(node.state).into(),
        draining: node.draining,
        is_controller: registration.roles.controller,
        is_broker: registration.roles.broker,
        listeners: listeners
            .map(|it| proto::Listener { name: it.name.clone(), host: it.host.clone(), port: it.port.into() })
            .collect(),
        peer_address: registration.peer_address.clone(),
        admin_address: registration.admin_address.clone(),
        rack: registration.rack.clone(),
        version: registration.version.clone(),
        replicas,
        leads,
    }
}

pub(super) fn node_state(state: NodeState) -> proto::NodeState {
    match state {
        NodeState::Fenced => proto::NodeState::Fenced,
        NodeState::Active => proto::NodeState::Active,
        NodeState::ShuttingDown => proto::NodeState::ShuttingDown,
    }
}

pub(super) fn quorum(seen: &QuorumSeen) -> proto::QuorumStatus {
    let mut voters: Vec<_> = seen
        .voters
        .iter()
        .map(|voter| proto::Voter {
            node_id: voter.node.0,
            directory_id: voter.directory.to_string(),
            peer_address: voter.address.clone(),
        })
        .collect();
    voters.sort_by(|one, other| (one.node_id, &one.directory_id).cmp(&(other.node_id, &other.directory_id)));
    proto::QuorumStatus {
        leader: seen.reign.leader.map(|leader| leader.node().0),
        term: seen.reign.term,
        voters,
        applied: seen.applied.0,
    }
}

pub(super) fn summary(image: &Image, topic: &Topic) -> proto::TopicSummary {
    let mut partitions = proto::PartitionCounts::default();
    count(image, topic, &mut partitions);
    let first = topic.partition(PartitionIndex(0));
    proto::TopicSummary {
        name: topic.name.to_string(),
        topic_id: topic.id.to_string(),
        replication_factor: first.map_or(0, |partition| partition.replicas.len() as u32),
        is_internal: topic.is_internal(),
        partitions: Some(partitions),
    }
}

pub(super) fn topic(image: &Image, topic: &Topic) -> proto::Topic {
    let set = image.configs().of(&ConfigScope::Topic(topic.id));
    proto::Topic {
        summary: Some(summary(image, topic)),
        partitions: topic.partitions().map(|(index, it)| partition(topic, index, it)).collect(),
        configs: set.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

/// The partitions of a topic that are in this condition.
pub(super) fn partitions_in(image: &Image, topic: &Topic, condition: proto::Condition) -> Vec<proto::Partition> {
    let min_insync_replicas = image.configs().min_insync_replicas(topic.id);
    let all = topic.partitions();
    all.filter(|(_, it)| is_in(it, condition, min_insync_replicas))
        .map(|(index, it)| partition(topic, index, it))
        .collect()
}

fn partition(topic: &Topic, index: PartitionIndex, partition: &Partition) -> proto::Partition {
    let state = &partition.state;
    proto::Partition {
        topic: topic.name.to_string(),
        partition: index.0,
        leader: state.leader.map(|leader| leader.0),
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch.0,
        replicas: partition.replicas.iter().map(|node| node.0).collect(),
        isr: partition.isr().map(|node| node.0).collect(),
        elr: partition.elr().map(|node| node.0).collect(),
        offline: partition.members(state.offline).map(|node| node.0).collect(),
    }
}

fn is_in(partition: &Partition, condition: proto::Condition, min_insync_replicas: usize) -> bool {
    let in_sync = partition.state.isr.len();
    match condition {
        proto::Condition::Any => true,
        proto::Condition::UnderReplicated => in_sync < partition.replicas.len(),
        proto::Condition::UnderMinIsr => in_sync < partition.effective_min_isr(min_insync_replicas),
        proto::Condition::Offline => partition.state.leader.is_none(),
    }
}

fn count(image: &Image, topic: &Topic, counts: &mut proto::PartitionCounts) {
    let min_insync_replicas = image.configs().min_insync_replicas(topic.id);
    for (_, partition) in topic.partitions() {
        let one_if = |condition| u64::from(is_in(partition, condition, min_insync_replicas));
        counts.total += 1;
        counts.under_replicated += one_if(proto::Condition::UnderReplicated);
        counts.under_min_isr += one_if(proto::Condition::UnderMinIsr);
        counts.offline += one_if(proto::Condition::Offline);
    }
}

//! Finding what requests name: topics by name or by id, and the partitions that this broker has of them.
//!
//! Every error of a partition, in every API, is a [`PartitionError`]: here those of the name, from the partition itself
//! the others. A handler turns them into its response with `code()`.

use std::sync::Arc;

use super::client::Asked;
use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId, Uuid};
use crate::broker::{Isolation, Partition, PartitionError};
use crate::metadata::Image;
use crate::metadata::nodes::Node;
use crate::metadata::partitions::Partition as Assigned;
use crate::metadata::topics::Topic;
use crate::wire::Text;

/// A topic as a request names it.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    Name(&'a Text),
    Id(Uuid),
}

/// The topic that is named; an unknown name and an unknown id have codes of their own.
pub fn topic<'a>(image: &'a Image, named: Named<'_>) -> Result<&'a Topic, PartitionError> {
    match named {
        Named::Name(name) => image.topics().named(name).ok_or(PartitionError::UnknownTopicOrPartition),
        Named::Id(id) => image.topics().get(TopicId(id)).ok_or(PartitionError::UnknownTopicId),
    }
}

/// A partition of it, if this broker leads it or at least has it.
pub fn partition(asked: &Asked, topic: &Topic, index: i32) -> Result<Arc<Partition>, PartitionError> {
    let index = PartitionIndex(index);
    topic.partition(index).ok_or(PartitionError::UnknownTopicOrPartition)?;
    asked.door().broker.partition(topic.id, index)
}

/// The same in one step, for who looks at each partition once.
pub fn find(asked: &Asked, named: Named<'_>, index: i32) -> Result<Arc<Partition>, PartitionError> {
    partition(asked, topic(&asked.image(), named)?, index)
}

/// Whether the client believes in the leader that this broker is.
pub fn check_epoch(partition: &Partition, theirs: Option<LeaderEpoch>) -> Result<(), PartitionError> {
    let Some(current) = partition.led_epoch() else { return Ok(()) }; // which the partition itself says better
    match theirs {
        Some(epoch) if epoch < current => Err(PartitionError::FencedLeaderEpoch { current }),
        Some(epoch) if epoch > current => Err(PartitionError::UnknownLeaderEpoch { current }),
        _ => Ok(()),
    }
}

/// The replicas that are on brokers which are away, or whose brokers cannot use them.
pub fn offline(image: &Image, partition: &Assigned) -> Vec<i32> {
    let is_away = |node: NodeId| image.nodes().get(node).is_none_or(Node::is_fenced);
    let is_offline = |place: usize, node: NodeId| partition.state.offline.has(place) || is_away(node);
    let replicas = partition.replicas.iter().enumerate();
    replicas.filter(|(place, node)| is_offline(*place, **node)).map(|(_, node)| node.0).collect()
}

/// How far a client wants to read.
pub fn isolation(level: i8) -> Isolation {
    if level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

/// The leader epoch that a client believes in; -1 says that it does not care.
pub fn epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch >= 0).then_some(LeaderEpoch(epoch))
}

/// Kafka's rule: letters, digits, dots, dashes and underscores, at most 249 of them, and neither `.` nor `..`.
pub fn is_topic_name(name: &str) -> bool {
    const NAME_LEN_MAX: usize = 249;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_allowed) && name != "." && name != ".."
}

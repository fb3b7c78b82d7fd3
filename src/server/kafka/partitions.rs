//! Finding what requests name: topics by name or by id, and the partitions that this broker has of them.
//!
//! Every error of a partition, in every API, is a [`PartitionError`]: here those of the name, from the partition itself
//! the others. A handler turns them into its response with `code()`.

use std::sync::Arc;

use crate::base::ids::{LeaderEpoch, PartitionIndex, TopicId, Uuid};
use crate::broker::{Partition, PartitionError};
use crate::metadata::Image;
use crate::metadata::topics::Topic;
use crate::wire::Text;

use super::client::Asked;

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

/// The leader epoch that a client believes in; -1 says that it does not care.
pub fn epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch >= 0).then_some(LeaderEpoch(epoch))
}

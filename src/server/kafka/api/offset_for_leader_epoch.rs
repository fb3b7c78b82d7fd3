//! OffsetForLeaderEpoch (23), versions 2-4. Where a leader epoch ended: how a reader finds out that what it has read
//! was truncated meanwhile (KIP-320).
//!
//! Tells the largest epoch of this log that is not above the one asked for, and its end; -1 and -1 when the log knows
//! nothing that old, or that new.
//!
//! Answers: FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION.

use crate::base::ids::LeaderEpoch;
use crate::server::kafka::client::Asked;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::Text;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

pub fn answer(asked: &Asked, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        partitions: topic.partitions.iter().map(|wanted| end(asked, &topic.topic, wanted)).collect(),
        topic: topic.topic,
        ..Default::default()
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn end(asked: &Asked, topic: &Text, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let partition = partitions::find(asked, Named::Name(topic), wanted.partition);
    let current = partitions::epoch(wanted.current_leader_epoch);
    let unknown = EpochEndOffset { partition: wanted.partition, ..Default::default() };
    match partition.and_then(|partition| partition.epoch_end(current, LeaderEpoch(wanted.leader_epoch))) {
        Ok(Some(end)) => EpochEndOffset { leader_epoch: end.epoch.0, end_offset: end.end.0, ..unknown },
        Ok(None) => unknown,
        Err(error) => EpochEndOffset { error_code: error.code(), ..unknown },
    }
}

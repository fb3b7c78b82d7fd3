//! DescribeProducers (61), version 0. Which idempotent producers a partition led here remembers, and their last batch.
//!
//! Answers per partition: INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER.

use crate::broker::PartitionError;
use crate::replica::producers::ProducerRow;
use crate::server::kafka::client::Asked;
use crate::server::kafka::partitions::{self, Named, is_topic_name};
use crate::wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest, TopicResponse,
};
use crate::wire::{ErrorCode, Text};

pub fn answer(asked: &Asked, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| described(asked, topic));
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn described(asked: &Asked, topic: TopicRequest) -> TopicResponse {
    let partition = |partition_index: &i32| {
        let response = PartitionResponse { partition_index: *partition_index, ..Default::default() };
        match producers(asked, &topic.name, *partition_index) {
            Ok(rows) => PartitionResponse { active_producers: rows.iter().map(shown).collect(), ..response },
            Err(code) => PartitionResponse { error_code: code, error_message: Some(code.message().into()), ..response },
        }
    };
    let partitions = topic.partition_indexes.iter().map(partition).collect();
    TopicResponse { name: topic.name.clone(), partitions, ..Default::default() }
}

fn producers(asked: &Asked, topic: &Text, index: i32) -> Result<Vec<ProducerRow>, ErrorCode> {
    if !is_topic_name(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = partitions::find(asked, Named::Name(topic), index);
    partition.and_then(|partition| partition.active_producers()).map_err(|error: PartitionError| error.code())
}

fn shown(row: &ProducerRow) -> ProducerState {
    ProducerState {
        producer_id: row.producer_id.0,
        producer_epoch: row.producer_epoch.0.into(),
        last_sequence: row.last_sequence,
        last_timestamp: row.timestamp,
        coordinator_epoch: row.coordinator_epoch,
        current_txn_start_offset: row.current_txn_first_offset.0,
        ..Default::default()
    }
}

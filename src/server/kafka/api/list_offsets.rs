//! ListOffsets (2), versions 1-11. The offset that belongs to a time, or to a place in the log.
//!
//! Places: -1 the end that the isolation level may read, -2 the start, -3 the record with the largest timestamp (7+),
//! -4 the local start (8+), which is the start; -5 and -6 are about tiered storage (9+, 11+), where there is nothing. A
//! time finds the first record at or after it, on a worker, because it reads the log. What is not found is answered
//! with offset -1 and no error.
//!
//! Answers: UNSUPPORTED_VERSION to a place that the version does not know; FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH;
//! OFFSET_NOT_AVAILABLE from a leader that does not know the end yet (KIP-207); NOT_LEADER_OR_FOLLOWER,
//! UNKNOWN_TOPIC_OR_PARTITION.

use std::rc::Rc;
use std::sync::Arc;

use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::broker::{Isolation, Partition, PartitionError};
use crate::log::Found;
use crate::server::kafka::client::Asked;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
    ListOffsetsTopicResponse,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub async fn answer(asked: Rc<Asked>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = partitions::isolation(request.isolation_level);
    let mut topics = Vec::with_capacity(request.topics.len());
    for ListOffsetsTopic { name, partitions, .. } in request.topics {
        let mut responses = Vec::with_capacity(partitions.len());
        for wanted in partitions {
            let partition = partitions::find(&asked, Named::Name(&name), wanted.partition_index);
            responses.push(response(&asked, partition, &wanted, isolation).await);
        }
        topics.push(ListOffsetsTopicResponse { name, partitions: responses, ..Default::default() });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn response(
    asked: &Asked,
    partition: Result<Arc<Partition>, PartitionError>,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let unknown = ListOffsetsPartitionResponse { partition_index: wanted.partition_index, ..Default::default() };
    if asked.version() < first_version(wanted.timestamp) {
        return ListOffsetsPartitionResponse { error_code: ErrorCode::UnsupportedVersion, ..unknown };
    }
    let found = match partition {
        Ok(partition) => look_up(asked, &partition, wanted, isolation).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(None) => unknown,
        Ok(Some(Found { offset, timestamp, leader_epoch })) => ListOffsetsPartitionResponse {
            timestamp: timestamp.0,
            offset: offset.0,
            leader_epoch: leader_epoch.0,
            ..unknown
        },
        Err(error) => ListOffsetsPartitionResponse { error_code: error.code(), ..unknown },
    }
}

/// The first version that knows what a timestamp stands for.
fn first_version(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        unknown if unknown < EARLIEST_PENDING_UPLOAD => i16::MAX,
        _ => 1,
    }
}

async fn look_up(
    asked: &Asked,
    partition: &Partition,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<Found>, PartitionError> {
    partitions::check_epoch(partition, partitions::epoch(wanted.current_leader_epoch))?;
    let place =
        |(offset, leader_epoch): (Offset, LeaderEpoch)| Some(Found { offset, timestamp: WallMillis(-1), leader_epoch });
    match wanted.timestamp {
        LATEST => partition.latest(isolation).map(place),
        EARLIEST | EARLIEST_LOCAL => partition.earliest().map(place),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(None),
        MAX_TIMESTAMP => match partition.max_timestamp()? {
            Some(largest) => search(asked, partition, largest).await,
            None => Ok(None),
        },
        time => search(asked, partition, WallMillis(time)).await,
    }
}

async fn search(asked: &Asked, partition: &Partition, time: WallMillis) -> Result<Option<Found>, PartitionError> {
    let (search, end) = partition.search_timestamp(time)?;
    let found = asked.door().cold_reads.call(move || search.run()).await?;
    Ok(found.filter(|found| found.offset < end)) // beyond it nothing is committed
}

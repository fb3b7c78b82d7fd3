//! DeleteRecords (21), versions 0-2. Moves the log start of partitions led here; -1 stands for the high watermark.
//!
//! Waits until every replica that is heard has moved its start, at most `timeout_ms`; the bytes go when their whole
//! segment does. To delete what is deleted already is no error.
//!
//! Answers: POLICY_VIOLATION on a topic whose cleanup.policy is without delete; OFFSET_OUT_OF_RANGE past the high
//! watermark; NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION; REQUEST_TIMED_OUT, although it may yet happen.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::base::ids::Offset;
use crate::broker::{Deleted, Partition, PartitionError};
use crate::server::kafka::client::Asked;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

const HIGH_WATERMARK: i64 = -1;

/// A partition, and what became of it so far.
type Deleting = (i32, Result<(Arc<Partition>, Deleted), ErrorCode>);

pub async fn answer(asked: Rc<Asked>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    // All are begun before the first is waited for.
    let begun: Vec<_> = request
        .topics
        .into_iter()
        .map(|topic| {
            let delete = |wanted: &DeleteRecordsPartition| {
                let found = partitions::find(&asked, Named::Name(&topic.name), wanted.partition_index);
                begin(found, wanted)
            };
            let partitions: Vec<Deleting> = topic.partitions.iter().map(delete).collect();
            (topic.name, partitions)
        })
        .collect();
    let mut topics = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let mut partitions = Vec::with_capacity(begun.len());
        for deleting in begun {
            partitions.push(finish(deleting, deadline).await);
        }
        topics.push(DeleteRecordsTopicResult { name, partitions, ..Default::default() });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

fn begin(partition: Result<Arc<Partition>, PartitionError>, wanted: &DeleteRecordsPartition) -> Deleting {
    let delete = |partition: Arc<Partition>| {
        if partition.settings().keep.delete.is_none() {
            return Err(ErrorCode::PolicyViolation);
        }
        let offset = match wanted.offset {
            HIGH_WATERMARK => None,
            offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
            offset => Some(Offset(offset)),
        };
        let deleted = partition.delete_before(offset).map_err(|error| error.code())?;
        Ok((partition, deleted))
    };
    (wanted.partition_index, partition.map_err(|error| error.code()).and_then(delete))
}

async fn finish((partition_index, begun): Deleting, deadline: Instant) -> DeleteRecordsPartitionResult {
    let result = DeleteRecordsPartitionResult { partition_index, low_watermark: -1, ..Default::default() };
    let (partition, deleted) = match begun {
        Ok(begun) => begun,
        Err(error_code) => return DeleteRecordsPartitionResult { error_code, ..result },
    };
    let error_code = match deleted.everywhere {
        None => ErrorCode::None,
        Some(everywhere) => match timeout_at(deadline, everywhere).await {
            Ok(Ok(Ok(()))) => ErrorCode::None,
            Ok(Ok(Err(error))) => error.code(),
            Ok(Err(_)) => ErrorCode::NotLeaderOrFollower, // the partition is gone
            Err(_) => ErrorCode::RequestTimedOut,
        },
    };
    match partition.low_watermark() {
        Ok(low) if !error_code.is_error() => DeleteRecordsPartitionResult { low_watermark: low.0, ..result },
        _ => DeleteRecordsPartitionResult { error_code, ..result },
    }
}

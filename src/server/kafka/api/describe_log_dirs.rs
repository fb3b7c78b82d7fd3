//! DescribeLogDirs (35), versions 1-5. The asked broker's data directories, and how large the partitions in them are.
//!
//! Without topics all partitions are told of. A broker tells of its own replicas, whether it leads them or not.
//!
//! Answers per directory: KAFKA_STORAGE_ERROR to one that failed or does not answer.
//! Absent on purpose: replicas on the way to another directory (nothing moves them), cordoned directories.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::broker::{DirReport, Partition};
use crate::server::kafka::client::Asked;
use crate::wire::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::wire::{ErrorCode, Text};

pub async fn answer(asked: Rc<Asked>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let broker = asked.door().broker.clone();
    let dirs = asked.door().cold_reads.call(move || broker.log_dirs()).await;
    let results = dirs.iter().map(|dir| describe(dir, request.topics.as_deref())).collect();
    DescribeLogDirsResponse { results, ..Default::default() }
}

fn describe(dir: &DirReport, wanted: Option<&[DescribableLogDirTopic]>) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in dir.partitions.iter().filter(|partition| is_wanted(partition, wanted)) {
        topics.entry(&*partition.name).or_default().push(size(partition));
    }
    let topics = topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
        name: Text::from(name),
        partitions,
        ..Default::default()
    });
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    DescribeLogDirsResult {
        error_code: if dir.space.is_some() { ErrorCode::None } else { ErrorCode::KafkaStorageError },
        log_dir: dir.path.to_string_lossy().into_owned().into(),
        topics: topics.collect(),
        total_bytes: dir.space.map_or(-1, |space| bytes(space.total)),
        usable_bytes: dir.space.map_or(-1, |space| bytes(space.free)),
        ..Default::default()
    }
}

fn is_wanted(partition: &Partition, wanted: Option<&[DescribableLogDirTopic]>) -> bool {
    wanted.is_none_or(|wanted| {
        let mut topics = wanted.iter().filter(|topic| *topic.topic == *partition.name);
        topics.any(|topic| topic.partitions.contains(&partition.index.0))
    })
}

fn size(partition: &Arc<Partition>) -> DescribeLogDirsPartition {
    let [high_watermark, ..] = partition.checkpoint();
    DescribeLogDirsPartition {
        partition_index: partition.index.0,
        partition_size: i64::try_from(partition.size()).unwrap_or(i64::MAX),
        offset_lag: (high_watermark.0 - partition.log_ends().end.0).max(0),
        ..Default::default()
    }
}

//! Topics made and waited for, and how far partitions reach.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cluster::ASK_PATIENCE;
use super::{ClientError, Cluster, TopicPartition, TopicView, backoff};
use crate::base::ids::{Offset, PartitionIndex};
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::{ErrorCode, Text};

/// ListOffsets' word for the end of a partition.
const LATEST: i64 = -1;

/// A topic to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    pub name: Text,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: BTreeMap<&'static str, String>,
}

impl Cluster {
    /// Waits until at least so many brokers are up.
    pub async fn brokers_up(&self, count: usize, patience: Duration) -> Result<(), ClientError> {
        let look = || async {
            self.refresh(&[]).await?;
            (self.brokers().len() >= count).then_some(()).ok_or(ClientError::TooFewBrokers { count })
        };
        self.until(Instant::now() + patience, look).await
    }

    /// Makes a topic and waits until all its partitions are led. One that exists is as good as one that was made.
    pub async fn create_topic(&self, topic: &TopicSpec, patience: Duration) -> Result<TopicView, ClientError> {
        let deadline = Instant::now() + patience;
        self.until(deadline, || self.ask_for_topic(topic, deadline)).await?;
        self.topic_led(&topic.name, topic.partitions, deadline).await
    }

    async fn ask_for_topic(&self, topic: &TopicSpec, deadline: Instant) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let config = |(name, value): (&&'static str, &String)| CreatableTopicConfig {
            name: Text::from_static(name),
            value: Some(Text::from(value.as_str())),
            ..Default::default()
        };
        let wanted = CreatableTopic {
            name: topic.name.clone(),
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: topic.configs.iter().map(config).collect(),
            ..Default::default()
        };
        let timeout_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest { topics: vec![wanted], timeout_ms, ..Default::default() };
        let answer = self.ask(&request, left).await?;
        let Some(result) = answer.topics.first() else { return Err(ClientError::Unanswered) };
        match result.error_code {
            ErrorCode::None | ErrorCode::TopicAlreadyExists => Ok(()),
            code => Err(ClientError::refused(&topic.name, code, result.error_message.as_deref())),
        }
    }

    /// Waits until every partition of a topic has a leader.
    async fn topic_led(&self, name: &Text, partitions: i32, deadline: Instant) -> Result<TopicView, ClientError> {
        let look = || async {
            self.refresh(std::slice::from_ref(name)).await?;
            let is_led = |topic: &TopicView| {
                topic.partitions.len() as i32 >= partitions && topic.partitions.values().all(|one| one.leader.is_some())
            };
            self.topic(name).filter(is_led).ok_or_else(|| ClientError::NoLeader(name.to_string()))
        };
        self.until(deadline, look).await
    }

    /// Where the committed records of partitions end.
    pub async fn ends(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let deadline = Instant::now() + patience;
        let mut ends = BTreeMap::new();
        for partition in partitions {
            let end = self.until(deadline, || self.end(partition)).await?;
            ends.insert(partition.clone(), end);
        }
        Ok(ends)
    }

    /// Asks again who leads only where that may have been the trouble.
    async fn end(&self, partition: &TopicPartition) -> Result<Offset, ClientError> {
        let asked = self.end_by_leader(partition).await;
        if asked.as_ref().is_err_and(ClientError::is_retriable) {
            self.refresh(std::slice::from_ref(&partition.topic)).await?;
        }
        asked
    }

    async fn end_by_leader(&self, partition: &TopicPartition) -> Result<Offset, ClientError> {
        let leader = self.leader(partition).ok_or_else(|| ClientError::NoLeader(partition.to_string()))?;
        let wanted = ListOffsetsPartition {
            partition_index: partition.index.0,
            current_leader_epoch: leader.epoch.0,
            timestamp: LATEST,
            ..Default::default()
        };
        let topic = ListOffsetsTopic { name: partition.topic.clone(), partitions: vec![wanted], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.dial(leader.node).await?.call(&request, ASK_PATIENCE).await?;
        let mut parts = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let part = parts.find(|part| PartitionIndex(part.partition_index) == partition.index);
        match part {
            Some(part) if part.error_code.is_error() => Err(ClientError::refused(partition, part.error_code, None)),
            Some(part) => Ok(Offset(part.offset)),
            None => Err(ClientError::Unanswered),
        }
    }

    /// Tries until it succeeds, fails for good, or time is up.
    async fn until<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError> {
        let mut failures = 0;
        loop {
            let error = match attempt().await {
                Err(error) if error.is_retriable() => error,
                settled => return settled,
            };
            failures += 1;
            if Instant::now() + backoff(failures) >= deadline {
                return Err(ClientError::Expired { last: Box::new(error) });
            }
            sleep(backoff(failures)).await;
        }
    }
}

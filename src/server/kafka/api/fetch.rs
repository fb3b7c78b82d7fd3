//! Fetch (1), versions 4-18. Whole batches from where a reader stands, of partitions led here.
//!
//! Held back until `min_bytes` are there, `max_wait_ms` are over, or something has gone wrong with a partition. The
//! first
//! batch comes whole even if it is larger than every limit, or the reader could never get past it (KIP-74). Topics by
//! name up to 12, by id from 13 on.
//!
//! Every fetch is a full one: the answer's session id is 0, which tells a client that no session was made, and it goes
//! on with full fetches (KIP-227). A request that claims to continue a session gets FETCH_SESSION_ID_NOT_FOUND and is
//! sent again in full.
//!
//! Answers: OFFSET_OUT_OF_RANGE; FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH; from 12 on a diverging epoch;
//! NOT_LEADER_OR_FOLLOWER, with the leader from 12 on and its address from 16 on, and not before a moment has passed
//! where that leader may just have died; UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; CLUSTER_AUTHORIZATION_FAILED to
//! who says that it is a broker: ours replicate by another way.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::base::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::base::limits::PARKED_MS_MAX;
use crate::broker::{FetchFrom, Fetched, Isolation, Partition, PartitionError, WaitGuard};
use crate::log::{Read, Slice};
use crate::metadata::Image;
use crate::server::kafka::client::{Asked, Endpoint};
use crate::server::kafka::connection::Answer;
use crate::server::kafka::hangup::Hangup;
use crate::server::kafka::hints::Hints;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::messages::fetch::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use crate::wire::{ErrorCode, Records};

pub fn answer(asked: Asked, request: FetchRequest) -> Result<Answer, Hangup> {
    if let Some(error_code) = refusal(&request) {
        return Ok(Answer::Ready(asked.encode(&FetchResponse { error_code, ..Default::default() })?));
    }
    let fetch = Fetch::new(&asked, request);
    let look = fetch.look();
    if look.is_enough(&fetch) && !look.has_cold {
        return Ok(Answer::Ready(asked.encode(&fetch.response(&asked, look))?));
    }
    Ok(Answer::Later(Box::pin(async move {
        let look = fetch.wait(look).await;
        let look = look.warmed(&asked).await;
        asked.encode(&fetch.response(&asked, look))
    })))
}

/// Why a whole request is not looked at.
fn refusal(request: &FetchRequest) -> Option<ErrorCode> {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        return Some(ErrorCode::ClusterAuthorizationFailed);
    }
    (request.session_epoch > 0).then_some(ErrorCode::FetchSessionIdNotFound)
}

/// A request whose partitions have been found.
struct Fetch {
    topics: Vec<FetchTopic>,
    /// Of all topics, in order.
    partitions: Vec<Result<Arc<Partition>, PartitionError>>,
    isolation: Isolation,
    bytes_min: usize,
    bytes_max: usize,
    deadline: Instant,
    /// Until then nobody is told of a leader that may just have died.
    held_until: Instant,
}

impl Fetch {
    fn new(asked: &Asked, request: FetchRequest) -> Self {
        let image = asked.image();
        let by_id = asked.version() >= 13;
        let mut partitions = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
        for topic in &request.topics {
            let named = if by_id { Named::Id(topic.topic_id) } else { Named::Name(&topic.topic) };
            let found = partitions::topic(&image, named);
            partitions.extend(
                topic.partitions.iter().map(|wanted| {
                    found.clone().and_then(|topic| partitions::partition(asked, topic, wanted.partition))
                }),
            );
        }
        let bytes = |number: i32| usize::try_from(number).unwrap_or(0);
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Self {
            topics: request.topics,
            partitions,
            isolation: partitions::isolation(request.isolation_level),
            bytes_min: bytes(request.min_bytes),
            bytes_max: bytes(request.max_bytes).min(asked.door().fetch_bytes_max),
            deadline: Instant::now() + max_wait,
            held_until: Instant::now() + max_wait.min(Duration::from_millis(PARKED_MS_MAX)),
        }
    }

    /// What is wanted of each partition, in the order of `partitions`.
    fn wanted(&self) -> impl Iterator<Item = &FetchPartition> {
        self.topics.iter().flat_map(|topic| &topic.partitions)
    }

    /// Reads every partition once.
    fn look(&self) -> Look {
        let mut look = Look { outcomes: Vec::with_capacity(self.partitions.len()), ..Look::default() };
        for (partition, wanted) in self.partitions.iter().zip(self.wanted()) {
            let partition_max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0);
            let from = FetchFrom {
                offset: Offset(wanted.fetch_offset),
                max_bytes: partition_max.min(self.bytes_max.saturating_sub(look.bytes)),
                min_one: look.bytes == 0,
                leader_epoch: partitions::epoch(wanted.current_leader_epoch),
                last_fetched_epoch: partitions::epoch(wanted.last_fetched_epoch),
                isolation: self.isolation,
            };
            let max_bytes = from.max_bytes;
            let outcome = partition.clone().and_then(|partition| partition.fetch(&from));
            if self.is_held(partition, &outcome) {
                look.has_held = true;
            } else {
                look.note(&outcome, max_bytes);
            }
            look.outcomes.push(outcome);
        }
        look
    }

    /// Whether an outcome is kept back, because it would send the client to a leader that may just have died.
    fn is_held(&self, partition: &Result<Arc<Partition>, PartitionError>, outcome: &Outcome) -> bool {
        let Err(PartitionError::NotLeader { .. }) = outcome else { return false };
        partition.as_ref().is_ok_and(|partition| partition.awaits_leader()) && Instant::now() < self.held_until
    }

    /// Looks again whenever something has happened, until there is enough or time is up.
    async fn wait(&self, mut look: Look) -> Look {
        while !look.is_enough(self) {
            let mut time_is_up = pin!(sleep_until(if look.has_held { self.held_until } else { self.deadline }));
            let news = Arc::new(Notify::new());
            let mut notified = pin!(news.notified());
            notified.as_mut().enable(); // before anybody can notify
            let _guards = self.wait_for_news(&look, &news);
            tokio::select! {
                biased;
                () = notified => {}
                () = &mut time_is_up => if !look.has_held {
                    return look;
                },
            }
            look = self.look();
        }
        look
    }

    /// Asks every partition for a sign of what lies beyond what has been seen of it.
    fn wait_for_news(&self, look: &Look, news: &Arc<Notify>) -> Vec<WaitGuard> {
        let pairs = self.partitions.iter().zip(&look.outcomes);
        let known = pairs.zip(self.wanted()).filter_map(|((partition, outcome), wanted)| {
            let seen = match outcome {
                Ok(fetched) => readable_end(fetched, self.isolation),
                Err(_) => Offset(wanted.fetch_offset), // it is held
            };
            Some(partition.as_ref().ok()?.wait_for(seen, news))
        });
        known.collect()
    }

    fn response(self, asked: &Asked, look: Look) -> FetchResponse {
        let image = asked.image();
        let mut hints = Hints::new(asked, &image);
        let mut outcomes = look.outcomes.into_iter();
        let mut responses = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let topic_id = found_id(&image, &topic);
            let partitions = topic.partitions.iter().zip(&mut outcomes).map(|(wanted, outcome)| {
                let index = PartitionIndex(wanted.partition);
                outcome.map_or_else(
                    |error| failed(index, &error, hints.leader(topic_id, index, &error)),
                    |fetched| succeeded(index, fetched, self.isolation),
                )
            });
            responses.push(FetchableTopicResponse {
                partitions: partitions.collect(),
                topic: topic.topic,
                topic_id: topic.topic_id,
                ..Default::default()
            });
        }
        let node_endpoints = hints.into_endpoints().into_iter().map(node_endpoint).collect();
        FetchResponse { responses, node_endpoints, ..Default::default() }
    }
}

/// What was found in one partition.
type Outcome = Result<Fetched, PartitionError>;

/// What one look at all partitions has found, in their order.
#[derive(Default)]
struct Look {
    outcomes: Vec<Outcome>,
    bytes: usize,
    /// Something that the client should know now.
    is_urgent: bool,
    /// Some of it has to be read from the disk.
    has_cold: bool,
    /// Some of it is not told yet.
    has_held: bool,
}

impl Look {
    fn note(&mut self, outcome: &Outcome, max_bytes: usize) {
        match outcome {
            Err(_) => self.is_urgent = true,
            Ok(fetched) => {
                self.is_urgent |= fetched.diverging.is_some();
                match &fetched.records {
                    Read::Ready(slice) => self.bytes += slice.size,
                    Read::Cold(_) => {
                        self.has_cold = true;
                        self.bytes += max_bytes.max(1); // what it may become; there is something
                    }
                }
            }
        }
    }

    fn is_enough(&self, fetch: &Fetch) -> bool {
        self.is_urgent
            || self.has_cold
            || self.bytes >= fetch.bytes_min
            || self.outcomes.is_empty()
            || fetch.deadline <= Instant::now()
    }

    /// Reads what has to be read from the disk, on a worker.
    async fn warmed(mut self, asked: &Asked) -> Self {
        for outcome in &mut self.outcomes {
            let Ok(Fetched { records: Read::Cold(_), .. }) = outcome else { continue };
            let fetched = std::mem::replace(outcome, Err(PartitionError::OffsetOutOfRange));
            let Ok(Fetched { records: Read::Cold(read), high_watermark, last_stable_offset, log_start, diverging }) =
                fetched
            else {
                unreachable!("looked at above");
            };
            if let Ok(slice) = asked.door().cold_reads.call(move || read.run()).await {
                let records = Read::Ready(slice);
                *outcome = Ok(Fetched { records, high_watermark, last_stable_offset, log_start, diverging });
            }
        }
        self
    }
}

fn readable_end(fetched: &Fetched, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => fetched.high_watermark,
        Isolation::ReadCommitted => fetched.last_stable_offset,
    }
}

fn found_id(image: &Image, topic: &FetchTopic) -> TopicId {
    let by_name = || image.topics().named(&topic.topic).map(|topic| topic.id);
    if topic.topic_id.is_zero() { by_name().unwrap_or_default() } else { TopicId(topic.topic_id) }
}

fn succeeded(index: PartitionIndex, fetched: Fetched, isolation: Isolation) -> PartitionData {
    let Read::Ready(slice) = fetched.records else { unreachable!("what was cold has been read") };
    let diverging_epoch = fetched.diverging.map_or_else(EpochEndOffset::default, |diverging| EpochEndOffset {
        epoch: diverging.epoch.0,
        end_offset: diverging.end.0,
        ..Default::default()
    });
    PartitionData {
        partition_index: index.0,
        high_watermark: fetched.high_watermark.0,
        last_stable_offset: fetched.last_stable_offset.0,
        log_start_offset: fetched.log_start.0,
        diverging_epoch,
        aborted_transactions: (isolation == Isolation::ReadCommitted).then(Vec::new),
        records: Some(joined(slice)),
        ..Default::default()
    }
}

/// With empty records, not with none: librdkafka takes those for a malformed response.
fn failed(index: PartitionIndex, error: &PartitionError, leader: Option<(NodeId, LeaderEpoch)>) -> PartitionData {
    let current_leader = leader.map_or_else(LeaderIdAndEpoch::default, |(leader, epoch)| LeaderIdAndEpoch {
        leader_id: leader.0,
        leader_epoch: epoch.0,
        ..Default::default()
    });
    PartitionData {
        partition_index: index.0,
        error_code: error.code(),
        high_watermark: -1,
        current_leader,
        aborted_transactions: None,
        ..Default::default()
    }
}

fn node_endpoint(Endpoint { node, host, port, rack }: Endpoint) -> NodeEndpoint {
    NodeEndpoint { node_id: node.0, host, port, rack, ..Default::default() }
}

fn joined(slice: Slice) -> Records {
    if let [whole] = &slice.parts[..] {
        return whole.clone();
    }
    let mut joined = BytesMut::with_capacity(slice.size);
    slice.parts.iter().for_each(|part| joined.extend_from_slice(part));
    joined.freeze()
}

//! Produce (0), versions 3-13. Appends one batch to each of some partitions led here.
//!
//! The appends happen at once, in the order of arrival; with acks=all the answer waits until they are committed, at
//! most `timeout_ms`: then REQUEST_TIMED_OUT, although they may still be. With acks=0 there is no answer at all, and an
//! error closes the connection, because there is no other way to tell. Topics by name up to 12, by id from 13 on.
//!
//! Answers: INVALID_REQUIRED_ACKS; UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; NOT_LEADER_OR_FOLLOWER, from 10 on
//! with the leader, and held for a moment where that one may just have died (`broker/partition/park.rs`) or comes after
//! this one (`broker/passing.rs`; then a success names it); what
//! `record/check.rs` finds wrong with a batch, from 8 on with the records to blame; what the partition says (sequences,
//! NOT_ENOUGH_REPLICAS); INVALID_TXN_STATE to transactional batches.
//! Absent on purpose: transactions (nobody coordinates them yet), versions 0-2, which are advertised for the sake of
//! old clients that look for them, and closed on, as in Kafka.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::base::limits::PARKED_MS_MAX;
use crate::broker::{Parked, PartitionError, Produced};
use crate::metadata::Image;
use crate::metadata::topics::Topic;
use crate::record::check;
use crate::replica::leader::Acks;
use crate::server::kafka::client::{Asked, Endpoint};
use crate::server::kafka::connection::Answer;
use crate::server::kafka::hangup::Hangup;
use crate::server::kafka::hints::Hints;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::ErrorCode;
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};

pub fn answer(asked: Asked, request: ProduceRequest) -> Result<Answer, Hangup> {
    let image = asked.image();
    let mut producing = Producing {
        asked: &asked,
        image: &image,
        acks: acks(&request),
        hints: Hints::new(&asked, &image),
        pending: Vec::new(),
    };
    let topics = request.topic_data.into_iter().enumerate();
    let responses: Vec<_> = topics.map(|(at, topic)| producing.topic(at, topic)).collect();
    let Producing { hints, pending, .. } = producing;
    let node_endpoints = hints.into_endpoints().into_iter().map(node_endpoint).collect();
    let response = ProduceResponse { responses, node_endpoints, ..Default::default() };
    if request.acks == 0 {
        return unacknowledged(&response);
    }
    if pending.is_empty() {
        return Ok(Answer::Ready(asked.encode(&response)?));
    }
    let now = Instant::now();
    let patience = Patience {
        deadline: now + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        held_until: now + Duration::from_millis(PARKED_MS_MAX),
    };
    Ok(Answer::Later(Box::pin(async move { asked.encode(&settled(&asked, response, pending, patience).await) })))
}

/// What the whole request asks for, or the code for each of its partitions.
fn acks(request: &ProduceRequest) -> Result<Acks, ErrorCode> {
    if request.transactional_id.is_some() {
        return Err(ErrorCode::InvalidTxnState);
    }
    match request.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ErrorCode::InvalidRequiredAcks),
    }
}

/// Without an answer: an error can be told by hanging up only.
fn unacknowledged(response: &ProduceResponse) -> Result<Answer, Hangup> {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.find(|partition| partition.error_code.is_error()) {
        None => Ok(Answer::Nothing),
        Some(failed) => Err(Hangup::UnacknowledgedFailure { why: failed.error_code.to_string() }),
    }
}

/// A partition's response that does not hold yet, and where it stands.
struct Pending {
    topic_at: usize,
    partition_at: usize,
    topic: TopicId,
    wait: Wait,
}

/// What a response waits for.
enum Wait {
    /// The records are to be committed.
    Commit(oneshot::Receiver<Result<(), PartitionError>>),
    /// The partition is to be led here, and then they are to be committed.
    Lead(Parked),
}

/// What became of a partition's records at once.
enum Appended {
    Now(Produced),
    Parked(Parked),
}

/// How long a request waits.
#[derive(Clone, Copy)]
struct Patience {
    deadline: Instant,
    /// For a leader.
    held_until: Instant,
}

/// Why nothing was appended to a partition.
enum Failure {
    Partition(PartitionError),
    Code(ErrorCode),
}

struct Producing<'a> {
    asked: &'a Asked,
    image: &'a Image,
    acks: Result<Acks, ErrorCode>,
    hints: Hints<'a>,
    pending: Vec<Pending>,
}

impl Producing<'_> {
    fn topic(&mut self, topic_at: usize, data: TopicProduceData) -> TopicProduceResponse {
        let by_id = self.asked.version() >= 13;
        let named = if by_id { Named::Id(data.topic_id) } else { Named::Name(&data.name) };
        let found = partitions::topic(self.image, named);
        let topic_id = found.as_ref().map_or(TopicId::default(), |topic| topic.id);
        let mut partition_responses = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let index = PartitionIndex(partition.index);
            let outcome = found.as_ref().map_err(|error| Failure::Partition(error.clone()));
            let outcome = outcome.and_then(|topic| self.append(topic, partition));
            partition_responses.push(match outcome {
                Ok(Appended::Now(produced)) => {
                    let response = succeeded(index, &produced);
                    if let Some(committed) = produced.committed {
                        let (partition_at, wait) = (partition_responses.len(), Wait::Commit(committed));
                        self.pending.push(Pending { topic_at, partition_at, topic: topic_id, wait });
                    }
                    response
                }
                Ok(Appended::Parked(parked)) => {
                    let (partition_at, wait) = (partition_responses.len(), Wait::Lead(parked));
                    self.pending.push(Pending { topic_at, partition_at, topic: topic_id, wait });
                    PartitionProduceResponse { index: index.0, ..Default::default() }
                }
                Err(failure) => failed(topic_id, index, failure, &mut self.hints),
            });
        }
        TopicProduceResponse { name: data.name, topic_id: data.topic_id, partition_responses, ..Default::default() }
    }

    fn append(&self, topic: &Topic, data: PartitionProduceData) -> Result<Appended, Failure> {
        let acks = self.acks.map_err(Failure::Code)?;
        let partition = partitions::partition(self.asked, topic, data.index)?;
        let rules = partition.settings().rules(self.asked.door().broker.world().clock.now());
        let batch = check::from_client(data.records.unwrap_or_default().bytes().clone(), &rules)
            .map_err(PartitionError::Record)?;
        if batch.header().attributes.is_transactional() {
            return Err(Failure::Code(ErrorCode::InvalidTxnState));
        }
        // Without an answer there is nothing to hold back.
        if acks != Acks::None && (partition.awaits_leader() || partition.is_passed_on()) {
            return Ok(Appended::Parked(partition.park(vec![batch], acks)?));
        }
        Ok(Appended::Now(partition.produce(vec![batch], acks)?))
    }
}

impl From<PartitionError> for Failure {
    fn from(error: PartitionError) -> Self {
        Self::Partition(error)
    }
}

fn succeeded(index: PartitionIndex, produced: &Produced) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index: index.0,
        base_offset: produced.base.0,
        log_append_time_ms: produced.append_time.map_or(-1, |time| time.0),
        log_start_offset: produced.log_start.0,
        ..Default::default()
    }
}

fn failed(topic: TopicId, index: PartitionIndex, failure: Failure, hints: &mut Hints<'_>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse { index: index.0, base_offset: -1, ..Default::default() };
    let error = match failure {
        Failure::Code(error_code) => return PartitionProduceResponse { error_code, ..response },
        Failure::Partition(error) => error,
    };
    let leader = hints.leader(topic, index, &error);
    PartitionProduceResponse {
        error_code: error.code(),
        error_message: Some(error.to_string().into()),
        record_errors: record_errors(&error),
        current_leader: named(leader),
        ..response
    }
}

fn named(leader: Option<(NodeId, LeaderEpoch)>) -> LeaderIdAndEpoch {
    leader.map_or_else(Default::default, |(leader, epoch)| LeaderIdAndEpoch {
        leader_id: leader.0,
        leader_epoch: epoch.0,
        ..Default::default()
    })
}

/// Which records made the batch fail.
fn record_errors(error: &PartitionError) -> Vec<BatchIndexAndErrorMessage> {
    let PartitionError::Record(why) = error else { return Vec::new() };
    let told = |(batch_index, why): (i32, String)| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: Some(why.into()),
        ..Default::default()
    };
    why.blamed().into_iter().map(told).collect()
}

fn node_endpoint(Endpoint { node, host, port, rack }: Endpoint) -> NodeEndpoint {
    NodeEndpoint { node_id: node.0, host, port, rack, ..Default::default() }
}

/// The response once everything in it is committed, or failed, or time is up.
async fn settled(
    asked: &Asked,
    mut response: ProduceResponse,
    pending: Vec<Pending>,
    patience: Patience,
) -> ProduceResponse {
    let mut news = Vec::new();
    for Pending { topic_at, partition_at, topic, wait } in pending {
        if let Some(outcome) = outcome(wait, patience).await.transpose() {
            news.push((topic_at, partition_at, topic, outcome));
        }
    }
    if news.is_empty() {
        return response;
    }
    let image = asked.image();
    let mut hints = Hints::new(asked, &image);
    for (topic_at, partition_at, topic, outcome) in news {
        let partition = &mut response.responses[topic_at].partition_responses[partition_at];
        let index = PartitionIndex(partition.index);
        *partition = match outcome {
            Ok(produced) => {
                let current_leader = named(produced.by.and_then(|leader| hints.named(leader)));
                PartitionProduceResponse { current_leader, ..succeeded(index, &produced) }
            }
            Err(error) => failed(topic, index, Failure::Partition(error), &mut hints),
        };
    }
    let known = |endpoint: &Endpoint| response.node_endpoints.iter().any(|known| known.node_id == endpoint.node.0);
    let new: Vec<_> = hints.into_endpoints().into_iter().filter(|endpoint| !known(endpoint)).collect();
    response.node_endpoints.extend(new.into_iter().map(node_endpoint));
    response
}

/// What a partition's response waits for; with an append, if that was made only now.
async fn outcome(wait: Wait, patience: Patience) -> Result<Option<Produced>, PartitionError> {
    match wait {
        Wait::Commit(committed) => commit(committed, patience.deadline).await.map(|()| None),
        Wait::Lead(mut parked) => {
            let in_time = timeout_at(patience.held_until, parked.outcome()).await;
            let mut produced = in_time.unwrap_or_else(|_| parked.give_up())?;
            if let Some(committed) = produced.committed.take() {
                commit(committed, patience.deadline).await?;
            }
            Ok(Some(produced))
        }
    }
}

async fn commit(
    committed: oneshot::Receiver<Result<(), PartitionError>>,
    deadline: Instant,
) -> Result<(), PartitionError> {
    tokio::select! {
        biased;
        // A partition that drops what waits for it has been taken away from this broker.
        outcome = committed => outcome.unwrap_or(Err(PartitionError::NotLeader { hint: None })),
        () = sleep_until(deadline) => Err(PartitionError::RequestTimedOut),
    }
}

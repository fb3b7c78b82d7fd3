//! Produce (0), versions 3-13. Appends one batch to each of some partitions led here.
//!
//! The appends happen in the order of arrival, those of requests that came together at once (`appending.rs`). With
//! acks=all the answer waits until they are committed, at most `timeout_ms`: then REQUEST_TIMED_OUT, although they may
//! still be. With acks=0 there is no answer at all, and an error closes the connection, because there is no other way
//! to tell; what came together with it is appended all the same. Topics by name up to 12, by id from 13 on.
//!
//! Answers: INVALID_REQUIRED_ACKS; UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; NOT_LEADER_OR_FOLLOWER, from 10 on
//! with the leader, and held for a moment where that one may just have died (`broker/partition/park.rs`) or comes after
//! this one (`broker/passing.rs`; then a success names it); what
//! `record/check.rs` finds wrong with a batch, from 8 on with the records to blame; what the partition says (sequences,
//! NOT_ENOUGH_REPLICAS); INVALID_TXN_STATE to transactional batches.
//! Absent on purpose: transactions (nobody coordinates them yet), versions 0-2, which are advertised for the sake of
//! old clients that look for them, and closed on, as in Kafka.

use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::broker::{PartitionError, Produced};
use crate::metadata::Image;
use crate::metadata::topics::Topic;
use crate::record::check;
use crate::replica::leader::Acks;
use crate::server::kafka::answers::{Answer, Answers};
use crate::server::kafka::appending::{Append, Appended, Deadlines, Wait, append_all};
use crate::server::kafka::client::{Asked, Endpoint};
use crate::server::kafka::hangup::Hangup;
use crate::server::kafka::hints::Hints;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::ErrorCode;
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};

/// Answers requests that came together, in their order.
pub fn answer(requests: Vec<(Asked, ProduceRequest)>, answers: &mut Answers) -> Result<(), Hangup> {
    let Some((asked, _)) = requests.first() else { return Ok(()) };
    let (image, now) = (asked.image(), asked.door().broker.world().clock.now());
    let mut appends = Vec::with_capacity(requests.len());
    let begin = |(asked, request)| Producing::begin(asked, request, &image, now, &mut appends);
    let producing: Vec<_> = requests.into_iter().map(begin).collect();
    let mut outcomes = append_all(appends);
    producing.into_iter().try_for_each(|request| {
        answers.push(request.finish(&image, &mut outcomes)?);
        Ok(())
    })
}

/// A request while it is answered.
struct Producing {
    asked: Asked,
    acks: i16,
    timeout_ms: i32,
    response: ProduceResponse,
    /// Where the outcomes of its appends belong.
    appends: Vec<Place>,
    /// What nothing is appended for.
    refused: Vec<(Place, Failure)>,
}

/// A partition's place in a response.
#[derive(Clone, Copy)]
struct Place {
    topic_at: usize,
    partition_at: usize,
    topic: TopicId,
}

/// Why nothing was appended to a partition.
enum Failure {
    Partition(PartitionError),
    Code(ErrorCode),
}

impl From<PartitionError> for Failure {
    fn from(error: PartitionError) -> Self {
        Self::Partition(error)
    }
}

impl Producing {
    /// Checks what is to be appended.
    fn begin(asked: Asked, request: ProduceRequest, image: &Image, now: WallMillis, appends: &mut Vec<Append>) -> Self {
        let acks = acks(&request);
        let (mut places, mut refused) = (Vec::new(), Vec::new());
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for (topic_at, data) in request.topic_data.into_iter().enumerate() {
            let TopicProduceData { name, topic_id, partition_data, .. } = data;
            let named = if asked.version() >= 13 { Named::Id(topic_id) } else { Named::Name(&name) };
            let found = partitions::topic(image, named);
            let topic = found.as_ref().map_or(TopicId::default(), |topic| topic.id);
            let mut partition_responses = Vec::with_capacity(partition_data.len());
            for (partition_at, data) in partition_data.into_iter().enumerate() {
                let place = Place { topic_at, partition_at, topic };
                partition_responses.push(PartitionProduceResponse { index: data.index, ..Default::default() });
                let found = found.as_ref().map_err(|error| Failure::Partition(error.clone()));
                match found.and_then(|topic| checked(&asked, topic, data, acks, now)) {
                    Ok(append) => {
                        appends.push(append);
                        places.push(place);
                    }
                    Err(failure) => refused.push((place, failure)),
                }
            }
            responses.push(TopicProduceResponse { name, topic_id, partition_responses, ..Default::default() });
        }
        let response = ProduceResponse { responses, ..Default::default() };
        let (acks, timeout_ms) = (request.acks, request.timeout_ms);
        Self { asked, acks, timeout_ms, response, appends: places, refused }
    }

    /// Says what became of it.
    fn finish(
        self,
        image: &Image,
        outcomes: &mut impl Iterator<Item = Result<Appended, PartitionError>>,
    ) -> Result<Answer, Hangup> {
        let Self { asked, acks, timeout_ms, mut response, appends, refused } = self;
        let mut waits = Vec::new();
        let refused = refused.into_iter().map(|(place, failure)| (place, Err(failure)));
        let appended = appends.into_iter().zip(outcomes).filter_map(|(place, outcome)| match outcome {
            Ok(Appended::Done(produced)) => Some((place, Ok(produced))),
            Ok(Appended::Waits(wait)) => {
                waits.push((place, wait));
                None
            }
            Err(error) => Some((place, Err(Failure::Partition(error)))),
        });
        tell(&asked, image, &mut response, refused.chain(appended));
        if acks == 0 {
            return unacknowledged(&response);
        }
        if waits.is_empty() {
            return Ok(Answer::Ready(asked.encode(&response)?));
        }
        let deadlines = Deadlines::of(timeout_ms);
        Ok(Answer::Later(Box::pin(async move { asked.encode(&settled(&asked, response, waits, deadlines).await) })))
    }
}

fn checked(
    asked: &Asked,
    topic: &Topic,
    data: PartitionProduceData,
    acks: Result<Acks, ErrorCode>,
    now: WallMillis,
) -> Result<Append, Failure> {
    let acks = acks.map_err(Failure::Code)?;
    let partition = partitions::partition(asked, topic, data.index)?;
    let rules = partition.settings().rules(now);
    let batch =
        check::from_client(data.records.unwrap_or_default().bytes().clone(), &rules).map_err(PartitionError::Record)?;
    if batch.header().attributes.is_transactional() {
        return Err(Failure::Code(ErrorCode::InvalidTxnState));
    }
    Ok(Append { partition, batch, acks })
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
    waits: Vec<(Place, Wait)>,
    deadlines: Deadlines,
) -> ProduceResponse {
    let mut known = Vec::with_capacity(waits.len());
    for (place, wait) in waits {
        known.push((place, wait.outcome(deadlines).await.map_err(Failure::Partition)));
    }
    tell(asked, &asked.image(), &mut response, known);
    response
}

/// Puts outcomes to their places.
fn tell(
    asked: &Asked,
    image: &Image,
    response: &mut ProduceResponse,
    outcomes: impl IntoIterator<Item = (Place, Result<Produced, Failure>)>,
) {
    let mut hints = Hints::new(asked, image);
    for (Place { topic_at, partition_at, topic }, outcome) in outcomes {
        let partition = &mut response.responses[topic_at].partition_responses[partition_at];
        let index = PartitionIndex(partition.index);
        *partition = match outcome {
            Ok(produced) => {
                let current_leader = named(produced.by.and_then(|leader| hints.named(leader)));
                PartitionProduceResponse { current_leader, ..succeeded(index, &produced) }
            }
            Err(failure) => failed(topic, index, failure, &mut hints),
        };
    }
    let known = |endpoint: &Endpoint| response.node_endpoints.iter().any(|known| known.node_id == endpoint.node.0);
    let new: Vec<_> = hints.into_endpoints().into_iter().filter(|endpoint| !known(endpoint)).collect();
    response.node_endpoints.extend(new.into_iter().map(node_endpoint));
}

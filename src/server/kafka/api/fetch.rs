//! Fetch (1), versions 4-18. Whole batches from where a reader stands, of partitions led here.
//!
//! Held back until `min_bytes` are there, `max_wait_ms` are over, or something has gone wrong with a partition. The
//! first batch comes whole even if it is larger than every limit, or the reader could never get past it (KIP-74).
//! Topics by name up to 12, by id from 13 on.
//!
//! Sessions (7+, KIP-227): epoch -1 is a request without one, 0 asks for a new one, and every further request names the
//! next epoch and only what has changed; it is answered with only what is new. Either of the first two ends the
//! session it names. Java's clients and Go's use them, librdkafka does not.
//!
//! Answers: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH (also to two requests of one session at a time),
//! FETCH_SESSION_TOPIC_ID_ERROR to one that changes from names to ids or back; OFFSET_OUT_OF_RANGE;
//! FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH; from 12 on a diverging epoch; NOT_LEADER_OR_FOLLOWER, with the leader
//! from 12 on and its address from 16 on, and not before a moment has passed where that leader may just have died;
//! UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; CLUSTER_AUTHORIZATION_FAILED to who says that it is a broker: ours
//! replicate by another way.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, sleep_until};

use crate::base::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::base::limits::PARKED_MS_MAX;
use crate::broker::{Fetched, Isolation, PartitionError};
use crate::log::{Located, Slice};
use crate::metadata::Image;
use crate::server::kafka::answers::Answer;
use crate::server::kafka::client::{Asked, Endpoint};
use crate::server::kafka::fetching::{Key, Look, Session, Terms, Ticket};
use crate::server::kafka::hangup::Hangup;
use crate::server::kafka::hints::Hints;
use crate::server::kafka::partitions;
use crate::wire::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::{ErrorCode, Records};

/// From this version on topics are named by their ids.
const BY_ID_FROM: i16 = 13;
/// The epochs of requests that do not continue a session.
const WITHOUT: i32 = -1;
const NEW: i32 = 0;

pub fn answer(asked: Asked, request: FetchRequest) -> Result<Answer, Hangup> {
    let mut fetch = match Fetch::open(&asked, &request) {
        Ok(fetch) => fetch,
        Err(error_code) => {
            return Ok(Answer::Ready(asked.encode(&FetchResponse { error_code, ..Default::default() })?));
        }
    };
    let look = fetch.look(&asked);
    if fetch.has_enough(&look) && !look.has_cold {
        return Ok(Answer::Ready(asked.encode(&fetch.response(&asked, look))?));
    }
    Ok(Answer::Later(Box::pin(async move {
        let mut look = fetch.wait(&asked, look).await;
        warm(&mut look, &asked).await;
        asked.encode(&fetch.response(&asked, look))
    })))
}

/// A request with the partitions it is about.
struct Fetch {
    session: Session,
    life: Life,
    terms: Terms,
    bytes_min: usize,
    deadline: Instant,
}

/// What becomes of a session after the answer.
enum Life {
    /// It was made up for one request.
    Once,
    /// The reader would like to go on with it.
    New,
    Known(Ticket),
}

impl Fetch {
    fn open(asked: &Asked, request: &FetchRequest) -> Result<Self, ErrorCode> {
        if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
            return Err(ErrorCode::ClusterAuthorizationFailed);
        }
        let (session, life) = session(asked, request)?;
        let bytes = |number: i32| usize::try_from(number).unwrap_or(0);
        let door = asked.door();
        let now = Instant::now();
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Ok(Self {
            session,
            life,
            terms: Terms {
                isolation: partitions::isolation(request.isolation_level),
                bytes_max: bytes(request.max_bytes).min(door.fetch_bytes_max).min(door.memory.left_for_answers()),
                held_until: now + max_wait.min(Duration::from_millis(PARKED_MS_MAX)),
            },
            bytes_min: bytes(request.min_bytes),
            deadline: now + max_wait,
        })
    }

    /// Looks once. A session that lasts watches from its second request on; before, all is told anyway.
    fn look(&mut self, asked: &Asked) -> Look {
        let watches = matches!(self.life, Life::Known(_));
        self.session.look(asked, &self.terms, watches)
    }

    fn has_enough(&self, look: &Look) -> bool {
        look.is_urgent
            || look.has_cold
            || look.bytes >= self.bytes_min
            || self.session.is_empty()
            || self.deadline <= Instant::now()
    }

    /// Looks again whenever something has happened, until there is enough or time is up. What was found meanwhile is
    /// not kept: a client may have many requests wait.
    async fn wait(&mut self, asked: &Asked, look: Look) -> Look {
        if self.has_enough(&look) {
            return look;
        }
        drop(look);
        loop {
            let look = self.session.look(asked, &self.terms, true);
            if self.has_enough(&look) {
                return look;
            }
            let until = if look.has_held { self.terms.held_until } else { self.deadline };
            drop(look);
            tokio::select! {
                biased;
                () = self.session.news() => {}
                () = sleep_until(until) => {} // and then whatever there is, is enough
            }
        }
    }

    fn response(self, asked: &Asked, look: Look) -> FetchResponse {
        let Self { mut session, life, terms, .. } = self;
        let image = asked.image();
        let mut hints = Hints::new(asked, &image);
        let mut responses: Vec<FetchableTopicResponse> = Vec::new();
        for (tag, outcome) in look.outcomes {
            let told = outcome.as_ref().ok().map(|fetched| (fetched.high_watermark, fetched.log_start));
            let key = session.key(tag);
            let index = PartitionIndex(key.index);
            let data = outcome.map_or_else(
                |error| failed(index, &error, hints.leader(topic_id(&image, key), index, &error)),
                |fetched| succeeded(index, fetched, terms.isolation),
            );
            let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
            of_topic(&mut responses, key).partitions.push(data);
            session.told(tag, told, has_records);
        }
        let session_id = match life {
            Life::Once => 0,
            Life::New => asked.door().sessions.admit(session, Instant::now(), || draw(asked)),
            Life::Known(ticket) => {
                let id = ticket.id;
                session.rotate();
                ticket.put_back(session);
                id
            }
        };
        let node_endpoints = hints.into_endpoints().into_iter().map(node_endpoint).collect();
        FetchResponse { session_id, responses, node_endpoints, ..Default::default() }
    }
}

/// The session that a request continues, or a new one.
fn session(asked: &Asked, request: &FetchRequest) -> Result<(Session, Life), ErrorCode> {
    let sessions = &asked.door().sessions;
    let uses_ids = asked.version() >= BY_ID_FROM;
    match request.session_epoch {
        WITHOUT | NEW => {
            if request.session_id != 0 {
                sessions.close(request.session_id);
            }
            let session = Session::new(&request.topics, uses_ids);
            let is_new = request.session_epoch == NEW && !session.is_empty();
            Ok((session, if is_new { Life::New } else { Life::Once }))
        }
        epoch => {
            let (mut session, ticket) = sessions.take(request.session_id, epoch, uses_ids, Instant::now())?;
            session.update(&request.topics, &request.forgotten_topics_data);
            // Nothing is left of it: its ticket ends it.
            Ok(if session.is_empty() { (session, Life::Once) } else { (session, Life::Known(ticket)) })
        }
    }
}

/// A number nobody can guess: who knows a session's id can disturb it.
fn draw(asked: &Asked) -> i32 {
    let mut bytes = [0; 4];
    asked.door().broker.world().entropy.fill(&mut bytes);
    i32::from_le_bytes(bytes)
}

/// The response's entry for a topic: the last one, or a new one behind it.
fn of_topic<'a>(responses: &'a mut Vec<FetchableTopicResponse>, key: &Key) -> &'a mut FetchableTopicResponse {
    let is_same = |last: &FetchableTopicResponse| last.topic_id == key.topic_id && last.topic == key.topic;
    if !responses.last().is_some_and(is_same) {
        let (topic, topic_id) = (key.topic.clone(), key.topic_id);
        responses.push(FetchableTopicResponse { topic, topic_id, ..Default::default() });
    }
    responses.last_mut().expect("there is one, if only since now")
}

/// Finds out on a worker what only the disk knows.
async fn warm(look: &mut Look, asked: &Asked) {
    for (_, outcome) in &mut look.outcomes {
        let Ok(fetched) = outcome else { continue };
        match std::mem::replace(&mut fetched.records, Located::Here(Slice::empty(Offset(0)))) {
            Located::Cold(read) => match asked.door().cold_reads.call(move || read.locate()).await {
                Ok(located) => fetched.records = located,
                Err(error) => *outcome = Err(error.into()),
            },
            located => fetched.records = located,
        }
    }
}

fn topic_id(image: &Image, key: &Key) -> TopicId {
    let by_name = || image.topics().named(&key.topic).map(|topic| topic.id);
    if key.topic_id.is_zero() { by_name().unwrap_or_default() } else { TopicId(key.topic_id) }
}

fn succeeded(index: PartitionIndex, fetched: Fetched, isolation: Isolation) -> PartitionData {
    let records = match fetched.records {
        Located::Here(slice) => joined(slice),
        Located::Stored(range) => Records::Stored(range),
        Located::Cold(_) => unreachable!("what was cold has been read"),
    };
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
        records: Some(records),
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
        return whole.clone().into();
    }
    let mut joined = BytesMut::with_capacity(slice.size);
    slice.parts.iter().for_each(|part| joined.extend_from_slice(part));
    joined.freeze().into()
}

//! Passing on: a leader that stops has the next one append what clients still send to it.
//!
//! librdkafka waits 100 ms after any refusal, which is longer than it takes another leader to come. So a leader that
//! stops refuses nothing: from when it asks to be replaced it appends nothing more, but holds it
//! (`partition/park.rs`); what it had appended is committed meanwhile. Then it passes on what it holds, and what comes
//! late. The client's answer says where that was (KIP-951), so that it sends the next records there by itself.
//!
//! Invariants: what is passed on of a partition is appended in the order in which it came here; all of this is for a
//! moment, after which clients are refused as everywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;

use super::frames::uuid;
use super::partition::Append;
use super::{Broker, Leading, Parked, Partition, PartitionError, Produced};
use crate::base::World;
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::base::limits::{PASSED_ON_GATHER_MS, PASSED_ON_MS, PASSED_ON_PATIENCE_MS, PEER_MESSAGE_BYTES_MAX};
use crate::base::time::Millis;
use crate::net::{Lane, Peer};
use crate::record::Batch;
use crate::replica::leader::Acks;
use crate::rpc::replication as proto;
use crate::rpc::replication::replication_client::ReplicationClient;
use crate::wire::ErrorCode;

/// How far a broker that stops is with handing over.
#[derive(Default)]
pub struct HandOver {
    holds: AtomicBool,
    passes_on_until: AtomicU64,
}

impl HandOver {
    /// From now on appends are held, and passed on to whoever leads.
    pub fn begin(&self) {
        self.passes_on_until.store(u64::MAX, Ordering::Relaxed);
        self.holds.store(true, Ordering::Release);
    }

    /// Nothing is held any longer, but late appends are passed on for a moment.
    pub fn end(&self, now: Millis) {
        self.passes_on_until.store(now.0 + PASSED_ON_MS, Ordering::Relaxed);
        self.holds.store(false, Ordering::Release);
    }

    /// Whether a leader holds what it is to append, because another is to come.
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    /// Whether appends that have come to the wrong broker are passed on. Costs nothing while nobody stops.
    pub fn passes_on(&self, now: impl FnOnce() -> Millis) -> bool {
        let until = self.passes_on_until.load(Ordering::Relaxed);
        until != 0 && now().0 < until
    }
}

/// What is passed on, and to whom.
#[derive(Default)]
pub(super) struct Passing {
    /// The partitions that have come with something to pass on, while somebody passes on.
    arrived: Mutex<Option<Vec<Arc<Partition>>>>,
    more: Notify,
    fellows: Mutex<BTreeMap<String, Arc<Peer>>>,
}

impl Passing {
    /// Has a partition's appends passed on; says whether nobody does yet, so that somebody must begin.
    pub(super) fn join(&self, partition: Arc<Partition>) -> bool {
        let mut arrived = lock(&self.arrived);
        let is_first = arrived.is_none();
        arrived.get_or_insert_default().push(partition);
        self.more.notify_one();
        is_first
    }

    /// The partitions that have come since.
    fn arrivals(&self) -> Vec<Arc<Partition>> {
        lock(&self.arrived).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether nothing has come since, so that whoever comes next must begin anew.
    fn ends(&self) -> bool {
        lock(&self.arrived).take_if(|arrived| arrived.is_empty()).is_some()
    }

    fn fellow(&self, address: &str, world: &World) -> Arc<Peer> {
        let new = || Arc::new(Peer::new(Arc::clone(&world.network), address, Lane::Live));
        Arc::clone(lock(&self.fellows).entry(address.to_owned()).or_insert_with(new))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has leaders append what waits for them, until nothing does.
///
/// Clients are answered together, when nothing is under way any more or some time has passed. librdkafka leaves a
/// partition's broker when an answer names another, and then takes back, for 100 ms, what it has not sent yet. With
/// five requests under way it sends no more; so answers that came one by one would find many such.
pub(super) async fn pass_on(broker: Broker) {
    let passing = &broker.0.passing;
    let (mut asked, mut answered) = (FuturesUnordered::new(), Vec::new());
    let mut settle_at = None;
    loop {
        asked.extend(passing.arrivals().into_iter().filter_map(|partition| ask_for(&broker, partition)));
        if asked.is_empty() {
            settle(&mut answered);
            if passing.ends() {
                return;
            }
            continue;
        }
        tokio::select! {
            biased;
            () = sleep_until(settle_at.unwrap_or_else(Instant::now)), if settle_at.is_some() => {
                settle(&mut answered);
                settle_at = None;
            }
            Some((partition, outcomes)) = asked.next() => {
                answered.extend(outcomes);
                settle_at.get_or_insert_with(|| Instant::now() + Duration::from_millis(PASSED_ON_GATHER_MS));
                asked.extend(ask_for(&broker, partition));
            }
            () = passing.more.notified() => {}
        }
    }
}

/// An append, and what became of it.
type Passed = (Append, Result<Produced, PartitionError>);

fn settle(answered: &mut Vec<Passed>) {
    answered.drain(..).for_each(|(append, outcome)| append.settle(outcome));
}

/// Has the leader append what waits in a partition, if anything does.
fn ask_for(
    broker: &Broker,
    partition: Arc<Partition>,
) -> Option<impl Future<Output = (Arc<Partition>, Vec<Passed>)> + use<'_>> {
    let (leader, appends) = partition.next_to_pass_on()?;
    Some(async move {
        let outcomes = ask(broker, &partition, leader, &appends).await.unwrap_or_default();
        // A leader that is not reached is as one that refuses: a client that tries again finds it, or the next one.
        let lost = || Err(PartitionError::NotLeader { hint: Some(leader) });
        let outcomes = outcomes.into_iter().map(|outcome| understood(outcome, leader));
        (partition, appends.into_iter().zip(outcomes.chain(std::iter::repeat_with(lost))).collect())
    })
}

async fn ask(
    broker: &Broker,
    partition: &Partition,
    leader: (NodeId, LeaderEpoch),
    appends: &[Append],
) -> Option<Vec<proto::PassedOutcome>> {
    let image = broker.image();
    let address = &image.nodes().get(leader.0)?.registration.peer_address;
    let request = proto::PassOnRequest {
        cluster_id: broker.0.link.cluster().0.0.to_vec().into(),
        topic_id: partition.topic.0.0.to_vec().into(),
        partition: partition.index.0,
        patience_ms: PASSED_ON_PATIENCE_MS,
        appends: appends.iter().map(written).collect(),
    };
    let call = |channel| async move {
        let mut client = ReplicationClient::new(channel).max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
        client.pass_on(request).await
    };
    let patience = Duration::from_millis(PASSED_ON_PATIENCE_MS.into());
    let reply = broker.0.passing.fellow(address, broker.world()).call(patience, call).await;
    reply.ok().map(|reply| reply.outcomes)
}

fn written(append: &Append) -> proto::PassedAppend {
    let mut records = BytesMut::new();
    append.batches().iter().flat_map(Batch::parts).for_each(|part| records.extend_from_slice(part));
    proto::PassedAppend { records: records.freeze(), is_committed: append.acks() == Acks::All }
}

fn understood(outcome: proto::PassedOutcome, by: (NodeId, LeaderEpoch)) -> Result<Produced, PartitionError> {
    match ErrorCode::from_number(i16::try_from(outcome.error_code).unwrap_or(-1)) {
        ErrorCode::None => Ok(Produced {
            base: Offset(outcome.base_offset),
            append_time: outcome.append_time.map(WallMillis),
            log_start: Offset(outcome.log_start),
            committed: None,
            by: Some(by),
        }),
        ErrorCode::NotLeaderOrFollower => Err(PartitionError::NotLeader { hint: Some(by) }),
        code => Err(PartitionError::ByLeader { code, why: outcome.error_message }),
    }
}

impl Leading {
    /// Appends what a fellow broker passes on, once this one leads.
    pub async fn take_over(&self, request: proto::PassOnRequest) -> Result<proto::PassOnReply, Status> {
        if self.home.image().cluster().id.is_none_or(|id| request.cluster_id.as_ref() != id.0.0.as_slice()) {
            return Err(Status::failed_precondition("this node belongs to another cluster"));
        }
        let garbled = |error: &dyn std::error::Error| Status::invalid_argument(error.to_string());
        let topic = TopicId(uuid(&request.topic_id).map_err(|error| garbled(&error))?);
        let partition = self.home.partition(topic, PartitionIndex(request.partition));
        let deadline = Instant::now() + Duration::from_millis(request.patience_ms.into());
        let mut parked = Vec::with_capacity(request.appends.len());
        for append in request.appends {
            let mut records = append.records;
            let batch = Batch::split_from(&mut records).and_then(|batch| batch.verify().map(|()| batch));
            let batch = batch.map_err(|error| garbled(&error))?;
            let acks = if append.is_committed { Acks::All } else { Acks::Leader };
            let missing = Err(PartitionError::NotLeader { hint: None });
            parked.push(partition.as_ref().map_or(missing, |partition| partition.park(vec![batch], acks)));
        }
        let mut outcomes = Vec::with_capacity(parked.len());
        for parked in parked {
            outcomes.push(told(appended(parked, deadline).await));
        }
        Ok(proto::PassOnReply { outcomes })
    }
}

async fn appended(parked: Result<Parked, PartitionError>, deadline: Instant) -> Result<Produced, PartitionError> {
    let mut parked = parked?;
    let in_time = timeout_at(deadline, parked.outcome()).await;
    let mut produced = in_time.unwrap_or_else(|_| parked.give_up())?;
    if let Some(committed) = produced.committed.take() {
        let in_time = timeout_at(deadline, committed).await.map_err(|_| PartitionError::RequestTimedOut)?;
        in_time.unwrap_or(Err(PartitionError::NotLeader { hint: None }))?;
    }
    Ok(produced)
}

fn told(outcome: Result<Produced, PartitionError>) -> proto::PassedOutcome {
    match outcome {
        Ok(produced) => proto::PassedOutcome {
            base_offset: produced.base.0,
            append_time: produced.append_time.map(|time| time.0),
            log_start: produced.log_start.0,
            ..Default::default()
        },
        Err(error) => proto::PassedOutcome {
            error_code: error.code().number().into(),
            error_message: error.to_string(),
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_appends_are_passed_on_for_a_moment_only() {
        let hand_over = HandOver::default();
        let now = |hand_over: &HandOver, at| (hand_over.holds(), hand_over.passes_on(|| Millis(at)));
        assert_eq!(now(&hand_over, 0), (false, false));
        hand_over.begin();
        assert_eq!(now(&hand_over, 1_000), (true, true));
        hand_over.end(Millis(1_000));
        assert_eq!(now(&hand_over, 1_000 + PASSED_ON_MS - 1), (false, true));
        assert_eq!(now(&hand_over, 1_000 + PASSED_ON_MS), (false, false));
    }
}

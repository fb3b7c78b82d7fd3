//! Passing on: a leader that stops has the next one append what clients still send to it.
//!
//! librdkafka waits 100 ms after any refusal, which is longer than it takes another leader to come. So a leader that
//! stops refuses nothing: from when it asks to be replaced it appends nothing more, but holds it
//! (`partition/park.rs`); what it had appended is committed meanwhile. Then it passes on what it holds, and what comes
//! late. The client's answer says where that was (KIP-951), so that it sends the next records there by itself.
//!
//! Invariants: what a connection sends to a partition is appended in the order in which it was sent; all of this is for
//! a moment, after which clients are refused as everywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;

use super::frames::uuid;
use super::{Broker, Leading, Partition, PartitionError, Produced};
use crate::base::World;
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::base::limits::{PARKED_MS_MAX, PASSED_ON_MS, PEER_MESSAGE_BYTES_MAX};
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

    /// Whether appends that have come to the wrong broker are passed on.
    pub fn passes_on(&self, now: Millis) -> bool {
        let until = self.passes_on_until.load(Ordering::Relaxed);
        until != 0 && now.0 < until
    }
}

/// Fellow brokers that something was passed on to.
#[derive(Default)]
pub(super) struct Fellows(Mutex<BTreeMap<String, Arc<Peer>>>);

impl Fellows {
    fn at(&self, address: &str, world: &World) -> Arc<Peer> {
        let new = || Arc::new(Peer::new(Arc::clone(&world.network), address, Lane::Live));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(address.to_owned()).or_insert_with(new))
    }
}

impl Broker {
    /// Has the leader of a partition append a batch that came here, and returns when it has, as `acks` means it.
    ///
    /// A leader that is not reached is as one that refuses: a client that tries again finds it or the next one.
    pub async fn pass_on(
        &self,
        partition: (TopicId, PartitionIndex),
        leader: (NodeId, LeaderEpoch),
        batch: &Batch,
        acks: Acks,
        patience: Duration,
    ) -> Result<Produced, PartitionError> {
        let lost = || PartitionError::NotLeader { hint: Some(leader) };
        let image = self.image();
        let address = image.nodes().get(leader.0).map(|node| &node.registration.peer_address).ok_or_else(lost)?;
        let mut records = BytesMut::with_capacity(batch.size());
        batch.parts().into_iter().for_each(|part| records.extend_from_slice(part));
        let request = proto::PassOnRequest {
            cluster_id: self.0.link.cluster().0.0.to_vec().into(),
            topic_id: partition.0.0.0.to_vec().into(),
            partition: partition.1.0,
            is_committed: acks == Acks::All,
            patience_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
            records: records.freeze(),
        };
        let call = |channel| async move {
            let client = ReplicationClient::new(channel).max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
            { client }.pass_on(request).await
        };
        let fellow = self.0.fellows.at(address, self.world());
        let reply = fellow.call(patience, call).await.map_err(|_| lost())?;
        match ErrorCode::from_number(i16::try_from(reply.error_code).unwrap_or(-1)) {
            ErrorCode::None => Ok(Produced {
                base: Offset(reply.base_offset),
                append_time: reply.append_time.map(WallMillis),
                log_start: Offset(reply.log_start),
                committed: None,
            }),
            ErrorCode::NotLeaderOrFollower => Err(lost()),
            other => Err(PartitionError::ByLeader { code: other, why: reply.error_message }),
        }
    }
}

impl Leading {
    /// Appends what a fellow broker passes on, once this one leads.
    pub async fn take_over(&self, request: proto::PassOnRequest) -> Result<proto::PassOnReply, Status> {
        if self.home.image().cluster().id.is_none_or(|id| request.cluster_id.as_ref() != id.0.0.as_slice()) {
            return Err(Status::failed_precondition("this node belongs to another cluster"));
        }
        let topic = TopicId(uuid(&request.topic_id).map_err(|error| Status::invalid_argument(error.to_string()))?);
        let mut records = request.records.clone();
        let batch = Batch::split_from(&mut records).and_then(|batch| batch.verify().map(|()| batch));
        let batch = batch.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let deadline = Instant::now() + Duration::from_millis(request.patience_ms.into());
        let acks = if request.is_committed { Acks::All } else { Acks::Leader };
        let appended = match self.home.partition(topic, PartitionIndex(request.partition)) {
            Some(partition) => append_here(&partition, batch, acks, deadline).await,
            None => Err(PartitionError::NotLeader { hint: None }),
        };
        Ok(match appended {
            Ok(produced) => proto::PassOnReply {
                base_offset: produced.base.0,
                append_time: produced.append_time.map(|time| time.0),
                log_start: produced.log_start.0,
                ..Default::default()
            },
            Err(error) => proto::PassOnReply {
                error_code: error.code().number().into(),
                error_message: error.to_string(),
                ..Default::default()
            },
        })
    }
}

async fn append_here(
    partition: &Arc<Partition>,
    batch: Batch,
    acks: Acks,
    deadline: Instant,
) -> Result<Produced, PartitionError> {
    let mut parked = partition.park(vec![batch], acks)?;
    let in_time = timeout(Duration::from_millis(PARKED_MS_MAX), parked.outcome()).await;
    let mut produced = in_time.unwrap_or_else(|_| parked.give_up())?;
    if let Some(committed) = produced.committed.take() {
        let in_time = timeout_at(deadline, committed).await.map_err(|_| PartitionError::RequestTimedOut)?;
        in_time.unwrap_or(Err(PartitionError::NotLeader { hint: None }))?;
    }
    Ok(produced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_appends_are_passed_on_for_a_moment_only() {
        let hand_over = HandOver::default();
        let now = |hand_over: &HandOver, at| (hand_over.holds(), hand_over.passes_on(Millis(at)));
        assert_eq!(now(&hand_over, 0), (false, false));
        hand_over.begin();
        assert_eq!(now(&hand_over, 1_000), (true, true));
        hand_over.end(Millis(1_000));
        assert_eq!(now(&hand_over, 1_000 + PASSED_ON_MS - 1), (false, true));
        assert_eq!(now(&hand_over, 1_000 + PASSED_ON_MS), (false, false));
    }
}

//! Producing: one append under the lock, and a wait for the high watermark outside of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::after::After;
use super::producers::info_of;
use super::{Partition, PartitionError, Role, State};
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, NodeId, Offset};
use crate::base::mutants::Mutant;
use crate::base::time::Millis;
use crate::record::Batch;
use crate::replica::leader::Acks;
use crate::replica::producers::{BatchInfo, Verdict};

/// An append that was made, or had been made before.
#[derive(Debug)]
pub struct Produced {
    pub base: Offset,
    /// With `message.timestamp.type=LogAppendTime`.
    pub append_time: Option<WallMillis>,
    pub log_start: Offset,
    /// Tells when it is committed; nothing if there is nothing to wait for.
    pub committed: Option<oneshot::Receiver<Result<(), PartitionError>>>,
    /// Who made it, if it was passed on (`broker/passing.rs`).
    pub by: Option<(NodeId, LeaderEpoch)>,
}

impl Partition {
    /// Appends batches that were checked, or finds that they are in the log already.
    ///
    /// What comes back waits for the high watermark without a deadline: how long a client waits is the door's to say.
    pub fn produce(self: &Arc<Self>, mut batches: Vec<Batch>, acks: Acks) -> Result<Produced, PartitionError> {
        self.within(|state, after| state.produce(self, &mut batches, acks, after))
    }
}

impl State {
    pub(super) fn produce(
        &mut self,
        partition: &Arc<Partition>,
        batches: &mut [Batch],
        acks: Acks,
        after: &mut After,
    ) -> Result<Produced, PartitionError> {
        let (now, wall) = (partition.around.now(), partition.around.wall());
        let hint = self.leader_hint;
        let Role::Leading(leader) = &self.role else { return Err(PartitionError::NotLeader { hint }) };
        leader.may_append(acks)?;
        if leader.is_cut_off() && partition.around.lease.is_over(now) {
            return Err(PartitionError::NotLeader { hint: None });
        }
        let epoch = leader.leader_epoch();
        let infos: Vec<BatchInfo> = batches.iter().map(info_of).collect();
        let (base, last) = match self.producers.check(&infos, leader.high_watermark()) {
            Verdict::Append => self.append(partition, batches, epoch, now, wall, after)?,
            Verdict::Duplicate { base_offset, last_offset, .. } => (base_offset, last_offset),
            Verdict::OutOfOrderSequence { expected } => {
                return Err(PartitionError::OutOfOrderSequence { expected: expected.0 });
            }
            Verdict::InvalidProducerEpoch { .. } => return Err(PartitionError::InvalidProducerEpoch),
            Verdict::TooManyProducers => return Err(PartitionError::TooManyProducers),
        };
        let stamped = batches.first().filter(|batch| batch.header().attributes.has_append_time());
        Ok(Produced {
            base,
            append_time: stamped.map(|batch| batch.header().max_timestamp),
            log_start: self.log.log_start(),
            committed: (acks == Acks::All).then(|| self.wait_for_commit(last)).flatten(),
            by: None,
        })
    }

    fn append(
        &mut self,
        partition: &Arc<Partition>,
        batches: &mut [Batch],
        epoch: LeaderEpoch,
        now: Millis,
        wall: WallMillis,
        after: &mut After,
    ) -> Result<(Offset, Offset), PartitionError> {
        let appended = self.log.append(batches, epoch, wall);
        let appended = appended.inspect_err(|error| after.on_log_error(error, partition))?;
        let high_watermark = self.role.high_watermark();
        for batch in &*batches {
            self.producers.record(&info_of(batch), high_watermark, now);
        }
        self.enter_upkeep(partition, after);
        if appended.rolled {
            self.keep_snapshot();
            self.upkeep_when_due(partition, after);
        }
        let end = self.log.log_end();
        if let Role::Leading(leader) = &mut self.role {
            leader.on_appended(end, now, &mut self.leader_effects);
        }
        self.flush_after_append(partition, appended.rolled, now, after);
        self.offer_to_followers(partition, after);
        Ok((appended.base, appended.last))
    }

    /// What tells that this offset is committed; nothing if it is.
    fn wait_for_commit(&mut self, last: Offset) -> Option<oneshot::Receiver<Result<(), PartitionError>>> {
        if self.role.high_watermark() > last || Mutant::AckBeforeReplication.lives() {
            return None;
        }
        let (done, committed) = oneshot::channel();
        self.writers.wait(last, done);
        Some(committed)
    }
}

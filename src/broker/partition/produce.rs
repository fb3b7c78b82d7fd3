//! Producing: one append under the lock, and a wait for the high watermark outside of it.

use std::slice;
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

    /// The same for batches of requests that came together: each has an outcome of its own, in their order.
    pub fn produce_each(
        self: &Arc<Self>,
        mut batches: Vec<Batch>,
        acks: Acks,
    ) -> Vec<Result<Produced, PartitionError>> {
        self.within(|state, after| state.produce_each(self, &mut batches, acks, after))
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
        let now = partition.around.now();
        let (epoch, verdict) = self.judge(partition, batches, acks, now)?;
        let (base, last) = match verdict {
            Verdict::Append => self.append(partition, batches, epoch, now, after)?,
            Verdict::Duplicate { base_offset, last_offset, .. } => (base_offset, last_offset),
            Verdict::OutOfOrderSequence { expected } => {
                return Err(PartitionError::OutOfOrderSequence { expected: expected.0 });
            }
            Verdict::InvalidProducerEpoch { .. } => return Err(PartitionError::InvalidProducerEpoch),
            Verdict::TooManyProducers => return Err(PartitionError::TooManyProducers),
        };
        Ok(self.produced(base, last, batches.first(), acks))
    }

    /// One write for all where nothing speaks against any of them. Where something does, each is judged by itself.
    fn produce_each(
        &mut self,
        partition: &Arc<Partition>,
        batches: &mut [Batch],
        acks: Acks,
        after: &mut After,
    ) -> Vec<Result<Produced, PartitionError>> {
        if batches.len() > 1 && self.append_together(partition, batches, acks, after) {
            let appended = batches.iter().map(|batch| {
                let header = batch.header();
                Ok(self.produced(header.base_offset, header.last_offset(), Some(batch), acks))
            });
            return appended.collect();
        }
        batches.iter_mut().map(|batch| self.produce(partition, slice::from_mut(batch), acks, after)).collect()
    }

    /// Appends all batches, if they may follow each other and fit into a segment; or none. Says which.
    fn append_together(
        &mut self,
        partition: &Arc<Partition>,
        batches: &mut [Batch],
        acks: Acks,
        after: &mut After,
    ) -> bool {
        let now = partition.around.now();
        let bytes: usize = batches.iter().map(Batch::size).sum();
        let records: i64 = batches.iter().map(|batch| i64::from(batch.header().last_offset_delta) + 1).sum();
        if bytes > self.settings.log.segment_bytes as usize || records > i64::from(i32::MAX) {
            return false;
        }
        let Ok((epoch, Verdict::Append)) = self.judge(partition, batches, acks, now) else { return false };
        self.append(partition, batches, epoch, now, after).is_ok()
    }

    /// Whether these batches, in this order, may be appended here, and in which epoch.
    fn judge(
        &self,
        partition: &Partition,
        batches: &[Batch],
        acks: Acks,
        now: Millis,
    ) -> Result<(LeaderEpoch, Verdict), PartitionError> {
        let hint = self.leader_hint;
        let Role::Leading(leader) = &self.role else { return Err(PartitionError::NotLeader { hint }) };
        leader.may_append(acks)?;
        if leader.is_cut_off() && partition.around.lease.is_over(now) {
            return Err(PartitionError::NotLeader { hint: None });
        }
        let infos: Vec<BatchInfo> = batches.iter().map(info_of).collect();
        Ok((leader.leader_epoch(), self.producers.check(&infos, leader.high_watermark())))
    }

    fn produced(&mut self, base: Offset, last: Offset, first: Option<&Batch>, acks: Acks) -> Produced {
        let stamped = first.filter(|batch| batch.header().attributes.has_append_time());
        Produced {
            base,
            append_time: stamped.map(|batch| batch.header().max_timestamp),
            log_start: self.log.log_start(),
            committed: (acks == Acks::All).then(|| self.wait_for_commit(last)).flatten(),
            by: None,
        }
    }

    fn append(
        &mut self,
        partition: &Arc<Partition>,
        batches: &mut [Batch],
        epoch: LeaderEpoch,
        now: Millis,
        after: &mut After,
    ) -> Result<(Offset, Offset), PartitionError> {
        let appended = self.log.append(batches, epoch, partition.around.wall());
        let appended = appended.inspect_err(|error| after.on_log_error(error, partition))?;
        let high_watermark = self.role.high_watermark();
        for batch in &*batches {
            self.producers.record(&info_of(batch), high_watermark, now);
        }
        self.enter_upkeep(partition, after);
        if appended.snapshot_due {
            self.keep_snapshot();
        }
        if appended.rolled {
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

//! Compaction: what a partition lends to a pass over its log, and how it takes the outcome.
//!
//! Every replica compacts by itself, below what it knows to be committed and before the first open transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Partition, PartitionError, State};
use crate::base::ids::{Offset, ProducerId};
use crate::log::{Brief, Cleaned, Compaction, Dirt, LastBatch, Retired};
use crate::replica::producers::ProducerRow;

impl Partition {
    /// What could be compacted here, if the topic is compacted at all and that is worth it.
    pub fn dirt(&self) -> Result<Option<Dirt>, PartitionError> {
        let wall = self.around.wall();
        let mut state = self.lock();
        let Some(rules) = state.settings.keep.compact else { return Ok(None) };
        if state.not_compacted_at == Some(state.log.active_base()) {
            return Ok(None);
        }
        let bound = state.stable_end();
        let dirt = state.log.dirt(&rules, bound, wall)?;
        Ok(dirt.is_worth_it(&rules).then_some(dirt))
    }

    /// Begins a pass over what was found dirty, in at most so much memory for keys, unless the topic is no longer
    /// compacted. Between the two, the checkpoint of the recovery point must have become durable.
    pub fn begin_compaction(&self, dirt: &Dirt, key_bytes_max: usize) -> Result<Option<Compaction>, PartitionError> {
        let now = self.around.wall();
        let mut state = self.lock();
        let Some(rules) = state.settings.keep.compact else { return Ok(None) };
        let producers = last_batches(&state.producers.export());
        let brief = Brief { now, key_bytes_max, rules, producers };
        Ok(Some(state.log.begin_compaction(dirt, brief)?))
    }

    /// Puts a cleaned segment in the place of those it was made of. Waits for the disk, but not under the lock.
    pub fn swap(&self, mut cleaned: Cleaned) -> Result<Option<Retired>, PartitionError> {
        if !self.lock().log.stage_swap(&mut cleaned)? {
            return Ok(None);
        }
        cleaned.sync()?;
        Ok(Some(self.lock().log.finish_swap(cleaned)?))
    }

    /// A pass met an error. Another one would meet it again, until the log has changed.
    pub fn not_compacted(&self) {
        let mut state = self.lock();
        state.not_compacted_at = Some(state.log.active_base());
    }

    /// A pass has ended here.
    pub fn compacted(self: &Arc<Self>, cleaned_to: Offset) {
        self.within(|state, after| {
            state.log.set_cleaned_to(cleaned_to);
            state.upkeep_when_due(self, after); // there may be more than one pass could hold
        });
    }
}

impl State {
    /// Up to here everything is committed and no transaction is open.
    fn stable_end(&self) -> Offset {
        let open = self.producers.first_open_transaction();
        open.map_or(self.role.high_watermark(), |open| open.min(self.role.high_watermark()))
    }
}

fn last_batches(rows: &[ProducerRow]) -> BTreeMap<ProducerId, LastBatch> {
    // Rows of one producer ascend: the last one counts.
    let last = |row: &ProducerRow| LastBatch {
        epoch: row.producer_epoch,
        last_offset: (row.last_offset.0 >= 0).then_some(row.last_offset),
    };
    rows.iter().map(|row| (row.producer_id, last(row))).collect()
}

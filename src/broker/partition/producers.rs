//! Producers' sequences between the mind that judges them and the log that keeps them.

use crate::base::clock::WallMillis;
use crate::base::ids::Offset;
use crate::base::limits::PRODUCERS_PER_PARTITION_MAX;
use crate::base::time::Millis;
use crate::log::{ProducerEntry, Visitor};
use crate::record::{Batch, BatchHeader, EndTxnMarker};
use crate::replica::producers::{BatchInfo, ProducerRow, Producers, Rollback, Sequence, Stamp};

use super::{Partition, PartitionError, Role, State};

impl Partition {
    /// The producers that the leader remembers, each with its last batch, by id.
    pub fn active_producers(&self) -> Result<Vec<ProducerRow>, PartitionError> {
        let state = self.lock();
        let Role::Leading(_) = state.role else { return Err(PartitionError::NotLeader { hint: state.leader_hint }) };
        let mut rows = state.producers.export();
        rows.reverse(); // of a producer's batches the newest first, which is the one that stays
        rows.dedup_by_key(|row| row.producer_id);
        rows.reverse();
        Ok(rows)
    }
}

/// What is judged of a batch.
pub(super) fn info_of(batch: &Batch) -> BatchInfo {
    info_of_header(batch.header())
}

fn info_of_header(header: &BatchHeader) -> BatchInfo {
    BatchInfo {
        base_offset: header.base_offset,
        last_offset_delta: header.last_offset_delta,
        stamp: header.has_producer().then_some(Stamp {
            id: header.producer_id,
            epoch: header.producer_epoch,
            first_sequence: Sequence(header.base_sequence),
        }),
        max_timestamp: header.max_timestamp.0,
        is_control: header.attributes.is_control(),
        is_transactional: header.attributes.is_transactional(),
    }
}

/// Gathers what a log says about producers while it is opened (R14: before the first produce is taken).
pub struct ProducersFound {
    pub producers: Producers,
    now: Millis,
}

impl ProducersFound {
    pub fn new(now: Millis) -> Self {
        Self { producers: Producers::new(PRODUCERS_PER_PARTITION_MAX), now }
    }
}

impl Visitor for ProducersFound {
    fn producers(&mut self, _at: Offset, entries: Vec<ProducerEntry>) {
        self.producers.import(entries.into_iter().map(row_of), self.now);
    }

    fn batch(&mut self, header: &BatchHeader, _marker: Option<EndTxnMarker>) {
        // No high watermark is known yet; nothing is expired before one is.
        self.producers.record(&info_of_header(header), Offset(0), self.now);
    }
}

impl State {
    /// Keeps what is known of producers beside a segment that has just begun. A failure costs only a longer recovery.
    pub(super) fn keep_snapshot(&mut self) {
        let entries: Vec<ProducerEntry> = self.producers.export().into_iter().map(entry_of).collect();
        if let Err(error) = self.log.write_snapshot(&entries) {
            tracing::warn!(event = "log.snapshot_failed", %error, "a producer snapshot could not be written");
        }
    }

    /// The log was cut to end at `end`: so is what is known of producers.
    pub(super) fn roll_back_producers(&mut self, end: Offset, now: Millis) {
        if self.producers.truncate_to(end) == Rollback::RebuildNeeded {
            let mut found = ProducersFound::new(now);
            match self.log.visit_producers(&mut found) {
                Ok(()) => self.producers = found.producers,
                Err(error) => self.log.fail(&error), // sequences that are not known must not be judged by
            }
        }
    }
}

fn row_of(entry: ProducerEntry) -> ProducerRow {
    ProducerRow {
        producer_id: entry.id,
        producer_epoch: entry.epoch,
        last_sequence: entry.last_sequence,
        last_offset: entry.last_offset,
        offset_delta: entry.offset_delta,
        timestamp: entry.timestamp.0,
        coordinator_epoch: entry.coordinator_epoch,
        current_txn_first_offset: entry.txn_start.unwrap_or(Offset(-1)),
    }
}

fn entry_of(row: ProducerRow) -> ProducerEntry {
    ProducerEntry {
        id: row.producer_id,
        epoch: row.producer_epoch,
        last_sequence: row.last_sequence,
        last_offset: row.last_offset,
        offset_delta: row.offset_delta,
        timestamp: WallMillis(row.timestamp),
        coordinator_epoch: row.coordinator_epoch,
        txn_start: (row.current_txn_first_offset.0 >= 0).then_some(row.current_txn_first_offset),
    }
}

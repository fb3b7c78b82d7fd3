//! Which leader epoch began at which offset: what replicas find their common past by (KIP-101, KIP-279).
//!
//! Invariants: epochs ascend, offsets do not descend; an epoch that wrote nothing keeps its entry.

use std::collections::VecDeque;
use std::sync::Arc;

use super::folder::Folder;
use super::{LogError, checkpoint};
use crate::base::disk::File;
use crate::base::ids::{LeaderEpoch, Offset};

/// An epoch, and the offset of its first record, or of what would have been its first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// The last epoch not after the one that was asked for, and the offset after its last record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

#[derive(Default)]
pub(super) struct Epochs {
    entries: Vec<EpochStart>,
    /// The file does not say what memory says.
    dirty: bool,
    /// The file as it was last written, while it is not known to be durable.
    unsynced: Option<Arc<dyn File>>,
}

impl Epochs {
    pub(super) fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    pub(super) fn last(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// Notes that an epoch begins here, if it is a later one than the last.
    pub(super) fn begin(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.last().is_none_or(|last| epoch > last.epoch) {
            self.entries.push(EpochStart { epoch, start });
            self.dirty = true;
        }
    }

    /// See [`super::Log::epoch_end`].
    pub(super) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let later = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end = match self.entries.get(later) {
            Some(next) => next.start,
            None if self.last()?.epoch == epoch => log_end,
            None => return None,
        };
        // Older than all that is known: what it wrote was deleted, and ended at the latest where the first known began.
        let floor = later.checked_sub(1).and_then(|at| self.entries.get(at));
        Some(EpochEnd { epoch: floor.map_or(epoch, |floor| floor.epoch), end })
    }

    /// The epoch of the record at this offset.
    pub(super) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries.get(after.checked_sub(1)?)?.epoch)
    }

    /// Forgets epochs that began at or after the end of the log. One that began exactly there wrote nothing here; kept,
    /// it would make a follower ask its leader about it for ever.
    pub(super) fn truncate_end(&mut self, end: Offset) {
        let kept = self.entries.partition_point(|entry| entry.start < end);
        self.dirty |= kept < self.entries.len();
        self.entries.truncate(kept);
    }

    /// Forgets epochs that ended before the start of the log; the one it starts in begins there.
    pub(super) fn truncate_start(&mut self, start: Offset) {
        let gone = self.entries.partition_point(|entry| entry.start <= start).saturating_sub(1);
        self.entries.drain(..gone);
        self.dirty |= gone > 0;
        if let Some(first) = self.entries.first_mut()
            && first.start < start
        {
            first.start = start;
            self.dirty = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.entries.clear();
    }

    /// Writes the file if it does not say what memory says. Must happen before a batch of a new epoch is written, or a
    /// crash of the process could leave batches whose epoch began nobody knows where.
    pub(super) fn store(&mut self, folder: &Folder) -> Result<(), LogError> {
        if self.dirty {
            let text = checkpoint::encode_epochs(&self.entries);
            self.unsynced = Some(folder.replace(&folder.epochs(), text.as_bytes())?);
            self.dirty = false;
        }
        Ok(())
    }

    /// What the run before wrote may not be durable: the file will be written and synced once more, and with it the
    /// names in the folder.
    pub(super) fn doubt(&mut self) {
        self.dirty = true;
    }

    pub(super) fn unsynced(&self) -> Option<&Arc<dyn File>> {
        self.unsynced.as_ref()
    }

    /// That file has become durable.
    pub(super) fn synced(&mut self, file: &Arc<dyn File>) {
        if self.unsynced.as_ref().is_some_and(|last| Arc::ptr_eq(last, file)) {
            self.unsynced = None;
        }
    }
}

/// Puts together what the file says and what the batches say that a recovery walks over. Batches are right.
pub(super) struct EpochsRebuild {
    stored: Vec<EpochStart>,
    rebuilt: Epochs,
    /// Entries of the file that no batch has confirmed or refuted yet.
    pending: VecDeque<EpochStart>,
}

impl EpochsRebuild {
    pub(super) fn new(stored: Vec<EpochStart>) -> Self {
        Self { pending: stored.clone().into(), stored, rebuilt: Epochs::default() }
    }

    /// The walk begins here: what the file says of before cannot be judged, and is believed.
    pub(super) fn walk_from(&mut self, offset: Offset) {
        while let Some(entry) = self.pending.pop_front_if(|entry| entry.start <= offset) {
            self.rebuilt.begin(entry.epoch, entry.start);
        }
    }

    pub(super) fn last(&self) -> Option<LeaderEpoch> {
        self.rebuilt.last().map(|last| last.epoch)
    }

    pub(super) fn batch(&mut self, epoch: LeaderEpoch, base: Offset) {
        while let Some(entry) = self.pending.pop_front_if(|entry| entry.start <= base) {
            // Inside a batch no epoch can have begun, and none that is later than the batch after it.
            if entry.start == base && entry.epoch <= epoch {
                self.rebuilt.begin(entry.epoch, entry.start);
            }
        }
        self.rebuilt.begin(epoch, base);
    }

    /// The epochs of a log that ends here.
    pub(super) fn finish(mut self, end: Offset) -> Epochs {
        for entry in self.pending {
            if entry.start == end {
                self.rebuilt.begin(entry.epoch, entry.start);
            }
        }
        self.rebuilt.entries.retain(|entry| entry.start <= end);
        self.rebuilt.dirty = self.rebuilt.entries != self.stored;
        self.rebuilt
    }
}

#[cfg(test)]
mod tests;

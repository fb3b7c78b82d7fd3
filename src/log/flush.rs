//! Making a log durable, without its mutex.

use std::sync::Arc;

use super::folder::Folder;
use super::segment::Segment;
use super::{Log, LogError};
use crate::base::disk::File;
use crate::base::ids::Offset;
use crate::base::mutants::Mutant;

/// What must be synced so that a log is durable up to its end as it was then. A worker runs it; the log is then told
/// by [`super::Log::finish_flush`], or by [`super::Log::fail`].
#[must_use = "a flush does nothing until it is run"]
pub struct Flush {
    pub(super) folder: Folder,
    pub(super) files: Vec<Arc<dyn File>>,
    /// The file of epochs, if it was written since.
    pub(super) epochs: Option<Arc<dyn File>>,
    /// Names in the folder changed since.
    pub(super) sync_names: bool,
    /// The folder itself is not durable yet.
    pub(super) sync_root: bool,
    pub(super) names: u64,
    pub(super) end: Offset,
    pub(super) generation: u64,
}

impl Flush {
    /// The offset up to which the log will be durable.
    pub fn end(&self) -> Offset {
        self.end
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.epochs.is_none() && !self.sync_names && !self.sync_root
    }

    /// Waits for the device. An error is final: the log must be failed, and nothing of this be synced again.
    pub fn run(&self) -> Result<(), LogError> {
        if Mutant::FlushWithoutSync.lives() {
            return Ok(());
        }
        for file in self.files.iter().chain(&self.epochs) {
            file.sync_data().map_err(LogError::io(&self.folder.path))?;
        }
        if self.sync_root {
            self.folder.root()?;
        } else if self.sync_names {
            self.folder.sync()?;
        }
        Ok(())
    }
}

impl Log {
    /// What to sync so that the log is durable up to its end as it is now.
    pub fn begin_flush(&mut self) -> Result<Flush, LogError> {
        self.check()?;
        self.guard(|log| log.flush(false))
    }

    /// A flush has run, without error.
    pub fn finish_flush(&mut self, flush: &Flush) {
        self.names_synced = self.names_synced.max(flush.names);
        self.is_rooted |= flush.sync_root;
        if let Some(file) = &flush.epochs {
            self.epochs.synced(file);
        }
        if flush.generation == self.generation {
            self.recovery_point = self.recovery_point.max(flush.end);
        }
    }

    /// Writes out what is only in memory. What it hands back makes the log durable with its indexes, so that a clean
    /// stop needs no recovery even if the machine stops, too. The log takes no more calls.
    pub fn close(&mut self) -> Result<Flush, LogError> {
        self.check()?;
        let (active, folder) = self.active();
        active.seal(folder)?;
        let flush = self.flush(true)?;
        self.failed = Some("it was closed".into());
        Ok(flush)
    }

    /// The segment that ends at the recovery point belongs to what must be synced, too: its indexes were completed when
    /// it was sealed, and that may have been after its last flush.
    pub(super) fn first_unflushed(&self) -> usize {
        self.segments.partition_point(|segment| segment.base() < self.recovery_point).saturating_sub(1)
    }

    fn flush(&mut self, closing: bool) -> Result<Flush, LogError> {
        // Nothing was ever written: not even an epoch is worth a file, of which there would be one per partition.
        let is_blank = self.names == self.names_synced && self.log_end == Offset(0);
        if !is_blank {
            self.epochs.store(&self.folder)?;
        }
        let mut files = Vec::new();
        let first = self.first_unflushed();
        let active = self.segments.len() - 1;
        for (at, segment) in self.segments.iter_mut().enumerate().skip(first) {
            let due = closing || self.log_end > self.recovery_point;
            if due && segment.size() > 0 {
                files.extend(segment.files(&self.folder, at < active || closing)?);
            }
        }
        Ok(Flush {
            folder: self.folder.clone(),
            files,
            epochs: self.epochs.unsynced().cloned(),
            sync_names: (closing && !is_blank) || self.names > self.names_synced || self.epochs.unsynced().is_some(),
            sync_root: !self.is_rooted && !is_blank,
            names: self.names,
            end: self.log_end,
            generation: self.generation,
        })
    }

    /// Gives back memory and descriptors, for a partition that nobody has used for a while. Flush it before: as long
    /// as something is not durable, its file stays open, or an error of the device could go unseen.
    pub fn release(&mut self) -> Result<(), LogError> {
        self.check()?;
        self.tail.clear();
        self.guard(|log| {
            log.epochs.store(&log.folder)?;
            let (active, folder) = log.active();
            if active.size() > 0 { active.store(folder) } else { Ok(()) }
        })?;
        let flushed = self.recovery_point;
        let ends: Vec<Offset> = self.segments.iter().skip(1).map(Segment::base).chain([self.log_end]).collect();
        for (segment, end) in self.segments.iter_mut().zip(ends) {
            segment.release(end <= flushed);
        }
        Ok(())
    }
}

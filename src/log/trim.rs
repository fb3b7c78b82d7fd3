//! Taking back: the end of a log when a leader says so, its beginning when it has grown old.

use std::io;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;

use super::folder::{Folder, Kind};
use super::reader::ReadRequest;
use super::reader::Wait;
use super::segment::Segment;
use super::{Log, LogError};
use crate::base::clock::WallMillis;
use crate::base::disk::Disk;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::record::{BatchBuilder, BatchHeader, NO_TIMESTAMP};

/// Files that no longer belong to a log and are still to be removed, which may take long.
#[must_use = "retired files take room until they are removed"]
pub struct Retired {
    disk: Arc<dyn Disk>,
    paths: Vec<PathBuf>,
}

impl Retired {
    pub(super) fn none(folder: &Folder) -> Self {
        Self { disk: Arc::clone(&folder.disk), paths: Vec::new() }
    }

    pub(super) fn add(&mut self, path: Option<PathBuf>) {
        self.paths.extend(path);
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Frees the room. A file that cannot be removed now is removed when the log is opened next; one that is gone went
    /// with the whole partition.
    pub fn run(self) -> Result<(), LogError> {
        for path in &self.paths {
            match self.disk.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(LogError::io(path)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Log {
    /// Before a truncation to this offset: the log vouches for no more than what would survive a crash in the middle
    /// of it. Says how far that is. Blocks.
    pub fn prepare_truncation(&mut self, offset: Offset) -> Result<Offset, LogError> {
        self.check()?;
        if offset < self.log_start {
            return Err(self.out_of_range(offset));
        }
        let (_, end) = self.first_cut(offset)?;
        let segment = self.segments[self.segment_of(end)].base();
        let ends_here = self.batch_from(end.plus(-1))?.is_some_and(|(_, header)| header.base_offset < end);
        // If the log is to end in a gap, for a moment it ends before that.
        let safe = if end == segment || ends_here { end } else { segment };
        self.distrust_from(safe);
        Ok(safe)
    }

    /// Vouches for nothing from here on until the next flush; one that has begun does not count.
    pub fn distrust_from(&mut self, offset: Offset) {
        self.generation += 1;
        self.recovery_point = self.recovery_point.min(offset);
    }

    /// The position in its segment of what would be cut first, if anything would, and the end of the log before it. A
    /// batch that begins before the offset goes as a whole. But in a gap that compaction left, the log ends as it is
    /// told: what was there once has had its offset, and no other record may get that.
    fn first_cut(&mut self, offset: Offset) -> Result<(Option<u64>, Offset), LogError> {
        if offset >= self.log_end {
            return Ok((None, self.log_end));
        }
        let end_of_segment = (self.segments[self.segment_of(offset)].size(), offset);
        let found = self.batch_from(offset)?;
        let (position, base) = found.map_or(end_of_segment, |(position, header)| (position, header.base_offset));
        Ok((Some(position), base.min(offset)))
    }

    /// The first batch of the segment that ends at or after this offset, and where it lies.
    fn batch_from(&mut self, offset: Offset) -> Result<Option<(u64, BatchHeader)>, LogError> {
        let source = self.source(&ReadRequest::all(offset))?;
        source.locate(offset, Wait::Yes)?.map_err(LogError::io(&source.path))
    }

    /// Forgets everything from an offset on, or from where the batch begins that holds it, durably. Blocks; run it on a
    /// worker.
    ///
    /// Between `prepare_truncation` and this, no flush is run, and the log dir's checkpoint must come to say, durably,
    /// that the recovery point is no later than that said: or a crash of the machine would find missing what was
    /// durable once.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<(), LogError> {
        self.check()?;
        if offset < self.log_start {
            return Err(self.out_of_range(offset));
        }
        self.guard_all(|log| log.cut_back(offset))
    }

    fn cut_back(&mut self, offset: Offset) -> Result<(), LogError> {
        self.generation += 1;
        let names = self.names;
        self.drop_staged()?;
        let (position, end) = self.first_cut(offset)?;
        let mut last = None;
        if let Some(position) = position {
            let at = self.segment_of(offset);
            while self.segments.len() > at + 1 {
                let segment = self.segments.pop().expect("there is a later one");
                self.remove_segment(&segment)?;
            }
            last = self.segments[at].cut(&self.folder, position, end, &self.options)?;
        }
        self.log_end = end;
        self.log_start = self.log_start.min(end);
        self.recovery_point = self.recovery_point.min(end);
        self.cleaned_to = self.cleaned_to.min(end);
        self.tail.truncate(end);
        self.epochs.truncate_end(end);
        if position.is_some() && last.map_or(self.active_base(), |last| last.next_offset()) < end {
            self.end_in_gap(last)?;
        }
        self.epochs.store(&self.folder)?;
        self.remove_snapshots_outside()?;
        if self.names > names {
            self.sync_names()?;
        }
        Ok(())
    }

    /// No batch ends where the log does: one without records has to, durably.
    fn end_in_gap(&mut self, before: Option<BatchHeader>) -> Result<(), LogError> {
        let last = self.log_end.plus(-1);
        let epoch = match self.epochs.at(last) {
            Some(epoch) => epoch,
            None => self.epoch_of(before)?,
        };
        self.epochs.begin(epoch, last);
        self.epochs.truncate_start(self.log_start);
        let mut shell = BatchBuilder::new().record(NO_TIMESTAMP, None, None, &[]).build().emptied();
        shell.assign(last, epoch);
        let options = self.options;
        let (active, folder) = self.active();
        active.write(folder, slice::from_ref(&shell), &options)?;
        active.open(folder)?.sync_data().map_err(LogError::io(&folder.path))?;
        self.tail.push(&shell);
        Ok(())
    }

    /// The epoch of the last batch, even of one before the start of the log: this one, or one in an older segment.
    fn epoch_of(&mut self, last: Option<BatchHeader>) -> Result<LeaderEpoch, LogError> {
        let last = match last {
            None if self.segments.len() > 1 => self.batch_from(self.active_base().plus(-1))?.map(|(_, header)| header),
            known => known,
        };
        Ok(last.map_or(LeaderEpoch(0), |last| last.leader_epoch))
    }

    /// Forgets everything, to go on at an offset: for a follower whose leader no longer has what it lacks. Blocks.
    ///
    /// Before this, the log must `distrust_from` its very beginning, and then the log dir's checkpoints must say,
    /// durably, that it starts there, without a recovery point.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now: WallMillis) -> Result<(), LogError> {
        self.check()?;
        self.guard_all(|log| log.start_over(offset, now))
    }

    pub(super) fn start_over(&mut self, offset: Offset, now: WallMillis) -> Result<(), LogError> {
        self.generation += 1;
        self.drop_staged()?;
        while let Some(segment) = self.segments.pop() {
            self.remove_segment(&segment)?;
        }
        self.remove_snapshots(|_| true)?;
        let mut segment = Segment::empty(offset, now);
        segment.open(&self.folder)?;
        self.segments.push(segment);
        self.tail.clear();
        self.epochs.clear();
        self.epochs.store(&self.folder)?;
        (self.log_start, self.log_end, self.recovery_point, self.cleaned_to) = (offset, offset, offset, offset);
        self.sync_names()
    }

    /// Moves the first offset that may be read. Persist it in the log dir's checkpoint; files go by `retire_segments`.
    pub fn advance_log_start(&mut self, offset: Offset) -> Result<(), LogError> {
        self.check()?;
        if offset > self.log_end {
            return Err(self.out_of_range(offset));
        }
        if offset > self.log_start {
            self.log_start = offset;
            self.epochs.truncate_start(offset);
        }
        Ok(())
    }

    /// Takes the segments out of the log that lie wholly below an offset, never the active one.
    ///
    /// Before this, the log dir's checkpoint should say that the log starts after them, durably.
    pub fn retire_segments(&mut self, below: Offset) -> Result<Retired, LogError> {
        self.check()?;
        self.guard(|log| {
            let mut retired = Retired::none(&log.folder);
            while let [first, second, ..] = &log.segments[..]
                && second.base() <= below
            {
                let (first, second) = (first.base(), second.base());
                for kind in Kind::ALL {
                    retired.add(log.folder.retire(first, kind)?);
                }
                log.segments.remove(0);
                log.names += 1;
                log.log_start = log.log_start.max(second);
            }
            log.epochs.truncate_start(log.log_start);
            log.remove_snapshots_outside()?;
            Ok(retired)
        })
    }

    fn remove_segment(&mut self, segment: &Segment) -> Result<(), LogError> {
        self.names += 1;
        for kind in Kind::SEGMENT {
            self.folder.remove(segment.base(), kind)?;
        }
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), LogError> {
        self.folder.sync()?;
        self.names_synced = self.names;
        Ok(())
    }
}

//! One partition's log: what it is, and how it grows.
//!
//! Invariants: there is always a last segment, the active one, and only it is written to; segments, epochs and tail
//! cache agree on where the log ends whenever a call returns; after a failure no call does anything.

use std::path::Path;
use std::sync::Arc;

use super::LogError;
use super::epochs::{EpochEnd, EpochStart, Epochs};
use super::folder::{self, Folder};
use super::reader::{ReadRequest, Source};
use super::segment::{Incoming, Segment};
use super::tail::Tail;
use crate::base::clock::WallMillis;
use crate::base::disk::Disk;
use crate::base::ids::{LeaderEpoch, Offset, TopicId};
use crate::record::Batch;

/// Between two snapshots of producers in a segment: what a recovery walks over for their sake, in milliseconds.
const SNAPSHOT_INTERVAL_BYTES: u64 = if cfg!(test) { 2_000 } else { 64 << 20 };

/// How a log is kept; Kafka's settings of a topic, but for the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`: a segment rolls so much sooner at most, each by another part of it.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`
    pub index_bytes_max: u32,
    /// How much of the end of the log is kept in memory.
    pub tail_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            index_bytes_max: 10 << 20,
            tail_bytes: 1 << 20,
        }
    }
}

/// What an append did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base: Offset,
    pub last: Offset,
    pub bytes: u64,
    /// The first of a new segment, at `base`: what came before should be flushed.
    pub rolled: bool,
    /// A snapshot of producers should be written: at the beginning of a segment, and now and then in it, or a recovery
    /// would have to walk over all of it for what it says of producers.
    pub snapshot_due: bool,
}

/// A partition's log.
pub struct Log {
    pub(super) folder: Folder,
    pub(super) options: LogOptions,
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
    pub(super) epochs: Epochs,
    pub(super) tail: Tail,
    /// Where producer snapshots lie, in ascending order.
    pub(super) snapshots: Vec<Offset>,
    /// How much was appended since the last of them.
    pub(super) since_snapshot: u64,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) recovery_point: Offset,
    /// Up to where the log has been compacted.
    pub(super) cleaned_to: Offset,
    /// Cleaned segments that are about to take their place.
    pub(super) staged: Vec<Offset>,
    /// Counts truncations: a flush that was begun before one says nothing about what was written after it.
    pub(super) generation: u64,
    /// Counts changes of names in the folder, and which of them are known to be durable.
    pub(super) names: u64,
    pub(super) names_synced: u64,
    /// The folder, and whose it is, survive the machine: nothing else here does before that.
    pub(super) is_rooted: bool,
    pub(super) failed: Option<Arc<str>>,
}

impl Log {
    /// Makes the log of a new partition, empty. It becomes durable with its first flush: before that there is nothing
    /// to lose, and many are made at once. The log dir's checkpoints must no longer speak of an older partition of
    /// this name.
    pub fn create(
        disk: Arc<dyn Disk>,
        path: &Path,
        topic: TopicId,
        options: LogOptions,
        now: WallMillis,
    ) -> Result<Self, LogError> {
        let folder = Folder::new(disk, path);
        folder.create(topic)?;
        Ok(Self::empty(folder, options, Offset(0), now))
    }

    pub(super) fn empty(folder: Folder, options: LogOptions, start: Offset, now: WallMillis) -> Self {
        Self {
            folder,
            options,
            segments: vec![Segment::empty(start, now)],
            epochs: Epochs::default(),
            tail: Tail::new(options.tail_bytes),
            snapshots: Vec::new(),
            since_snapshot: 0,
            log_start: start,
            log_end: start,
            recovery_point: start,
            cleaned_to: start,
            staged: Vec::new(),
            generation: 0,
            names: 0,
            names_synced: 0,
            is_rooted: false,
            failed: None,
        }
    }

    /// The topic whose partition lies in this folder; none if a crash came before that was durable.
    pub fn topic_id(disk: &dyn Disk, folder: &Path) -> Result<Option<TopicId>, LogError> {
        folder::topic_id(disk, folder)
    }

    /// Where the log lies.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Where the active segment begins: what lies before is closed.
    pub fn active_base(&self) -> Offset {
        self.segments.last().map_or(self.log_end, Segment::base)
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Up to where the log survives the machine.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// How many bytes the segments have.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// How much memory the tail cache takes.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// The segments, oldest first: the offset of each, its bytes, and its largest timestamp, if any has one.
    pub fn segments(&self) -> impl Iterator<Item = (Offset, u64, Option<WallMillis>)> {
        self.segments.iter().map(|segment| {
            let largest = segment.largest().map(|entry| entry.timestamp);
            (segment.base(), segment.size(), largest)
        })
    }

    /// New settings of the topic. They hold from the next append on.
    pub fn set_options(&mut self, options: LogOptions) {
        self.tail.set_budget(options.tail_bytes);
        self.options = options;
    }

    /// Keeps so much of the end of the log in memory from now on, up to what the settings allow.
    pub fn keep_tail(&mut self, bytes_max: usize) {
        self.tail.set_budget(bytes_max.min(self.options.tail_bytes));
    }

    /// Appends as leader: gives the batches the next offsets and this epoch, and writes them all at once, or none.
    ///
    /// Full disks are told by [`LogError::NoSpace`] and leave the log as it was. Every other error fails it.
    pub fn append(&mut self, batches: &mut [Batch], epoch: LeaderEpoch, now: WallMillis) -> Result<Appended, LogError> {
        self.check()?;
        self.check_epoch(epoch)?;
        let mut next = self.log_end;
        for batch in &mut *batches {
            batch.assign(next, epoch);
            next = batch.header().next_offset();
        }
        self.write(batches, now)
    }

    /// Appends as follower: batches that a leader gave offsets and epochs, the first of which must not begin before the
    /// end of the log. Compaction leaves gaps between batches.
    pub fn append_as_follower(&mut self, batches: &[Batch], now: WallMillis) -> Result<Appended, LogError> {
        self.check()?;
        let mut next = self.log_end;
        let mut epoch = self.epochs.last().map_or(LeaderEpoch(-1), |last| last.epoch);
        for header in batches.iter().map(Batch::header) {
            if header.base_offset < next {
                return Err(LogError::NotNext { base: header.base_offset, end: next });
            }
            if header.leader_epoch < epoch {
                return Err(LogError::EpochGoesBack { epoch: header.leader_epoch, last: epoch });
            }
            (next, epoch) = (header.next_offset(), header.leader_epoch);
        }
        self.write(batches, now)
    }

    fn write(&mut self, batches: &[Batch], now: WallMillis) -> Result<Appended, LogError> {
        assert!(!batches.is_empty(), "an append must have a batch");
        let incoming = Incoming::of(batches);
        let base = self.log_end;
        let rolled = match self.guard(|log| log.write_batches(batches, &incoming, now)) {
            Ok(rolled) => rolled,
            Err(error) => {
                self.epochs.truncate_end(base.plus(1)); // those that would have begun after the first batch
                return Err(error);
            }
        };
        self.log_end = incoming.last_offset.plus(1);
        for batch in batches {
            self.tail.push(batch);
        }
        self.store_indexes_if_due();
        self.since_snapshot += incoming.bytes;
        let snapshot_due = rolled || self.since_snapshot >= SNAPSHOT_INTERVAL_BYTES;
        Ok(Appended { base, last: incoming.last_offset, bytes: incoming.bytes, rolled, snapshot_due })
    }

    fn write_batches(&mut self, batches: &[Batch], incoming: &Incoming, now: WallMillis) -> Result<bool, LogError> {
        let options = self.options;
        let (active, folder) = self.active();
        if active.must_roll(folder, incoming, &options, now)? {
            self.begin_segment(now)?;
        }
        for header in batches.iter().map(Batch::header) {
            self.epochs.begin(header.leader_epoch, header.base_offset);
        }
        self.epochs.store(&self.folder)?;

        let (active, folder) = self.active();
        let is_first = active.size() == 0;
        active.write(folder, batches, &options)?;
        self.names += u64::from(is_first);
        // Not with the roll itself, after which the disk may have been full.
        Ok(is_first && self.segments.len() > 1)
    }

    /// A failure here costs only time after a crash, and the next call tries again: the batches are written.
    fn store_indexes_if_due(&mut self) {
        let (active, folder) = self.active();
        if active.is_store_due()
            && let Err(error) = active.store(folder)
            && !error.is_retriable()
        {
            self.fail(&error);
        }
    }

    /// Begins a new segment now, unless the active one is empty; retention can then delete the one before it.
    pub fn roll(&mut self, now: WallMillis) -> Result<(), LogError> {
        self.check()?;
        if self.active().0.size() == 0 {
            return Ok(());
        }
        self.guard(|log| log.begin_segment(now))
    }

    fn begin_segment(&mut self, now: WallMillis) -> Result<(), LogError> {
        let (active, folder) = self.active();
        active.seal(folder)?;
        let mut segment = Segment::empty(self.log_end, now);
        segment.open(&self.folder)?;
        self.segments.push(segment);
        self.names += 1;
        Ok(())
    }

    /// The epochs of the leaders whose records are here, oldest first.
    pub fn epochs(&self) -> &[EpochStart] {
        self.epochs.entries()
    }

    /// A leader begins its epoch here, before its first record. Nothing is written for it yet.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        self.check()?;
        self.check_epoch(epoch)?;
        self.epochs.begin(epoch, self.log_end);
        Ok(())
    }

    /// Forgets the epochs that begin at the end of the log: nothing was written in them, and what comes next may be of
    /// an earlier one.
    pub fn forget_empty_epochs(&mut self) -> Result<(), LogError> {
        self.check()?;
        self.epochs.truncate_end(self.log_end);
        self.guard(|log| log.epochs.store(&log.folder))
    }

    /// The last epoch not after this one, and the offset after its last record; none for an epoch later than all here.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.log_end)
    }

    /// The epoch of the record at an offset.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.at(offset)
    }

    /// An IO error that the caller met in what this log handed out. The log takes no more calls.
    pub fn fail(&mut self, cause: &LogError) {
        self.failed.get_or_insert_with(|| cause.to_string().into());
    }

    /// Runs what adds to files. After an error nobody knows what they hold, but a full disk keeps what was there.
    pub(super) fn guard<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        change(self).inspect_err(|error| {
            if !error.is_retriable() {
                self.fail(error);
            }
        })
    }

    /// Runs what takes away, which must not stop half-way for any reason.
    pub(super) fn guard_all(&mut self, change: impl FnOnce(&mut Self) -> Result<(), LogError>) -> Result<(), LogError> {
        change(self).inspect_err(|error| self.fail(error))
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        match &self.failed {
            Some(cause) => Err(LogError::Failed { folder: self.folder.path.to_path_buf(), cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }

    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), LogError> {
        match self.epochs.last() {
            Some(last) if epoch < last.epoch => Err(LogError::EpochGoesBack { epoch, last: last.epoch }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_range(&self, offset: Offset) -> Result<(), LogError> {
        if offset < self.log_start || offset > self.log_end {
            return Err(self.out_of_range(offset));
        }
        Ok(())
    }

    pub(super) fn out_of_range(&self, wanted: Offset) -> LogError {
        LogError::OffsetOutOfRange { wanted, start: self.log_start, end: self.log_end }
    }

    pub(super) fn active(&mut self) -> (&mut Segment, &Folder) {
        (self.segments.last_mut().expect("a log has an active segment"), &self.folder)
    }

    /// Which segment holds an offset.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base() <= offset).saturating_sub(1)
    }

    pub(super) fn source(&mut self, request: &ReadRequest) -> Result<Source, LogError> {
        self.source_in(self.segment_of(request.from), request)
    }

    pub(super) fn source_in(&mut self, at: usize, request: &ReadRequest) -> Result<Source, LogError> {
        let next = self.segments.get(at + 1).map_or(self.log_end, Segment::base);
        self.segments[at].source(&self.folder, request, next)
    }
}

#[cfg(test)]
mod tests;

//! A segment: one `.log` file and its two indexes.
//!
//! Invariants: `size` is what of the file belongs to the log; bytes beyond it (of a write that failed) are cut before
//! anything else is written.

use std::io::IoSlice;
use std::sync::Arc;

use super::folder::{Folder, Kind};
use super::index::{Entry, Index};
use super::offset_index::OffsetEntry;
use super::reader::{ReadRequest, Source};
use super::scan::{Defect, Scan};
use super::time_index::TimeEntry;
use super::{LogError, LogOptions};
use crate::base::clock::WallMillis;
use crate::base::disk::{File, Open};
use crate::base::ids::Offset;
use crate::record::{Batch, BatchHeader, HEADER_LEN, NO_TIMESTAMP};

/// Index entries are written to their files when the log has grown by so much: what a crash makes us read again.
const STORE_INTERVAL_BYTES: u64 = 1 << 20;

/// FNV-1a, 64 bits.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

pub(super) struct Segment {
    base: Offset,
    size: u64,
    file: Option<Arc<dyn File>>,
    offsets: Index<OffsetEntry>,
    times: Index<TimeEntry>,
    /// The largest timestamp, where it is not the last of the index.
    largest: Option<TimeEntry>,
    /// The largest timestamp of the first batch, once it is known: what the age of a segment is counted from.
    first_timestamp: Option<WallMillis>,
    born: WallMillis,
    since_entry: u64,
    since_store: u64,
}

/// What is about to be appended.
pub(super) struct Incoming {
    pub bytes: u64,
    pub last_offset: Offset,
    pub max_timestamp: WallMillis,
}

impl Incoming {
    pub(super) fn of(batches: &[Batch]) -> Self {
        let headers = || batches.iter().map(Batch::header);
        Self {
            bytes: batches.iter().map(|batch| batch.size() as u64).sum(),
            last_offset: headers().last().expect("an append has a batch").last_offset(),
            max_timestamp: headers().map(|header| header.max_timestamp).max().unwrap_or(NO_TIMESTAMP),
        }
    }
}

impl Segment {
    /// A segment without batches. Its file is made when the first is written.
    pub(super) fn empty(base: Offset, now: WallMillis) -> Self {
        Self {
            base,
            size: 0,
            file: None,
            offsets: Index::empty(base),
            times: Index::empty(base),
            largest: None,
            first_timestamp: None,
            born: now,
            since_entry: 0,
            since_store: 0,
        }
    }

    /// The segment as its files have it.
    pub(super) fn load(folder: &Folder, base: Offset, now: WallMillis) -> Result<Self, LogError> {
        let path = folder.file(base, Kind::Log);
        let size = folder.disk.open(&path, Open::Read).and_then(|file| file.len()).map_err(LogError::io(path))?;
        let mut segment = Self::empty(base, now);
        segment.size = size;
        segment.offsets = Index::load(folder, base)?;
        segment.times = Index::load(folder, base)?;
        segment.release(true);
        Ok(segment)
    }

    pub(super) fn base(&self) -> Offset {
        self.base
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The last entry of the offset index, if the time index has entries, too.
    pub(super) fn last_index_entries(&self) -> Option<OffsetEntry> {
        self.times.last().and_then(|_| self.offsets.last()).copied()
    }

    pub(super) fn is_store_due(&self) -> bool {
        self.since_store >= STORE_INTERVAL_BYTES
    }

    /// Kafka's rule: by size, by the time that records span, when an index is full or offsets no longer fit it.
    pub(super) fn must_roll(
        &mut self,
        folder: &Folder,
        incoming: &Incoming,
        options: &LogOptions,
        now: WallMillis,
    ) -> Result<bool, LogError> {
        if self.size == 0 {
            return Ok(false);
        }
        let full = self.size + incoming.bytes > u64::from(options.segment_bytes).min(i32::MAX as u64);
        let indexes_full = self.offsets.bytes() + OffsetEntry::SIZE > options.index_bytes_max as usize
            || self.times.bytes() + 2 * TimeEntry::SIZE > options.index_bytes_max as usize;
        let too_far = incoming.last_offset.0 - self.base.0 > i64::from(i32::MAX);
        if full || indexes_full || too_far {
            return Ok(true);
        }
        let first = self.first_timestamp(folder)?;
        let (from, to) = if first.0 >= 0 { (first, incoming.max_timestamp) } else { (self.born, now) };
        Ok(to.0.saturating_sub(from.0) > options.segment_ms - self.jitter_ms(folder, options))
    }

    /// How much sooner this segment rolls than others: as if by chance, but the same after a restart.
    fn jitter_ms(&self, folder: &Folder, options: &LogOptions) -> i64 {
        let most = options.segment_jitter_ms.min(options.segment_ms);
        if most <= 0 {
            return 0;
        }
        let name = folder.path.as_os_str().as_encoded_bytes().iter().copied().chain(self.base.0.to_le_bytes());
        let hash = name.fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        ((hash >> 1) as i64) % most
    }

    /// Writes batches to the end, all or none. A full disk is told as such only if nothing is left in the file of what
    /// did fit.
    pub(super) fn write(&mut self, folder: &Folder, batches: &[Batch], options: &LogOptions) -> Result<(), LogError> {
        let file = self.open(folder)?;
        let slices: Vec<IoSlice<'_>> = batches.iter().flat_map(Batch::parts).map(|part| IoSlice::new(part)).collect();
        if let Err(error) = file.write_at(&slices, self.size) {
            let path = folder.file(self.base, Kind::Log);
            return match file.set_len(self.size) {
                Ok(()) => Err(LogError::io(path)(error)),
                Err(_) => Err(LogError::Io { path, source: error }),
            };
        }
        for batch in batches {
            self.note(batch.header(), options);
        }
        Ok(())
    }

    /// Takes account of a batch that lies at the end of what is known.
    pub(super) fn note(&mut self, header: &BatchHeader, options: &LogOptions) {
        let known = self.largest().map_or(NO_TIMESTAMP, |largest| largest.timestamp);
        // What compaction has emptied still tells a time, but there is no record of it.
        if header.count > 0 && header.max_timestamp > known {
            self.largest = Some(TimeEntry { timestamp: header.max_timestamp, last_offset: header.last_offset() });
        }
        if self.size == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.since_entry > u64::from(options.index_interval_bytes) {
            self.offsets.push(OffsetEntry { last_offset: header.last_offset(), position: self.size as u32 });
            self.note_time();
            self.since_entry = 0;
        }
        let bytes = header.size() as u64;
        self.size += bytes;
        self.since_entry += bytes;
        self.since_store += bytes;
    }

    /// Writes the index entries that are only in memory. Times first: where the offset index ends, a recovery begins,
    /// and everything before that must be in both.
    pub(super) fn store(&mut self, folder: &Folder) -> Result<(), LogError> {
        self.times.store(folder)?;
        self.offsets.store(folder)?;
        self.since_store = 0;
        Ok(())
    }

    /// Completes the indexes of a segment that will not grow, or not soon.
    pub(super) fn seal(&mut self, folder: &Folder) -> Result<(), LogError> {
        if self.size > 0 {
            self.note_time();
            self.store(folder)?;
        }
        self.offsets.release();
        self.times.release();
        Ok(())
    }

    /// Completes the indexes of a segment that may be durable itself, so that no flush would come to it again.
    pub(super) fn seal_durably(&mut self, folder: &Folder) -> Result<(), LogError> {
        self.seal(folder)?;
        for file in self.files(folder, true)? {
            file.sync_data().map_err(LogError::io(&folder.path))?;
        }
        folder.sync()
    }

    fn note_time(&mut self) {
        let indexed = self.times.last().map_or(NO_TIMESTAMP, |entry| entry.timestamp);
        if let Some(largest) = self.largest
            && largest.timestamp > indexed
        {
            self.times.push(largest);
        }
    }

    /// Gives back descriptors and memory; that of the log itself only when it is durable.
    pub(super) fn release(&mut self, is_durable: bool) {
        if is_durable {
            self.file = None;
        }
        self.offsets.release();
        self.times.release();
    }

    /// Cuts the segment to its first `size` bytes, which end before `end`, durably: what is cut off must not come back
    /// behind what is written next. Returns the last batch that is left.
    pub(super) fn cut(
        &mut self,
        folder: &Folder,
        size: u64,
        end: Offset,
        options: &LogOptions,
    ) -> Result<Option<BatchHeader>, LogError> {
        let path = folder.file(self.base, Kind::Log);
        let file = self.open(folder)?;
        file.set_len(size).and_then(|()| file.sync_data()).map_err(LogError::io(&path))?;
        self.offsets.truncate(folder, end)?;
        self.times.truncate(folder, end)?;
        let mut scan = Scan::new(file, self.rewind_to_entry(), size);
        let mut last = None;
        while let Some(header) = scan.header().map_err(LogError::io(&path))? {
            let corrupt = |defect: Defect| LogError::Corrupt {
                path: path.clone(),
                position: self.size,
                what: defect.to_string(),
            };
            let header = header.map_err(corrupt)?;
            self.note(&header, options);
            last = Some(header);
            scan.skip(&header);
        }
        Ok(last)
    }

    /// Cuts off what a recovery found to be no part of the log, what `note` was not called for; says how much it was.
    pub(super) fn cut_rest(&mut self, folder: &Folder) -> Result<u64, LogError> {
        let file = self.open(folder)?;
        let cut = || {
            let len = file.len()?;
            file.set_len(self.size)?;
            file.sync_data()?;
            Ok(len - self.size)
        };
        cut().map_err(LogError::io(folder.file(self.base, Kind::Log)))
    }

    /// Prepares for `note` to be called for the batches from the last index entry on; returns where that lies.
    pub(super) fn rewind_to_entry(&mut self) -> u64 {
        self.largest = None;
        self.first_timestamp = None;
        self.since_entry = 0;
        self.since_store = 0;
        self.size = self.offsets.last().map_or(0, |entry| u64::from(entry.position));
        self.size
    }

    /// Prepares for `note` to be called for every batch.
    pub(super) fn rewind_to_start(&mut self) {
        self.offsets = Index::empty(self.base);
        self.times = Index::empty(self.base);
        self.rewind_to_entry();
    }

    /// How old the segment is: its largest timestamp; without any, when it was begun or, after a restart, opened.
    pub(super) fn newest(&self) -> WallMillis {
        self.largest().map(|largest| largest.timestamp).filter(|newest| newest.0 >= 0).unwrap_or(self.born)
    }

    /// The largest timestamp, and the last offset of its batch.
    pub(super) fn largest(&self) -> Option<TimeEntry> {
        self.largest.or_else(|| self.times.last().copied())
    }

    pub(super) fn first_timestamp(&mut self, folder: &Folder) -> Result<WallMillis, LogError> {
        if let Some(known) = self.first_timestamp {
            return Ok(known);
        }
        let mut head = [0; HEADER_LEN];
        let read = self.open(folder)?.read_at(&mut head, 0);
        let path = folder.file(self.base, Kind::Log);
        let read = read.map_err(LogError::io(&path))?;
        let header = BatchHeader::parse(&head[..read]).map_err(|error| LogError::Corrupt {
            path,
            position: 0,
            what: error.to_string(),
        })?;
        self.first_timestamp = Some(header.max_timestamp);
        Ok(header.max_timestamp)
    }

    /// What a read of this segment needs; `next` is the offset after the segment.
    pub(super) fn source(&mut self, folder: &Folder, request: &ReadRequest, next: Offset) -> Result<Source, LogError> {
        let floor = self.offsets.floor(folder, |entry| entry.last_offset <= request.from)?;
        let position = |entry: Option<OffsetEntry>| entry.map_or(0, |entry| u64::from(entry.position));
        let reach = floor.known().map(|entry| position(entry).saturating_add(request.bytes_max as u64));
        // From what is only in the file, it is not known yet where the batches lie: the file may know it then.
        let ceiling = self.offsets.floor(folder, |entry| {
            entry.last_offset < request.until && reach.is_some_and(|reach| u64::from(entry.position) <= reach)
        })?;
        Ok(Source {
            path: folder.file(self.base, Kind::Log),
            file: self.open(folder)?,
            size: self.size,
            next,
            floor,
            ceiling,
        })
    }

    pub(super) fn times(&mut self) -> &mut Index<TimeEntry> {
        &mut self.times
    }

    pub(super) fn open(&mut self, folder: &Folder) -> Result<Arc<dyn File>, LogError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = folder.open(self.base, Kind::Log, Open::Create)?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// The files to sync so that the segment survives the machine.
    pub(super) fn files(&mut self, folder: &Folder, with_indexes: bool) -> Result<Vec<Arc<dyn File>>, LogError> {
        let mut files = vec![self.open(folder)?];
        if with_indexes {
            files.push(self.offsets.open(folder)?);
            files.push(self.times.open(folder)?);
        }
        Ok(files)
    }

    /// What the segment keeps in memory beside itself, and whether it has files open, for the tests of idle partitions.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let file = self.file.as_ref().map_or(0, size_of_val);
        file + self.offsets.kept_bytes() + self.times.kept_bytes()
    }
}

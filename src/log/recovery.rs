//! Opening a log that was there before: what is believed, what is checked, what is cut.
//!
//! | the last run ended by | checked                               | what is wrong at the end is                     |
//! |-----------------------|---------------------------------------|-------------------------------------------------|
//! | a clean stop          | from the last index entry on          | reported                                        |
//! | the process's death   | from the last index entry on          | cut if a write was torn, reported if it is else |
//! | the machine's death   | segments from the recovery point on   | cut                                             |
//!
//! Below the recovery point nothing is ever cut: what is wrong there was durable once, and its loss must be seen
//! ([`LogError::Corrupt`]), so that the replica is fetched anew from those that have it.
//!
//! Who has the log learns what it needs about producers through a [`Visitor`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::epochs::{EpochStart, EpochsRebuild};
use super::folder::{Folder, Kind, Names};
use super::reader::{ReadRequest, Wait};
use super::scan::{Defect, Scan};
use super::segment::Segment;
use super::{Log, LogError, LogOptions, ProducerEntry, checkpoint};
use crate::base::clock::WallMillis;
use crate::base::disk::{Disk, File};
use crate::base::ids::Offset;
use crate::base::mutants::Mutant;
use crate::record::{BatchHeader, EndTxnMarker};

/// How the last run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// The log was closed and made durable.
    CleanStop,
    /// Every completed write is there.
    ProcessCrash,
    /// What was not synced may be gone.
    MachineCrash,
}

/// What is known of a log before it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub after: After,
    /// From the log dir's checkpoints; 0 where they say nothing.
    pub recovery_point: Offset,
    pub log_start: Offset,
}

/// Learns what a log says about producers: a snapshot, then every batch after it.
pub trait Visitor {
    /// What was known before `at`. Comes first, and once; empty without a snapshot.
    fn producers(&mut self, at: Offset, producers: Vec<ProducerEntry>);

    /// A batch, and how it ends a transaction if it does.
    fn batch(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>);
}

/// A log that was opened.
pub struct Opened {
    pub log: Log,
    /// What had to go.
    pub cut: Option<Cut>,
}

/// The end of a log that a crash had left unfinished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Where the log ends now.
    pub end: Offset,
    pub path: PathBuf,
    pub position: u64,
    /// How many bytes went, of this file and of those after it.
    pub bytes: u64,
    pub why: String,
}

impl Log {
    /// Opens the log in this folder.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: LogOptions,
        known: Known,
        visitor: &mut dyn Visitor,
        now: WallMillis,
    ) -> Result<Opened, LogError> {
        let folder = Folder::new(disk, path);
        folder.complete_swaps()?;
        let names = folder.names()?;
        let mut recovery = Recovery::begin(&folder, options, known, &names, now)?;
        recovery.check(&names)?;
        let cut = recovery.cut.take();
        let mut log = recovery.finish(names.snapshots, now)?;
        log.visit_producers(visitor)?;
        Ok(Opened { log, cut })
    }

    /// Tells what the log says about producers, as when it is opened: a truncation takes some of it back.
    pub fn visit_producers(&mut self, visitor: &mut dyn Visitor) -> Result<(), LogError> {
        let (from, producers) = self.latest_snapshot()?.unwrap_or((self.log_start, Vec::new()));
        visitor.producers(from, producers);
        self.since_snapshot = 0;
        if from >= self.log_end {
            return Ok(());
        }
        for at in self.segment_of(from)..self.segments.len() {
            let source = self.source_in(at, &ReadRequest::all(from))?;
            let begin = source.locate(from, Wait::Yes)?.map_err(LogError::io(&source.path))?;
            let Some((position, _)) = begin else { continue };
            let mut scan = Scan::new(Arc::clone(&source.file), position, source.size);
            while let Some(header) = scan.header().map_err(LogError::io(&source.path))? {
                let header = header.map_err(|defect| source.corrupt(scan.position(), defect))?;
                let marker = scan.marker(&header).map_err(LogError::io(&source.path))?;
                visitor.batch(&header, marker);
                self.since_snapshot += header.size() as u64;
                scan.skip(&header);
            }
        }
        Ok(())
    }
}

struct Recovery<'a> {
    folder: &'a Folder,
    options: LogOptions,
    known: Known,
    segments: Vec<Segment>,
    epochs: EpochsRebuild,
    /// The segment that is checked first, and whether its indexes are made anew.
    first: usize,
    anew: bool,
    /// Where what was checked ends, once something was.
    end: Option<Offset>,
    cut: Option<Cut>,
}

impl<'a> Recovery<'a> {
    fn begin(
        folder: &'a Folder,
        options: LogOptions,
        mut known: Known,
        names: &Names,
        now: WallMillis,
    ) -> Result<Self, LogError> {
        if known.recovery_point <= known.log_start {
            known.recovery_point = Offset(0); // nothing that is durable must be there: it may be read no more
        }
        let gone =
            names.logs.windows(2).take_while(|pair| matches!(pair, [_, next] if *next <= known.log_start)).count();
        for base in &names.logs[..gone] {
            for kind in Kind::ALL {
                folder.remove(*base, kind)?;
            }
        }
        remove_orphans(folder, names)?;
        let load = |base: &Offset| Segment::load(folder, *base, now);
        let segments = names.logs[gone..].iter().map(load).collect::<Result<Vec<_>, _>>()?;

        let stored = stored_epochs(folder)?;
        let last = segments.len().saturating_sub(1);
        let (first, anew) = match (&stored, known.after) {
            // Without the epochs' file, only all the batches together know the epochs.
            (None, _) => (0, true),
            // The segment that ends at the recovery point, too: its indexes may be younger than its last flush.
            (_, After::MachineCrash) => {
                (segments.partition_point(|s| s.base() < known.recovery_point).saturating_sub(1), true)
            }
            _ => (last, false),
        };
        let epochs = EpochsRebuild::new(stored.unwrap_or_default());
        // A crash of the machine can take the first segment and leave the second.
        let begin = segments.first().map(|segment| segment.base().min(known.log_start));
        let end = begin.filter(|_| first == 0 && known.after == After::MachineCrash);
        Ok(Self { folder, options, known, segments, epochs, first, anew, end, cut: None })
    }

    fn check(&mut self, names: &Names) -> Result<(), LogError> {
        for at in 0..self.first {
            let base = self.segments[at].base();
            if names.offset_indexes.binary_search(&base).is_err() || names.time_indexes.binary_search(&base).is_err() {
                self.reindex(at)?;
            }
        }
        for at in self.first..self.segments.len() {
            if let Some(defect) = self.check_segment(at)? {
                return self.cut(at, defect);
            }
        }
        let end = self.end.unwrap_or(self.known.log_start);
        if end < self.known.recovery_point {
            let what = format!("the log ends at {end}, but was durable up to {}", self.known.recovery_point);
            let (path, position) = match self.segments.last() {
                Some(last) => (self.folder.file(last.base(), Kind::Log), last.size()),
                None => (self.folder.path.to_path_buf(), 0),
            };
            return Err(LogError::Corrupt { path, position, what });
        }
        Ok(())
    }

    /// Walks one segment up to its end or to what is wrong.
    fn check_segment(&mut self, at: usize) -> Result<Option<Defect>, LogError> {
        let is_last = at + 1 == self.segments.len();
        let segment = &mut self.segments[at];
        let path = self.folder.file(segment.base(), Kind::Log);
        let size = segment.size();
        let file = segment.open(self.folder)?;
        let entry = if self.anew { None } else { trusted_entry(segment, &file).map_err(LogError::io(&path))? };
        let position = match entry {
            Some(_) => segment.rewind_to_entry(),
            None => {
                segment.rewind_to_start();
                0
            }
        };
        if at == self.first {
            self.epochs.walk_from(entry.map_or_else(|| self.segments[at].base(), |entry| entry.base_offset));
        }
        if let Some(entry) = entry {
            self.end = Some(entry.base_offset);
        } else if let Err(defect) = self.continues(self.segments[at].base()) {
            return Ok(Some(defect));
        }
        let mut scan = Scan::new(file, position, size);
        let defect = self.walk(at, &mut scan).map_err(LogError::io(path))?;
        let segment = &mut self.segments[at];
        if entry.is_none() && segment.size() > 0 {
            if is_last { segment.store(self.folder)? } else { segment.seal_durably(self.folder)? }
        }
        segment.release(true);
        Ok(defect)
    }

    fn walk(&mut self, at: usize, scan: &mut Scan) -> io::Result<Option<Defect>> {
        while let Some(header) = scan.header()? {
            let judged = match header {
                Ok(header) => self.continues_with(&header).map(|()| header),
                Err(defect) => Err(defect),
            };
            let header = match judged {
                Ok(header) => header,
                Err(defect) => return Ok(Some(defect)),
            };
            if let Err(defect) = scan.verify(&header)?
                && !Mutant::TornBatchAccepted.lives()
            {
                return Ok(Some(defect));
            }
            self.segments[at].note(&header, &self.options);
            self.epochs.batch(header.leader_epoch, header.base_offset);
            self.end = Some(header.next_offset());
            scan.skip(&header);
        }
        Ok(None)
    }

    fn continues_with(&mut self, header: &BatchHeader) -> Result<(), Defect> {
        if header.last_offset_delta < 0 || header.base_offset < Offset(0) {
            return Err(Defect::Damaged("its offsets cannot be".into()));
        }
        if let Some(last) = self.epochs.last().filter(|last| header.leader_epoch < *last) {
            return Err(Defect::Damaged(format!("epoch {} follows epoch {last}", header.leader_epoch)));
        }
        // Inside a segment, compaction at the leader leaves gaps.
        let end = *self.end.get_or_insert(header.base_offset);
        if header.base_offset < end { Err(follows(header.base_offset, end)) } else { Ok(()) }
    }

    /// Whether a segment may begin here: where the one before it ends, or where all before it was durable and is gone;
    /// above the recovery point, a crash of the machine took one between them.
    fn continues(&mut self, base: Offset) -> Result<(), Defect> {
        let end = *self.end.get_or_insert(base);
        if base < end || (base > end && base > self.known.recovery_point) {
            return Err(follows(base, end));
        }
        self.end = Some(base);
        Ok(())
    }

    /// Cuts the log where a segment stops making sense, if it may be cut there.
    fn cut(&mut self, at: usize, defect: Defect) -> Result<(), LogError> {
        let segment = &self.segments[at];
        let (position, path) = (segment.size(), self.folder.file(segment.base(), Kind::Log));
        let end = self.end.unwrap_or_else(|| segment.base());
        let may_cut = match self.known.after {
            After::CleanStop => false,
            After::ProcessCrash => defect == Defect::Torn,
            After::MachineCrash => true,
        };
        if end < self.known.recovery_point || !may_cut {
            return Err(LogError::Corrupt { path, position, what: defect.to_string() });
        }
        let mut bytes = self.segments[at].cut_rest(self.folder)?;
        // A segment that nothing is left of would begin where the log does not end.
        let kept = if position == 0 && self.segments[at].base() != end { at } else { at + 1 };
        while self.segments.len() > kept {
            let mut later = self.segments.pop().expect("there is a later one");
            later.rewind_to_start();
            bytes += later.cut_rest(self.folder)?;
            for kind in Kind::SEGMENT {
                self.folder.remove(later.base(), kind)?;
            }
        }
        self.folder.sync()?;
        self.cut = Some(Cut { end, path, position, bytes, why: defect.to_string() });
        Ok(())
    }

    /// Makes the indexes of a sealed segment again.
    fn reindex(&mut self, at: usize) -> Result<(), LogError> {
        let segment = &mut self.segments[at];
        let path = self.folder.file(segment.base(), Kind::Log);
        let size = segment.size();
        segment.rewind_to_start();
        let mut scan = Scan::new(segment.open(self.folder)?, 0, size);
        while let Some(header) = scan.header().map_err(LogError::io(&path))? {
            let position = scan.position();
            let header = header.map_err(|defect| LogError::Corrupt {
                path: path.clone(),
                position,
                what: defect.to_string(),
            })?;
            segment.note(&header, &self.options);
            scan.skip(&header);
        }
        segment.seal_durably(self.folder)?;
        segment.release(true);
        Ok(())
    }

    fn finish(self, snapshots: Vec<Offset>, now: WallMillis) -> Result<Log, LogError> {
        let end = self.end.unwrap_or(self.known.log_start);
        let mut log = Log::empty(self.folder.clone(), self.options, end.max(self.known.log_start), now);
        if !self.segments.is_empty() {
            log.segments = self.segments;
        }
        log.log_end = end;
        log.log_start = log.segments[0].base().max(self.known.log_start);
        log.recovery_point = self.known.recovery_point.min(end);
        log.is_rooted = log.recovery_point > log.log_start; // a flush has come so far
        log.snapshots = snapshots;
        if log.log_start > end {
            log.start_over(log.log_start, now)?; // what was to be read first is lost, and everything before it deleted
        }
        log.epochs = self.epochs.finish(end);
        log.epochs.truncate_start(log.log_start);
        log.epochs.store(&log.folder)?;
        if self.known.after != After::CleanStop {
            log.epochs.doubt();
        }
        log.remove_snapshots_outside()?;
        Ok(log)
    }
}

fn follows(base: Offset, end: Offset) -> Defect {
    Defect::Damaged(format!("offset {base} follows offset {end}"))
}

/// The epochs as their file has them; none if it is missing or makes no sense.
fn stored_epochs(folder: &Folder) -> Result<Option<Vec<EpochStart>>, LogError> {
    let path = folder.epochs();
    let bytes = folder.disk.read(&path).map_err(LogError::io(&path))?;
    Ok(bytes.and_then(|bytes| checkpoint::parse_epochs(&path, &bytes).ok()))
}

/// Removes indexes without a log, before a new log of that name would find them.
fn remove_orphans(folder: &Folder, names: &Names) -> Result<(), LogError> {
    for (kind, bases) in [(Kind::OffsetIndex, &names.offset_indexes), (Kind::TimeIndex, &names.time_indexes)] {
        for base in bases.iter().filter(|base| names.logs.binary_search(base).is_err()) {
            folder.remove(*base, kind)?;
        }
    }
    Ok(())
}

/// The header of the batch that the last index entry names, if it names one and both indexes are there.
fn trusted_entry(segment: &Segment, file: &Arc<dyn File>) -> io::Result<Option<BatchHeader>> {
    let Some(entry) = segment.last_index_entries() else { return Ok(None) };
    // No entry names the first batch: zeros are what Kafka fills its files up with, or what a crash left of an entry.
    if entry.position == 0 || u64::from(entry.position) >= segment.size() {
        return Ok(None);
    }
    let mut scan = Scan::new(Arc::clone(file), u64::from(entry.position), segment.size());
    Ok(scan.header()?.and_then(Result::ok).filter(|header| header.last_offset() == entry.last_offset))
}

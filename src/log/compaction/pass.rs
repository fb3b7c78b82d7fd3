//! A pass over a log: which files it reads, and how it goes on step by step.
//!
//! Invariants: a pass holds nothing of its log but its folder; what it has made is part of the log only once the log
//! has taken it (`swap.rs`).

use std::sync::Arc;

use super::keys::Keys;
use super::rewrite::Rewrite;
use super::{Brief, Cleaned, Dirt};
use crate::base::disk::{File, Open};
use crate::base::ids::Offset;
use crate::log::folder::{Folder, Kind};
use crate::log::scan::Scan;
use crate::log::{Log, LogError, LogOptions};
use crate::record::{Batch, BatchHeader};

/// What a worker reads before it asks whether to go on.
pub(super) const STEP_BYTES: u64 = 4 << 20;

/// A pass that is under way.
pub struct Compaction {
    pub(super) reads: Reads,
    pub(super) brief: Brief,
    pub(super) options: LogOptions,
    pub(super) generation: u64,
    stage: Stage,
}

enum Stage {
    Keys(Box<Keys>),
    Rewrite(Box<Rewrite>),
    Done { cleaned_to: Offset },
}

/// How far a step has come.
pub enum Step {
    /// So many bytes were read and written; there is more to do.
    More { bytes: u64 },
    /// These segments can take the place of others: give them to the log, then go on.
    Swap(Box<Cleaned>),
    /// All is done, and the log is compacted up to here; no further than before if there was no way to go on.
    Done { cleaned_to: Offset },
}

impl Log {
    /// Begins a pass. Before it, the log dir's checkpoint must say, durably, where the recovery point is: a compacted
    /// log has gaps, which above the recovery point would pass for damage.
    pub fn begin_compaction(&mut self, dirt: &Dirt, brief: Brief) -> Result<Compaction, LogError> {
        self.check()?;
        let dirt = Dirt { until: dirt.until.min(self.active_base()), ..*dirt }; // it may have been cut since
        let pieces = self.with_ends().filter(|(_, next)| *next <= dirt.until); // of others, the end may yet be cut
        let pieces = pieces.map(|(segment, next)| Piece { base: segment.base(), next, size: segment.size() });
        let reads = Reads { folder: self.folder.clone(), pieces: pieces.collect(), open: None };
        let keys = Keys::new(&reads, &dirt, &brief);
        let stage = Stage::Keys(Box::new(keys));
        Ok(Compaction { reads, brief, options: self.options, generation: self.generation, stage })
    }
}

impl Compaction {
    /// Does a part of the work. Waits for the disk.
    pub fn step(&mut self) -> Result<Step, LogError> {
        match &mut self.stage {
            Stage::Keys(keys) => {
                let bytes = keys.step(&mut self.reads)?;
                if let Some(end) = keys.end() {
                    let stage = std::mem::replace(&mut self.stage, Stage::Done { cleaned_to: end });
                    let Stage::Keys(keys) = stage else { unreachable!("it was matched above") };
                    if end > keys.from() {
                        self.stage = Stage::Rewrite(Box::new(Rewrite::new(*keys, end)));
                    }
                }
                Ok(Step::More { bytes })
            }
            Stage::Rewrite(rewrite) => {
                let step = rewrite.step(&mut self.reads, &self.brief, &self.options, self.generation)?;
                if let Step::Done { cleaned_to } = step {
                    self.stage = Stage::Done { cleaned_to };
                }
                Ok(step)
            }
            Stage::Done { cleaned_to } => Ok(Step::Done { cleaned_to: *cleaned_to }),
        }
    }

    /// Ends a pass that met an error, and frees the room that it took.
    pub fn give_up(self) -> Result<(), LogError> {
        match self.stage {
            Stage::Rewrite(rewrite) => rewrite.give_up(&self.reads),
            Stage::Keys(_) | Stage::Done { .. } => Ok(()),
        }
    }
}

/// A segment as it was when the pass began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub base: Offset,
    pub next: Offset,
    pub size: u64,
}

/// The files that a pass reads.
pub(super) struct Reads {
    pub folder: Folder,
    pub pieces: Vec<Piece>,
    open: Option<(Offset, Arc<dyn File>)>,
}

/// Where a walk over the pieces is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub piece: usize,
    pub position: u64,
}

impl Reads {
    /// A walk over one piece, from a batch on. The segment may have been deleted meanwhile: then this fails.
    pub(super) fn scan(&mut self, place: Place) -> Result<Scan, LogError> {
        let piece = self.pieces[place.piece];
        let file = match &self.open {
            Some((base, file)) if *base == piece.base => Arc::clone(file),
            _ => {
                let file = self.folder.open(piece.base, Kind::Log, Open::Read)?;
                self.open = Some((piece.base, Arc::clone(&file)));
                file
            }
        };
        Ok(Scan::new(file, place.position, piece.size))
    }

    /// The header of the batch that a walk has come to.
    pub(super) fn header(&self, scan: &mut Scan, place: Place) -> Result<Option<BatchHeader>, LogError> {
        let path = self.folder.file(self.pieces[place.piece].base, Kind::Log);
        match scan.header().map_err(LogError::io(&path))? {
            None => Ok(None),
            Some(Ok(header)) => Ok(Some(header)),
            Some(Err(defect)) => Err(LogError::Corrupt { path, position: scan.position(), what: defect.to_string() }),
        }
    }

    /// That batch, whole and sound: what is damaged must not get a new checksum.
    pub(super) fn batch(&self, scan: &mut Scan, place: Place, header: &BatchHeader) -> Result<Batch, LogError> {
        let path = self.folder.file(self.pieces[place.piece].base, Kind::Log);
        let mut bytes = scan.bytes(header).map_err(LogError::io(&path))?;
        let batch = Batch::split_from(&mut bytes).and_then(|batch| batch.verify().map(|()| batch));
        batch.map_err(|error| LogError::Corrupt { path, position: scan.position(), what: error.to_string() })
    }

    pub(super) fn corrupt(&self, place: Place, position: u64, error: &dyn std::error::Error) -> LogError {
        let path = self.folder.file(self.pieces[place.piece].base, Kind::Log);
        LogError::Corrupt { path, position, what: error.to_string() }
    }
}

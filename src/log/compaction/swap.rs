//! The last part of a pass: a cleaned segment takes the place of those it was made of.
//!
//! ```text
//!   .cleaned, durable ──stage──▶ .swap ──sync──▶ others .deleted, indexes renamed ──▶ .log.swap becomes .log
//!                                  │
//!    a crash before: .cleaned goes │ a crash after: `Folder::complete_swaps` does the rest, as often as it takes
//! ```
//!
//! Invariants: from the moment at which `.log.swap` is durable until it has become `.log`, it and not the segments it
//! is made of is the truth. A truncation drops what is staged before it cuts anything.

use std::sync::Arc;

use crate::base::disk::Open;
use crate::base::ids::Offset;
use crate::base::mutants::Mutant;
use crate::log::folder::{CLEANED, Folder, Kind, SWAP};
use crate::log::scan::Scan;
use crate::log::segment::Segment;
use crate::log::{Log, LogError, Retired};

/// A segment that was written anew, and whose place it is to take.
pub struct Cleaned {
    segment: Segment,
    /// The segments it is made of, as they were called.
    bases: Vec<Offset>,
    next: Offset,
    generation: u64,
    folder: Option<Folder>,
}

impl Cleaned {
    pub(super) fn new(segment: Segment, bases: Vec<Offset>, next: Offset, generation: u64) -> Self {
        Self { segment, bases, next, generation, folder: None }
    }

    fn base(&self) -> Offset {
        self.segment.base()
    }

    /// Makes durable that the swap has begun. Waits for the disk, without the log's mutex.
    pub fn sync(&self) -> Result<(), LogError> {
        if Mutant::SwapWithoutSync.lives() {
            return Ok(());
        }
        self.folder.as_ref().map_or(Ok(()), Folder::sync)
    }
}

impl Log {
    /// Begins to put a cleaned segment in its place; then call `sync` on it, then `finish_swap`. False if the log has
    /// changed so that it has no place any more.
    pub fn stage_swap(&mut self, cleaned: &mut Cleaned) -> Result<bool, LogError> {
        self.check()?;
        let from = self.folder.with_suffix(CLEANED);
        if self.place_of(cleaned).is_none() {
            Kind::SEGMENT.into_iter().try_for_each(|kind| from.remove(cleaned.base(), kind))?;
            return Ok(false);
        }
        self.guard(|log| {
            let to = log.folder.with_suffix(SWAP);
            log.staged.push(cleaned.base());
            // The log last: with it, all is there.
            for kind in [Kind::OffsetIndex, Kind::TimeIndex, Kind::Log] {
                log.folder.rename(&from.file(cleaned.base(), kind), &to.file(cleaned.base(), kind))?;
            }
            cleaned.folder = Some(log.folder.clone());
            Ok(true)
        })
    }

    /// Puts it there. What it replaces is to be removed later; nothing is, if the log has changed meanwhile.
    pub fn finish_swap(&mut self, cleaned: Cleaned) -> Result<Retired, LogError> {
        self.check()?;
        let Some(place) = self.place_of(&cleaned) else {
            self.guard(Self::drop_staged)?;
            return Ok(Retired::none(&self.folder));
        };
        self.guard(|log| {
            let mut retired = Retired::none(&log.folder);
            for base in &cleaned.bases[1..] {
                for kind in Kind::SEGMENT {
                    retired.add(log.folder.retire(*base, kind)?);
                }
            }
            let from = log.folder.with_suffix(SWAP);
            for kind in [Kind::OffsetIndex, Kind::TimeIndex, Kind::Log] {
                log.folder.rename(&from.file(cleaned.base(), kind), &log.folder.file(cleaned.base(), kind))?;
            }
            log.staged.retain(|base| *base != cleaned.base());
            log.segments.splice(place..place + cleaned.bases.len(), [cleaned.segment]);
            log.names += 1;
            Ok(retired)
        })
    }

    /// Where the segments are that a cleaned one is made of, if they are all there as they were, and closed.
    fn place_of(&self, cleaned: &Cleaned) -> Option<usize> {
        if self.generation != cleaned.generation {
            return None;
        }
        let place = self.segments.iter().position(|segment| segment.base() == cleaned.base())?;
        let after = place + cleaned.bases.len();
        let bases = self.segments.get(place..after)?.iter().map(Segment::base);
        let next = self.segments.get(after)?.base();
        (bases.eq(cleaned.bases.iter().copied()) && next == cleaned.next).then_some(place)
    }

    /// Gives up swaps that were begun: what they were made of is about to change.
    pub(in crate::log) fn drop_staged(&mut self) -> Result<(), LogError> {
        let swaps = self.folder.with_suffix(SWAP);
        for base in std::mem::take(&mut self.staged) {
            for kind in Kind::SEGMENT {
                swaps.remove(base, kind)?;
            }
            self.names += 1;
        }
        Ok(())
    }
}

impl Folder {
    /// Completes the swaps that a crash cut short, whenever it came. Their indexes are made anew.
    pub(in crate::log) fn complete_swaps(&self) -> Result<(), LogError> {
        let swaps = self.with_suffix(SWAP);
        let staged = self.staged()?;
        if staged.is_empty() {
            return Ok(());
        }
        for (base, _) in staged.iter().copied().filter(|(_, kind)| *kind == Kind::Log) {
            self.complete_swap(&swaps, base)?;
        }
        for (base, kind) in staged {
            swaps.remove(base, kind)?; // of a log, it is gone already
        }
        self.sync()
    }

    fn complete_swap(&self, swaps: &Self, base: Offset) -> Result<(), LogError> {
        let path = swaps.file(base, Kind::Log);
        let file = self.disk.open(&path, Open::Read).map_err(LogError::io(&path))?;
        let size = file.len().map_err(LogError::io(&path))?;
        let mut scan = Scan::new(Arc::clone(&file), 0, size);
        let mut next = base;
        while let Some(header) = scan.header().map_err(LogError::io(&path))? {
            let header = header.map_err(|defect| {
                let (path, position) = (path.clone(), scan.position());
                LogError::Corrupt { path, position, what: defect.to_string() }
            })?;
            next = header.next_offset();
            scan.skip(&header);
        }
        for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
            self.remove(base, kind)?;
        }
        for replaced in self.names()?.logs.into_iter().filter(|other| *other > base && *other < next) {
            Kind::SEGMENT.into_iter().try_for_each(|kind| self.remove(replaced, kind))?;
        }
        self.rename(&path, &self.file(base, Kind::Log))
    }
}

//! The second part of a pass: segments are written anew, with what stays of them.
//!
//! Invariants: a `.cleaned` file that is handed on is durable, with its indexes, and ends exactly where the segments
//! end whose place it takes.

use std::collections::BTreeSet;

use super::keys::Keys;
use super::pass::{Piece, Place, Reads, STEP_BYTES, Step};
use super::{Brief, Cleaned};
use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, ProducerId};
use crate::log::folder::{CLEANED, Kind};
use crate::log::segment::Segment;
use crate::log::{LogError, LogOptions};
use crate::record::check::EXPANDED_BYTES_MAX;
use crate::record::{Batch, BatchHeader, RecordError, Unpacked};

/// What is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

pub(super) struct Rewrite {
    keys: Keys,
    /// From here on everything stays as it is.
    end: Offset,
    at: Place,
    group: Option<Group>,
    /// What the group is called that was worked on last.
    unfinished: Option<Offset>,
    /// Producers of which something in a transaction was met since its last end.
    in_transactions: BTreeSet<ProducerId>,
}

/// Segments that become one.
struct Group {
    pieces: Vec<Piece>,
    segment: Segment,
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    written: u64,
}

impl Rewrite {
    pub(super) fn new(keys: Keys, end: Offset) -> Self {
        let at = Place { piece: 0, position: 0 };
        Self { keys, end, at, group: None, unfinished: None, in_transactions: BTreeSet::new() }
    }

    pub(super) fn step(
        &mut self,
        reads: &mut Reads,
        brief: &Brief,
        options: &LogOptions,
        generation: u64,
    ) -> Result<Step, LogError> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => match self.next_group(reads, brief, options)? {
                Some(group) => group,
                None => return Ok(Step::Done { cleaned_to: self.end }),
            },
        };
        self.unfinished = Some(group.pieces[0].base);
        let bytes = self.go_on(reads, brief, options, &mut group)?;
        let last = group.pieces.last().expect("a group has a piece").base;
        let is_whole = reads.pieces.get(self.at.piece).is_none_or(|piece| piece.base > last);
        if is_whole {
            return Ok(Step::Swap(Box::new(group.finish(reads, options, generation)?)));
        }
        self.group = Some(group);
        Ok(Step::More { bytes })
    }

    /// Removes what was written and is of no use.
    pub(super) fn give_up(&self, reads: &Reads) -> Result<(), LogError> {
        self.unfinished.map_or(Ok(()), |base| remove_cleaned(reads, base))
    }

    /// As many of the segments that follow as fit into one.
    fn next_group(&self, reads: &Reads, brief: &Brief, options: &LogOptions) -> Result<Option<Group>, LogError> {
        let rest = reads.pieces.get(self.at.piece..).unwrap_or_default();
        let Some(first) = rest.first().filter(|first| first.base < self.end) else { return Ok(None) };
        let mut size = 0;
        let fits = |piece: &&Piece| {
            size += piece.size;
            let is_near = piece.next.0 - 1 - first.base.0 <= i64::from(i32::MAX);
            let index_bytes = size / u64::from(options.index_interval_bytes.max(1)) * 12;
            let is_small =
                size <= u64::from(options.segment_bytes) && index_bytes <= u64::from(options.index_bytes_max);
            piece.base == first.base || (is_near && is_small && piece.base < self.end)
        };
        let pieces: Vec<Piece> = rest.iter().take_while(fits).copied().collect();
        remove_cleaned(reads, first.base)?; // of a pass that did not come to its end
        let segment = Segment::empty(first.base, brief.now);
        Ok(Some(Group { pieces, segment, waiting: Vec::new(), waiting_bytes: 0, written: 0 }))
    }

    fn go_on(
        &mut self,
        reads: &mut Reads,
        brief: &Brief,
        options: &LogOptions,
        group: &mut Group,
    ) -> Result<u64, LogError> {
        let begin = self.at.position;
        let written = group.written;
        let piece = reads.pieces[self.at.piece];
        let is_last = group.pieces.last() == Some(&piece);
        let mut scan = reads.scan(self.at)?;
        while self.at.position - begin < STEP_BYTES {
            let Some(header) = reads.header(&mut scan, self.at)? else { break };
            let batch = reads.batch(&mut scan, self.at, &header)?;
            let is_end = is_last && self.at.position + header.size() as u64 == piece.size;
            let left = self.judge(&batch, brief, is_end);
            let left = left.map_err(|error| reads.corrupt(self.at, self.at.position, &error))?;
            if let Some(left) = left {
                group.push(left, reads, options)?;
            }
            scan.skip(&header);
            self.at.position = scan.position();
        }
        let read = self.at.position - begin;
        if self.at.position >= piece.size {
            self.at = Place { piece: self.at.piece + 1, position: 0 };
        }
        Ok(read + group.written - written)
    }

    /// What stays of a batch. One that is the `end` of a cleaned segment stays at least as a shell.
    fn judge(&mut self, batch: &Batch, brief: &Brief, is_end: bool) -> Result<Option<Batch>, RecordError> {
        let header = batch.header();
        if header.base_offset >= self.end {
            return Ok(Some(batch.clone()));
        }
        let left = match header.attributes.is_control() {
            true => self.judge_marker(batch, brief)?,
            false => self.judge_records(batch, brief)?,
        };
        let must_stay = is_end || is_last_of_producer(header, brief);
        Ok(left.or_else(|| must_stay.then(|| batch.emptied())))
    }

    /// The end of a transaction stays while anything of it is there, and a horizon longer.
    fn judge_marker(&mut self, marker: &Batch, brief: &Brief) -> Result<Option<Batch>, RecordError> {
        let has_records = self.in_transactions.remove(&marker.header().producer_id);
        if has_records || marker.header().count == 0 {
            return Ok((marker.header().count > 0).then(|| marker.clone()));
        }
        match marker.header().delete_horizon() {
            Some(horizon) if horizon <= brief.now => Ok(None),
            Some(_) => Ok(Some(marker.clone())),
            None => Unpacked::of(marker, EXPANDED_BYTES_MAX)?.keep(Some(horizon(brief)), |_| true).map(Some),
        }
    }

    fn judge_records(&mut self, batch: &Batch, brief: &Brief) -> Result<Option<Batch>, RecordError> {
        let header = batch.header();
        if header.attributes.is_transactional() {
            self.in_transactions.insert(header.producer_id);
            if self.keys.aborted.has(header) {
                return Ok(None);
            }
        }
        if header.count == 0 {
            return Ok(None);
        }
        let unpacked = Unpacked::of(batch, EXPANDED_BYTES_MAX)?;
        let is_past_horizon = header.delete_horizon().is_some_and(|horizon| horizon <= brief.now);
        let map = &self.keys.map;
        let stays = |offset: Offset, key: Option<&[u8]>, has_value: bool| {
            let is_latest = key.is_some_and(|key| map.last(key).is_none_or(|last| offset >= last));
            is_latest && (has_value || !is_past_horizon)
        };
        let (mut kept, mut marks) = (0, 0);
        unpacked.look(|record| {
            let stays = stays(record.offset, record.key, record.has_value);
            kept += i32::from(stays);
            marks += i32::from(stays && !record.has_value);
        })?;
        let needs_horizon = marks > 0 && header.delete_horizon().is_none();
        if kept == 0 {
            return Ok(None);
        }
        if kept == header.count && !needs_horizon {
            return Ok(Some(batch.clone()));
        }
        let horizon = needs_horizon.then(|| horizon(brief));
        unpacked.keep(horizon, |record| stays(record.offset, record.key, record.has_value)).map(Some)
    }
}

fn remove_cleaned(reads: &Reads, base: Offset) -> Result<(), LogError> {
    let cleaned = reads.folder.with_suffix(CLEANED);
    Kind::SEGMENT.into_iter().try_for_each(|kind| cleaned.remove(base, kind))
}

fn horizon(brief: &Brief) -> WallMillis {
    WallMillis(brief.now.0.saturating_add(brief.rules.delete_retention_ms))
}

/// Whether a producer's sequence would be forgotten with this batch.
fn is_last_of_producer(header: &BatchHeader, brief: &Brief) -> bool {
    let known = brief.producers.get(&header.producer_id).filter(|_| header.has_producer());
    known.is_some_and(|last| match last.last_offset {
        Some(offset) => offset == header.last_offset(),
        None => header.attributes.is_control() && header.producer_epoch == last.epoch,
    })
}

impl Group {
    fn push(&mut self, batch: Batch, reads: &Reads, options: &LogOptions) -> Result<(), LogError> {
        self.waiting_bytes += batch.size();
        self.waiting.push(batch);
        if self.waiting_bytes >= WRITE_BYTES { self.write(reads, options) } else { Ok(()) }
    }

    fn write(&mut self, reads: &Reads, options: &LogOptions) -> Result<(), LogError> {
        self.segment.write(&reads.folder.with_suffix(CLEANED), &self.waiting, options)?;
        self.written += self.waiting_bytes as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    fn finish(mut self, reads: &Reads, options: &LogOptions, generation: u64) -> Result<Cleaned, LogError> {
        self.write(reads, options)?;
        self.segment.seal_durably(&reads.folder.with_suffix(CLEANED))?;
        self.segment.release(true);
        let bases = self.pieces.iter().map(|piece| piece.base).collect();
        let next = self.pieces.last().expect("a group has a piece").next;
        Ok(Cleaned::new(self.segment, bases, next, generation))
    }
}

//! The first part of a pass: the last offset of every key in the dirty part.
//!
//! A record of a transaction counts only when its end says that it was committed: an aborted one must not shadow what
//! was there before. Below the bound of a pass every transaction has ended; but where the memory for keys ends first,
//! the pass ends before the first transaction whose end it has not seen.

use std::collections::BTreeMap;

use super::offset_map::OffsetMap;
use super::pass::{Place, Reads, STEP_BYTES};
use super::{Brief, Dirt};
use crate::base::ids::{Offset, ProducerId};
use crate::log::LogError;
use crate::record::check::EXPANDED_BYTES_MAX;
use crate::record::{Batch, BatchHeader, EndTxnMarker, TxnOutcome, Unpacked};

pub(super) struct Keys {
    from: Offset,
    until: Offset,
    pub map: OffsetMap,
    pub aborted: Aborted,
    /// Batches of transactions whose end has not been seen.
    undecided: BTreeMap<ProducerId, Vec<(Offset, Place)>>,
    at: Place,
    end: Option<Offset>,
}

/// Where which producer's transactions were given up.
#[derive(Default)]
pub(super) struct Aborted(BTreeMap<ProducerId, Vec<(Offset, Offset)>>);

impl Aborted {
    /// Whether a batch of a transaction was given up.
    pub(super) fn has(&self, header: &BatchHeader) -> bool {
        let spans = self.0.get(&header.producer_id);
        let within = |(first, marker): &(Offset, Offset)| (*first..*marker).contains(&header.base_offset);
        spans.is_some_and(|spans| spans.iter().any(within))
    }
}

impl Keys {
    pub(super) fn new(reads: &Reads, dirt: &Dirt, brief: &Brief) -> Self {
        let keys = usize::try_from(dirt.until.0 - dirt.from.0).unwrap_or(usize::MAX);
        let first = reads.pieces.iter().position(|piece| piece.next > dirt.from);
        Self {
            from: dirt.from,
            until: dirt.until,
            map: OffsetMap::new(brief.key_bytes_max, keys),
            aborted: Aborted::default(),
            undecided: BTreeMap::new(),
            at: Place { piece: first.unwrap_or(reads.pieces.len()), position: 0 },
            end: None,
        }
    }

    pub(super) fn from(&self) -> Offset {
        self.from
    }

    /// Up to where the keys are known, once all that can be is.
    pub(super) fn end(&self) -> Option<Offset> {
        self.end
    }

    /// Reads on; says how many bytes that were.
    pub(super) fn step(&mut self, reads: &mut Reads) -> Result<u64, LogError> {
        if self.at.piece >= reads.pieces.len() {
            self.end = Some(self.until);
            return Ok(0);
        }
        let begin = self.at.position;
        let mut scan = reads.scan(self.at)?;
        while self.end.is_none() && self.at.position - begin < STEP_BYTES {
            let Some(header) = reads.header(&mut scan, self.at)? else {
                let bytes = self.at.position - begin;
                self.at = Place { piece: self.at.piece + 1, position: 0 };
                return Ok(bytes);
            };
            if header.next_offset() > self.from {
                let batch = reads.batch(&mut scan, self.at, &header)?;
                self.take(reads, &batch)?;
            }
            scan.skip(&header);
            self.at.position = scan.position();
        }
        Ok(self.at.position - begin)
    }

    fn take(&mut self, reads: &mut Reads, batch: &Batch) -> Result<(), LogError> {
        let header = batch.header();
        if header.attributes.is_control() {
            return self.decide(reads, batch);
        }
        let undecided: usize = self.undecided.values().map(Vec::len).sum();
        if self.map.room() < header.count as usize || undecided >= UNDECIDED_BATCHES_MAX {
            self.stop(header.base_offset);
        } else if header.attributes.is_transactional() {
            self.undecided.entry(header.producer_id).or_default().push((header.base_offset, self.at));
        } else {
            self.put(reads, batch, self.at)?;
        }
        Ok(())
    }

    /// A transaction has ended: its records count, or they never will.
    fn decide(&mut self, reads: &mut Reads, marker: &Batch) -> Result<(), LogError> {
        let producer = marker.header().producer_id;
        let batches = self.undecided.remove(&producer).unwrap_or_default();
        let Some(&(first, _)) = batches.first() else { return Ok(()) };
        let outcome = EndTxnMarker::of(marker).map(|marker| marker.outcome);
        if outcome == Some(TxnOutcome::Abort) {
            let spans = self.aborted.0.entry(producer).or_default();
            spans.push((first, marker.header().base_offset));
            return Ok(());
        }
        for (offset, place) in batches {
            let mut scan = reads.scan(place)?;
            let Some(header) = reads.header(&mut scan, place)? else { continue };
            if self.map.room() < header.count as usize {
                self.stop(offset);
                return Ok(());
            }
            let batch = reads.batch(&mut scan, place, &header)?;
            self.put(reads, &batch, place)?;
        }
        Ok(())
    }

    fn put(&mut self, reads: &Reads, batch: &Batch, place: Place) -> Result<(), LogError> {
        let map = &mut self.map;
        let put = |unpacked: Unpacked| {
            unpacked.look(|record| {
                if let Some(key) = record.key {
                    map.put(key, record.offset);
                }
            })
        };
        let looked = Unpacked::of(batch, EXPANDED_BYTES_MAX).and_then(put);
        looked.map_err(|error| reads.corrupt(place, place.position, &error))
    }

    /// No more fits: the pass ends here, or before a transaction that is not decided here.
    fn stop(&mut self, at: Offset) {
        let open = self.undecided.values().filter_map(|batches| batches.first()).map(|(first, _)| *first).min();
        self.end = Some(open.map_or(at, |open| open.min(at)).max(self.from));
    }
}

/// Batches of open transactions that a pass remembers.
const UNDECIDED_BATCHES_MAX: usize = 100_000;

//! Producer snapshots, `<offset>.snapshot`: what was known of producers before an offset, in Kafka's format.
//!
//! ```text
//!  version: i16 = 1, CRC-32C of the rest: u32, count: i32, then for each producer
//!  id: i64, epoch: i16, last sequence: i32, last offset: i64, offset delta: i32, timestamp: i64,
//!  coordinator epoch: i32, first offset of the open transaction: i64
//! ```
//!
//! A snapshot only saves work: one that is damaged is passed over for an older one.

use bytes::{Buf, BufMut};

use super::folder::Kind;
use super::segment::Segment;
use super::{Log, LogError};
use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, ProducerEpoch, ProducerId};

const VERSION: i16 = 1;
const HEAD_LEN: usize = 2 + 4;
const ENTRY_LEN: usize = 46;

/// What is remembered of a producer: its last batch, and the transaction that it has open here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// -1 when only a marker is known.
    pub last_sequence: i32,
    pub last_offset: Offset,
    /// Of the last batch: last offset less first.
    pub offset_delta: i32,
    pub timestamp: WallMillis,
    pub coordinator_epoch: i32,
    pub txn_start: Option<Offset>,
}

impl Log {
    /// Writes what is known of producers up to the end of the log, so that a recovery need not read what is before.
    pub fn write_snapshot(&mut self, producers: &[ProducerEntry]) -> Result<(), LogError> {
        self.check()?;
        let at = self.log_end;
        self.since_snapshot = 0; // if this one fails, it is the next one's turn
        let path = self.folder.file(at, Kind::Snapshot);
        self.guard(|log| log.folder.replace(&path, &encode(producers)).map(drop))?;
        if self.snapshots.last() != Some(&at) {
            self.snapshots.push(at);
        }
        // The first in each segment is for truncations; of the others the last two will do.
        let recent = self.snapshots.iter().rev().nth(1).copied().unwrap_or(at);
        let in_segments = self.segments.iter().map(|segment| {
            let first = self.snapshots.partition_point(|at| *at < segment.base());
            self.snapshots.get(first).copied().unwrap_or(at)
        });
        let kept: Vec<Offset> = in_segments.collect();
        self.guard(|log| log.remove_snapshots(|at| at < recent && kept.binary_search(&at).is_err()))
    }

    /// The newest snapshot that is whole, and where it was taken.
    pub(super) fn latest_snapshot(&self) -> Result<Option<(Offset, Vec<ProducerEntry>)>, LogError> {
        for &at in self.snapshots.iter().rev() {
            let path = self.folder.file(at, Kind::Snapshot);
            let bytes = self.folder.disk.read(&path).map_err(LogError::io(path))?;
            if let Some(producers) = bytes.as_deref().and_then(decode) {
                return Ok(Some((at, producers)));
            }
        }
        Ok(None)
    }

    /// Removes those that batches no longer lead on from: what they say of producers is out of date.
    pub(super) fn remove_snapshots_outside(&mut self) -> Result<(), LogError> {
        let (first, end) = (self.segments.first().map_or(self.log_start, Segment::base), self.log_end);
        self.remove_snapshots(|at| at < first || at > end)
    }

    pub(super) fn remove_snapshots(&mut self, gone: impl Fn(Offset) -> bool) -> Result<(), LogError> {
        for at in self.snapshots.iter().copied().filter(|at| gone(*at)) {
            self.folder.remove(at, Kind::Snapshot)?;
            self.names += 1;
        }
        self.snapshots.retain(|at| !gone(*at));
        Ok(())
    }
}

fn encode(producers: &[ProducerEntry]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + producers.len() * ENTRY_LEN);
    body.put_i32(producers.len() as i32);
    for producer in producers {
        body.put_i64(producer.id.0);
        body.put_i16(producer.epoch.0);
        body.put_i32(producer.last_sequence);
        body.put_i64(producer.last_offset.0);
        body.put_i32(producer.offset_delta);
        body.put_i64(producer.timestamp.0);
        body.put_i32(producer.coordinator_epoch);
        body.put_i64(producer.txn_start.map_or(-1, |offset| offset.0));
    }
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.put_i16(VERSION);
    bytes.put_u32(crc32c::crc32c(&body));
    bytes.extend(body);
    bytes
}

/// The producers of a snapshot that is whole.
fn decode(bytes: &[u8]) -> Option<Vec<ProducerEntry>> {
    let (mut head, mut body) = bytes.split_at_checked(HEAD_LEN)?;
    if head.get_i16() != VERSION || head.get_u32() != crc32c::crc32c(body) {
        return None;
    }
    let count = body.try_get_i32().ok()?;
    if body.len() != usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)? {
        return None;
    }
    Some(body.chunks_exact(ENTRY_LEN).map(decode_entry).collect())
}

fn decode_entry(mut bytes: &[u8]) -> ProducerEntry {
    ProducerEntry {
        id: ProducerId(bytes.get_i64()),
        epoch: ProducerEpoch(bytes.get_i16()),
        last_sequence: bytes.get_i32(),
        last_offset: Offset(bytes.get_i64()),
        offset_delta: bytes.get_i32(),
        timestamp: WallMillis(bytes.get_i64()),
        coordinator_epoch: bytes.get_i32(),
        txn_start: Some(Offset(bytes.get_i64())).filter(|offset| offset.0 >= 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_survives_and_damage_to_it_is_seen() {
        let one = ProducerEntry {
            id: ProducerId(7),
            epoch: ProducerEpoch(1),
            last_sequence: 41,
            last_offset: Offset(99),
            offset_delta: 9,
            timestamp: WallMillis(1_700_000_000_000),
            coordinator_epoch: -1,
            txn_start: None,
        };
        let producers = [one, ProducerEntry { id: ProducerId(8), txn_start: Some(Offset(3)), ..one }];
        let bytes = encode(&producers);
        assert_eq!(decode(&bytes).as_deref(), Some(&producers[..]));
        assert_eq!(decode(&encode(&[])), Some(vec![]));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
    }
}

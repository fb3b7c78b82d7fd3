//! Rebuilding a batch of some of its records: what compaction leaves of it.
//!
//! Invariants: offsets stay what they were, the batch's own and those of its records; so do producer and sequence, as
//! if nothing had gone. Only a batch that gets a delete horizon has its timestamps written anew, against another base.

use bytes::Bytes;

use super::RecordError;
use super::batch::{Batch, BatchHeader, Codec, NO_TIMESTAMP};
use super::compression::Compression;
use super::records::RawRecord;
use super::varint;
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;

/// A batch whose records can be walked, whether it came compressed or not.
pub struct Unpacked {
    header: BatchHeader,
    body: Bytes,
}

/// A record, as far as compaction looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance<'a> {
    pub offset: Offset,
    pub key: Option<&'a [u8]>,
    /// Without a value, a record says that its key is deleted.
    pub has_value: bool,
}

impl Unpacked {
    /// Decompresses a batch, if it must be; refused if that makes more than `most` bytes.
    pub fn of(batch: &Batch, most: usize) -> Result<Self, RecordError> {
        Ok(Self { header: *batch.header(), body: batch.opened_body(most)? })
    }

    /// Looks at each record in turn.
    pub fn look(&self, mut at: impl FnMut(Glance<'_>)) -> Result<(), RecordError> {
        self.walk(|record| at(self.glance(record)))
    }

    /// The batch of those records only for which `keep` is true, packed as it was; with a horizon, if there is one.
    pub fn keep(
        &self,
        horizon: Option<WallMillis>,
        mut keep: impl FnMut(Glance<'_>) -> bool,
    ) -> Result<Batch, RecordError> {
        let mut header = BatchHeader { count: 0, max_timestamp: NO_TIMESTAMP, ..self.header };
        if let Some(horizon) = horizon {
            header.base_timestamp = horizon;
            header.attributes = header.attributes.with_delete_horizon();
        }
        let mut body = Vec::with_capacity(self.body.len());
        self.walk(|record| {
            if !keep(self.glance(record)) {
                return;
            }
            let timestamp = WallMillis(self.header.base_timestamp.0.wrapping_add(record.timestamp_delta));
            match horizon {
                None => body.extend_from_slice(record.whole),
                Some(horizon) => put(&mut body, timestamp.0.wrapping_sub(horizon.0), record.after_timestamp),
            }
            header.count += 1;
            header.max_timestamp = header.max_timestamp.max(timestamp);
        })?;
        if header.attributes.has_append_time() {
            header.max_timestamp = self.header.max_timestamp;
        }
        let codec = header.attributes.codec()?;
        Ok(Batch::packed(header, Bytes::from(body), Compression::of(codec)))
    }

    fn walk(&self, mut take: impl FnMut(&RawRecord<'_>)) -> Result<(), RecordError> {
        let mut rest = &self.body[..];
        for record in 0..self.header.count {
            take(&RawRecord::take(&mut rest).map_err(|what| RecordError::Malformed { record, what })?);
        }
        Ok(())
    }

    fn glance<'a>(&self, record: &RawRecord<'a>) -> Glance<'a> {
        let offset = self.header.base_offset.plus(i64::from(record.offset_delta));
        Glance { offset, key: record.key, has_value: record.value.is_some() }
    }
}

impl Batch {
    /// The batch without records: its offsets, and how far its producer has come, are all it still says.
    pub fn emptied(&self) -> Self {
        let attributes = self.header().attributes.without_delete_horizon();
        let header = BatchHeader { count: 0, base_timestamp: NO_TIMESTAMP, attributes, ..*self.header() };
        Self::packed(header, Bytes::new(), Compression::of(Codec::None))
    }
}

/// A record, up to its timestamp written anew.
fn put(body: &mut Vec<u8>, timestamp_delta: i64, after_timestamp: &[u8]) {
    let length = 1 + varint::size(timestamp_delta) + after_timestamp.len();
    varint::put_i64(body, length as i64);
    body.push(0); // attributes, of which there are none
    varint::put_i64(body, timestamp_delta);
    body.extend_from_slice(after_timestamp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
    use crate::record::{BatchBuilder, Record};

    const MOST: usize = 1 << 20;

    fn batch(codec: Codec) -> Batch {
        let mut batch = BatchBuilder::idempotent(ProducerId(4), ProducerEpoch(1), 17)
            .record(WallMillis(1_000), Some(b"a"), Some(b"one"), &[("h", Some(b"x"))])
            .record(WallMillis(3_000), Some(b"b"), None, &[])
            .record(WallMillis(2_000), None, Some(b"three"), &[])
            .build()
            .repacked(Compression::of(codec), MOST)
            .expect("sound");
        batch.assign(Offset(100), LeaderEpoch(3));
        batch
    }

    fn records(batch: &Batch) -> Vec<Record> {
        batch.opened(MOST).expect("sound").collect::<Result<_, _>>().expect("sound")
    }

    #[test]
    fn what_is_kept_is_what_it_was() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for horizon in [None, Some(WallMillis(90_000_000))] {
                let batch = batch(codec);
                let unpacked = Unpacked::of(&batch, MOST).expect("sound");
                let kept = unpacked.keep(horizon, |record| record.offset != Offset(101)).expect("sound");
                kept.verify().expect("its checksum is its own");
                let all = records(&batch);
                assert_eq!(records(&kept), [all[0].clone(), all[2].clone()], "{codec:?}");
                let (was, is) = (batch.header(), kept.header());
                assert_eq!((is.base_offset, is.last_offset_delta, is.leader_epoch), (Offset(100), 2, LeaderEpoch(3)));
                assert_eq!((is.producer_id, is.base_sequence, is.count), (was.producer_id, 17, 2));
                assert_eq!((is.max_timestamp, is.delete_horizon()), (WallMillis(2_000), horizon), "{codec:?}");
                assert_eq!(is.attributes.codec(), Ok(codec));
            }
        }
    }

    #[test]
    fn a_horizon_stays_when_more_records_go() {
        let horizon = Some(WallMillis(90_000_000));
        let marked = Unpacked::of(&batch(Codec::Zstd), MOST).expect("sound").keep(horizon, |_| true).expect("sound");
        let less = Unpacked::of(&marked, MOST).expect("sound").keep(None, |record| record.has_value).expect("sound");
        assert_eq!(less.header().delete_horizon(), horizon);
        assert_eq!(records(&less).iter().map(|record| record.timestamp.0).collect::<Vec<_>>(), [1_000, 2_000]);
    }

    #[test]
    fn an_emptied_batch_keeps_its_place_and_its_producer() {
        let empty = batch(Codec::Lz4).emptied();
        empty.verify().expect("its checksum is its own");
        let header = empty.header();
        assert_eq!((header.base_offset, header.next_offset(), header.count), (Offset(100), Offset(103), 0));
        assert_eq!((header.producer_id, header.base_sequence), (ProducerId(4), 17));
        assert_eq!((header.max_timestamp, empty.size()), (WallMillis(3_000), crate::record::HEADER_LEN));
        assert_eq!(records(&empty), []);
    }
}

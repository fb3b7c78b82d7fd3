//! One batch: its header as values, its bytes as they came.
//!
//! Invariants: a [`Batch`] is exactly as long as its header says, and has magic 2. Whether its checksum holds is for
//! `check` to say. Its records are never copied: the leader's changes go into a fresh header before the same bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::RecordError;
use super::compression::{Compression, compress, decompress};
use super::records::Records;
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// How long a header is.
pub const HEADER_LEN: usize = 61;

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: WallMillis = WallMillis(-1);

/// Base offset and length: what the length does not count.
const PREFIX_LEN: usize = 12;
const MAGIC_AT: usize = 16;
const CHECKED_FROM: usize = 21;
const MAGIC: u8 = 2;

/// The header of a batch, as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// The length as it is written: of everything but the first twelve bytes.
    pub length: i32,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: WallMillis,
    pub max_timestamp: WallMillis,
    /// -1 when the producer is neither idempotent nor transactional.
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`. What it says may still be wrong, but for magic and a length that can
    /// hold a header.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.get(MAGIC_AT).copied() {
            Some(MAGIC) | None => {}
            Some(old @ (0 | 1)) => return Err(RecordError::OldFormat(old)),
            Some(unknown) => return Err(RecordError::UnknownFormat(unknown)),
        }
        let Some(mut head) = bytes.get(..HEADER_LEN) else {
            return Err(RecordError::Truncated { needed: HEADER_LEN, there: bytes.len() });
        };
        let base_offset = Offset(head.get_i64());
        let length = head.get_i32();
        let leader_epoch = LeaderEpoch(head.get_i32());
        head.advance(1);
        let header = Self {
            base_offset,
            length,
            leader_epoch,
            crc: head.get_u32(),
            attributes: Attributes(head.get_i16()),
            last_offset_delta: head.get_i32(),
            base_timestamp: WallMillis(head.get_i64()),
            max_timestamp: WallMillis(head.get_i64()),
            producer_id: ProducerId(head.get_i64()),
            producer_epoch: ProducerEpoch(head.get_i16()),
            base_sequence: head.get_i32(),
            count: head.get_i32(),
        };
        if length < (HEADER_LEN - PREFIX_LEN) as i32 {
            return Err(RecordError::Length(length));
        }
        Ok(header)
    }

    /// The header as bytes.
    pub fn encode(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(HEADER_LEN);
        head.put_i64(self.base_offset.0);
        head.put_i32(self.length);
        head.put_i32(self.leader_epoch.0);
        head.put_u8(MAGIC);
        head.put_u32(self.crc);
        head.put_i16(self.attributes.0);
        head.put_i32(self.last_offset_delta);
        head.put_i64(self.base_timestamp.0);
        head.put_i64(self.max_timestamp.0);
        head.put_i64(self.producer_id.0);
        head.put_i16(self.producer_epoch.0);
        head.put_i32(self.base_sequence);
        head.put_i32(self.count);
        head.freeze()
    }

    /// How many bytes the whole batch has, header and all.
    pub fn size(&self) -> usize {
        PREFIX_LEN + self.length as usize
    }

    /// The offset of the last record. Saturates: a header off the disk may hold anything.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset of what follows the batch.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// When what marks a key as deleted may go itself: compaction writes it where the base timestamp was.
    pub fn delete_horizon(&self) -> Option<WallMillis> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }
}

/// The attributes of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    pub fn codec(self) -> Result<Codec, RecordError> {
        match self.0 & Self::CODEC {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            unknown => Err(RecordError::UnknownCodec(unknown as u8)),
        }
    }

    /// Whether the timestamps are the time of the append and not the producer's.
    pub fn has_append_time(self) -> bool {
        self.0 & Self::APPEND_TIME != 0
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    pub(super) fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    pub(super) fn without_delete_horizon(self) -> Self {
        Self(self.0 & !Self::DELETE_HORIZON)
    }

    pub(super) fn with_codec(self, codec: Codec) -> Self {
        let number = match codec {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        };
        Self(self.0 & !Self::CODEC | number)
    }

    pub(super) fn with_append_time(self) -> Self {
        Self(self.0 | Self::APPEND_TIME)
    }

    pub(super) fn with_transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    pub(super) fn with_control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }
}

/// How the records of a batch are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// A whole batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    header: BatchHeader,
    head: Bytes,
    body: Bytes,
}

impl Batch {
    /// Splits the first batch off the front of `bytes`, without copying.
    pub fn split_from(bytes: &mut Bytes) -> Result<Self, RecordError> {
        let header = BatchHeader::parse(bytes)?;
        if bytes.len() < header.size() {
            return Err(RecordError::Truncated { needed: header.size(), there: bytes.len() });
        }
        let mut head = bytes.split_to(header.size());
        let body = head.split_off(HEADER_LEN);
        Ok(Self { header, head, body })
    }

    /// A batch of this header and these records; length and checksum are filled in.
    pub(super) fn seal(header: BatchHeader, body: Bytes) -> Self {
        let length = i32::try_from(body.len() + HEADER_LEN - PREFIX_LEN).expect("a builder stays below 2 GiB");
        let mut batch = Self { header: BatchHeader { length, ..header }, head: Bytes::new(), body };
        batch.reseal();
        batch
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// How many bytes the batch has.
    pub fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The bytes of the batch, one after the other: the header, and everything behind it.
    pub fn parts(&self) -> [&Bytes; 2] {
        [&self.head, &self.body]
    }

    /// The records, which must not be compressed.
    pub fn records(&self) -> Result<Records, RecordError> {
        Records::of(&self.header, &self.body)
    }

    /// The records, decompressed if they must be; refused if that makes more than `most` bytes.
    pub fn opened(&self, most: usize) -> Result<Records, RecordError> {
        Ok(Records::over(&self.header, &self.opened_body(most)?))
    }

    /// The records as bytes, decompressed if they must be.
    pub(super) fn opened_body(&self, most: usize) -> Result<Bytes, RecordError> {
        match self.header.attributes.codec()? {
            Codec::None => Ok(self.body.clone()),
            codec => decompress(codec, &self.body, most).map(Bytes::from),
        }
    }

    /// The same records in another packing.
    pub fn repacked(&self, compression: Compression, most: usize) -> Result<Self, RecordError> {
        Ok(Self::packed(self.header, self.opened_body(most)?, compression))
    }

    /// A batch of this header and these records, which are not compressed yet.
    pub(super) fn packed(header: BatchHeader, body: Bytes, compression: Compression) -> Self {
        let attributes = header.attributes.with_codec(compression.codec);
        let body = match compression.codec {
            Codec::None => body,
            _ => Bytes::from(compress(compression, &body)),
        };
        Self::seal(BatchHeader { attributes, ..header }, body)
    }

    /// Whether the bytes are those the checksum was made of.
    pub fn verify(&self) -> Result<(), RecordError> {
        let computed = self.checksum();
        if computed != self.header.crc {
            return Err(RecordError::Crc { stored: self.header.crc, computed });
        }
        Ok(())
    }

    /// Gives the batch its place in a partition. Both fields are outside the checksum.
    pub fn assign(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self.head = self.header.encode();
    }

    /// Makes `now` the time of every record, for topics with `message.timestamp.type=LogAppendTime`.
    pub fn stamp(&mut self, now: WallMillis) {
        self.header.attributes = self.header.attributes.with_append_time();
        self.header.max_timestamp = now;
        self.reseal();
    }

    /// Numbers the records for an idempotent producer that sends them once more as new ones.
    pub fn number(&mut self, base_sequence: i32) {
        self.header.base_sequence = base_sequence;
        self.reseal();
    }

    /// Corrects the largest timestamp; the time index and retention rely on it.
    pub(super) fn correct_max_timestamp(&mut self, max_timestamp: WallMillis) {
        self.header.max_timestamp = max_timestamp;
        self.reseal();
    }

    fn reseal(&mut self) {
        self.head = self.header.encode();
        self.header.crc = self.checksum();
        self.head = self.header.encode();
    }

    fn checksum(&self) -> u32 {
        let head = self.head.get(CHECKED_FROM..).expect("a head is a whole header");
        crc32c::crc32c_append(crc32c::crc32c(head), &self.body)
    }
}

#[cfg(test)]
mod tests;

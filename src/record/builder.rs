//! Makes batches, uncompressed: our client's, the coordinators', transaction markers.

use bytes::Bytes;

use super::batch::{Attributes, Batch, BatchHeader, NO_TIMESTAMP};
use super::varint;
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Collects the records of one batch. Offsets count from 0, as a client sends them; a leader assigns the rest.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    body: Vec<u8>,
}

impl BatchBuilder {
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: Offset(0),
            length: 0,
            leader_epoch: LeaderEpoch(-1),
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: ProducerId(-1),
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            count: 0,
        };
        Self { header, body: Vec::new() }
    }

    /// The batch of an idempotent producer.
    pub fn idempotent(id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        let mut builder = Self::new();
        builder.header.producer_id = id;
        builder.header.producer_epoch = epoch;
        builder.header.base_sequence = base_sequence;
        builder
    }

    /// The batch of a transactional producer.
    pub fn transactional(id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        let mut builder = Self::idempotent(id, epoch, base_sequence);
        builder.header.attributes = builder.header.attributes.with_transactional();
        builder
    }

    /// A control batch about a producer; see [`super::EndTxnMarker`].
    pub(super) fn control(id: ProducerId, epoch: ProducerEpoch) -> Self {
        let mut builder = Self::transactional(id, epoch, -1);
        builder.header.attributes = builder.header.attributes.with_control();
        builder
    }

    /// Adds a record.
    #[must_use]
    pub fn record(
        mut self,
        timestamp: WallMillis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Self {
        self.push(timestamp, key, value, headers);
        self
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        timestamp: WallMillis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.header.count == 0 {
            self.header.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.header.base_timestamp.0);
        let offset_delta = self.header.count;
        let bytes_len = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len());
        let headers_len: usize =
            headers.iter().map(|(key, value)| bytes_len(Some(key.as_bytes())) + bytes_len(*value)).sum();
        let len = 1 // attributes
            + varint::size(timestamp_delta)
            + varint::size(i64::from(offset_delta))
            + bytes_len(key)
            + bytes_len(value)
            + varint::size(headers.len() as i64)
            + headers_len;

        varint::put_i64(&mut self.body, len as i64);
        self.body.push(0);
        varint::put_i64(&mut self.body, timestamp_delta);
        varint::put_i32(&mut self.body, offset_delta);
        self.put_nullable(key);
        self.put_nullable(value);
        varint::put_i64(&mut self.body, headers.len() as i64);
        for (key, value) in headers {
            self.put_nullable(Some(key.as_bytes()));
            self.put_nullable(*value);
        }
        self.header.count += 1;
        self.header.last_offset_delta += 1;
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
    }

    /// How many records there are.
    pub fn count(&self) -> i32 {
        self.header.count
    }

    /// How many bytes the batch has so far.
    pub fn size(&self) -> usize {
        super::HEADER_LEN + self.body.len()
    }

    pub fn build(self) -> Batch {
        assert!(self.header.count > 0, "a batch is built of at least one record");
        Batch::seal(self.header, Bytes::from(self.body))
    }

    fn put_nullable(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                varint::put_i64(&mut self.body, bytes.len() as i64);
                self.body.extend_from_slice(bytes);
            }
            None => varint::put_i64(&mut self.body, -1),
        }
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;

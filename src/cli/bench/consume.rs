//! Fetches all partitions of a connection from their beginning, and from there again when their ends are reached.
//!
//! Each batch must follow the one before it, and its checksum must hold.

use bytes::{Bytes, BytesMut};

use super::driver::{Done, Trouble, Work};
use crate::base::ids::{Offset, PartitionIndex};
use crate::record::{Batch, RecordError};
use crate::wire::header::ResponseHeader;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use crate::wire::{ApiKey, Frame, Message, Records, RequestHeader, Text, Writer};

/// It names topics by name, and every Kafka speaks it.
const VERSION: i16 = 4;
const ANSWER_BYTES: i32 = 50 * 1024 * 1024;
const PARTITION_BYTES: i32 = 1024 * 1024;
const WAIT_MS: i32 = 500;

/// The consumer on one connection.
pub(super) struct Consuming {
    topic: Text,
    /// Where each partition is to be read on.
    next: Vec<(PartitionIndex, Offset)>,
    writer: Writer,
    frame: BytesMut,
}

impl Consuming {
    pub(super) fn new(topic: &Text, partitions: &[PartitionIndex]) -> Self {
        let next = partitions.iter().map(|partition| (*partition, Offset(0))).collect();
        Self { topic: topic.clone(), next, writer: Writer::new(), frame: BytesMut::new() }
    }

    fn request(&self) -> FetchRequest {
        let wanted = |(partition, offset): &(PartitionIndex, Offset)| FetchPartition {
            partition: partition.0,
            fetch_offset: offset.0,
            partition_max_bytes: PARTITION_BYTES,
            ..Default::default()
        };
        let partitions = self.next.iter().map(wanted).collect();
        let topic = FetchTopic { topic: self.topic.clone(), partitions, ..Default::default() };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: ANSWER_BYTES,
            topics: vec![topic],
            ..Default::default()
        }
    }
}

impl Work for Consuming {
    fn ask(&mut self, correlation_id: i32) -> &[u8] {
        let header = RequestHeader {
            api: ApiKey::Fetch,
            version: VERSION,
            correlation_id,
            client_id: Some(Text::from_static("dohle-bench")),
            tagged_fields: Default::default(),
        };
        let request = self.request();
        let frame = Frame::request(&mut self.writer, &header, &request).expect("a request of our own can be written");
        self.frame.clear();
        frame.segments().for_each(|segment| self.frame.extend_from_slice(segment.bytes()));
        &self.frame
    }

    fn judge(&mut self, answer: Bytes) -> Result<Done, Trouble> {
        let (_, answer) = ResponseHeader::decode(ApiKey::Fetch, VERSION, answer)?;
        let answer = FetchResponse::decode(VERSION, answer)?;
        let mut done = Done { records: 0, bytes: 0 };
        for part in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let known = self.next.iter_mut().find(|(partition, _)| partition.0 == part.partition_index);
            let Some((partition, next)) = known else { continue };
            let read = read(*partition, *next, part)?;
            done.records += (read.next.0 - next.0) as u64;
            done.bytes += read.bytes;
            *next = if read.next.0 >= part.high_watermark { Offset(0) } else { read.next };
        }
        Ok(done)
    }
}

/// How far one partition's part of an answer goes.
struct Read {
    next: Offset,
    bytes: u64,
}

fn read(partition: PartitionIndex, from: Offset, part: &PartitionData) -> Result<Read, Trouble> {
    if part.error_code.is_error() {
        return Err(Trouble::Refused { partition, code: part.error_code });
    }
    let broken = |cause| Trouble::Broken { partition, cause };
    let mut read = Read { next: from, bytes: 0 };
    let mut records = part.records.as_ref().map(Records::bytes).cloned().unwrap_or_default();
    while !records.is_empty() {
        let batch = match Batch::split_from(&mut records) {
            Ok(batch) => batch,
            Err(RecordError::Truncated { .. }) => break, // the last one may be cut off, as in Kafka
            Err(cause) => return Err(broken(cause)),
        };
        batch.verify().map_err(broken)?;
        let header = batch.header();
        // The first may begin before what was asked for, but must reach it.
        if header.base_offset > read.next || header.next_offset() <= read.next {
            return Err(Trouble::Misplaced { partition, came: header.base_offset.0, due: read.next.0 });
        }
        read.next = header.next_offset();
        read.bytes += batch.size() as u64;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::WallMillis;
    use crate::record::BatchBuilder;

    fn batches(offsets: &[i64]) -> Vec<u8> {
        let batch = |offset: &i64| {
            let mut batch = BatchBuilder::new().record(WallMillis(1), None, Some(b"x"), &[]).build();
            batch.assign(Offset(*offset), crate::base::ids::LeaderEpoch(0));
            batch.parts().map(|part| part.to_vec()).concat()
        };
        offsets.iter().flat_map(batch).collect()
    }

    fn reading(records: Vec<u8>) -> Result<Read, Trouble> {
        let part = PartitionData { records: Some(records.into()), high_watermark: 10, ..Default::default() };
        read(PartitionIndex(0), Offset(4), &part)
    }

    #[test]
    fn batches_must_follow_each_other_and_be_whole() {
        assert_eq!(reading(batches(&[4, 5, 6])).unwrap().next, Offset(7));
        assert!(matches!(reading(batches(&[4, 6])), Err(Trouble::Misplaced { came: 6, due: 5, .. })));
        assert!(matches!(reading(batches(&[3, 4])), Err(Trouble::Misplaced { came: 3, due: 4, .. })));
        let mut bent = batches(&[4]);
        *bent.last_mut().unwrap() ^= 1;
        assert!(matches!(reading(bent), Err(Trouble::Broken { .. })));
        let cut = batches(&[4, 5]);
        assert_eq!(reading(cut[..cut.len() - 1].to_vec()).unwrap().next, Offset(5));
    }
}

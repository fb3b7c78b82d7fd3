//! Requests that are made once, one for each partition, and sent again and again.
//!
//! What changes from one to the next is written into the frame that is there: the correlation id, and for an idempotent
//! producer the batch's sequence number and with it the checksum. Each answer must place its batch exactly behind the
//! one before: nobody else writes to the topic.

use std::collections::VecDeque;

use bytes::Bytes;

use super::driver::{Done, Trouble, Work};
use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use crate::client::{ClientError, Cluster};
use crate::record::{Batch, BatchBuilder};
use crate::wire::header::ResponseHeader;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use crate::wire::{ApiKey, Frame, Message, RequestHeader, Text, Writer};

/// How long a broker may take for each request, as it is told.
const TIMEOUT_MS: i32 = 30_000;

/// Where the correlation id is in a frame: behind length, api key and version.
const CORRELATION_AT: usize = 8;

/// What the requests look like.
pub(super) struct Shape {
    pub(super) topic: Text,
    pub(super) id: TopicId,
    pub(super) producer: Option<(ProducerId, ProducerEpoch)>,
    pub(super) version: i16,
    pub(super) acks: i16,
    pub(super) records: u32,
    pub(super) record_bytes: usize,
    pub(super) now: WallMillis,
}

/// Asks for the identity of an idempotent producer.
pub(super) async fn identity(cluster: &Cluster) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let request = InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
    let answer = cluster.ask(&request, super::PATIENCE).await?;
    Ok((ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch)))
}

/// The producer on one connection.
pub(super) struct Producing {
    version: i16,
    templates: Vec<Template>,
    /// Whose turn it is to be sent.
    next: usize,
    /// Which templates wait for an answer.
    waiting: VecDeque<usize>,
}

/// One partition's request.
struct Template {
    partition: PartitionIndex,
    frame: Vec<u8>,
    /// Its batch, and where in the frame that begins.
    batch: Batch,
    batch_at: usize,
    /// Where the next batch belongs.
    due: Offset,
}

impl Producing {
    pub(super) fn new(shape: &Shape, partitions: &[PartitionIndex]) -> Self {
        let templates = partitions.iter().map(|partition| Template::new(shape, *partition)).collect();
        Self { version: shape.version, templates, next: 0, waiting: VecDeque::new() }
    }
}

impl Work for Producing {
    fn ask(&mut self, correlation_id: i32) -> &[u8] {
        let nth = self.next;
        self.next = (nth + 1) % self.templates.len();
        self.waiting.push_back(nth);
        self.templates[nth].next_frame(correlation_id)
    }

    fn judge(&mut self, answer: Bytes) -> Result<Done, Trouble> {
        let nth = self.waiting.pop_front().expect("the driver hands over one answer for each request");
        let template = &mut self.templates[nth];
        let (_, answer) = ResponseHeader::decode(ApiKey::Produce, self.version, answer)?;
        let answer = ProduceResponse::decode(self.version, answer)?;
        let mut parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let part = parts.find(|part| part.index == template.partition.0);
        let part = part.ok_or(Trouble::Unanswered(template.partition))?;
        let partition = template.partition;
        if part.error_code.is_error() {
            return Err(Trouble::Refused { partition, code: part.error_code });
        }
        if part.base_offset != template.due.0 {
            return Err(Trouble::Misplaced { partition, came: part.base_offset, due: template.due.0 });
        }
        let count = template.batch.header().count;
        template.due = template.due.plus(i64::from(count));
        Ok(Done { records: count as u64, bytes: template.batch.size() as u64 })
    }
}

impl Template {
    fn new(shape: &Shape, partition: PartitionIndex) -> Self {
        let batch = batch(shape);
        let bytes = Bytes::from(batch.parts().map(|part| part.as_ref()).concat());
        let frame = frame(shape, partition, bytes.clone());
        let batch_at = frame.windows(bytes.len()).rposition(|part| part == bytes);
        let batch_at = batch_at.expect("a request holds its batch as it is");
        Self { partition, frame, batch, batch_at, due: Offset(0) }
    }

    fn next_frame(&mut self, correlation_id: i32) -> &[u8] {
        self.frame[CORRELATION_AT..][..4].copy_from_slice(&correlation_id.to_be_bytes());
        if self.batch.header().has_producer() {
            let [head, _] = self.batch.parts();
            self.frame[self.batch_at..][..head.len()].copy_from_slice(head);
            // After the largest number comes 0.
            let next = i64::from(self.batch.header().base_sequence) + i64::from(self.batch.header().count);
            self.batch.number((next % (1 << 31)) as i32);
        }
        &self.frame
    }
}

fn batch(shape: &Shape) -> Batch {
    let mut builder = match shape.producer {
        Some((id, epoch)) => BatchBuilder::idempotent(id, epoch, 0),
        None => BatchBuilder::new(),
    };
    for record in 0..shape.records {
        // Not the same byte again and again: what is easy to compress would flatter some disks.
        let byte = |at: usize| (at as u32).wrapping_add(record).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let value: Vec<u8> = (0..shape.record_bytes).map(byte).collect();
        builder.push(shape.now, None, Some(&value), &[]);
    }
    builder.build()
}

fn frame(shape: &Shape, partition: PartitionIndex, records: Bytes) -> Vec<u8> {
    let data = PartitionProduceData { index: partition.0, records: Some(records.into()), ..Default::default() };
    let topic = TopicProduceData {
        name: shape.topic.clone(),
        topic_id: shape.id.0,
        partition_data: vec![data],
        ..Default::default()
    };
    let request =
        ProduceRequest { acks: shape.acks, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
    let header = RequestHeader {
        api: ApiKey::Produce,
        version: shape.version,
        correlation_id: 0,
        client_id: Some(Text::from_static("dohle-bench")),
        tagged_fields: Default::default(),
    };
    let frame = Frame::request(&mut Writer::new(), &header, &request).expect("a request of our own can be written");
    frame.segments().flat_map(|segment| segment.bytes().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(version: i16, producer: Option<(ProducerId, ProducerEpoch)>) -> Shape {
        Shape {
            topic: Text::from_static("t"),
            id: TopicId(crate::base::ids::Uuid([7; 16])),
            producer,
            version,
            acks: -1,
            records: 3,
            record_bytes: 10,
            now: WallMillis(1_000),
        }
    }

    fn sent(work: &mut Producing, correlation_id: i32) -> (RequestHeader, Batch) {
        let frame = Bytes::copy_from_slice(work.ask(correlation_id)).slice(4..);
        let (header, body) = RequestHeader::decode(frame).unwrap();
        let request = ProduceRequest::decode(header.version, body).unwrap();
        let mut records = request.topic_data[0].partition_data[0].records.as_ref().unwrap().bytes().clone();
        (header, Batch::split_from(&mut records).unwrap())
    }

    #[test]
    fn each_request_goes_out_whole_with_its_own_number() {
        for version in [3, 9, 13] {
            let mut work = Producing::new(&shape(version, None), &[PartitionIndex(0)]);
            for id in [5, 6] {
                let (header, batch) = sent(&mut work, id);
                assert_eq!(header.correlation_id, id);
                assert_eq!(batch.header().count, 3);
                batch.verify().unwrap();
            }
        }
    }

    #[test]
    fn the_batches_of_an_idempotent_producer_follow_each_other_past_the_last_number() {
        let producer = Some((ProducerId(9), ProducerEpoch(0)));
        let mut work = Producing::new(&shape(13, producer), &[PartitionIndex(0)]);
        work.templates[0].batch.number(i32::MAX - 4);
        for due in [i32::MAX - 4, i32::MAX - 1, 1] {
            let (_, batch) = sent(&mut work, 0);
            assert_eq!(batch.header().base_sequence, due);
            batch.verify().unwrap();
        }
    }
}

//! Requests that come in one piece: what they append is written together, and nobody can tell but by the clock.

use dohle::base::ids::Uuid;
use dohle::wire::header::ResponseHeader;
use dohle::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use dohle::wire::messages::produce::{ProduceRequest, ProduceResponse};
use dohle::wire::{ErrorCode, Frame, Message, Request, Writer};

use super::damage::create;
use super::wire::{Wire, batch, header, produce_request};
use crate::cluster::Cluster;

const TOPIC: &str = "bursts";

/// Requests in one piece.
#[derive(Default)]
struct Burst {
    bytes: Vec<u8>,
    sent: i32,
}

impl Burst {
    fn with<R: Request>(mut self, request: &R) -> Self {
        self.sent += 1;
        let header = header(R::API, R::API.entry().versions.last, self.sent);
        let frame = Frame::request(&mut Writer::new(), &header, request).unwrap();
        frame.segments().for_each(|segment| self.bytes.extend_from_slice(segment.bytes()));
        self
    }

    fn produce(self, topic: Uuid, partition: i32) -> Self {
        self.with(&produce_request(topic, partition, batch(b"in a burst")))
    }

    /// The same without an answer, of no batch if it is to fail.
    fn unacknowledged(self, topic: Uuid, partition: i32, is_sound: bool) -> Self {
        let records = if is_sound { batch(b"in a burst") } else { b"no batch".as_slice().into() };
        self.with(&ProduceRequest { acks: 0, ..produce_request(topic, partition, records) })
    }
}

/// Where the log of partition 0 ends, which is answered at once.
fn asked() -> OffsetForLeaderEpochRequest {
    let partition = OffsetForLeaderPartition { current_leader_epoch: -1, ..Default::default() };
    let topic = OffsetForLeaderTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
}

fn end(response: &OffsetForLeaderEpochResponse) -> i64 {
    response.topics[0].partitions[0].end_offset
}

/// The answer to the request of this number.
fn answer<M: Message>(wire: &mut Wire, number: i32) -> M {
    let frame = wire.receive().expect("the connection was closed");
    let version = M::API.entry().versions.last;
    let (header, body) = ResponseHeader::decode(M::API, version, frame).unwrap();
    assert_eq!(header.correlation_id, number, "answers come in the order of the questions");
    M::decode(version, body).unwrap()
}

fn produced(wire: &mut Wire, number: i32) -> Result<i64, ErrorCode> {
    let response: ProduceResponse = answer(wire, number);
    let partition = &response.responses[0].partition_responses[0];
    if partition.error_code.is_error() { Err(partition.error_code) } else { Ok(partition.base_offset) }
}

#[test]
fn what_is_asked_between_two_appends_sees_the_first_and_not_the_second() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, TOPIC, 2);
    let burst = Burst::default().produce(topic, 0).produce(topic, 1).produce(topic, 0).produce(Uuid([9; 16]), 0);
    let burst = burst.with(&asked()).produce(topic, 0).with(&asked());
    wire.send_bytes(&burst.bytes).unwrap();
    assert_eq!([1, 2, 3].map(|number| produced(&mut wire, number)), [Ok(0), Ok(0), Ok(1)]);
    assert_eq!(produced(&mut wire, 4), Err(ErrorCode::UnknownTopicId), "which is nobody else's concern");
    assert_eq!(end(&answer(&mut wire, 5)), 2);
    assert_eq!(produced(&mut wire, 6), Ok(2));
    assert_eq!(end(&answer(&mut wire, 7)), 3);
}

#[test]
fn what_comes_before_something_senseless_happens_all_the_same() {
    let cluster = Cluster::start(1, &[]);
    let mut other = Wire::to(&cluster.bootstrap());
    let topic = create(&mut other, TOPIC, 1);
    let two = || Burst::default().unacknowledged(topic, 0, true).unacknowledged(topic, 0, true);
    let (no_batch, mut no_api, mut no_body) = (two().unacknowledged(topic, 0, false), two(), two());
    no_api.bytes.extend([0, 0, 0, 4, 0x7f, 0xff, 0, 0]);
    let broken = Burst::default().produce(topic, 0).bytes;
    no_body.bytes.extend_from_slice(&[&[0, 0, 0, 20], &broken[4..24]].concat());
    for burst in [no_batch, no_api, no_body] {
        let before = end(&other.ask_newest(&asked()));
        let mut wire = Wire::to(&cluster.bootstrap());
        wire.send_bytes(&burst.bytes).unwrap();
        assert_eq!(wire.receive(), None, "there is no other way to tell");
        assert_eq!(end(&other.ask_newest(&asked())) - before, 2);
    }
}

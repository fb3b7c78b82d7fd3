//! A client without manners: it sends what it is given and reads what comes back.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::SystemTime;

use bytes::Bytes;
use dohle::base::clock::WallMillis;
use dohle::base::ids::Uuid;
use dohle::record::BatchBuilder;
use dohle::wire::header::ResponseHeader;
use dohle::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use dohle::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use dohle::wire::{ApiKey, ErrorCode, Frame, Message, Request, RequestHeader, Writer};

use crate::process::PATIENCE;

pub struct Wire {
    stream: TcpStream,
    correlation_id: i32,
}

impl Wire {
    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0 }
    }

    /// Asks in this version and waits for the answer.
    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.answer::<R>(version)
    }

    /// Asks in the newest version.
    pub fn ask_newest<R: Request>(&mut self, request: &R) -> R::Response {
        self.ask(R::API.entry().versions.last, request)
    }

    pub fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = header(R::API, version, self.correlation_id);
        let frame = Frame::request(&mut Writer::new(), &header, request).unwrap();
        frame.segments().for_each(|segment| self.stream.write_all(segment.bytes()).unwrap());
    }

    /// The next answer, which must be to the last question.
    pub fn answer<R: Request>(&mut self, version: i16) -> R::Response {
        let frame = self.receive().expect("the connection was closed");
        let (header, body) = ResponseHeader::decode(R::API, version, frame).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id, "answers come in the order of the questions");
        let (response, rest) = R::Response::decode_with_rest(version, body).unwrap();
        assert!(rest.is_empty(), "{} bytes behind {response:?}", rest.len());
        response
    }

    /// Sends a frame as it is, with its length in front.
    pub fn send_frame(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.send_bytes(&i32::try_from(frame.len()).unwrap().to_be_bytes())?;
        self.send_bytes(frame)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame; nothing if the connection was closed.
    pub fn receive(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// The address the server sees.
    pub fn from(&self) -> IpAddr {
        self.stream.local_addr().unwrap().ip()
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn topic_id(&mut self, name: &str) -> Uuid {
        let topics = Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
        let metadata = self.ask_newest(&MetadataRequest { topics, ..Default::default() });
        let [topic] = &metadata.topics[..] else { panic!("one topic was asked for: {metadata:?}") };
        assert_eq!(topic.error_code, ErrorCode::None);
        topic.topic_id
    }

    /// Appends a record to a partition.
    pub fn produce(&mut self, topic_id: Uuid, index: i32, value: &[u8]) {
        let response = self.ask_newest(&produce_request(topic_id, index, batch(value)));
        assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::None, "{response:?}");
    }
}

pub fn header(api: ApiKey, version: i16, correlation_id: i32) -> RequestHeader {
    let client_id = Some("test".into());
    RequestHeader { api, version, correlation_id, client_id, tagged_fields: Default::default() }
}

/// Asks for one batch to be appended, and to be told when it is everywhere.
pub fn produce_request(topic_id: Uuid, index: i32, batch: Bytes) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index, records: Some(batch.into()), ..Default::default() }];
    let topic_data = vec![TopicProduceData { topic_id, partition_data, ..Default::default() }];
    ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..Default::default() }
}

/// A batch with one record of today: an older one might be retired in the middle of a test.
pub fn batch(value: &[u8]) -> Bytes {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let batch = BatchBuilder::new().record(WallMillis(now as i64), None, Some(value), &[]).build();
    batch.parts().map(|part| &part[..]).concat().into()
}

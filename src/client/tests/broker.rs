//! Two brokers that share one log of one partition, answer as Kafka does, and fail as they are told.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex, split};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::base::clock::{WallClock, WallMillis};
use crate::base::executor::{BoxFuture, Executor, Reactor, Task, Worker};
use crate::base::ids::{LeaderEpoch, Offset, Uuid};
use crate::base::network::{Connection, Detached, Listener, Network, Stream};
use crate::client::Seams;
use crate::record::Batch;
use crate::wire::frame::next_frame;
use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::messages::init_producer_id::InitProducerIdResponse;
use crate::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::produce::{
    LeaderIdAndEpoch, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use crate::wire::{ApiKey, ErrorCode, Frame, Message, Request, RequestHeader, Text, Writer};

pub(super) const TOPIC: Text = Text::from_static("orders");
const TOPIC_ID: Uuid = Uuid([7; 16]);
const BYTES_MAX: usize = 1 << 20;
const PIPELINE_MAX: usize = 64;

/// What becomes of a produce request. Without a script it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Write,
    /// Written, but the connection breaks before the answer.
    LoseAnswer,
    Refuse(ErrorCode),
    /// Refused, because that broker leads from now on; the refusal says so.
    MoveTo(i32),
    /// Not written, not answered.
    Silence,
}

/// A produce request as it came: at which broker, in which epoch, from which sequence on, how many records.
pub(super) type Seen = (i32, i16, i32, i32);

#[derive(Clone)]
pub(super) struct Brokers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// A batch's first sequence, count and offset.
type Remembered = (i32, i32, i64);

struct State {
    leader: i32,
    epoch: i32,
    stopped: BTreeSet<i32>,
    log: Vec<Batch>,
    /// Of the one producer there is: its epoch, and the first sequences, counts and offsets of its last five batches.
    producer: Option<(i16, VecDeque<Remembered>)>,
    script: VecDeque<Fate>,
    are_answers_held: bool,
    seen: Vec<Seen>,
    metadata_requests: usize,
}

impl Brokers {
    pub(super) fn new() -> Self {
        let state = State {
            leader: 1,
            epoch: 0,
            stopped: BTreeSet::new(),
            log: Vec::new(),
            producer: None,
            script: VecDeque::new(),
            are_answers_held: false,
            seen: Vec::new(),
            metadata_requests: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    pub(super) fn seams(&self) -> Seams {
        Seams { network: Arc::new(self.clone()), executor: Arc::new(Tasks), clock: Arc::new(Clock) }
    }

    pub(super) fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        self.change(|state| state.script.extend(fates));
    }

    /// Produce requests are carried out, but their answers wait.
    pub(super) fn hold_answers(&self) {
        self.change(|state| state.are_answers_held = true);
    }

    pub(super) fn release_answers(&self) {
        self.change(|state| state.are_answers_held = false);
    }

    pub(super) fn lead(&self, broker: i32) {
        self.change(|state| state.lead(broker));
    }

    /// The broker is gone: its connections break, and there will be no others.
    pub(super) fn stop(&self, broker: i32) {
        self.change(|state| {
            state.stopped.insert(broker);
        });
    }

    /// The values in the log, in order.
    pub(super) fn log(&self) -> Vec<String> {
        let state = self.state();
        let records = state.log.iter().flat_map(|batch| batch.records().unwrap());
        records.map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()).collect()
    }

    pub(super) fn produce_requests(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(super) fn metadata_requests(&self) -> usize {
        self.state().metadata_requests
    }

    /// Waits for something that the client will bring about.
    pub(super) async fn until(&self, condition: impl Fn() -> bool) {
        let happened = timeout(Duration::from_secs(60), self.until_for_ever(condition)).await;
        happened.expect("what the story waits for never happened");
    }

    async fn until_for_ever(&self, condition: impl Fn() -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.0.changed.notify_waiters();
        changed
    }

    /// Serves one connection until it breaks or the broker is stopped.
    async fn serve(self, broker: i32, stream: DuplexStream) {
        let (from, to) = split(stream);
        let (answers, answered) = mpsc::channel(PIPELINE_MAX);
        tokio::select! {
            biased;
            () = self.until_for_ever(|| self.state().stopped.contains(&broker)) => {}
            () = self.transmit(to, answered) => {}
            () = self.receive(broker, from, answers) => {}
        }
    }

    /// Carries out requests, one after the other.
    async fn receive(
        &self,
        broker: i32,
        mut from: impl AsyncRead + Unpin,
        answers: mpsc::Sender<Option<(ApiKey, Frame)>>,
    ) {
        let mut received = BytesMut::new();
        loop {
            while let Some(frame) = next_frame(&mut received, BYTES_MAX).unwrap() {
                if answers.send(self.answer(broker, frame).await).await.is_err() {
                    return;
                }
            }
            if matches!(from.read_buf(&mut received).await, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    /// Writes answers until one is to be lost.
    async fn transmit(&self, mut to: impl AsyncWrite + Unpin, mut answers: mpsc::Receiver<Option<(ApiKey, Frame)>>) {
        while let Some(Some((api, answer))) = answers.recv().await {
            self.until_for_ever(|| api != ApiKey::Produce || !self.state().are_answers_held).await;
            for segment in answer.segments() {
                if to.write_all(segment.bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The answer, or none if the connection is to break.
    async fn answer(&self, broker: i32, frame: Bytes) -> Option<(ApiKey, Frame)> {
        let (header, body) = RequestHeader::decode(frame).unwrap();
        let answer = match header.api {
            ApiKey::ApiVersions => reply::<ApiVersionsRequest>(&header, &versions()),
            ApiKey::Metadata => {
                let answer = self.change(|state| {
                    state.metadata_requests += 1;
                    state.metadata()
                });
                Frame::response(&mut Writer::new(), &header, &answer).ok()
            }
            ApiKey::InitProducerId => {
                let answer = InitProducerIdResponse { producer_id: 1000, ..Default::default() };
                Frame::response(&mut Writer::new(), &header, &answer).ok()
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(header.version, body).unwrap();
                reply::<ProduceRequest>(&header, &self.produce(broker, &request).await?)
            }
            ApiKey::Fetch => {
                let request = FetchRequest::decode(header.version, body).unwrap();
                reply::<FetchRequest>(&header, &self.fetch(broker, &request).await)
            }
            api => panic!("no story asks for {api}"),
        };
        answer.map(|answer| (header.api, answer))
    }

    async fn produce(&self, broker: i32, request: &ProduceRequest) -> Option<ProduceResponse> {
        let part = &request.topic_data[0].partition_data[0];
        let batch = Batch::split_from(&mut part.records.as_ref().unwrap().bytes().clone()).unwrap();
        batch.verify().unwrap();
        let (fate, answer) = self.change(|state| {
            let header = batch.header();
            state.seen.push((broker, header.producer_epoch.0, header.base_sequence, header.count));
            let fate = state.script.pop_front().unwrap_or(Fate::Write);
            (fate, state.produce(broker, fate, batch))
        });
        if fate == Fate::Silence {
            std::future::pending::<()>().await;
        }
        (fate != Fate::LoseAnswer).then_some(answer)
    }

    async fn fetch(&self, broker: i32, request: &FetchRequest) -> FetchResponse {
        let from = Offset(request.topics[0].partitions[0].fetch_offset);
        let wait = Duration::from_millis(request.max_wait_ms as u64);
        let something = self.until_for_ever(|| self.state().leader != broker || self.state().end() != from.0);
        let _ = timeout(wait, something).await; // an empty answer then
        self.state().fetch(broker, from)
    }
}

impl State {
    fn lead(&mut self, broker: i32) {
        self.leader = broker;
        self.epoch += 1;
    }

    fn end(&self) -> i64 {
        self.log.last().map_or(0, |batch| batch.header().next_offset().0)
    }

    fn metadata(&self) -> MetadataResponse {
        let brokers = [1, 2].into_iter().filter(|broker| !self.stopped.contains(broker));
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: Text::from(format!("b{node_id}")),
            port: 9092,
            ..Default::default()
        };
        let leader_id = if self.stopped.contains(&self.leader) { -1 } else { self.leader };
        let partition = MetadataResponsePartition { leader_id, leader_epoch: self.epoch, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some(TOPIC),
            topic_id: TOPIC_ID,
            partitions: vec![partition],
            ..Default::default()
        };
        MetadataResponse { brokers: brokers.map(broker).collect(), topics: vec![topic], ..Default::default() }
    }

    fn produce(&mut self, broker: i32, fate: Fate, batch: Batch) -> ProduceResponse {
        let result = match fate {
            Fate::Refuse(code) => Err(code),
            Fate::MoveTo(other) => {
                self.lead(other);
                Err(ErrorCode::NotLeaderOrFollower)
            }
            Fate::Silence => Err(ErrorCode::RequestTimedOut),
            Fate::Write | Fate::LoseAnswer if self.leader != broker => Err(ErrorCode::NotLeaderOrFollower),
            Fate::Write | Fate::LoseAnswer => self.write(batch),
        };
        let mut part = PartitionProduceResponse::default();
        match result {
            Ok(base) => part.base_offset = base,
            Err(code) => part.error_code = code,
        }
        if result == Err(ErrorCode::NotLeaderOrFollower) {
            part.current_leader =
                LeaderIdAndEpoch { leader_id: self.leader, leader_epoch: self.epoch, ..Default::default() };
        }
        let topic = TopicProduceResponse { topic_id: TOPIC_ID, partition_responses: vec![part], ..Default::default() };
        ProduceResponse { responses: vec![topic], ..Default::default() }
    }

    /// Kafka's rules: a known batch is answered as before, a new epoch begins at 0, and whoever is unknown may begin
    /// anywhere.
    fn write(&mut self, mut batch: Batch) -> Result<i64, ErrorCode> {
        const REMEMBERED: usize = 5;
        let header = *batch.header();
        let base = self.end();
        let (epoch, batches) = self.producer.get_or_insert_with(|| (header.producer_epoch.0, VecDeque::new()));
        if header.producer_epoch.0 > *epoch {
            (*epoch, *batches) = (header.producer_epoch.0, VecDeque::new());
            if header.base_sequence != 0 {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
        }
        if header.producer_epoch.0 < *epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if let Some((.., known)) = batches.iter().find(|(first, ..)| *first == header.base_sequence) {
            return Ok(*known);
        }
        if batches.back().is_some_and(|(first, count, _)| first + count != header.base_sequence) {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        batches.push_back((header.base_sequence, header.count, base));
        if batches.len() > REMEMBERED {
            batches.pop_front();
        }
        batch.assign(Offset(base), LeaderEpoch(self.epoch));
        self.log.push(batch);
        Ok(base)
    }

    fn fetch(&self, broker: i32, from: Offset) -> FetchResponse {
        let mut part = PartitionData { high_watermark: self.end(), ..Default::default() };
        if self.leader != broker {
            part.error_code = ErrorCode::NotLeaderOrFollower;
        } else if from.0 > self.end() {
            part.error_code = ErrorCode::OffsetOutOfRange;
        } else {
            let wanted = self.log.iter().filter(|batch| batch.header().next_offset() > from);
            let bytes: Vec<u8> = wanted.flat_map(|batch| batch.parts()).flatten().copied().collect();
            part.records = Some(bytes.into());
        }
        let topic = FetchableTopicResponse { topic_id: TOPIC_ID, partitions: vec![part], ..Default::default() };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }
}

fn reply<R: Request>(header: &RequestHeader, answer: &R::Response) -> Option<Frame> {
    Frame::response(&mut Writer::new(), header, answer).ok()
}

fn versions() -> ApiVersionsResponse {
    let entry = |api: &ApiKey| ApiVersion {
        api_key: api.number(),
        min_version: api.entry().versions.first,
        max_version: api.entry().versions.last,
        ..Default::default()
    };
    ApiVersionsResponse { api_keys: ApiKey::ALL.iter().map(entry).collect(), ..Default::default() }
}

impl Network for Brokers {
    fn listen<'a>(&'a self, _at: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        unreachable!("a client listens nowhere")
    }

    fn connect<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        let broker: i32 = to.trim_start_matches('b').trim_end_matches(":9092").parse().unwrap();
        Box::pin(async move {
            if self.state().stopped.contains(&broker) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = duplex(BYTES_MAX);
            #[allow(clippy::disallowed_methods, reason = "a broker of a story lives as long as its connection")]
            drop(tokio::spawn(self.clone().serve(broker, theirs)));
            Ok(Box::new(Pipe(ours)) as Connection)
        })
    }
}

struct Tasks;

impl Executor for Tasks {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        #[allow(clippy::disallowed_methods, reason = "this is the seam, for stories")]
        Task::new(tokio::spawn(future))
    }

    fn worker(&self, _name: &'static str) -> Arc<dyn Worker> {
        unreachable!("a client has no blocking work")
    }

    fn cores(&self) -> usize {
        1
    }

    fn reactor(&self, _name: &'static str) -> Arc<dyn Reactor> {
        unreachable!("a client lives where it is called")
    }
}

struct Clock;

impl WallClock for Clock {
    fn now(&self) -> WallMillis {
        WallMillis(1_000_000)
    }
}

struct Pipe(DuplexStream);

impl Stream for Pipe {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 9092).into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        unreachable!("a client's connection stays where it is")
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

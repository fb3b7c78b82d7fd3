//! A consumer by assignment: reads partitions from given offsets on, each in order, for as long as it lives.
//!
//! Every leader has one fetch to answer at a time, for all its partitions, which it holds back until there is
//! something to read. What cannot be read at all (an offset that is gone, a damaged batch) is told once, and ends the
//! reading of that partition; what passes is tried again.
//!
//! Invariants: records of a partition come in the order of their offsets, none twice. While the caller does not take
//! what was fetched, nothing more is.
//! Absent on purpose: fetch sessions, reading from followers, transactions (everything is read that is committed to
//! the replicas), compressed batches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::links::Links;
use super::view::is_about;
use super::{ClientError, Cluster, Connection, TopicPartition, backoff};
use crate::base::executor::{BoxFuture, Task};
use crate::base::ids::{NodeId, Offset};
use crate::base::limits::{CONSUMER_FETCH_BYTES_MAX, CONSUMER_FETCHED_MAX, CONSUMER_PARTITION_BYTES_MAX};
use crate::record::{Batch, Record, RecordError};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use crate::wire::{ErrorCode, Records, Text};

/// How long a leader may hold a fetch back while there is nothing to read.
const FETCH_WAIT: Duration = Duration::from_millis(250);

/// How long a fetch may take: a leader that is alive answers soon after it has waited.
const FETCH_PATIENCE: Duration = Duration::from_secs(3);

/// How often what only time brings is looked for: the end of a pause.
const TICK: Duration = Duration::from_millis(20);

/// Between two questions who leads what.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

/// Records of one partition that came together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    pub partition: TopicPartition,
    pub records: Vec<Record>,
    /// Where the partition is read on.
    pub next: Offset,
    pub high_watermark: Offset,
}

/// Reads partitions. Dropping it ends the reading.
pub struct Consumer {
    fetched: mpsc::Receiver<Result<Fetched, ClientError>>,
    _reader: Task,
}

impl Consumer {
    pub fn assign(cluster: &Cluster, from: impl IntoIterator<Item = (TopicPartition, Offset)>) -> Self {
        let (out, fetched) = mpsc::channel(CONSUMER_FETCHED_MAX);
        let reader = Reader::new(cluster.clone(), from.into_iter().collect(), out);
        Self { fetched, _reader: cluster.seams().executor.spawn("client.consumer", Box::pin(reader.run())) }
    }

    /// What comes next, of any partition. An error ends the reading of its partition; when all have ended the
    /// consumer is closed.
    pub async fn next(&mut self) -> Result<Fetched, ClientError> {
        self.fetched.recv().await.unwrap_or(Err(ClientError::Closed))
    }
}

struct Reader {
    cluster: Cluster,
    places: BTreeMap<TopicPartition, Place>,
    out: mpsc::Sender<Result<Fetched, ClientError>>,
    links: Links,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    is_refreshing: bool,
    should_refresh: bool,
    refresh_at: Instant,
}

/// How far a partition has been read.
struct Place {
    next: Offset,
    is_asked_for: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

enum Event {
    Refreshed,
    Dialled { node: NodeId, result: Result<Connection, ClientError> },
    Answered { node: NodeId, asked: Vec<TopicPartition>, result: Result<FetchResponse, ClientError> },
}

impl Reader {
    fn new(
        cluster: Cluster,
        from: BTreeMap<TopicPartition, Offset>,
        out: mpsc::Sender<Result<Fetched, ClientError>>,
    ) -> Self {
        let place = |next| Place { next, is_asked_for: false, failures: 0, retry_at: None };
        Self {
            cluster,
            places: from.into_iter().map(|(partition, next)| (partition, place(next))).collect(),
            out,
            links: Links::default(),
            events: FuturesUnordered::new(),
            is_refreshing: false,
            should_refresh: false,
            refresh_at: Instant::now(),
        }
    }

    async fn run(mut self) {
        while !self.places.is_empty() && !self.out.is_closed() {
            self.step();
            let has_idle = self.places.values().any(|place| !place.is_asked_for);
            tokio::select! {
                biased;
                Some(event) = self.events.next(), if !self.events.is_empty() => self.on_event(event).await,
                () = sleep(TICK), if has_idle => {}
            }
        }
    }

    async fn on_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Refreshed => {
                self.is_refreshing = false;
                self.refresh_at = now + REFRESH_PAUSE;
            }
            Event::Dialled { node, result } => self.links.on_dialled(node, result, now),
            Event::Answered { node, asked, result } => {
                self.links.on_answered(node);
                self.on_answered(asked, result, now).await;
            }
        }
    }

    /// Asks every leader that has nothing to answer for all of its partitions, and who leads the others.
    fn step(&mut self) {
        let now = Instant::now();
        let mut requests: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        for (partition, _) in self.places.iter().filter(|(_, place)| place.is_due(now)) {
            match self.cluster.leader(partition) {
                Some(leader) => requests.entry(leader.node).or_default().push(partition.clone()),
                None => self.should_refresh = true,
            }
        }
        for (node, partitions) in requests {
            match self.links.ready(node, 1) {
                Some(connection) => self.fetch(node, &connection, partitions, now),
                None => self.dial(node, now),
            }
        }
        if self.should_refresh && !self.is_refreshing && self.refresh_at <= now {
            self.refresh();
        }
    }

    fn dial(&mut self, node: NodeId, now: Instant) {
        self.should_refresh |= self.links.is_failing(node);
        if self.links.should_dial(node, now) {
            let cluster = self.cluster.clone();
            let dialled = async move { Event::Dialled { node, result: cluster.dial(node).await } };
            self.events.push(Box::pin(dialled));
        }
    }

    fn fetch(&mut self, node: NodeId, connection: &Connection, asked: Vec<TopicPartition>, now: Instant) {
        let request = self.request(&asked);
        for partition in &asked {
            if let Some(place) = self.places.get_mut(partition) {
                place.is_asked_for = true;
            }
        }
        self.links.on_sent(node, now);
        let sent = connection.send(&request, now + FETCH_PATIENCE);
        self.events.push(Box::pin(async move {
            let result = match sent {
                Ok(reply) => reply.answer().await,
                Err(error) => Err(error),
            };
            Event::Answered { node, asked, result }
        }));
    }

    fn request(&self, asked: &[TopicPartition]) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for partition in asked {
            let Some(place) = self.places.get(partition) else { continue };
            let topic = &partition.topic;
            if topics.last().is_none_or(|last| last.topic != *topic) {
                let topic_id = self.cluster.topic_id(topic);
                topics.push(FetchTopic { topic: topic.clone(), topic_id, ..Default::default() });
            }
            let part = FetchPartition {
                partition: partition.index.0,
                current_leader_epoch: self.cluster.leader(partition).map_or(-1, |leader| leader.epoch.0),
                fetch_offset: place.next.0,
                partition_max_bytes: CONSUMER_PARTITION_BYTES_MAX,
                ..Default::default()
            };
            topics.last_mut().expect("one was pushed above").partitions.push(part);
        }
        FetchRequest {
            max_wait_ms: FETCH_WAIT.as_millis() as i32,
            min_bytes: 1,
            max_bytes: CONSUMER_FETCH_BYTES_MAX,
            topics,
            ..Default::default()
        }
    }

    async fn on_answered(
        &mut self,
        asked: Vec<TopicPartition>,
        result: Result<FetchResponse, ClientError>,
        now: Instant,
    ) {
        for partition in asked {
            let taken = match &result {
                Ok(answer) => self.take(&partition, answer),
                Err(error) => Err(error.clone()),
            };
            let Some(place) = self.places.get_mut(&partition) else { continue };
            place.is_asked_for = false;
            match taken {
                Ok(fetched) => {
                    place.failures = 0;
                    place.next = fetched.next;
                    if !fetched.records.is_empty() {
                        let _ = self.out.send(Ok(fetched)).await; // without a consumer the loop ends by itself
                    }
                }
                Err(error) if error.is_retriable() => {
                    place.failures += 1;
                    place.retry_at = Some(now + backoff(place.failures));
                    self.should_refresh = true;
                }
                Err(error) => {
                    self.places.remove(&partition);
                    let _ = self.out.send(Err(error)).await; // as above
                }
            }
        }
    }

    /// What an answer holds of one partition.
    fn take(&self, partition: &TopicPartition, answer: &FetchResponse) -> Result<Fetched, ClientError> {
        if answer.error_code.is_error() {
            return Err(ClientError::refused("Fetch", answer.error_code, None));
        }
        let id = self.cluster.topic_id(&partition.topic);
        let topics =
            answer.responses.iter().filter(|topic| is_about(&partition.topic, id, &topic.topic, topic.topic_id));
        let mut parts = topics.flat_map(|topic| &topic.partitions);
        let Some(part) = parts.find(|part| part.partition_index == partition.index.0) else {
            return Err(ClientError::NoLeader(partition.to_string())); // there was no room for it in the answer
        };
        if part.error_code.is_error() {
            let (node, epoch) = (part.current_leader.leader_id, part.current_leader.leader_epoch);
            let endpoint = answer.node_endpoints.iter().find(|endpoint| endpoint.node_id == node);
            let endpoint = endpoint.map(|endpoint| (endpoint.host.as_str(), endpoint.port));
            self.cluster.hint(partition, node, epoch, endpoint);
            return Err(refusal(partition, part.error_code));
        }
        let from = self.places.get(partition).map_or(Offset(0), |place| place.next);
        read(partition, from, part)
    }

    fn refresh(&mut self) {
        self.is_refreshing = true;
        self.should_refresh = false;
        let topics: BTreeSet<Text> = self.places.keys().map(|partition| partition.topic.clone()).collect();
        let cluster = self.cluster.clone();
        self.events.push(Box::pin(async move {
            let topics: Vec<Text> = topics.into_iter().collect();
            // What could not be learned is still wanted, and is asked for again after a pause.
            let _ = cluster.refresh(&topics).await;
            Event::Refreshed
        }));
    }
}

impl Place {
    fn is_due(&self, now: Instant) -> bool {
        !self.is_asked_for && self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }
}

fn refusal(partition: &TopicPartition, code: ErrorCode) -> ClientError {
    ClientError::refused(partition, code, None)
}

/// The records of a partition from an offset on. A batch may begin before it, and the last one may be cut.
fn read(partition: &TopicPartition, from: Offset, part: &PartitionData) -> Result<Fetched, ClientError> {
    let mut fetched = Fetched {
        partition: partition.clone(),
        records: Vec::new(),
        next: from,
        high_watermark: Offset(part.high_watermark),
    };
    let mut bytes = part.records.as_ref().map(Records::bytes).cloned().unwrap_or_default();
    while let Some(batch) = next_batch(&mut bytes).map_err(|error| ClientError::Record(fetched.next, error))? {
        let is_new = |record: &Record| record.offset >= from;
        if !batch.header().attributes.is_control() {
            let records = batch.verify().and_then(|()| batch.records()?.collect::<Result<Vec<_>, _>>());
            let records = records.map_err(|error| ClientError::Record(batch.header().base_offset, error))?;
            fetched.records.extend(records.into_iter().filter(is_new));
        }
        fetched.next = fetched.next.max(batch.header().next_offset());
    }
    Ok(fetched)
}

/// The next whole batch, if there is one.
fn next_batch(bytes: &mut Bytes) -> Result<Option<Batch>, RecordError> {
    match Batch::split_from(bytes) {
        Ok(batch) => Ok(Some(batch)),
        Err(RecordError::Truncated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

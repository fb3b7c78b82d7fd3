//! The producer's one task: owns every lane, sends what is ready to whoever leads it, takes back what failed.
//!
//! Invariants: requests to one broker leave in the order in which their batches were taken; a broker has at most five
//! requests to answer. Whatever takes time (connecting, asking, waiting for an answer) is a future in one set, and
//! comes back as an event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::lane::{Identity, Lane, Sequence};
use super::{ProducerOptions, Unsent};
use crate::base::executor::BoxFuture;
use crate::base::ids::{NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Uuid};
use crate::base::limits::PRODUCE_REQUESTS_IN_FLIGHT_MAX;
use crate::client::links::Links;
use crate::client::view::is_about;
use crate::client::{ClientError, Cluster, Connection, TopicPartition};
use crate::wire::Text;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};

/// While something is undelivered it is looked at this often, for what only time brings: the end of a pause or of
/// patience.
const TICK: Duration = Duration::from_millis(10);

/// Between two questions who leads what.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

/// A broker that has been silent for this long may have been replaced without being able to say so.
const SILENCE: Duration = Duration::from_secs(1);

/// How much longer we wait than we ask the broker to wait for its replicas: a live one then answers by itself.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

const ACKS_ALL: i16 = -1;

/// Records taken from the inbox before something else gets its turn.
const INBOX_TURN: usize = 1024;

pub(super) struct Sender {
    cluster: Cluster,
    options: ProducerOptions,
    inbox: mpsc::Receiver<(TopicPartition, Unsent)>,
    lanes: BTreeMap<TopicPartition, Lane>,
    links: Links,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    is_asking_identity: bool,
    is_refreshing: bool,
    should_refresh: bool,
    refresh_at: Instant,
}

enum Event {
    Identified(Result<Identity, ClientError>),
    Refreshed,
    Dialled { node: NodeId, result: Result<Connection, ClientError> },
    Answered { node: NodeId, sent: Vec<Sent>, result: Result<ProduceResponse, ClientError> },
}

/// A batch in a request.
struct Sent {
    partition: TopicPartition,
    sequence: Sequence,
    records: Bytes,
}

impl Sender {
    pub(super) fn new(
        cluster: Cluster,
        options: ProducerOptions,
        inbox: mpsc::Receiver<(TopicPartition, Unsent)>,
    ) -> Self {
        Self {
            cluster,
            options,
            inbox,
            lanes: BTreeMap::new(),
            links: Links::default(),
            events: FuturesUnordered::new(),
            is_asking_identity: false,
            is_refreshing: false,
            should_refresh: false,
            refresh_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut records = Vec::with_capacity(INBOX_TURN);
        loop {
            let is_idle = self.lanes.values().all(Lane::is_idle);
            tokio::select! {
                biased;
                Some(event) = self.events.next(), if !self.events.is_empty() => self.on_event(event),
                taken = self.inbox.recv_many(&mut records, INBOX_TURN) => {
                    if taken == 0 {
                        return; // the producer is gone, and nobody waits for a delivery any more
                    }
                    for (partition, record) in records.drain(..) {
                        self.lanes.entry(partition).or_insert_with(Lane::new).push(record);
                    }
                }
                () = sleep(TICK), if !is_idle => {}
            }
            self.step();
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Identified(result) => self.on_identified(result),
            Event::Refreshed => {
                self.is_refreshing = false;
                self.refresh_at = now + REFRESH_PAUSE;
            }
            Event::Dialled { node, result } => {
                self.should_refresh |= result.is_err();
                self.links.on_dialled(node, result, now);
            }
            Event::Answered { node, sent, result } => {
                self.links.on_answered(node);
                self.on_answered(sent, result, now);
            }
        }
    }

    /// Does whatever can be done now.
    fn step(&mut self) {
        let now = Instant::now();
        self.lanes.values_mut().for_each(|lane| lane.expire(now));
        if self.lanes.values().any(Lane::needs_identity) && !self.is_asking_identity {
            self.ask_identity();
        }
        self.leave_the_silent(now);
        while self.send_round(now) {}
        if self.should_refresh && !self.is_refreshing && self.refresh_at <= now {
            self.refresh();
        }
    }

    fn ask_identity(&mut self) {
        self.is_asking_identity = true;
        let (cluster, patience) = (self.cluster.clone(), self.options.request_patience);
        self.events.push(Box::pin(async move {
            let result = identify(&cluster, patience).await;
            if result.is_err() {
                sleep(REFRESH_PAUSE).await;
            }
            Event::Identified(result)
        }));
    }

    fn on_identified(&mut self, result: Result<Identity, ClientError>) {
        self.is_asking_identity = false;
        match result {
            Ok(identity) => {
                let needy = self.lanes.values_mut().filter(|lane| lane.needs_identity());
                needy.for_each(|lane| lane.identify(identity));
            }
            Err(error) => self.lanes.values_mut().for_each(|lane| lane.note(&error)),
        }
    }

    /// Breaks with a broker that does not answer once somebody else leads what it was sent.
    fn leave_the_silent(&mut self, now: Instant) {
        if !now.checked_sub(SILENCE).is_some_and(|then| self.links.is_silent_since(then)) {
            return;
        }
        self.should_refresh = true;
        for (partition, lane) in &self.lanes {
            if let Some(at) = lane.in_flight_at().filter(|_| lane.is_led_elsewhere(self.cluster.leader(partition))) {
                self.links.close(at.node);
            }
        }
    }

    /// Sends at most one batch of every lane; says whether there may be more.
    fn send_round(&mut self, now: Instant) -> bool {
        let mut requests: BTreeMap<NodeId, (Connection, Vec<Sent>)> = BTreeMap::new();
        let mut unreachable = BTreeSet::new();
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.has_something_to_send()) {
            let Some(leader) = self.cluster.leader(partition) else {
                lane.note(&ClientError::NoLeader(partition.to_string()));
                self.should_refresh = true;
                continue;
            };
            let Some(connection) = self.links.ready(leader.node, PRODUCE_REQUESTS_IN_FLIGHT_MAX) else {
                self.should_refresh |= self.links.is_failing(leader.node);
                unreachable.insert(leader.node);
                continue;
            };
            if let Some((sequence, records)) = lane.take(leader, self.options.batch_bytes, now) {
                let (_, sent) = requests.entry(leader.node).or_insert_with(|| (connection, Vec::new()));
                sent.push(Sent { partition: partition.clone(), sequence, records });
            }
        }
        unreachable.into_iter().for_each(|node| self.dial(node, now));
        let has_sent = !requests.is_empty();
        for (node, (connection, sent)) in requests {
            self.send(node, &connection, sent, now);
        }
        has_sent
    }

    fn dial(&mut self, node: NodeId, now: Instant) {
        if self.links.should_dial(node, now) {
            let cluster = self.cluster.clone();
            let dialled = async move { Event::Dialled { node, result: cluster.dial(node).await } };
            self.events.push(Box::pin(dialled));
        }
    }

    fn send(&mut self, node: NodeId, connection: &Connection, sent: Vec<Sent>, now: Instant) {
        let request = self.request(&sent);
        match connection.send(&request, now + self.options.request_patience + ANSWER_GRACE) {
            Ok(reply) => {
                self.links.on_sent(node, now);
                self.events.push(Box::pin(async move { Event::Answered { node, sent, result: reply.answer().await } }));
            }
            Err(error) => self.on_answered(sent, Err(error), now),
        }
    }

    fn request(&self, sent: &[Sent]) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for batch in sent {
            let topic = &batch.partition.topic;
            if topics.last().is_none_or(|last| last.name != *topic) {
                let topic_id = self.cluster.topic_id(topic);
                topics.push(TopicProduceData { name: topic.clone(), topic_id, ..Default::default() });
            }
            let data = PartitionProduceData {
                index: batch.partition.index.0,
                records: Some(batch.records.clone().into()),
                ..Default::default()
            };
            topics.last_mut().expect("one was pushed above").partition_data.push(data);
        }
        let timeout_ms = i32::try_from(self.options.request_patience.as_millis()).unwrap_or(i32::MAX);
        ProduceRequest { acks: ACKS_ALL, timeout_ms, topic_data: topics, ..Default::default() }
    }

    fn on_answered(&mut self, sent: Vec<Sent>, result: Result<ProduceResponse, ClientError>, now: Instant) {
        for batch in sent {
            let result = match &result {
                Ok(answer) => self.judge(&batch.partition, answer),
                Err(error) => Err(error.clone()),
            };
            if let Some(lane) = self.lanes.get_mut(&batch.partition) {
                self.should_refresh |= lane.on_result(batch.sequence, result, now);
            }
        }
    }

    /// What an answer says about one partition.
    fn judge(&self, partition: &TopicPartition, answer: &ProduceResponse) -> Result<Offset, ClientError> {
        let Some(part) = part_about(partition, self.cluster.topic_id(&partition.topic), answer) else {
            return Err(ClientError::Malformed {
                address: "the leader".to_owned(),
                cause: format!("nothing in it is about {partition}"),
            });
        };
        if !part.error_code.is_error() {
            return Ok(Offset(part.base_offset));
        }
        let (node, epoch) = (part.current_leader.leader_id, part.current_leader.leader_epoch);
        let endpoint = answer.node_endpoints.iter().find(|endpoint| endpoint.node_id == node);
        self.cluster.hint(partition, node, epoch, endpoint.map(|endpoint| (endpoint.host.as_str(), endpoint.port)));
        Err(ClientError::refused(partition, part.error_code, part.error_message.as_deref()))
    }

    fn refresh(&mut self) {
        self.is_refreshing = true;
        self.should_refresh = false;
        let busy = self.lanes.iter().filter(|(_, lane)| !lane.is_idle());
        let topics: BTreeSet<Text> = busy.map(|(partition, _)| partition.topic.clone()).collect();
        let cluster = self.cluster.clone();
        self.events.push(Box::pin(async move {
            let topics: Vec<Text> = topics.into_iter().collect();
            // What could not be learned is still wanted, and is asked for again after a pause.
            let _ = cluster.refresh(&topics).await;
            Event::Refreshed
        }));
    }
}

fn part_about<'a>(
    partition: &TopicPartition,
    id: Uuid,
    answer: &'a ProduceResponse,
) -> Option<&'a PartitionProduceResponse> {
    let topics = answer.responses.iter().filter(|topic| is_about(&partition.topic, id, &topic.name, topic.topic_id));
    let mut parts = topics.flat_map(|topic| &topic.partition_responses);
    parts.find(|part| PartitionIndex(part.index) == partition.index)
}

async fn identify(cluster: &Cluster, patience: Duration) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    let answer = cluster.ask(&request, patience).await?;
    if answer.error_code.is_error() {
        return Err(ClientError::refused("InitProducerId", answer.error_code, None));
    }
    Ok(Identity { id: ProducerId(answer.producer_id), epoch: ProducerEpoch(answer.producer_epoch) })
}

//! Three nodes, each killed in turn under load: nothing that was acked is lost, doubled, reordered or moved.
//!
//! The producer is open loop: it sends when a record is due, whether or not the ones before were acked, so that a pause
//! of the cluster is not hidden by a client that politely waits.
//!
//! `DOHLE_KILLS=30 cargo test --test it nothing_acked -- --nocapture` does it so many times; `DOHLE_SEED` replays whom
//! it kills and when. Afterwards Kafka's own reader of files says whether all replicas hold the same batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::checker::{Record, faults};
use super::tools::{dump_log, files, is_missing};
use super::{consumer, count, create_topic};
use crate::cluster::Cluster;
use crate::process::PATIENCE;

const NODES: usize = 3;
const PARTITIONS: i32 = 12;
const TOPIC: &str = "survivor";
const INTERVAL: Duration = Duration::from_millis(2);

/// A record is its number and so much more that segments are rolled during a long run.
const RECORD_BYTES: usize = 1_000;
const SEGMENT_BYTES: &str = "1048576";

/// How many records are acked at least before the first kill, and between a node's return and the next.
const QUIET: usize = 500;

#[test]
fn nothing_acked_is_lost_while_every_node_is_killed_in_turn() {
    let mut cluster = Cluster::start(NODES, &["min.insync.replicas=2"]);
    let client = cluster.client();
    let settings = [("min.insync.replicas", "2"), ("segment.bytes", SEGMENT_BYTES)];
    create_topic(&client, TOPIC, (PARTITIONS, 3), &settings);
    let observer = consumer(&client, TOPIC);
    until_all_are_in_sync(&mut cluster, &observer);

    let mut dice = Dice::thrown();
    let mut longest = Vec::new();
    let load = Load::start(&client);
    let reader = Reader::start(consumer(&client, TOPIC));
    for candidate in dice.victims() {
        load.acks.wait_for_more(QUIET + dice.below(QUIET));
        // Killing a node that leads nothing proves nothing: then it is the next one's turn.
        let id = (candidate..candidate + NODES).map(|id| (id - 1) % NODES + 1).find(|id| led_by(&observer, *id) > 0);
        let id = id.expect("somebody leads");
        let (killed, sent) = (Instant::now(), load.sent.load(Ordering::Relaxed));
        cluster.kill(id);
        load.acks.wait_for_every_partition_past(sent);
        let gaps = load.acks.gaps(killed, Instant::now());
        println!("node {id} killed: gaps between acks by partition, in ms: {gaps:?}");
        longest.extend(gaps.into_iter().max());
        cluster.restart(id);
        until_all_are_in_sync(&mut cluster, &observer);
    }
    longest.sort_unstable();
    let (median, worst) = (longest[longest.len() / 2], longest[longest.len() - 1]);
    println!("worst partition of each of {} kills: median {median} ms, maximum {worst} ms", longest.len());
    let sent = load.finish();
    let live = reader.finish(count(&observer, TOPIC));
    let acked = load.acks.records();
    println!("{sent} records sent, {} acked, {} found", acked.len(), live.len());
    assert_eq!(load.acks.failures(), [""; 0], "with a quorum alive at all times, every record is acked in the end");
    assert_eq!(faults(&acked, &live), [], "as read during the kills");
    let afterwards = Reader::start(consumer(&client, TOPIC)).finish(count(&observer, TOPIC));
    assert_eq!(faults(&acked, &afterwards), [], "as read afterwards");
    assert_eq!(afterwards.len(), live.len(), "a reader saw records that are gone, or did not see some that are there");
    (1..=NODES).for_each(|id| cluster.kill(id));
    all_replicas_hold_the_same_batches(&cluster);
}

/// Whom to kill and when, from one seed.
struct Dice(u64);

impl Dice {
    fn thrown() -> Self {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("DOHLE_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
        println!("DOHLE_SEED={seed}");
        Self(seed | 1)
    }

    /// A number from a generator that shifts and exclusive-ors (Marsaglia's).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Every node in turn, or as many at random as were asked for.
    fn victims(&mut self) -> Vec<usize> {
        match std::env::var("DOHLE_KILLS") {
            Ok(kills) => (0..kills.parse().unwrap()).map(|_| self.below(NODES) + 1).collect(),
            Err(_) => (1..=NODES).collect(),
        }
    }
}

/// Kafka's reader of files finds the same batches in every replica of a partition, and fault with none.
fn all_replicas_hold_the_same_batches(cluster: &Cluster) {
    if is_missing(&["java", "mvn"]) {
        return;
    }
    let first = batches(cluster, 1);
    assert_eq!(first.len(), PARTITIONS as usize, "there is something to compare in every partition");
    for id in 2..=NODES {
        assert!(first == batches(cluster, id), "node 1 and node {id} hold different batches");
    }
}

/// The batches of each partition on a node, as Kafka's reader describes them, without their positions: replicas roll
/// by themselves.
fn batches(cluster: &Cluster, id: usize) -> BTreeMap<String, Vec<String>> {
    let folders = (0..PARTITIONS).map(|partition| cluster.partition_folder(id, &format!("{TOPIC}-{partition}")));
    let logs: Vec<_> = folders.flat_map(|folder| files(&folder)).filter(|file| file.ends_with(".log")).collect();
    let dump = dump_log(&["--deep-iteration", "--files", &logs.join(",")]);
    assert!(!dump.contains("isvalid: false"), "{dump}");
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut partition = String::new();
    for line in dump.lines() {
        if let Some(file) = line.strip_prefix("Dumping ") {
            partition = file.rsplit('/').nth(1).unwrap().to_owned();
        } else if line.starts_with("baseOffset:") {
            let (before, behind) = line.split_once("position: ").unwrap();
            let placeless = format!("{before}{}", behind.split_once(' ').unwrap().1);
            found.entry(partition.clone()).or_default().push(placeless);
        }
    }
    found
}

/// Waits until every partition has all its replicas in sync again.
fn until_all_are_in_sync(cluster: &mut Cluster, observer: &BaseConsumer) {
    cluster.until("every replica is in sync", || {
        let Ok(metadata) = observer.fetch_metadata(Some(TOPIC), Duration::from_secs(1)) else { return false };
        let partitions = metadata.topics()[0].partitions();
        partitions.len() == PARTITIONS as usize && partitions.iter().all(|partition| partition.isr().len() == NODES)
    });
}

fn led_by(observer: &BaseConsumer, id: usize) -> usize {
    let metadata = observer.fetch_metadata(Some(TOPIC), PATIENCE).unwrap();
    let partitions = metadata.topics()[0].partitions().iter();
    partitions.filter(|partition| usize::try_from(partition.leader()) == Ok(id)).count()
}

/// A producer that sends a numbered record every [`INTERVAL`] until it is told to finish.
struct Load {
    acks: Acks,
    sent: Arc<AtomicU64>,
    stop: Stop,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Load {
    fn start(client: &ClientConfig) -> Self {
        let mut config = client.clone();
        config.set("enable.idempotence", "true").set("acks", "all");
        let acks = Acks::default();
        let producer: BaseProducer<Acks> = config.create_with_context(acks.clone()).unwrap();
        let (sent, stop) = (Arc::default(), Stop::default());
        let (counter, told) = (Arc::clone(&sent), Arc::clone(&stop.0));
        let thread = std::thread::spawn(move || send_until(&producer, &counter, &told));
        Self { acks, sent, stop, thread: Mutex::new(Some(thread)) }
    }

    /// Sends no more, waits until each record has its outcome, and says how many there were.
    fn finish(&self) -> u64 {
        self.stop.now();
        self.thread.lock().unwrap().take().expect("a load is finished once").join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

fn send_until(producer: &BaseProducer<Acks>, sent: &AtomicU64, told: &AtomicBool) {
    let start = Instant::now();
    while !told.load(Ordering::Relaxed) {
        let number = sent.load(Ordering::Relaxed);
        let due = start + INTERVAL * u32::try_from(number).unwrap();
        producer.poll(due.saturating_duration_since(Instant::now()));
        let partition = i32::try_from(number % PARTITIONS as u64).unwrap();
        let payload = format!("{number:<RECORD_BYTES$}");
        match producer.send(BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&payload)) {
            Ok(()) => sent.store(number + 1, Ordering::Relaxed),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => producer.poll(INTERVAL),
            Err((error, _)) => panic!("{error}"),
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Ends a thread at its next look, also when the test has failed.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
    }
}

/// What the producer was told, and when.
#[derive(Clone, Default)]
struct Acks(Arc<(Mutex<Told>, Condvar)>);

#[derive(Default)]
struct Told {
    acks: Vec<(Instant, Record)>,
    failures: Vec<String>,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (told, more) = &*self.0;
        let mut told = told.lock().unwrap();
        match result {
            Ok(message) => told.acks.push((Instant::now(), numbered(message))),
            Err((error, _)) => told.failures.push(error.to_string()),
        }
        more.notify_all();
    }
}

impl Acks {
    fn wait_for_more(&self, count: usize) {
        let wanted = self.0.0.lock().unwrap().acks.len() + count;
        self.wait_until("records are acked before a kill", |acks| acks.len() >= wanted);
    }

    fn wait_for_every_partition_past(&self, number: u64) {
        self.wait_until("every partition takes records again", |acks| {
            let is_new = |(_, record): &&(Instant, Record)| record.number >= number;
            let mut partitions: Vec<_> = acks.iter().filter(is_new).map(|(_, record)| record.partition).collect();
            partitions.sort_unstable();
            partitions.dedup();
            partitions.len() == PARTITIONS as usize
        });
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&[(Instant, Record)]) -> bool) {
        let (told, more) = &*self.0;
        let waits = |told: &mut Told| !holds(&told.acks);
        let (told, waited) = more.wait_timeout_while(told.lock().unwrap(), PATIENCE, waits).unwrap();
        let (acks, failures) = (told.acks.len(), told.failures.clone());
        drop(told);
        assert!(!waited.timed_out(), "in vain: {what}; {acks} acks, failures: {failures:?}");
    }

    fn records(&self) -> Vec<Record> {
        self.0.0.lock().unwrap().acks.iter().map(|(_, record)| *record).collect()
    }

    fn failures(&self) -> Vec<String> {
        self.0.0.lock().unwrap().failures.clone()
    }

    /// The longest time without an ack in each partition, of those that reach into a span of time.
    fn gaps(&self, from: Instant, to: Instant) -> Vec<u128> {
        let mut before = BTreeMap::new();
        let mut gaps = BTreeMap::<i32, Duration>::new();
        for (at, record) in &self.0.0.lock().unwrap().acks {
            let last = before.insert(record.partition, *at).unwrap_or(*at);
            let longest = gaps.entry(record.partition).or_default();
            if *at >= from && last <= to {
                *longest = (*longest).max(*at - last);
            }
        }
        gaps.values().map(Duration::as_millis).collect()
    }
}

fn numbered(message: &BorrowedMessage<'_>) -> Record {
    let number = std::str::from_utf8(message.payload().unwrap()).unwrap().trim_end().parse().unwrap();
    Record { number, partition: message.partition(), offset: message.offset() }
}

/// A consumer that notes what it finds, in a thread of its own.
struct Reader {
    found: Arc<(Mutex<Vec<Record>>, Condvar)>,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start(consumer: BaseConsumer) -> Self {
        let (found, stop) = (Arc::<(Mutex<Vec<Record>>, Condvar)>::default(), Stop::default());
        let (notes, told) = (Arc::clone(&found), Arc::clone(&stop.0));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => notes.0.lock().unwrap().push(numbered(&message)),
                    // A broker that is down is what this test is about; librdkafka goes on by itself.
                    Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => {}
                    Some(Err(error)) => panic!("{error}"),
                    None => {}
                }
                notes.1.notify_all();
            }
        });
        Self { found, stop, thread }
    }

    /// What was found once there are so many records.
    fn finish(self, count: usize) -> Vec<Record> {
        let (found, more) = &*self.found;
        let waits = |found: &mut Vec<Record>| found.len() < count && !self.thread.is_finished();
        let (found, _) = more.wait_timeout_while(found.lock().unwrap(), PATIENCE, waits).unwrap();
        let all = found.clone();
        drop(found);
        self.stop.now();
        self.thread.join().unwrap();
        assert!(all.len() >= count, "{} of {count} records were read", all.len());
        all
    }
}

fn is_passing(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    matches!(error, AllBrokersDown | BrokerTransportFailure | OperationTimedOut)
}

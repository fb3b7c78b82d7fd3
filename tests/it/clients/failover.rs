//! Three nodes, each killed in turn under load: nothing that was acked is lost, doubled, reordered or moved.
//!
//! `DOHLE_KILLS=60 cargo test --test it nothing_acked_by_librdkafka -- --nocapture` does it so many times, and leaves
//! time between; `DOHLE_SEED` replays whom it kills and when. Afterwards Kafka's own reader of files says whether all
//! replicas hold the same batches.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::checker::{Record, faults};
use super::languages::is_left_out;
use super::load::{Load, Stop};
use super::tools::{dump_log, fetched, files, is_missing, of_clients};
use super::{consumer, count, create_topic, numbered};
use crate::cluster::Cluster;
use crate::process::PATIENCE;

pub(super) const NODES: usize = 3;
pub(super) const PARTITIONS: i32 = 12;
pub(super) const TOPIC: &str = "survivor";

/// A record is its number and so much more that segments are rolled during a long run.
pub(super) const RECORD_BYTES: usize = 1_000;
const SEGMENT_BYTES: &str = "1048576";

/// How many records are acked at least before the first kill, and between a node's return and the next.
const QUIET: usize = 500;

/// The same where the gaps are to be measured: 10 s. librdkafka's reconnect back-off of a broker doubles with each
/// attempt and is forgotten after 10 s without one, so that quicker kills measure that.
const QUIET_WHEN_MEASURED: usize = 5_000;

#[test]
fn nothing_acked_by_librdkafka_is_lost_while_every_node_is_killed() {
    survives(Cluster::kill, |cluster| Load::of_librdkafka(&cluster.client()));
}

#[test]
fn nothing_acked_by_the_java_client_is_lost_while_every_node_is_killed() {
    if is_missing(&["java", "mvn"]) {
        return;
    }
    survives(Cluster::kill, load_of_java);
}

#[test]
fn nothing_acked_by_franz_go_is_lost_while_every_node_is_killed() {
    if is_left_out(&["go"]) {
        return;
    }
    let mut program = Command::new(fetched("go-client.sh"));
    program.arg("load");
    survives(Cluster::kill, |cluster| Load::of_program(&mut program, &cluster.bootstrap()));
}

#[test]
fn nothing_acked_by_librdkafka_is_lost_while_every_node_is_stopped() {
    survives(Cluster::stop, |cluster| Load::of_librdkafka(&cluster.client()));
}

#[test]
fn nothing_acked_by_the_java_client_is_lost_while_every_node_is_stopped() {
    if is_missing(&["java", "mvn"]) {
        return;
    }
    survives(Cluster::stop, load_of_java);
}

fn load_of_java(cluster: &Cluster) -> Load {
    let mut program = Command::new(fetched("kafka-tools.sh"));
    Load::of_program(program.arg(of_clients("java/Load.java")), &cluster.bootstrap())
}

/// Ends every node under a producer, and holds what it was acked against what is found.
fn survives(end: fn(&mut Cluster, usize), producer: impl FnOnce(&Cluster) -> Load) {
    let mut cluster = Cluster::start(NODES, &["min.insync.replicas=2"]);
    let client = cluster.client();
    let settings = [("min.insync.replicas", "2"), ("segment.bytes", SEGMENT_BYTES)];
    create_topic(&client, TOPIC, (PARTITIONS, 3), &settings);
    let observer = consumer(&client, TOPIC);
    until_all_are_in_sync(&mut cluster, &observer);

    let quiet = if std::env::var("DOHLE_KILLS").is_ok() { QUIET_WHEN_MEASURED } else { QUIET };
    let mut dice = Dice::thrown();
    let (mut longest, mut controllers) = (Vec::new(), 0);
    let load = producer(&cluster);
    let reader = Reader::start(consumer(&client, TOPIC));
    for candidate in dice.victims() {
        load.acks.wait_for(load.acks.count() + quiet + dice.below(QUIET));
        // Killing a node that leads nothing proves nothing: then it is the next one's turn.
        let id = (candidate..candidate + NODES).map(|id| (id - 1) % NODES + 1).find(|id| led_by(&observer, *id) > 0);
        let id = id.expect("somebody leads");
        controllers += usize::from(cluster.active() == id);
        let (ended, sent) = (Instant::now(), load.sent());
        end(&mut cluster, id);
        load.acks.wait_for_every_partition_past(sent);
        let gaps = load.acks.gaps(ended, Instant::now());
        println!("node {id} ended: gaps between acks by partition, in ms: {gaps:?}");
        longest.extend(gaps.into_iter().max());
        cluster.restart(id);
        until_all_are_in_sync(&mut cluster, &observer);
    }
    longest.sort_unstable();
    let part = |percent: usize| longest[(longest.len() * percent).div_ceil(100) - 1];
    println!("worst partition of each of {} ends, {controllers} of the active controller: ", longest.len());
    println!("median {} ms, 99 % {} ms, maximum {} ms", part(50), part(99), part(100));
    judge(load, reader, &client);
    (1..=NODES).for_each(|id| cluster.kill(id));
    all_replicas_hold_the_same_batches(&cluster);
}

/// Holds what a producer was acked against what a reader found meanwhile, and what another one finds now.
pub(super) fn judge(load: Load, reader: Reader, client: &ClientConfig) {
    let (sent, acks) = load.finish();
    let observer = consumer(client, TOPIC);
    let live = reader.finish(count(&observer, TOPIC));
    let acked = acks.records();
    let untold = acked.iter().filter(|record| record.offset == Record::UNTOLD).count();
    println!("{sent} records sent, {} acked ({untold} without an offset), {} found", acked.len(), live.len());
    assert_eq!(acks.failures(), [""; 0], "with a quorum alive at all times, every record is acked in the end");
    assert_eq!(faults(&acked, &live), [], "as read meanwhile");
    let afterwards = Reader::start(consumer(client, TOPIC)).finish(count(&observer, TOPIC));
    assert_eq!(faults(&acked, &afterwards), [], "as read afterwards");
    assert_eq!(afterwards.len(), live.len(), "a reader saw records that are gone, or did not see some that are there");
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

    /// Every node in turn, again and again in another order, until as many are dead as were asked for.
    fn victims(&mut self) -> Vec<usize> {
        let kills = std::env::var("DOHLE_KILLS").map_or(NODES, |kills| kills.parse().unwrap());
        let mut turn: Vec<usize> = (1..=NODES).collect();
        let mut victims = Vec::new();
        while victims.len() < kills {
            victims.extend(&turn);
            turn.rotate_left(self.below(NODES));
        }
        victims.truncate(kills);
        victims
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
pub(super) fn until_all_are_in_sync(cluster: &mut Cluster, observer: &BaseConsumer) {
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

/// A consumer that notes what it finds, in a thread of its own.
pub(super) struct Reader {
    found: Arc<(Mutex<Vec<Record>>, Condvar)>,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(consumer: BaseConsumer) -> Self {
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

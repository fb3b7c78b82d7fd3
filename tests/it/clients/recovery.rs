//! A node that dies with much in its logs that nobody has flushed: how soon it serves again, and that all is there.
//!
//! `DOHLE_RECOVERY_MIB=4096 cargo test --test it all_that_was_never_flushed -- --nocapture` does it with so much, and
//! holds the node to [`SERVING_MAX`]. It takes as much of the disk, and wants twice as much memory; what the kernel has
//! not written yet when the node dies is printed.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{consumer, count, create_topic};
use crate::cluster::Cluster;
use crate::process::PATIENCE;

const TOPIC: &str = "unflushed";
const PARTITIONS: i32 = 6;
const VALUE_BYTES: usize = 4_000;
const MIB: usize = 1 << 20;

/// How much there is when nobody says: a few entries of every index.
const DEFAULT_MIB: usize = 24;

/// How soon after its start a node serves that has four gigabytes to look after.
const SERVING_MAX: Duration = Duration::from_millis(1_500);

#[test]
fn a_node_that_was_killed_serves_all_that_was_never_flushed() {
    let asked = std::env::var("DOHLE_RECOVERY_MIB").ok().map(|mib| mib.parse::<usize>().unwrap());
    let mut cluster = Cluster::start(1, &[]);
    create_topic(&cluster.client(), TOPIC, (PARTITIONS, 1), &[]);
    let producer = producer(&cluster);
    let per_partition = asked.unwrap_or(DEFAULT_MIB) * MIB / VALUE_BYTES / PARTITIONS as usize;
    fill(&producer, per_partition);

    let folder = cluster.partition_folder(1, "");
    let (bytes, segments) = log_files(&folder);
    assert_eq!(segments, PARTITIONS as usize, "every segment is active");
    assert_eq!(flushed(&folder), 0, "the node has flushed nothing");
    let unwritten = unwritten_mib();
    cluster.kill(1);
    let began = Instant::now();
    cluster.restart(1);
    let listening = began.elapsed();
    fill(&producer, 1);
    let serving = began.elapsed();

    println!("{} MiB in {segments} active segments, of which the kernel had {unwritten} MiB to write", bytes / MIB);
    println!(
        "ready {} ms after the start, every partition took a record after {} ms",
        listening.as_millis(),
        serving.as_millis()
    );
    let found = count(&consumer(&cluster.client(), TOPIC), TOPIC);
    assert_eq!(found, (per_partition + 1) * PARTITIONS as usize, "what was acknowledged is there");
    assert!(asked.is_none() || serving <= SERVING_MAX, "it served after {serving:?}");
}

/// librdkafka with batches as small as they often are, which finds a node that is back at once.
fn producer(cluster: &Cluster) -> BaseProducer {
    let mut config: ClientConfig = cluster.client();
    config.set("acks", "all").set("batch.size", "16384").set("linger.ms", "5").set("log_level", "0");
    config.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "20");
    config.create().unwrap()
}

/// So many records for every partition, each of which is acknowledged when this returns.
fn fill(producer: &BaseProducer, per_partition: usize) {
    let value = vec![b'x'; VALUE_BYTES];
    for _ in 0..per_partition {
        for partition in 0..PARTITIONS {
            let mut record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&value);
            while let Err((error, unsent)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(1));
                record = unsent;
            }
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

/// What the topic's segments weigh, and how many there are.
fn log_files(folder: &Path) -> (usize, usize) {
    let partitions = (0..PARTITIONS).map(|partition| folder.join(format!("{TOPIC}-{partition}")));
    let files = partitions.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(Result::unwrap);
    let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    logs.fold((0, 0), |(bytes, count), log| (bytes + log.metadata().unwrap().len() as usize, count + 1))
}

/// The furthest recovery point of the topic.
fn flushed(folder: &Path) -> i64 {
    let text = std::fs::read_to_string(folder.join("recovery-point-offset-checkpoint")).unwrap_or_default();
    let points = text.lines().filter(|line| line.starts_with(TOPIC)).map(|line| line.rsplit(' ').next().unwrap());
    points.map(|point| point.parse().unwrap()).max().unwrap_or(0)
}

/// What the kernel of this machine has yet to write to its disks.
fn unwritten_mib() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let unwritten = fields.filter(|fields| matches!(fields[0], "Dirty:" | "Writeback:"));
    unwritten.map(|fields| fields[1].parse::<usize>().unwrap()).sum::<usize>() * 1024 / MIB
}

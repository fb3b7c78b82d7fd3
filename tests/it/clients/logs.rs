//! What becomes of a log that is deleted from, rolled and compacted; Kafka's own programs are the judges.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use super::create_topic;
use super::tools::{command, dump_compacted_log, dump_log, files, is_missing, run, tool};
use crate::cluster::Cluster;

const RECORDS: usize = 30_000;
const KEYS: usize = 300;

#[test]
fn kafkas_tools_agree_with_what_is_deleted_and_compacted() {
    if is_missing(&["java", "mvn", "kcat"]) {
        return;
    }
    let mut cluster = Cluster::start(1, &["log.retention.check.interval.ms=100", "log.cleaner.backoff.ms=100"]);
    records_are_deleted_by_request(&mut cluster);
    segments_are_deleted_by_size(&mut cluster);
    let keys = keys_are_compacted(&mut cluster);
    cluster.kill(1);
    cluster.restart(1);
    assert_eq!(consumed(&cluster, "keyed"), keys, "after kill -9");
    assert_eq!(offsets(&cluster, "asked", "-2"), "asked:0:1234\n");
    cluster.stop(1);
    let [asked, large, _] = ["asked", "large", "keyed"].map(|topic| files_are_sound(&cluster, topic));
    assert!(asked.contains("compresscodec: zstd") && !asked.contains("compresscodec: none"), "packed by the leader");
    assert!(large.contains("LogAppendTime: ") && !large.contains("CreateTime: "), "stamped by the leader");
}

/// Lines that look alike, a key before each: 100 bytes or so.
fn lines(records: usize) -> String {
    let filler = "x".repeat(80);
    (0..records).map(|number| format!("key {}:value {number} {filler}\n", number % KEYS)).collect()
}

fn produce(cluster: &Cluster, topic: &str, codec: &str, input: &str) {
    let settings = ["-P", "-t", topic, "-p", "0", "-K", ":", "-z", codec, "-X", "enable.idempotence=true"];
    run(command("kcat").args(["-b", &cluster.bootstrap()]).args(settings), input);
}

/// What a reader ends up with who reads all there is.
fn consumed(cluster: &Cluster, topic: &str) -> BTreeMap<String, String> {
    let settings = ["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-K", ":"];
    let output = run(command("kcat").args(["-b", &cluster.bootstrap()]).args(settings), "").output;
    let pairs = output.lines().map(|line| line.split_once(':').unwrap());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn offsets(cluster: &Cluster, topic: &str, time: &str) -> String {
    tool("kafka-get-offsets", &cluster.bootstrap(), &["--topic", topic, "--time", time], "").output
}

fn log_bytes(cluster: &Cluster, topic: &str) -> u64 {
    let files = files(&cluster.partition_folder(1, &format!("{topic}-0")));
    let logs = files.iter().filter(|path| path.ends_with(".log"));
    logs.filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

fn records_are_deleted_by_request(cluster: &mut Cluster) {
    create_topic(&cluster.client(), "asked", (1, 1), &[("compression.type", "zstd")]);
    produce(cluster, "asked", "none", &lines(2_000));
    let mut wish = NamedTempFile::new().unwrap();
    write!(wish, r#"{{"partitions":[{{"topic":"asked","partition":0,"offset":1234}}],"version":1}}"#).unwrap();
    let wish = ["--offset-json-file", wish.path().to_str().unwrap()];
    let said = tool("kafka-delete-records", &cluster.bootstrap(), &wish, "").output;
    assert!(said.contains("partition: asked-0\tlow_watermark: 1234"), "{said}");
    assert_eq!(offsets(cluster, "asked", "-2"), "asked:0:1234\n");
    assert_eq!(offsets(cluster, "asked", "-1"), "asked:0:2000\n");
    assert_eq!(offsets(cluster, "asked", "-3"), "asked:0:1999\n".replace("1999", &last_of_largest_time(cluster)));
}

/// The first record that has the largest timestamp, as kcat sees it.
fn last_of_largest_time(cluster: &Cluster) -> String {
    let settings = ["-C", "-t", "asked", "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%T %o\n"];
    let output = run(command("kcat").args(["-b", &cluster.bootstrap()]).args(settings), "").output;
    let rows = output.lines().map(|line| line.split_once(' ').unwrap());
    let rows: Vec<(i64, i64)> = rows.map(|(time, offset)| (time.parse().unwrap(), offset.parse().unwrap())).collect();
    let largest = rows.iter().map(|(time, _)| *time).max().unwrap();
    rows.iter().find(|(time, _)| *time == largest).unwrap().1.to_string()
}

fn segments_are_deleted_by_size(cluster: &mut Cluster) {
    let settings = [
        ("segment.bytes", "1048576"),
        ("retention.bytes", "1500000"),
        ("file.delete.delay.ms", "100"),
        ("message.timestamp.type", "LogAppendTime"),
    ];
    create_topic(&cluster.client(), "large", (1, 1), &settings);
    produce(cluster, "large", "none", &lines(RECORDS + 20_000));
    let bootstrap = cluster.bootstrap();
    let described = || {
        let arguments = ["--describe", "--topic-list", "large"];
        tool("kafka-log-dirs", &bootstrap, &arguments, "").output
    };
    assert!(described().contains(r#""partition":"large-0""#), "{}", described());
    let folder = cluster.partition_folder(1, "large-0");
    cluster.until("old segments are deleted, and their files removed", || {
        let files = files(&folder);
        let logs = files.iter().filter(|path| path.ends_with(".log")).count();
        logs <= 3 && !files.iter().any(|path| path.ends_with(".deleted"))
    });
    let kept = log_bytes(cluster, "large");
    assert!((1_500_000..1_500_000 + 2 * 1_048_576).contains(&kept), "{kept} bytes are left");
    assert_ne!(offsets(cluster, "large", "-2"), "large:0:0\n");
}

fn keys_are_compacted(cluster: &mut Cluster) -> BTreeMap<String, String> {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("file.delete.delay.ms", "100"),
    ];
    create_topic(&cluster.client(), "keyed", (1, 1), &settings);
    for codec in ["none", "lz4", "gzip"] {
        produce(cluster, "keyed", codec, &lines(RECORDS));
    }
    // What comes last lies in the active segment, which is never compacted.
    produce(cluster, "keyed", "none", &lines(RECORDS));
    let folder = cluster.partition_folder(1, "keyed-0");
    cluster.until("all closed segments are compacted", || {
        let sizes = |path: &String| std::fs::metadata(path).map_or(0, |file| file.len());
        let files = files(&folder);
        let logs: Vec<u64> = files.iter().filter(|path| path.ends_with(".log")).map(sizes).collect();
        // Each closed one on its own is at most a segment of 1 MiB, and there are ten.
        logs.iter().rev().skip(1).sum::<u64>() < 100_000
    });
    let keys = consumed(cluster, "keyed");
    assert_eq!(keys.len(), KEYS);
    for (key, value) in &keys {
        let number: usize = key.trim_start_matches("key ").parse().unwrap();
        let last = RECORDS - KEYS + number;
        assert!(value.starts_with(&format!("value {last} ")), "{key} is {value}");
    }
    keys
}

/// Kafka's reader finds fault with nothing, not even where it compares an index with its log. What it says of the log.
fn files_are_sound(cluster: &Cluster, topic: &str) -> String {
    let files = files(&cluster.partition_folder(1, &format!("{topic}-0")));
    let of_kind = |kind: &str| files.iter().filter(|path| path.ends_with(kind)).cloned().collect::<Vec<_>>();
    let (logs, indexes) = (of_kind(".log"), [of_kind(".index"), of_kind(".timeindex")].concat());
    assert!(!logs.is_empty() && !indexes.is_empty(), "{files:?}");
    let dump_records = if topic == "keyed" { dump_compacted_log } else { dump_log };
    let dump = dump_records(&["--deep-iteration", "--print-data-log", "--files", &logs.join(",")]);
    assert!(dump.contains("isvalid: true") && !dump.contains("isvalid: false"), "{topic}");
    let sane = dump_log(&["--index-sanity-check", "--files", &indexes.join(",")]);
    let judged = ["passed sanity check", "is empty"].map(|verdict| sane.matches(verdict).count());
    assert_eq!(judged.iter().sum::<usize>(), indexes.len(), "{sane}");
    for file in [indexes, of_kind(".snapshot")].concat() {
        dump_log(&["--files", &file]);
    }
    dump
}

//! A topic's keys. While a topic has no value of its own, the server's key of the same meaning counts.

use super::key::{Allowed, DAY, GIB, HOUR, Key, LONG_MAX, MIB, MINUTE, Scope};
use super::key::{boolean, double, int, list, long, same, scoped, text, times};

pub(super) const DURABILITY: &[&str] = &["replicated", "interval", "fsync"];
pub(super) const COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const CLEANUP: &[&str] = &["delete", "compact"];
pub(super) const TIMESTAMP: &[&str] = &["CreateTime", "LogAppendTime"];

const THROTTLED: Allowed = Allowed::Form("PARTITION:BROKER or *", |pair| {
    let number = |text: &str| text.parse::<u32>().is_ok();
    pair == "*" || pair.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
});

pub(super) const KEYS: &[Key] = &scoped(
    Scope::Topic,
    [
        // How safe a record is.
        text("durability", "replicated").one_of(DURABILITY).from(&[same("dohle.durability")]).doc(
            "What an acknowledgement promises: replicated (written by all in-sync replicas, as in Kafka), \
            interval (also on disk within flush.ms) or fsync (on their disks first).",
        ),
        int("min.insync.replicas", 1)
            .at_least(1)
            .from(&[same("min.insync.replicas")])
            .doc("How many replicas must be in sync for a write with acks=all to be accepted."),
        boolean("unclean.leader.election.enable", false)
            .from(&[same("unclean.leader.election.enable")])
            .doc("Whether a replica that may lack acknowledged records can become leader when nobody else is left."),
        long("flush.messages", LONG_MAX)
            .at_least(1)
            .from(&[same("log.flush.interval.messages")])
            .doc("After how many records a partition is written through to the disk."),
        long("flush.ms", LONG_MAX)
            .at_least(0)
            .from(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")])
            .doc("How long a record may wait before it is written through to the disk."),
        // What is kept.
        list("cleanup.policy", "delete")
            .one_of(CLEANUP)
            .from(&[same("log.cleanup.policy")])
            .doc("Whether old segments are deleted, compacted to the last record of each key, both, or kept forever."),
        long("retention.ms", 7 * DAY)
            .at_least(-1)
            .from(&[
                same("log.retention.ms"),
                times("log.retention.minutes", MINUTE),
                times("log.retention.hours", HOUR),
            ])
            .doc("How long records are kept before their segment may be deleted; -1 is forever."),
        long("retention.bytes", -1)
            .from(&[same("log.retention.bytes")])
            .doc("How large a partition may grow before its oldest segments are deleted; -1 is without limit."),
        long("file.delete.delay.ms", MINUTE)
            .at_least(0)
            .from(&[same("log.segment.delete.delay.ms")])
            .doc("How long the files of a deleted segment stay for readers that still hold them."),
        long("delete.retention.ms", DAY)
            .at_least(0)
            .from(&[same("log.cleaner.delete.retention.ms")])
            .doc("How long a compacted topic keeps the marker of a deleted key, so that slow readers see it."),
        double("min.cleanable.dirty.ratio", 0.5)
            .allow(Allowed::Ratio)
            .from(&[same("log.cleaner.min.cleanable.ratio")])
            .doc("Which share of a log must be uncompacted before compaction is worth its work."),
        long("min.compaction.lag.ms", 0)
            .at_least(0)
            .from(&[same("log.cleaner.min.compaction.lag.ms")])
            .doc("How long a record stays untouched by compaction."),
        long("max.compaction.lag.ms", LONG_MAX)
            .at_least(1)
            .from(&[same("log.cleaner.max.compaction.lag.ms")])
            .doc("After how long a record must have been considered by compaction."),
        // How it lies on disk.
        int("segment.bytes", GIB)
            .at_least(MIB)
            .from(&[same("log.segment.bytes")])
            .doc("How large a segment file grows before the next one is begun."),
        long("segment.ms", 7 * DAY)
            .at_least(1)
            .from(&[same("log.roll.ms"), times("log.roll.hours", HOUR)])
            .doc("After how long a segment is closed even if it is not full."),
        long("segment.jitter.ms", 0)
            .at_least(0)
            .from(&[same("log.roll.jitter.ms"), times("log.roll.jitter.hours", HOUR)])
            .doc("At most this much is taken off segment.ms at random, so that partitions do not roll together."),
        int("segment.index.bytes", 10 * MIB)
            .at_least(4)
            .from(&[same("log.index.size.max.bytes")])
            .doc("How large the index of a segment may grow; a full index closes the segment."),
        int("index.interval.bytes", 4096)
            .at_least(0)
            .from(&[same("log.index.interval.bytes")])
            .doc("How many bytes of records lie between two entries of an index."),
        boolean("preallocate", false)
            .from(&[same("log.preallocate")])
            .doc("Whether the whole space of a new segment is reserved when it is begun."),
        // What is accepted.
        int("max.message.bytes", 1_048_588)
            .at_least(0)
            .from(&[same("message.max.bytes")])
            .doc("The largest batch a producer may send, as it is on the wire."),
        text("compression.type", "producer")
            .one_of(COMPRESSION)
            .from(&[same("compression.type")])
            .doc("How batches are stored: as the producer compressed them, or in one codec."),
        int("compression.gzip.level", -1)
            .allow(Allowed::WithinOr(1, 9, -1))
            .from(&[same("compression.gzip.level")])
            .doc("The level when compression.type is gzip; -1 is the codec's own default."),
        int("compression.lz4.level", 9)
            .allow(Allowed::Within(1, 17))
            .from(&[same("compression.lz4.level")])
            .doc("The level when compression.type is lz4."),
        int("compression.zstd.level", 3)
            .allow(Allowed::Within(-131_072, 22))
            .from(&[same("compression.zstd.level")])
            .doc("The level when compression.type is zstd."),
        text("message.timestamp.type", "CreateTime")
            .one_of(TIMESTAMP)
            .from(&[same("log.message.timestamp.type")])
            .doc("Whether a record carries the time its producer gave it, or the time it was appended."),
        long("message.timestamp.before.max.ms", LONG_MAX)
            .at_least(0)
            .from(&[same("log.message.timestamp.before.max.ms")])
            .doc("How far a producer's timestamp may lie in the past."),
        long("message.timestamp.after.max.ms", HOUR)
            .at_least(0)
            .from(&[same("log.message.timestamp.after.max.ms")])
            .doc("How far a producer's timestamp may lie in the future."),
        // How fast it is copied.
        list("leader.replication.throttled.replicas", "")
            .allow(THROTTLED)
            .doc("Which replicas count against leader.replication.throttled.rate while they catch up."),
        list("follower.replication.throttled.replicas", "")
            .allow(THROTTLED)
            .doc("Which replicas count against follower.replication.throttled.rate while they catch up."),
        // Tiered storage, which Dohle does not have: listed because Kafka's tools ask for every topic key.
        boolean("remote.storage.enable", false)
            .one_of(&["false"])
            .doc("Kafka's tiered storage, which Dohle does not have: a topic stays on the brokers' disks."),
        boolean("remote.log.copy.disable", false)
            .doc("Whether a tiered topic stops copying segments away; without tiered storage it means nothing."),
        boolean("remote.log.delete.on.disable", false)
            .doc("Whether turning tiered storage off deletes what it holds; without tiered storage it means nothing."),
        long("local.retention.ms", -2)
            .at_least(-2)
            .from(&[same("log.local.retention.ms")])
            .doc("How long a tiered topic keeps segments locally; -2 is as long as retention.ms."),
        long("local.retention.bytes", -2)
            .at_least(-2)
            .from(&[same("log.local.retention.bytes")])
            .doc("How much a tiered topic keeps locally; -2 is as much as retention.bytes."),
    ],
);

//! How a broker and its cluster behave: topics that name nothing else, replication, logs, offsets, transactions.

use super::key::{Allowed, DAY, GIB, HOUR, Key, Kind, LONG_MAX, MIB, MINUTE, SECOND, Scope};
use super::key::{boolean, double, int, list, long, scoped, short, text, unset};
use super::topic::{CLEANUP, COMPRESSION, DURABILITY, TIMESTAMP};

/// Read when a node starts.
pub(super) const STATIC: &[Key] = &scoped(
    Scope::ReadOnly,
    [
        // Topics.
        int("num.partitions", 1).at_least(1).doc("How many partitions a topic gets when its creator does not say."),
        int("default.replication.factor", 1)
            .at_least(1)
            .doc("How many replicas a topic gets when its creator does not say."),
        boolean("auto.create.topics.enable", true)
            .doc("Whether a topic is created when a client asks for one that does not exist."),
        boolean("delete.topic.enable", true).doc("Whether topics can be deleted."),
        // Brokers that come, go and fall silent.
        int("broker.session.timeout.ms", 3 * SECOND).at_least(1).unlike_kafka("9000").doc(
            "After how long of silence a broker is fenced and its partitions get other leaders. Kafka's is \
            9000; a broken connection is noticed long before either.",
        ),
        int("initial.broker.registration.timeout.ms", MINUTE)
            .doc("How long a starting broker tries to register before it gives up."),
        boolean("controlled.shutdown.enable", true).doc("Whether a broker hands its leaderships over before it stops."),
        boolean("auto.leader.rebalance.enable", true)
            .doc("Whether leadership goes back to the preferred replicas by itself."),
        long("leader.imbalance.check.interval.seconds", 300)
            .at_least(1)
            .doc("How often it is checked whether leadership should go back to the preferred replicas."),
        long("unclean.leader.election.interval.ms", 5 * MINUTE)
            .at_least(1)
            .doc("How often partitions without a leader are looked at for an unclean election, where that is enabled."),
        int("request.timeout.ms", 30 * SECOND).doc("How long a broker waits for another node's answer."),
        // Replication and reading.
        long("replica.lag.time.max.ms", 10 * SECOND).at_least(1).unlike_kafka("30000").doc(
            "How long a replica may lag behind the leader's end before it is no longer in sync. Kafka's is 30000; \
            here it is for replicas that are alive but stuck only, because a dead one is fenced long before.",
        ),
        long("replica.high.watermark.checkpoint.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("How often high watermarks are written to disk."),
        unset("replica.selector.class", Kind::Text)
            .one_of(&[
                "org.apache.kafka.common.replica.LeaderSelector",
                "org.apache.kafka.common.replica.RackAwareReplicaSelector",
            ])
            .doc(
                "Which replica a consumer is sent to: the leader, or with RackAwareReplicaSelector one in its own \
                rack.",
            ),
        int("fetch.max.bytes", 55 * MIB).at_least(1024).doc("The most that one fetch is answered with."),
        int("max.incremental.fetch.session.cache.slots", 1_000)
            .at_least(0)
            .doc("How many incremental fetch sessions a broker remembers."),
        int("max.request.partition.size.limit", 2_000)
            .at_least(1)
            .doc("How many partitions one answer to DescribeTopicPartitions holds."),
        // Logs: what topics do not override.
        int("log.retention.hours", 168)
            .doc("How long records are kept, in hours; log.retention.minutes and log.retention.ms count first."),
        unset("log.retention.minutes", Kind::Int)
            .doc("How long records are kept, in minutes; log.retention.ms counts first."),
        long("log.retention.check.interval.ms", 5 * MINUTE)
            .at_least(1)
            .doc("How often segments are looked at for deletion."),
        int("log.roll.hours", 168)
            .at_least(1)
            .doc("After how many hours a segment is closed even if it is not full; log.roll.ms counts first."),
        int("log.roll.jitter.hours", 0)
            .at_least(0)
            .doc("At most how many hours are taken off log.roll.hours at random; log.roll.jitter.ms counts first."),
        long("log.flush.scheduler.interval.ms", LONG_MAX)
            .doc("How often logs are looked at for writing through, where log.flush.interval.ms says nothing."),
        int("log.flush.offset.checkpoint.interval.ms", MINUTE)
            .at_least(0)
            .doc("How often it is written down up to where logs are known to be on disk."),
        int("log.flush.start.offset.checkpoint.interval.ms", MINUTE)
            .at_least(0)
            .doc("How often it is written down where logs begin."),
        boolean("log.cleaner.enable", true).doc("Whether compacted topics are compacted."),
        // Committed offsets: __consumer_offsets.
        int("offset.metadata.max.bytes", 4096).doc("The largest note a consumer may store with an offset."),
        int("offsets.commit.timeout.ms", 5 * SECOND).at_least(1).doc("How long a commit waits for its replicas."),
        int("offsets.retention.minutes", 10_080)
            .at_least(1)
            .doc("How long the offsets of a group without members are kept."),
        long("offsets.retention.check.interval.ms", 10 * MINUTE)
            .at_least(1)
            .doc("How often expired offsets are removed."),
        int("offsets.topic.num.partitions", 50)
            .at_least(1)
            .doc("How many partitions __consumer_offsets is created with."),
        short("offsets.topic.replication.factor", 3)
            .at_least(1)
            .doc("How many replicas __consumer_offsets is created with."),
        int("offsets.topic.segment.bytes", 100 * MIB).at_least(1).doc("The segment size of __consumer_offsets."),
        // Transactions: __transaction_state.
        int("transaction.max.timeout.ms", 15 * MINUTE)
            .at_least(1)
            .doc("The longest timeout a producer may ask for its transactions."),
        int("transactional.id.expiration.ms", 7 * DAY)
            .at_least(1)
            .doc("After how long without a transaction a transactional id is forgotten."),
        int("transaction.abort.timed.out.transaction.cleanup.interval.ms", 10 * SECOND)
            .at_least(1)
            .doc("How often transactions are looked at for timeout."),
        int("transaction.remove.expired.transaction.cleanup.interval.ms", HOUR)
            .at_least(1)
            .doc("How often transactional ids are looked at for expiry."),
        boolean("transaction.two.phase.commit.enable", false)
            .doc("Whether producers may keep a prepared transaction open without a timeout."),
        int("transaction.state.log.num.partitions", 50)
            .at_least(1)
            .doc("How many partitions __transaction_state is created with."),
        short("transaction.state.log.replication.factor", 3)
            .at_least(1)
            .doc("How many replicas __transaction_state is created with."),
        int("transaction.state.log.min.isr", 2).at_least(1).doc("The min.insync.replicas of __transaction_state."),
        int("transaction.state.log.segment.bytes", 100 * MIB)
            .at_least(1)
            .doc("The segment size of __transaction_state."),
        int("producer.id.expiration.check.interval.ms", 10 * MINUTE)
            .at_least(1)
            .doc("How often idle producers are looked at for expiry."),
        // What share groups hold: __share_group_state.
        int("share.coordinator.state.topic.num.partitions", 50)
            .at_least(1)
            .doc("How many partitions __share_group_state is created with."),
        short("share.coordinator.state.topic.replication.factor", 3)
            .at_least(1)
            .doc("How many replicas __share_group_state is created with."),
        short("share.coordinator.state.topic.min.isr", 2)
            .at_least(1)
            .doc("The min.insync.replicas of __share_group_state."),
        int("share.coordinator.state.topic.segment.bytes", 100 * MIB)
            .at_least(1)
            .doc("The segment size of __share_group_state."),
        int("share.coordinator.snapshot.update.records.per.snapshot", 500)
            .allow(Allowed::Within(0, 500))
            .doc("How many changes of a share group's state follow one another before all of it is written again."),
        int("share.coordinator.write.timeout.ms", 5 * SECOND)
            .at_least(1)
            .doc("How long a change of a share group's state waits for its replicas."),
        // Client metrics (KIP-714).
        int("telemetry.max.bytes", MIB).at_least(1).doc("The largest set of metrics a client may push."),
    ],
);

/// May change at run time, for one broker at a time.
pub(super) const PER_BROKER: &[Key] = &scoped(
    Scope::PerBroker,
    [
        long("leader.replication.throttled.rate", LONG_MAX)
            .at_least(0)
            .doc("How many bytes per second a leader sends to throttled replicas that catch up."),
        long("follower.replication.throttled.rate", LONG_MAX)
            .at_least(0)
            .doc("How many bytes per second a broker takes for throttled replicas that catch up."),
        long("replica.alter.log.dirs.io.max.bytes.per.second", LONG_MAX)
            .at_least(0)
            .doc("How many bytes per second are copied when a partition moves between folders of one broker."),
        list("cordoned.log.dirs", "").doc("Folders that get no new partitions; * is all of them."),
    ],
);

/// May change at run time, for one broker or for all: mostly what topics take their own values from.
pub(super) const CLUSTER_WIDE: &[Key] = &scoped(
    Scope::ClusterWide,
    [
        text("dohle.durability", "replicated").one_of(DURABILITY).doc(
            "What an acknowledgement promises where a topic's durability says nothing: replicated, interval or \
            fsync.",
        ),
        int("min.insync.replicas", 1)
            .at_least(1)
            .doc("How many replicas must be in sync for a write with acks=all to be accepted."),
        boolean("unclean.leader.election.enable", false)
            .doc("Whether a replica that may lack acknowledged records can become leader when nobody else is left."),
        int("message.max.bytes", 1_048_588)
            .at_least(0)
            .doc("The largest batch a producer may send, as it is on the wire."),
        text("compression.type", "producer")
            .one_of(COMPRESSION)
            .doc("How batches are stored: as the producer compressed them, or in one codec."),
        int("compression.gzip.level", -1)
            .allow(Allowed::WithinOr(1, 9, -1))
            .doc("The level when compression.type is gzip; -1 is the codec's own default."),
        int("compression.lz4.level", 9).allow(Allowed::Within(1, 17)).doc("The level when compression.type is lz4."),
        int("compression.zstd.level", 3)
            .allow(Allowed::Within(-131_072, 22))
            .doc("The level when compression.type is zstd."),
        list("log.cleanup.policy", "delete")
            .one_of(CLEANUP)
            .doc("Whether old segments are deleted, compacted to the last record of each key, both, or kept forever."),
        unset("log.retention.ms", Kind::Long).at_least(-1).doc(
            "How long records are kept, in milliseconds; -1 is forever. Unset, log.retention.minutes and \
            log.retention.hours count.",
        ),
        long("log.retention.bytes", -1)
            .doc("How large a partition may grow before its oldest segments are deleted; -1 is without limit."),
        int("log.segment.bytes", GIB).at_least(MIB).doc("How large a segment file grows before the next one is begun."),
        unset("log.roll.ms", Kind::Long).at_least(1).doc(
            "After how many milliseconds a segment is closed even if it is not full; unset, log.roll.hours \
            counts.",
        ),
        unset("log.roll.jitter.ms", Kind::Long).at_least(0).doc(
            "At most how many milliseconds are taken off log.roll.ms at random; unset, log.roll.jitter.hours \
            counts.",
        ),
        int("log.index.size.max.bytes", 10 * MIB)
            .at_least(4)
            .doc("How large the index of a segment may grow; a full index closes the segment."),
        int("log.index.interval.bytes", 4096)
            .at_least(0)
            .doc("How many bytes of records lie between two entries of an index."),
        long("log.segment.delete.delay.ms", MINUTE)
            .at_least(0)
            .doc("How long the files of a deleted segment stay for readers that still hold them."),
        boolean("log.preallocate", false).doc("Whether the whole space of a new segment is reserved when it is begun."),
        long("log.flush.interval.messages", LONG_MAX)
            .at_least(1)
            .doc("After how many records a partition is written through to the disk."),
        unset("log.flush.interval.ms", Kind::Long)
            .at_least(0)
            .doc("How long a record may wait before it is written through to the disk."),
        text("log.message.timestamp.type", "CreateTime")
            .one_of(TIMESTAMP)
            .doc("Whether a record carries the time its producer gave it, or the time it was appended."),
        long("log.message.timestamp.before.max.ms", LONG_MAX)
            .at_least(0)
            .doc("How far a producer's timestamp may lie in the past."),
        long("log.message.timestamp.after.max.ms", HOUR)
            .at_least(0)
            .doc("How far a producer's timestamp may lie in the future."),
        long("log.local.retention.ms", -2)
            .at_least(-2)
            .doc("How long a tiered topic keeps segments locally; without tiered storage it means nothing."),
        long("log.local.retention.bytes", -2)
            .at_least(-2)
            .doc("How much a tiered topic keeps locally; without tiered storage it means nothing."),
        // Compaction.
        double("log.cleaner.min.cleanable.ratio", 0.5)
            .allow(Allowed::Ratio)
            .doc("Which share of a log must be uncompacted before compaction is worth its work."),
        long("log.cleaner.min.compaction.lag.ms", 0)
            .at_least(0)
            .doc("How long a record stays untouched by compaction."),
        long("log.cleaner.max.compaction.lag.ms", LONG_MAX)
            .at_least(1)
            .doc("After how long a record must have been considered by compaction."),
        long("log.cleaner.delete.retention.ms", DAY)
            .at_least(0)
            .doc("How long a compacted topic keeps the marker of a deleted key, so that slow readers see it."),
        int("log.cleaner.threads", 1).at_least(0).doc("How many logs are compacted at the same time."),
        long("log.cleaner.dedupe.buffer.size", 128 * MIB)
            .at_least(MIB)
            .doc("How much memory compaction takes to remember keys."),
        double("log.cleaner.io.max.bytes.per.second", f64::MAX)
            .doc("How many bytes per second compaction reads and writes."),
        long("log.cleaner.backoff.ms", 15 * SECOND)
            .at_least(0)
            .doc("How long compaction sleeps when there is nothing to do."),
        // Producers.
        int("producer.id.expiration.ms", DAY)
            .at_least(1)
            .doc("After how long without a write a producer's sequence numbers are forgotten."),
        boolean("transaction.partition.verification.enable", true)
            .doc("Whether a write in a transaction is checked against what its coordinator knows."),
    ],
);

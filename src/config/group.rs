//! A group's keys, and the server's keys that give them their defaults and bounds.

use super::key::{Allowed, INT_MAX, Key, MINUTE, SECOND, Scope};
use super::key::{boolean, int, list, same, scoped, text};

/// Keys of one group; `kafka-configs --entity-type groups` sets them.
pub(super) const KEYS: &[Key] = &scoped(
    Scope::Group,
    [
        int("consumer.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .from(&[same("group.consumer.session.timeout.ms")])
            .between(Some("group.consumer.min.session.timeout.ms"), Some("group.consumer.max.session.timeout.ms"))
            .doc("After how long without a heartbeat a consumer is taken out of the group."),
        int("consumer.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .from(&[same("group.consumer.heartbeat.interval.ms")])
            .between(Some("group.consumer.min.heartbeat.interval.ms"), Some("group.consumer.max.heartbeat.interval.ms"))
            .doc("How often a consumer of the group sends a heartbeat."),
        int("consumer.assignment.interval.ms", SECOND)
            .at_least(0)
            .from(&[same("group.consumer.assignment.interval.ms")])
            .between(
                Some("group.consumer.min.assignment.interval.ms"),
                Some("group.consumer.max.assignment.interval.ms"),
            )
            .doc("How long a new assignment waits for more members after the last one."),
        int("share.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .from(&[same("group.share.session.timeout.ms")])
            .between(Some("group.share.min.session.timeout.ms"), Some("group.share.max.session.timeout.ms"))
            .doc("After how long without a heartbeat a share consumer is taken out of the group."),
        int("share.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .from(&[same("group.share.heartbeat.interval.ms")])
            .between(Some("group.share.min.heartbeat.interval.ms"), Some("group.share.max.heartbeat.interval.ms"))
            .doc("How often a share consumer sends a heartbeat."),
        int("share.assignment.interval.ms", SECOND)
            .at_least(0)
            .from(&[same("group.share.assignment.interval.ms")])
            .between(Some("group.share.min.assignment.interval.ms"), Some("group.share.max.assignment.interval.ms"))
            .doc("How long a new assignment of a share group waits for more members after the last one."),
        int("share.record.lock.duration.ms", 30 * SECOND)
            .at_least(SECOND)
            .from(&[same("group.share.record.lock.duration.ms")])
            .between(Some("group.share.min.record.lock.duration.ms"), Some("group.share.max.record.lock.duration.ms"))
            .doc("How long a share consumer may hold a record before others may have it."),
        int("share.delivery.count.limit", 5)
            .at_least(2)
            .from(&[same("group.share.delivery.count.limit")])
            .between(Some("group.share.min.delivery.count.limit"), Some("group.share.max.delivery.count.limit"))
            .doc("How often a record is delivered before a share group gives it up."),
        int("share.partition.max.record.locks", 2_000)
            .at_least(100)
            .from(&[same("group.share.partition.max.record.locks")])
            .between(
                Some("group.share.min.partition.max.record.locks"),
                Some("group.share.max.partition.max.record.locks"),
            )
            .doc("How many records of a partition a share group may hold at once."),
        text("share.auto.offset.reset", "latest")
            .allow(Allowed::Form("latest, earliest or by_duration:P…", |reset| {
                matches!(reset, "latest" | "earliest")
                    || reset.strip_prefix("by_duration:P").is_some_and(|at| !at.is_empty())
            }))
            .doc("Where a new share group begins."),
        text("share.isolation.level", "read_uncommitted")
            .one_of(&["read_uncommitted", "read_committed"])
            .doc("Whether a share group sees records of transactions that are still open."),
        boolean("share.renew.acknowledge.enable", true)
            .doc("Whether share consumers may ask for more time with a record they hold."),
        int("streams.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .from(&[same("group.streams.session.timeout.ms")])
            .between(Some("group.streams.min.session.timeout.ms"), Some("group.streams.max.session.timeout.ms"))
            .doc("After how long without a heartbeat a streams client is taken out of the group."),
        int("streams.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .from(&[same("group.streams.heartbeat.interval.ms")])
            .between(Some("group.streams.min.heartbeat.interval.ms"), Some("group.streams.max.heartbeat.interval.ms"))
            .doc("How often a streams client sends a heartbeat."),
        int("streams.assignment.interval.ms", SECOND)
            .at_least(0)
            .from(&[same("group.streams.assignment.interval.ms")])
            .between(Some("group.streams.min.assignment.interval.ms"), Some("group.streams.max.assignment.interval.ms"))
            .doc("How long a new assignment of a streams group waits for more members after the last one."),
        int("streams.initial.rebalance.delay.ms", 3 * SECOND)
            .at_least(0)
            .from(&[same("group.streams.initial.rebalance.delay.ms")])
            .doc("How long the first assignment of a streams group waits for more members."),
        int("streams.num.standby.replicas", 0)
            .at_least(0)
            .from(&[same("group.streams.num.standby.replicas")])
            .between(None, Some("group.streams.max.standby.replicas"))
            .doc("How many spare copies of each task's state a streams group keeps."),
    ],
);

/// The server's side, read at start.
pub(super) const SERVER: &[Key] = &scoped(
    Scope::ReadOnly,
    [
        // All kinds of groups.
        list("group.coordinator.rebalance.protocols", "classic,consumer,streams")
            .one_of(&["classic", "consumer", "share", "streams"])
            .doc("Which kinds of groups are served."),
        // Classic groups: the client leader assigns.
        int("group.initial.rebalance.delay.ms", 3 * SECOND)
            .at_least(0)
            .doc("How long the first rebalance of a new classic group waits for more members."),
        int("group.min.session.timeout.ms", 6 * SECOND)
            .doc("The shortest session timeout a member of a classic group may ask for."),
        int("group.max.session.timeout.ms", 30 * MINUTE)
            .doc("The longest session timeout a member of a classic group may ask for."),
        int("group.max.size", INT_MAX).at_least(1).doc("How many members a classic group may have."),
        // Consumer groups: the coordinator assigns (KIP-848).
        int("group.consumer.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("After how long without a heartbeat a consumer is taken out of its group."),
        int("group.consumer.min.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("The shortest session timeout a consumer group may be given."),
        int("group.consumer.max.session.timeout.ms", MINUTE)
            .at_least(1)
            .doc("The longest session timeout a consumer group may be given."),
        int("group.consumer.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("How often a consumer sends a heartbeat."),
        int("group.consumer.min.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("The shortest heartbeat interval a consumer group may be given."),
        int("group.consumer.max.heartbeat.interval.ms", 15 * SECOND)
            .at_least(1)
            .doc("The longest heartbeat interval a consumer group may be given."),
        int("group.consumer.min.assignment.interval.ms", 0)
            .at_least(0)
            .doc("The shortest assignment interval a consumer group may be given."),
        int("group.consumer.max.assignment.interval.ms", 15 * SECOND)
            .at_least(0)
            .doc("The longest assignment interval a consumer group may be given."),
        int("group.consumer.max.size", INT_MAX).at_least(1).doc("How many members a consumer group may have."),
        list("group.consumer.assignors", "uniform,range")
            .one_of(&["uniform", "range"])
            .doc("The assignors that consumer groups may use; the first is the default."),
        text("group.consumer.migration.policy", "bidirectional")
            .one_of(&["bidirectional", "upgrade", "downgrade", "disabled"])
            .doc("Whether a group may change between the classic and the consumer protocol while it has members."),
        int("group.consumer.regex.refresh.interval.ms", 10 * MINUTE)
            .at_least(10 * SECOND)
            .doc("How often the topics that match a subscribed pattern are looked up again."),
        // Share groups: records are handed out one by one (KIP-932).
        int("group.share.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("After how long without a heartbeat a share consumer is taken out of its group."),
        int("group.share.min.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("The shortest session timeout a share group may be given."),
        int("group.share.max.session.timeout.ms", MINUTE)
            .at_least(1)
            .doc("The longest session timeout a share group may be given."),
        int("group.share.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("How often a share consumer sends a heartbeat."),
        int("group.share.min.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("The shortest heartbeat interval a share group may be given."),
        int("group.share.max.heartbeat.interval.ms", 15 * SECOND)
            .at_least(1)
            .doc("The longest heartbeat interval a share group may be given."),
        int("group.share.min.assignment.interval.ms", 0)
            .at_least(0)
            .doc("The shortest assignment interval a share group may be given."),
        int("group.share.max.assignment.interval.ms", 15 * SECOND)
            .at_least(0)
            .doc("The longest assignment interval a share group may be given."),
        list("group.share.assignors", "simple").one_of(&["simple"]).doc("The assignors that share groups may use."),
        int("group.share.max.size", 200)
            .allow(Allowed::Within(1, 1_000))
            .doc("How many members a share group may have."),
        int("group.share.max.share.sessions", 2_000).at_least(1).doc("How many share sessions a broker keeps."),
        int("group.share.record.lock.duration.ms", 30 * SECOND)
            .allow(Allowed::Within(SECOND, 60 * MINUTE))
            .doc("How long a share consumer may hold a record before others may have it."),
        int("group.share.min.record.lock.duration.ms", 15 * SECOND)
            .allow(Allowed::Within(SECOND, 30 * SECOND))
            .doc("The shortest hold a share group may be given."),
        int("group.share.max.record.lock.duration.ms", MINUTE)
            .allow(Allowed::Within(30 * SECOND, 60 * MINUTE))
            .doc("The longest hold a share group may be given."),
        int("group.share.delivery.count.limit", 5)
            .allow(Allowed::Within(2, 10))
            .doc("How often a record is delivered before a share group gives it up."),
        int("group.share.min.delivery.count.limit", 2)
            .allow(Allowed::Within(2, 5))
            .doc("The lowest delivery count limit a share group may be given."),
        int("group.share.max.delivery.count.limit", 10)
            .allow(Allowed::Within(5, 25))
            .doc("The highest delivery count limit a share group may be given."),
        int("group.share.partition.max.record.locks", 2_000)
            .allow(Allowed::Within(100, 10_000))
            .doc("How many records of a partition a share group may hold at once."),
        int("group.share.min.partition.max.record.locks", 100)
            .allow(Allowed::Within(100, 2_000))
            .doc("The lowest number of held records a share group may be given."),
        int("group.share.max.partition.max.record.locks", 4_000)
            .allow(Allowed::Within(2_000, 10_000))
            .doc("The highest number of held records a share group may be given."),
        // Streams groups (KIP-1071).
        int("group.streams.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("After how long without a heartbeat a streams client is taken out of its group."),
        int("group.streams.min.session.timeout.ms", 45 * SECOND)
            .at_least(1)
            .doc("The shortest session timeout a streams group may be given."),
        int("group.streams.max.session.timeout.ms", MINUTE)
            .at_least(1)
            .doc("The longest session timeout a streams group may be given."),
        int("group.streams.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("How often a streams client sends a heartbeat."),
        int("group.streams.min.heartbeat.interval.ms", 5 * SECOND)
            .at_least(1)
            .doc("The shortest heartbeat interval a streams group may be given."),
        int("group.streams.max.heartbeat.interval.ms", 15 * SECOND)
            .at_least(1)
            .doc("The longest heartbeat interval a streams group may be given."),
        int("group.streams.min.assignment.interval.ms", 0)
            .at_least(0)
            .doc("The shortest assignment interval a streams group may be given."),
        int("group.streams.max.assignment.interval.ms", 15 * SECOND)
            .at_least(0)
            .doc("The longest assignment interval a streams group may be given."),
        int("group.streams.initial.rebalance.delay.ms", 3 * SECOND)
            .at_least(0)
            .doc("How long the first assignment of a streams group waits for more members."),
        int("group.streams.max.size", INT_MAX).at_least(1).doc("How many members a streams group may have."),
        int("group.streams.num.standby.replicas", 0)
            .at_least(0)
            .doc("How many spare copies of each task's state a streams group keeps."),
        int("group.streams.max.standby.replicas", 2)
            .at_least(0)
            .doc("The highest number of spare copies a streams group may be given."),
    ],
);

/// The server's side that may change at run time.
pub(super) const SERVER_DYNAMIC: &[Key] = &scoped(
    Scope::ClusterWide,
    [
        int("group.consumer.assignment.interval.ms", SECOND)
            .at_least(0)
            .doc("How long a new assignment of a consumer group waits for more members after the last one."),
        int("group.share.assignment.interval.ms", SECOND)
            .at_least(0)
            .doc("How long a new assignment of a share group waits for more members after the last one."),
        int("group.streams.assignment.interval.ms", SECOND)
            .at_least(0)
            .doc("How long a new assignment of a streams group waits for more members after the last one."),
    ],
);

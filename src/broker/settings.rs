//! A topic's settings as its partitions act on them: its own, else the cluster's, else the node's.

use crate::base::clock::WallMillis;
use crate::base::ids::TopicId;
use crate::base::limits::FLUSH_INTERVAL_MS;
use crate::config::key::{Key, Value};
use crate::config::{Resolved, table};
use crate::log::{CompactionRules, LogOptions, Retention};
use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;
use crate::record::Codec;
use crate::record::check::{Rules, Timestamps};
use crate::record::compression::Compression;
use crate::replica::Durability;
use crate::replica::isr::Policy;

/// What of a topic's configuration a partition needs on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    pub log: LogOptions,
    pub keep: Keep,
    pub flush: FlushAfter,
    pub policy: Policy,
    pub message_bytes_max: usize,
    pub keys_required: bool,
    pub timestamps: Timestamps,
    /// `compression.type`, unless batches stay as their producers packed them.
    pub compression: Option<Compression>,
    pub producer_idle_ms: u64,
}

/// How much may be written and not be durable: `flush.ms` and `flush.messages`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlushAfter {
    pub ms: Option<u64>,
    pub records: i64,
}

impl FlushAfter {
    /// Whenever a segment is closed.
    pub const SEGMENT: Self = Self { ms: None, records: i64::MAX };
}

/// What of a topic is kept, and what goes: `cleanup.policy`, and what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Keep {
    /// With `delete`, whole segments go. Without, also nobody may delete records by hand.
    pub delete: Option<Retention>,
    /// With `compact`, of each key the last record stays.
    pub compact: Option<CompactionRules>,
    /// `file.delete.delay.ms`
    pub delete_delay_ms: u64,
}

impl TopicSettings {
    pub fn of(topic: TopicId, image: &Image, node: &Resolved) -> Self {
        let look = Lookup { topic, image, node };
        Self {
            log: LogOptions {
                segment_bytes: look.number("segment.bytes").try_into().unwrap_or(u32::MAX),
                segment_ms: look.segment_ms(),
                segment_jitter_ms: look.number("segment.jitter.ms"),
                index_interval_bytes: look.number("index.interval.bytes").try_into().unwrap_or(u32::MAX),
                index_bytes_max: look.number("segment.index.bytes").try_into().unwrap_or(u32::MAX),
                ..LogOptions::default()
            },
            keep: look.keep(),
            flush: look.flush(),
            policy: Policy {
                min_insync_replicas: image.configs().min_insync_replicas(topic),
                durability: look.durability(),
                replica_lag_time_max_ms: node.number("replica.lag.time.max.ms").unsigned_abs(),
            },
            message_bytes_max: look.number("max.message.bytes").try_into().unwrap_or(usize::MAX),
            keys_required: look.cleans_by("compact"),
            timestamps: look.timestamps(),
            compression: look.compression(),
            producer_idle_ms: node.number("producer.id.expiration.ms").unsigned_abs(),
        }
    }

    /// What a batch from a client must keep.
    pub fn rules(&self, now: WallMillis) -> Rules {
        Rules {
            bytes_max: self.message_bytes_max,
            keys_required: self.keys_required,
            timestamps: self.timestamps,
            compression: self.compression,
            now,
        }
    }
}

struct Lookup<'a> {
    topic: TopicId,
    image: &'a Image,
    node: &'a Resolved,
}

impl Lookup<'_> {
    fn value(&self, name: &str) -> Value {
        let key: &Key = table::topic_key(name).expect("only keys of the topics' table are asked for");
        let configs = self.image.configs();
        let own = configs.value(&ConfigScope::Topic(self.topic), name);
        let cluster = || key.synonyms.iter().find_map(|synonym| configs.value(&ConfigScope::Cluster, synonym.name));
        // What cannot be read counts as not set: it was checked before it became a fact.
        let set = own.or_else(cluster).and_then(|text| key.parse(text).ok());
        set.unwrap_or_else(|| self.node.inherited(key).0)
    }

    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Whole(number) => number,
            other => unreachable!("{name} is a number by its table, not {other:?}"),
        }
    }

    fn fraction(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Double(number) => number,
            other => unreachable!("{name} is a double by its table, not {other:?}"),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::List(elements) => elements,
            other => unreachable!("{name} is a list by its table, not {other:?}"),
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(text) => text,
            other => unreachable!("{name} is a text by its table, not {other:?}"),
        }
    }

    fn cleans_by(&self, policy: &str) -> bool {
        self.list("cleanup.policy").iter().any(|wanted| wanted == policy)
    }

    /// A compacted topic rolls at least as often as its records must be compacted: the active segment never is.
    fn segment_ms(&self) -> i64 {
        let own = self.number("segment.ms");
        if self.cleans_by("compact") { own.min(self.number("max.compaction.lag.ms")) } else { own }
    }

    fn keep(&self) -> Keep {
        let limit = |name| Some(self.number(name)).filter(|number| *number >= 0);
        let retention =
            || Retention { ms: limit("retention.ms"), bytes: limit("retention.bytes").map(i64::unsigned_abs) };
        Keep {
            delete: self.cleans_by("delete").then(retention),
            compact: self.cleans_by("compact").then(|| self.compaction_rules()),
            delete_delay_ms: self.number("file.delete.delay.ms").unsigned_abs(),
        }
    }

    fn compaction_rules(&self) -> CompactionRules {
        CompactionRules {
            dirty_millionths_min: (self.fraction("min.cleanable.dirty.ratio") * 1e6) as u32,
            lag_ms_min: self.number("min.compaction.lag.ms"),
            lag_ms_max: self.number("max.compaction.lag.ms"),
            delete_retention_ms: self.number("delete.retention.ms"),
        }
    }

    fn flush(&self) -> FlushAfter {
        let set = Some(self.number("flush.ms")).filter(|ms| *ms < i64::MAX).map(i64::unsigned_abs);
        let own = (self.durability() == Durability::Interval).then_some(FLUSH_INTERVAL_MS);
        FlushAfter { ms: set.or(own), records: self.number("flush.messages") }
    }

    /// Who has every record flushed before it is acknowledged, in Kafka's words, wants to be sure of it.
    fn durability(&self) -> Durability {
        match self.text("durability").as_str() {
            _ if self.number("flush.messages") == 1 => Durability::Fsync,
            "fsync" => Durability::Fsync,
            "interval" => Durability::Interval,
            _ => Durability::Replicated,
        }
    }

    fn compression(&self) -> Option<Compression> {
        let codec = match self.text("compression.type").to_ascii_lowercase().as_str() {
            "uncompressed" => Codec::None,
            "gzip" => Codec::Gzip,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            _ => return None,
        };
        let level = |name| i32::try_from(self.number(name)).ok();
        let own = Compression::of(codec);
        let set = match codec {
            Codec::Gzip => level("compression.gzip.level").filter(|level| *level > 0),
            Codec::Zstd => level("compression.zstd.level"),
            Codec::None | Codec::Snappy | Codec::Lz4 => None,
        };
        Some(Compression { level: set.unwrap_or(own.level), ..own })
    }

    fn timestamps(&self) -> Timestamps {
        if self.text("message.timestamp.type").eq_ignore_ascii_case("LogAppendTime") {
            return Timestamps::Append;
        }
        Timestamps::Create {
            before_max_ms: self.number("message.timestamp.before.max.ms"),
            after_max_ms: self.number("message.timestamp.after.max.ms"),
        }
    }
}

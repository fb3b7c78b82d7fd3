//! A topic's settings as its partitions act on them: its own, else the cluster's, else the node's.

use crate::base::clock::WallMillis;
use crate::base::ids::TopicId;
use crate::config::key::{Key, Value};
use crate::config::{Resolved, table};
use crate::log::LogOptions;
use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;
use crate::record::check::{Rules, Timestamps};
use crate::replica::Durability;
use crate::replica::isr::Policy;

/// What of a topic's configuration a partition needs on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    pub log: LogOptions,
    pub policy: Policy,
    pub message_bytes_max: usize,
    pub keys_required: bool,
    pub timestamps: Timestamps,
    pub producer_idle_ms: u64,
}

impl TopicSettings {
    pub fn of(topic: TopicId, image: &Image, node: &Resolved) -> Self {
        let look = Lookup { topic, image, node };
        Self {
            log: LogOptions {
                segment_bytes: look.number("segment.bytes").try_into().unwrap_or(u32::MAX),
                segment_ms: look.number("segment.ms"),
                segment_jitter_ms: 0,
                index_interval_bytes: look.number("index.interval.bytes").try_into().unwrap_or(u32::MAX),
                index_bytes_max: look.number("segment.index.bytes").try_into().unwrap_or(u32::MAX),
                ..LogOptions::default()
            },
            policy: Policy {
                min_insync_replicas: image.configs().min_insync_replicas(topic),
                durability: look.durability(),
                replica_lag_time_max_ms: node.number("replica.lag.time.max.ms").unsigned_abs(),
            },
            message_bytes_max: look.number("max.message.bytes").try_into().unwrap_or(usize::MAX),
            keys_required: look.list("cleanup.policy").iter().any(|policy| policy == "compact"),
            timestamps: look.timestamps(),
            producer_idle_ms: node.number("producer.id.expiration.ms").unsigned_abs(),
        }
    }

    /// What a batch from a client must keep.
    pub fn rules(&self, now: WallMillis) -> Rules {
        Rules { bytes_max: self.message_bytes_max, keys_required: self.keys_required, timestamps: self.timestamps, now }
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
        let own = configs.value(ConfigScope::Topic(self.topic), name);
        let cluster = || key.synonyms.iter().find_map(|synonym| configs.value(ConfigScope::Cluster, synonym.name));
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

    fn durability(&self) -> Durability {
        match self.text("durability").as_str() {
            "fsync" => Durability::Fsync,
            "interval" => Durability::Interval,
            _ => Durability::Replicated,
        }
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

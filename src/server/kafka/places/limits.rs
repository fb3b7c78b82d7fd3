//! What the settings say about places. Their order of precedence is that of all dynamic settings (`values.rs`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use tracing::warn;

use crate::base::limits::KAFKA_CONNECTIONS_MAX;
use crate::config::{Value, table};
use crate::server::kafka::values::{Set, Values};

pub const IN_ALL: &str = "max.connections";
pub const OF_ONE: &str = "max.connections.per.ip";
const OF_SOME: &str = "max.connections.per.ip.overrides";
const PER_SECOND: &str = "max.connection.creation.rate";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    in_all: AtMost,
    of_address: usize,
    /// As it is written, and what that means.
    of_some: (String, BTreeMap<IpAddr, usize>),
    at_listener: BTreeMap<String, AtMost>,
}

/// How many connections there may be, and how many may come in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct AtMost {
    places: usize,
    per_second: u32,
}

impl Limits {
    pub fn of(values: &Values<'_>, listeners: &[String]) -> Self {
        let of_server = |name| first(values.of_server(table::server_key(name).expect("the table has it")));
        let at_listener = |listener: &String| {
            let own = |name| {
                let key = table::server_key(name).expect("the table has it");
                first(values.of_listener(key, &format!("listener.name.{}.{name}", listener.to_lowercase())))
            };
            (listener.clone(), AtMost::read(own))
        };
        let of_some = of_server(OF_SOME).to_string();
        let addresses = addresses(&of_some);
        Self {
            in_all: AtMost::read(of_server),
            of_address: count(&of_server(OF_ONE)),
            of_some: (of_some, addresses),
            at_listener: listeners.iter().map(at_listener).collect(),
        }
    }

    /// Kafka would look the names of hosts up.
    pub fn warn_of_names(&self) {
        for (host, _) in overrides(&self.of_some.0).filter(|(host, _)| host.parse::<IpAddr>().is_err()) {
            warn!(event = "kafka.override_ignored", host, "{OF_SOME} counts for addresses, not for names");
        }
    }

    pub fn listeners(&self) -> impl Iterator<Item = &str> {
        self.at_listener.keys().map(String::as_str)
    }

    pub fn in_all(&self) -> usize {
        self.in_all.places
    }

    pub fn at_listener(&self, listener: &str) -> usize {
        self.at_listener[listener].places
    }

    pub fn of_address(&self, address: IpAddr) -> usize {
        self.of_some.1.get(&address).copied().unwrap_or(self.of_address)
    }

    /// How many may come in a second, in all and at a listener.
    pub fn per_second(&self, listener: &str) -> [u32; 2] {
        [self.in_all.per_second, self.at_listener[listener].per_second]
    }
}

impl AtMost {
    fn read(value: impl Fn(&'static str) -> Value) -> Self {
        let per_second = u32::try_from(count(&value(PER_SECOND))).unwrap_or(u32::MAX);
        Self { places: count(&value(IN_ALL)).min(KAFKA_CONNECTIONS_MAX), per_second }
    }
}

/// The value that counts.
fn first(mut sets: Vec<Set>) -> Value {
    sets.swap_remove(0).value
}

fn count(value: &Value) -> usize {
    let Value::Whole(number) = value else { unreachable!("limits are numbers by their table, not {value:?}") };
    usize::try_from(*number).unwrap_or(0)
}

/// The elements of [`OF_SOME`]: a host, and how many connections it may have.
fn overrides(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let pairs = text.split(',').filter_map(|item| item.trim().rsplit_once(':'));
    pairs.filter_map(|(host, count)| Some((host.trim_matches(['[', ']']), count.parse().ok()?)))
}

fn addresses(text: &str) -> BTreeMap<IpAddr, usize> {
    overrides(text).filter_map(|(host, count)| Some((host.parse::<IpAddr>().ok()?.to_canonical(), count))).collect()
}

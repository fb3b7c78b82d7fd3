//! All rows together: looking a key up, and finding what somebody may have meant.
//!
//! There are three realms, because Kafka uses some names in two of them: the server's keys (files, variables, flags and
//! brokers' dynamic settings), topics' keys and groups' keys.

use super::key::Key;
use super::{broker, group, node, topic, unread};

/// The server's keys.
pub fn server() -> impl Iterator<Item = &'static Key> {
    let tables = [
        node::STATIC,
        node::PER_BROKER,
        node::CLUSTER_WIDE,
        broker::STATIC,
        broker::PER_BROKER,
        broker::CLUSTER_WIDE,
        group::SERVER,
        group::SERVER_DYNAMIC,
    ];
    tables.into_iter().flatten().chain(unread())
}

/// Those of them that have no effect.
pub(super) fn unread() -> impl Iterator<Item = &'static Key> {
    [unread::STATIC, unread::PER_BROKER, unread::CLUSTER_WIDE].into_iter().flatten()
}

pub fn topic() -> &'static [Key] {
    topic::KEYS
}

pub fn group() -> &'static [Key] {
    group::KEYS
}

pub fn all() -> impl Iterator<Item = &'static Key> {
    server().chain(topic()).chain(group())
}

pub fn topic_key(name: &str) -> Option<&'static Key> {
    topic().iter().find(|key| key.name == name)
}

pub fn group_key(name: &str) -> Option<&'static Key> {
    group().iter().find(|key| key.name == name)
}

/// A server's key by its name or an alias. `listener.name.<listener>.[<mechanism>.]<key>` is that key too, for one
/// listener.
pub fn server_key(name: &str) -> Option<&'static Key> {
    let known = |name: &str| server().find(|key| key.name == name || key.aliases.contains(&name));
    known(name).or_else(|| for_listener(name).find_map(known).filter(|key| is_per_listener(key)))
}

/// What is left of a per-listener name without the listener, and without listener and mechanism.
pub(super) fn for_listener(name: &str) -> impl Iterator<Item = &str> {
    let key = name.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')).map(|(_, key)| key);
    let without_mechanism = key.and_then(|rest| rest.split_once('.')).map(|(_, key)| key);
    key.into_iter().chain(without_mechanism)
}

fn is_per_listener(key: &Key) -> bool {
    const BY_LISTENER: &[&str] = &["connections.max.reauth.ms", "max.connections", "max.connection.creation.rate"];
    key.name.starts_with("sasl.") || key.name.starts_with("ssl.") || BY_LISTENER.contains(&key.name)
}

/// The server's key that somebody who wrote `name` most likely meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let far = name.len() / 4;
    let names = server().flat_map(|key| key.aliases.iter().chain([&key.name]));
    let near = names.map(|known| (distance(name, known), *known)).filter(|(steps, _)| *steps <= far);
    near.min().map(|(_, known)| known)
}

/// How many bytes must be put in, taken out or changed to turn one text into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

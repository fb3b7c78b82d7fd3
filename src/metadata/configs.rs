//! Configurations that were set while the cluster runs: for all, for one node, for one topic, for one group.
//!
//! Invariants: keys and values were checked before they became facts; what cannot be read counts as not set.
//! Absent on purpose: defaults and the meaning of most keys (`config`). Only what decides about replicas is read here,
//! so that the controller and every leader read it alike (R7).

use super::hash::{Digest, Noun};
use crate::base::ids::{NodeId, TopicId};
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// How many replicas must be in sync for anything to be committed.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
/// Whether a replica that may lack committed records can lead when nobody else can.
pub const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";
/// What an acknowledged record has survived: a topic's key, and the key for topics that have none.
pub const DURABILITY: &str = "durability";
pub const CLUSTER_DURABILITY: &str = "dohle.durability";
/// The durability that syncs before it commits.
pub const FSYNC: &str = "fsync";

/// Whom a configuration is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigScope {
    /// Every node, and every topic without a value of its own.
    Cluster,
    Node(NodeId),
    Topic(TopicId),
    /// A group of this name, whether or not there is one: it has what was set for it when it comes.
    Group(Arc<str>),
}

/// All configurations.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Configs {
    scopes: OrdMap<ConfigScope, Arc<BTreeMap<String, String>>>,
}

impl Configs {
    pub fn value(&self, scope: &ConfigScope, key: &str) -> Option<&str> {
        self.scopes.get(scope)?.get(key).map(String::as_str)
    }

    /// What is set for a scope, by key.
    pub fn of<'a>(&'a self, scope: &ConfigScope) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let values = self.scopes.get(scope).into_iter().flat_map(|values| values.iter());
        values.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Who has something set.
    pub fn scopes(&self) -> impl Iterator<Item = ConfigScope> {
        self.scopes.keys().cloned()
    }

    pub fn min_insync_replicas(&self, topic: TopicId) -> usize {
        self.of_topic(topic, MIN_INSYNC_REPLICAS, MIN_INSYNC_REPLICAS).unwrap_or(1).max(1)
    }

    pub fn unclean_leader_election(&self, topic: TopicId) -> bool {
        self.of_topic(topic, UNCLEAN_LEADER_ELECTION, UNCLEAN_LEADER_ELECTION).unwrap_or(false)
    }

    /// Whether what is committed was synced to disk before, on every replica that counts.
    pub fn commits_are_synced(&self, topic: TopicId) -> bool {
        self.of_topic::<String>(topic, DURABILITY, CLUSTER_DURABILITY).is_some_and(|value| value == FSYNC)
    }

    /// The topic's own value, else the cluster's.
    fn of_topic<T: FromStr>(&self, topic: TopicId, own_key: &str, cluster_key: &str) -> Option<T> {
        let own = self.value(&ConfigScope::Topic(topic), own_key);
        let value = own.or_else(|| self.value(&ConfigScope::Cluster, cluster_key))?;
        value.trim().to_ascii_lowercase().parse().ok() // as `config` reads it
    }

    /// Sets or unsets a value; returns what was there.
    pub(super) fn replace(&mut self, scope: ConfigScope, key: &str, value: Option<&str>) -> Option<String> {
        let mut values = self.scopes.get(&scope).cloned().unwrap_or_default();
        let before = match value {
            Some(value) => Arc::make_mut(&mut values).insert(key.to_owned(), value.to_owned()),
            None => Arc::make_mut(&mut values).remove(key),
        };
        if values.is_empty() {
            self.scopes.remove(&scope);
        } else {
            self.scopes.insert(scope, values);
        }
        before
    }

    /// Forgets everything that is set for a scope, and returns it.
    pub(super) fn remove(&mut self, scope: &ConfigScope) -> Arc<BTreeMap<String, String>> {
        self.scopes.remove(scope).unwrap_or_default()
    }
}

/// The digest of one value.
pub(super) fn digest(scope: &ConfigScope, key: &str, value: &str) -> Digest {
    let digest = Digest::of(Noun::Config);
    let digest = match scope {
        ConfigScope::Cluster => digest.word(0),
        ConfigScope::Node(node) => digest.word(1).word(node.0 as u64),
        ConfigScope::Topic(topic) => digest.word(2).bytes(&topic.0.0),
        ConfigScope::Group(group) => digest.word(3).bytes(group.as_bytes()),
    };
    digest.bytes(key.as_bytes()).bytes(value.as_bytes())
}

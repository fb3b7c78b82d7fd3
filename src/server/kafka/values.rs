//! Where the value of a key comes from: every place where it is set, in the order in which they count.
//! Absent on purpose: what follows from a value (the partitions read theirs by themselves).
//!
//! ```text
//! topic or group > this broker > all brokers > what the node was started with > default
//! ```

use std::borrow::Cow;

use crate::base::ids::{NodeId, TopicId};
use crate::config::key::{Key, Scope, Value};
use crate::config::{Resolved, problem::Origin, table};
use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;

/// Where a value comes from; the numbers are DescribeConfigs'.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    ThisBroker = 2,
    AllBrokers = 3,
    Start = 4,
    Default = 5,
    Group = 8,
}

/// One place where a value is set.
#[derive(Clone, PartialEq, Debug)]
pub struct Set {
    /// The key there: a topic's value may be set under the server's name for it. Nothing for a default that is no
    /// key's, because the key or the server's key has none.
    pub name: Option<Cow<'static, str>>,
    pub value: Value,
    pub source: Source,
}

/// Everything that values are looked up in, for one broker.
pub struct Values<'a> {
    pub image: &'a Image,
    pub settings: &'a Resolved,
    pub node: NodeId,
}

impl Values<'_> {
    /// Every place where a topic's key is set, the one that counts first; the last is its default.
    pub fn of_topic(&self, topic: Option<TopicId>, key: &'static Key) -> Vec<Set> {
        let own = topic.and_then(|topic| self.dynamic(&ConfigScope::Topic(topic), key, key.name, Source::Topic));
        self.of_servers(own, key)
    }

    /// The same for a group's key.
    pub fn of_group(&self, group: &ConfigScope, key: &'static Key) -> Vec<Set> {
        self.of_servers(self.dynamic(group, key, key.name, Source::Group), key)
    }

    /// What a topic or a group has of its own, and what it gets from the server's keys.
    fn of_servers(&self, own: Option<Set>, key: &'static Key) -> Vec<Set> {
        let servers = key.synonyms.iter().filter_map(|synonym| table::server_key(synonym.name));
        let dynamic = servers.flat_map(|from| self.of_brokers(key, from.name));
        let (value, origin) = self.settings.inherited(key);
        let started = (*origin != Origin::Default).then(|| {
            let is_set = |name: &&str| self.settings.setting(name).is_some_and(|it| it.origin != Origin::Default);
            let name = key.synonyms.iter().map(|synonym| synonym.name).find(is_set).unwrap_or(key.name);
            Set { name: Some(name.into()), value, source: Source::Start }
        });
        let name = match key.synonyms.first().and_then(|synonym| table::server_key(synonym.name)) {
            Some(server) => Some(server).filter(|server| server.default() != Value::Unset).map(|server| server.name),
            None => (key.scope == Scope::Group).then_some(key.name), // Kafka tells it of groups and not of topics
        };
        let name = name.map(Cow::Borrowed);
        let default = Set { name, ..default_of(key) };
        own.into_iter().chain(dynamic).chain(started).chain([default]).collect()
    }

    /// What a topic gets that sets nothing itself.
    pub fn of_new_topic(&self, key: &'static Key) -> (Value, Source) {
        let first = self.of_topic(None, key).swap_remove(0);
        (first.value, first.source)
    }

    /// Every place where a server's key is set, the one that counts first; the last is its default.
    pub fn of_server(&self, key: &'static Key) -> Vec<Set> {
        self.of_brokers(key, key.name).chain(self.started(key.name)).chain([default_of(key)]).collect()
    }

    /// The same for the name of a server's key at one listener, which falls back to the key itself.
    pub fn of_listener(&self, key: &'static Key, name: &str) -> Vec<Set> {
        self.of_brokers(key, name).chain(self.started(name)).chain(self.of_server(key)).collect()
    }

    /// Where a name of a server's key is set for all brokers while the cluster runs.
    pub fn of_all_brokers(&self, key: &'static Key, name: &str) -> Vec<Set> {
        self.dynamic(&ConfigScope::Cluster, key, name, Source::AllBrokers).into_iter().collect()
    }

    fn of_brokers(&self, key: &'static Key, from: &str) -> impl Iterator<Item = Set> + use<> {
        let own = self.dynamic(&ConfigScope::Node(self.node), key, from, Source::ThisBroker);
        let common = self.dynamic(&ConfigScope::Cluster, key, from, Source::AllBrokers);
        own.into_iter().chain(common)
    }

    /// What is set for `from` while the cluster runs, read as a value of `key`.
    fn dynamic(&self, scope: &ConfigScope, key: &'static Key, from: &str, source: Source) -> Option<Set> {
        let value = key.parse(self.image.configs().value(scope, from)?).ok()?;
        Some(Set { name: Some(from.to_owned().into()), value, source })
    }

    /// What the node was started with.
    fn started(&self, name: &str) -> Option<Set> {
        let setting = self.settings.setting(name).filter(|setting| setting.origin != Origin::Default)?;
        Some(Set { name: Some(name.to_owned().into()), value: setting.value.clone(), source: Source::Start })
    }
}

fn default_of(key: &'static Key) -> Set {
    let value = key.default();
    Set { name: (value != Value::Unset).then_some(key.name.into()), value, source: Source::Default }
}

//! DescribeConfigs (32), versions 1-4. What topics, brokers and groups are configured with, and where it comes from.
//!
//! A topic has every key of the topics' table; a broker every key of the servers' table, for itself only (a client asks
//! each broker about itself); the broker without a name is «all brokers», of which only what is set is shown. A group
//! has every key of the groups' table, whether or not there is one of its name. Passwords have no value. Synonyms are
//! all places where a value is set, the one that counts first.
//!
//! Answers per resource: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION; INVALID_REQUEST for another broker, for
//! one without a name where there has to be one, and for what is no resource.
//! Absent on purpose: loggers and client metrics, which have no keys.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::ids::TopicId;
use crate::config::key::{Key, Kind, Value};
use crate::config::{reason_to_ignore, table};
use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::Declined;
use crate::server::kafka::partitions::is_topic_name;
use crate::server::kafka::resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC, word};
use crate::server::kafka::values::{Set, Source};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, Text};

/// What the names of settings for one listener begin with.
const AT_LISTENER: &str = "listener.name.";
/// A node that was not told its number has one all the same.
const NODE_ID: &str = "node.id";

pub fn answer(asked: &Asked, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = asked.image();
    let describing = Describing { asked, image, request: &request };
    let results = request.resources.iter().map(|resource| describing.resource(resource)).collect();
    DescribeConfigsResponse { results, ..Default::default() }
}

/// A key by its name, which may be that at one listener, and every place where it is set.
struct Described {
    name: Cow<'static, str>,
    key: &'static Key,
    sets: Vec<Set>,
}

struct Describing<'a> {
    asked: &'a Asked,
    image: Arc<Image>,
    request: &'a DescribeConfigsRequest,
}

impl Describing<'_> {
    fn resource(&self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            error_message: Some(Text::default()), // as Kafka says that there is nothing to say
            ..Default::default()
        };
        let is_wanted = |described: &&Described| {
            resource.configuration_keys.as_ref().is_none_or(|wanted| wanted.iter().any(|name| **name == described.name))
        };
        match self.described(resource) {
            Ok(described) => {
                let wanted = described.iter().filter(is_wanted);
                DescribeConfigsResult { configs: wanted.map(|described| self.shown(described)).collect(), ..result }
            }
            Err(Declined { code, message }) => {
                DescribeConfigsResult { error_code: code, error_message: Some(message), ..result }
            }
        }
    }

    fn described(&self, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Declined> {
        let name = &resource.resource_name;
        match resource.resource_type {
            TOPIC => self.topic(name),
            BROKER if name.is_empty() => Ok(self.all_brokers()),
            BROKER => self.broker(name),
            GROUP | BROKER_LOGGER | CLIENT_METRICS if name.is_empty() => {
                Err(Declined::new(ErrorCode::InvalidRequest, "this needs a name"))
            }
            GROUP => {
                let group = ConfigScope::Group((**name).into());
                Ok(self.keys(table::group(), |key| self.asked.values(&self.image).of_group(&group, key)))
            }
            BROKER_LOGGER => self.broker(name).map(|_| Vec::new()),
            CLIENT_METRICS => Ok(Vec::new()),
            other => {
                Err(Declined::new(ErrorCode::InvalidRequest, format!("{} {name:?} has no configuration", word(other))))
            }
        }
    }

    fn topic(&self, name: &Text) -> Result<Vec<Described>, Declined> {
        let topic = self.image.topics().named(name).ok_or_else(|| {
            let is_possible = is_topic_name(name);
            let code = if is_possible { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            Declined::new(code, code.message())
        })?;
        let id: TopicId = topic.id;
        Ok(self.keys(table::topic(), |key| self.asked.values(&self.image).of_topic(Some(id), key)))
    }

    fn broker(&self, name: &Text) -> Result<Vec<Described>, Declined> {
        let here = self.asked.door().broker.node();
        if **name != *here.to_string() {
            let why =
                format!("broker {here} knows its own configuration and that of all brokers (no name), not {name}'s");
            return Err(Declined::new(ErrorCode::InvalidRequest, why));
        }
        let values = self.asked.values(&self.image);
        let mut described = Vec::new();
        for key in table::server() {
            let sets = match key.name {
                NODE_ID => {
                    vec![Set { name: Some(NODE_ID.into()), value: Value::Whole(here.0.into()), source: Source::Start }]
                }
                _ => values.of_server(key),
            };
            // Kafka tells a value by every name there is for it.
            let names = key.aliases.iter().chain([&key.name]);
            described.extend(names.map(|name| Described { name: (*name).into(), key, sets: sets.clone() }));
        }
        described.extend(self.at_listeners());
        Ok(described)
    }

    /// What is set for single listeners, for this broker or for all.
    fn at_listeners(&self) -> Vec<Described> {
        let values = self.asked.values(&self.image);
        let started = values.settings.iter().map(|(name, _)| name);
        let scopes = [ConfigScope::Node(values.node), ConfigScope::Cluster];
        let dynamic = scopes.into_iter().flat_map(|scope| self.image.configs().of(&scope)).map(|(name, _)| name);
        let names: BTreeSet<&str> = started.chain(dynamic).filter(|name| name.starts_with(AT_LISTENER)).collect();
        let described = names.into_iter().filter_map(|name| {
            let key = table::server_key(name)?;
            Some(Described { name: name.to_owned().into(), key, sets: values.of_listener(key, name) })
        });
        described.collect()
    }

    /// What is set for all brokers while the cluster runs.
    fn all_brokers(&self) -> Vec<Described> {
        let values = self.asked.values(&self.image);
        let described = self.image.configs().of(&ConfigScope::Cluster).filter_map(|(name, _)| {
            let key = table::server_key(name)?;
            Some(Described { name: name.to_owned().into(), key, sets: values.of_all_brokers(key, name) })
        });
        described.filter(|described| !described.sets.is_empty()).collect()
    }

    fn keys(
        &self,
        keys: impl IntoIterator<Item = &'static Key>,
        sets: impl Fn(&'static Key) -> Vec<Set>,
    ) -> Vec<Described> {
        keys.into_iter().map(|key| Described { name: key.name.into(), key, sets: sets(key) }).collect()
    }

    fn shown(&self, Described { name, key, sets }: &Described) -> DescribeConfigsResourceResult {
        let counts = sets.first().expect("a key that is described is set somewhere, if only by default");
        let synonyms = if self.request.include_synonyms { &sets[..] } else { &[] };
        let is_about_topic = table::topic_key(key.name).is_some_and(|topic| std::ptr::eq(topic, *key));
        DescribeConfigsResourceResult {
            name: Text::from(&**name),
            value: value(key, &counts.value),
            read_only: !is_about_topic && !key.is_dynamic(),
            config_source: counts.source as i8,
            is_sensitive: key.kind == Kind::Password,
            synonyms: synonyms.iter().filter_map(|set| synonym(key, set)).collect(),
            config_type: config_type(key.kind),
            documentation: self.request.include_documentation.then(|| documentation(key)),
            ..Default::default()
        }
    }
}

fn synonym(key: &Key, set: &Set) -> Option<DescribeConfigsSynonym> {
    Some(DescribeConfigsSynonym {
        name: Text::from(&**set.name.as_ref()?),
        value: value(key, &set.value),
        source: set.source as i8,
        ..Default::default()
    })
}

/// What a key means, and why it has no effect if it has none.
fn documentation(key: &Key) -> Text {
    match reason_to_ignore(key.name) {
        Some(reason) => format!("{} It has no effect: {reason}.", key.doc).into(),
        None => Text::from_static(key.doc),
    }
}

/// A value as everybody may see it.
fn value(key: &Key, value: &Value) -> Option<Text> {
    let is_shown = key.kind != Kind::Password && *value != Value::Unset;
    is_shown.then(|| value.to_string().into())
}

/// The numbers of Kafka's types.
fn config_type(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Text => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
        Kind::Class => 8,
        Kind::Password => 9,
    }
}

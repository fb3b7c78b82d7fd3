//! Configurations: set, unset, and what follows from them for partitions.
//!
//! Invariants: the changes of one topic, node or of the cluster are made all or none; a key that decides about
//! replicas takes effect in the same batch.

use super::draft::{Changes, Draft};
use super::elections::settle_topic;
use super::{Refusal, Refused};
use crate::base::ids::{NodeId, TopicId};
use crate::metadata::Fact;
use crate::metadata::configs::{ConfigScope, MIN_INSYNC_REPLICAS, UNCLEAN_LEADER_ELECTION};
use std::collections::BTreeMap;

/// Changes of configurations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigs {
    pub resources: Vec<ConfigAlteration>,
    /// Answer as if, and do nothing.
    pub validate_only: bool,
}

/// The changes for one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAlteration {
    pub target: ConfigTarget,
    pub operations: Vec<(String, ConfigOperation)>,
    /// What the operations do not name is deleted.
    pub replaces: bool,
}

/// Whom a change is for, as clients say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigTarget {
    Cluster,
    Node(NodeId),
    Topic(String),
    Group(String),
}

/// Kafka's operations on one key. The last two are for lists, whose members are separated by commas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigOperation {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

/// What became of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlteredConfig {
    pub target: ConfigTarget,
    pub outcome: Result<(), Refused>,
}

pub(super) fn alter(draft: &mut Draft<'_>, request: &AlterConfigs) -> Vec<AlteredConfig> {
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        results.push(AlteredConfig { target: resource.target.clone(), outcome: alter_one(draft, resource) });
    }
    if request.validate_only {
        draft.discard();
    }
    results
}

fn alter_one(draft: &mut Draft<'_>, resource: &ConfigAlteration) -> Result<(), Refused> {
    let scope = find(draft, &resource.target)?;
    let wanted = wanted(draft, &scope, resource)?;
    let mut decides_about_replicas = false;
    for (key, value) in wanted {
        if draft.image().configs().value(&scope, &key) == value.as_deref() {
            continue;
        }
        decides_about_replicas |= [MIN_INSYNC_REPLICAS, UNCLEAN_LEADER_ELECTION].contains(&key.as_str());
        draft.record(match value {
            Some(value) => Fact::ConfigSet { scope: scope.clone(), key, value },
            None => Fact::ConfigUnset { scope: scope.clone(), key },
        });
    }
    if decides_about_replicas {
        settle(draft, &scope);
    }
    Ok(())
}

/// What is to be set and unset.
fn wanted(
    draft: &Draft<'_>,
    scope: &ConfigScope,
    resource: &ConfigAlteration,
) -> Result<BTreeMap<String, Option<String>>, Refused> {
    let mut wanted = BTreeMap::new();
    for (key, operation) in &resource.operations {
        let value = outcome(draft, scope, key, operation)?;
        if wanted.insert(key.clone(), value).is_some() {
            return Err(Refusal::InvalidRequest.because(format!("the request changes {key} more than once")));
        }
    }
    if resource.replaces {
        for (key, _) in draft.image().configs().of(scope) {
            wanted.entry(key.to_owned()).or_default();
        }
    }
    for (key, value) in &wanted {
        check(draft, scope, key, value.as_deref())?;
    }
    let stays = draft.image().configs().of(scope).filter(|(key, _)| !wanted.contains_key(*key));
    let comes = wanted.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    (draft.env.check_together)(scope, &stays.chain(comes).collect())
        .map_err(|why| Refusal::InvalidConfig.because(why))?;
    Ok(wanted)
}

fn find(draft: &Draft<'_>, target: &ConfigTarget) -> Result<ConfigScope, Refused> {
    match target {
        ConfigTarget::Cluster => Ok(ConfigScope::Cluster),
        ConfigTarget::Node(node) => draft.registered(*node).map(|node| ConfigScope::Node(node.id)),
        ConfigTarget::Topic(name) => {
            let unknown = || Refusal::UnknownTopicOrPartition.because(format!("there is no topic {name}"));
            draft.image().topics().named(name).map(|topic| ConfigScope::Topic(topic.id)).ok_or_else(unknown)
        }
        ConfigTarget::Group(name) => Ok(ConfigScope::Group(name.as_str().into())),
    }
}

/// The value after an operation.
fn outcome(
    draft: &Draft<'_>,
    scope: &ConfigScope,
    key: &str,
    operation: &ConfigOperation,
) -> Result<Option<String>, Refused> {
    let (change, is_append) = match operation {
        ConfigOperation::Set(value) => return Ok(Some(value.clone())),
        ConfigOperation::Delete => return Ok(None),
        ConfigOperation::Append(more) => (members(more), true),
        ConfigOperation::Subtract(fewer) => (members(fewer), false),
    };
    let Some(default) = (draft.env.list_default)(scope, key) else {
        return Err(Refusal::InvalidConfig.because(format!("{key} is no list: it can be set, but not added to")));
    };
    let mut list = members(draft.image().configs().value(scope, key).unwrap_or(&default));
    if is_append {
        let new: Vec<String> = change.into_iter().filter(|member| !list.contains(member)).collect();
        list.extend(new);
    } else {
        list.retain(|member| !change.contains(member));
    }
    Ok(Some(list.join(",")))
}

fn members(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|member| !member.is_empty()).map(str::to_owned).collect()
}

/// As in Kafka, what is wrong with a topic or a group is INVALID_CONFIG, with a broker INVALID_REQUEST.
fn check(draft: &Draft<'_>, scope: &ConfigScope, key: &str, value: Option<&str>) -> Result<(), Refused> {
    if key == MIN_INSYNC_REPLICAS && matches!(scope, ConfigScope::Node(_)) {
        let why = "leaders and controller must agree on min.insync.replicas: set it for the cluster or for a topic";
        return Err(Refusal::InvalidConfig.because(why));
    }
    let Some(value) = value else {
        if key == MIN_INSYNC_REPLICAS && *scope == ConfigScope::Cluster {
            let why = "the cluster's min.insync.replicas can be changed, but not taken away";
            return Err(Refusal::InvalidConfig.because(why));
        }
        return Ok(());
    };
    let refusal = match scope {
        ConfigScope::Topic(_) | ConfigScope::Group(_) => Refusal::InvalidConfig,
        ConfigScope::Cluster | ConfigScope::Node(_) => Refusal::InvalidRequest,
    };
    (draft.env.check_config)(scope, key, value).map_err(|why| refusal.because(why))
}

/// Applies new rules to the partitions they are for. An ELR that the new min ISR no longer protects is given up in the
/// same batch: from now on records can be committed that its members lack.
fn settle(draft: &mut Draft<'_>, scope: &ConfigScope) {
    let topics: Vec<TopicId> = match scope {
        ConfigScope::Topic(topic) => vec![*topic],
        ConfigScope::Cluster => draft.image().topics().iter().map(|topic| topic.id).collect(),
        ConfigScope::Node(_) | ConfigScope::Group(_) => return,
    };
    let mut changes = Changes::default();
    for topic in topics {
        settle_topic(draft, topic, &mut changes);
    }
    draft.record_changes(changes);
}

//! Topics: created and deleted.
//!
//! Invariants: a topic comes to be with all its partitions and configurations or not at all; one topic's refusal does
//! not touch the others of a request.
//! Absent on purpose: where replicas go (`placement.rs`), what a configuration may be (`config`, through `Env`).

use super::draft::Draft;
use super::placement::{self, Assignment};
use super::{Refusal, Refused};
use crate::base::ids::{NodeId, PartitionIndex, TopicId};
use crate::base::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::metadata::Fact;
use crate::metadata::configs::ConfigScope;
use std::collections::BTreeMap;

/// Kafka's bound: a folder's name has to hold it, with the partition's number.
const NAME_LEN_MAX: usize = 249;

/// New topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    /// Answer as if, and do nothing.
    pub validate_only: bool,
}

/// A topic somebody wants.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NewTopic {
    pub name: String,
    /// -1: the default, or as many as there are assignments.
    pub partitions: i32,
    /// -1: the default, or as the assignments say.
    pub replication_factor: i16,
    /// Which nodes get which partition; empty: the controller chooses.
    pub assignments: Vec<(PartitionIndex, Vec<NodeId>)>,
    pub configs: Vec<(String, String)>,
}

/// What became of one new topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub name: String,
    pub outcome: Result<TopicShape, Refused>,
}

/// A topic from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicShape {
    pub id: TopicId,
    pub partitions: usize,
    pub replication_factor: usize,
}

/// Topics to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopics {
    pub topics: Vec<TopicName>,
}

/// A topic by one of its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicName {
    Name(String),
    Id(TopicId),
}

/// What became of one topic that was to be deleted: its id and name, as far as they are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    pub name: Option<String>,
    pub id: Option<TopicId>,
    pub outcome: Result<(), Refused>,
}

pub(super) fn create(draft: &mut Draft<'_>, request: &CreateTopics) -> Result<Vec<CreatedTopic>, Refused> {
    let defaults = draft.env.defaults;
    let wanted = request.topics.iter().map(|topic| Shape::of(topic, defaults).map_or(0, |shape| shape.partitions));
    let total: usize = wanted.sum();
    if total > PARTITIONS_PER_REQUEST_MAX {
        let why = format!("{total} partitions in one request, at most {PARTITIONS_PER_REQUEST_MAX} are allowed");
        return Err(Refusal::PolicyViolation.because(why));
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let outcome = if times[topic.name.as_str()] > 1 {
            Err(Refusal::InvalidRequest.because("the request names the topic more than once"))
        } else {
            create_one(draft, topic)
        };
        results.push(CreatedTopic { name: topic.name.clone(), outcome });
    }
    if request.validate_only {
        draft.discard();
    }
    Ok(results)
}

fn create_one(draft: &mut Draft<'_>, topic: &NewTopic) -> Result<TopicShape, Refused> {
    check_name(&topic.name)?;
    check_free(draft, &topic.name)?;
    let shape = Shape::of(topic, draft.env.defaults)?;
    let id = draft.draw_topic_id();
    for (key, value) in &topic.configs {
        let wrong = |why: String| Refusal::InvalidConfig.because(why);
        (draft.env.check_config)(&ConfigScope::Topic(id), key, value).map_err(wrong)?;
    }
    let assignment = match manual(topic)? {
        Some(replicas) => Assignment::manual(draft.image(), &replicas, None)?,
        None => Assignment::place(draft.image(), id, 0..shape.partitions, shape.replication_factor)?,
    };
    draft.record(Fact::TopicCreated { topic: id, name: topic.name.clone() });
    for (key, value) in &topic.configs {
        let scope = ConfigScope::Topic(id);
        draft.record(Fact::ConfigSet { scope, key: key.clone(), value: value.clone() });
    }
    let partitions = assignment.partitions();
    draft.record(Fact::PartitionsCreated { topic: id, first: PartitionIndex(0), partitions });
    Ok(TopicShape { id, partitions: shape.partitions, replication_factor: shape.replication_factor })
}

/// The assignments in the order of their partitions, if there are any.
fn manual(topic: &NewTopic) -> Result<Option<Vec<&[NodeId]>>, Refused> {
    if topic.assignments.is_empty() {
        return Ok(None);
    }
    let by_index: BTreeMap<_, _> =
        topic.assignments.iter().map(|(index, replicas)| (index.0, replicas.as_slice())).collect();
    if by_index.len() != topic.assignments.len() || !by_index.keys().copied().eq((0..).take(by_index.len())) {
        let why = "assignments have to name every partition from 0 on exactly once";
        return Err(Refusal::InvalidReplicaAssignment.because(why));
    }
    Ok(Some(by_index.into_values().collect()))
}

fn check_name(name: &str) -> Result<(), Refused> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let why = if name.is_empty() {
        "a topic needs a name".to_owned()
    } else if name == "." || name == ".." {
        format!("a topic cannot be called {name:?}")
    } else if name.len() > NAME_LEN_MAX {
        format!("a topic's name has at most {NAME_LEN_MAX} characters, this one has {}", name.len())
    } else if !name.bytes().all(allowed) {
        format!("a topic's name has only the characters a-z, A-Z, 0-9, '.', '_' and '-', unlike {name:?}")
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidTopic.because(why))
}

fn check_free(draft: &Draft<'_>, name: &str) -> Result<(), Refused> {
    match draft.image().topics().similarly_named(name) {
        None => Ok(()),
        Some(topic) if topic.name.as_ref() == name => {
            Err(Refusal::TopicAlreadyExists.because(format!("topic {name} exists already")))
        }
        Some(topic) => {
            let why = format!("{name} collides with topic {}: metrics cannot tell '.' from '_'", topic.name);
            Err(Refusal::InvalidTopic.because(why))
        }
    }
}

pub(super) fn delete(draft: &mut Draft<'_>, request: &DeleteTopics) -> Vec<DeletedTopic> {
    let mut results = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        results.push(delete_one(draft, wanted));
    }
    results
}

fn delete_one(draft: &mut Draft<'_>, wanted: &TopicName) -> DeletedTopic {
    let topics = draft.image().topics();
    let found = match wanted {
        TopicName::Name(name) => topics.named(name),
        TopicName::Id(id) => topics.get(*id),
    };
    let Some(topic) = found else { return unknown(wanted) };
    let (name, id) = (topic.name.to_string(), topic.id);
    let outcome = if topic.is_internal() {
        Err(Refusal::InvalidTopic.because(format!("{name} is internal: the cluster lives on it")))
    } else {
        draft.record(Fact::TopicDeleted { topic: id });
        Ok(())
    };
    DeletedTopic { name: Some(name), id: Some(id), outcome }
}

fn unknown(wanted: &TopicName) -> DeletedTopic {
    match wanted {
        TopicName::Name(name) => DeletedTopic {
            name: Some(name.clone()),
            id: None,
            outcome: Err(Refusal::UnknownTopicOrPartition.because(format!("there is no topic {name}"))),
        },
        TopicName::Id(id) => DeletedTopic {
            name: None,
            id: Some(*id),
            outcome: Err(Refusal::UnknownTopicId.because(format!("there is no topic with id {id}"))),
        },
    }
}

/// How large a topic is to be.
#[derive(Clone, Copy)]
struct Shape {
    partitions: usize,
    replication_factor: usize,
}

impl Shape {
    /// What a request asks for, with defaults filled in.
    fn of(topic: &NewTopic, defaults: super::Defaults) -> Result<Self, Refused> {
        if let Some((_, replicas)) = topic.assignments.first() {
            if topic.partitions != -1 || topic.replication_factor != -1 {
                let why = "assignments say how many partitions and replicas there are; both numbers have to be -1";
                return Err(Refusal::InvalidRequest.because(why));
            }
            return Ok(Self { partitions: topic.assignments.len(), replication_factor: replicas.len() });
        }
        let partitions = match topic.partitions {
            -1 => defaults.partitions,
            count @ 1.. => count as usize,
            _ => return Err(Refusal::InvalidPartitions.because("a topic has at least one partition")),
        };
        let replication_factor = match topic.replication_factor {
            -1 => defaults.replication_factor,
            factor @ 1.. => factor as usize,
            _ => return Err(Refusal::InvalidReplicationFactor.because("a partition has at least one replica")),
        };
        placement::check_width(replication_factor)?;
        Ok(Self { partitions, replication_factor })
    }
}

//! CreateTopics (19), versions 2-7. Any broker takes it; the active controller decides.
//!
//! Answers when this broker acts on the new topics, so that who asks it next finds them. From 5 on with the shape and
//! the configuration that a topic got (or, with `validate_only`, would get), from 7 on with its id.
//!
//! Answers per topic: what the controller says (`controller/topics.rs`), with a sentence; INVALID_CONFIG to a
//! configuration without a value; INVALID_REQUEST to the name of Kafka's own metadata; REQUEST_TIMED_OUT when no
//! controller is active within `timeout_ms`.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::ids::{NodeId, PartitionIndex};
use crate::config::key::Key;
use crate::config::table;
use crate::controller::{Command, CreateTopics, NewTopic, Reply, TopicShape};
use crate::metadata::Image;
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::Declined;
use crate::server::kafka::values::Source;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{ErrorCode, Text};

/// The name of Kafka's log of metadata, which looks like a topic to some of its tools.
const KAFKAS_METADATA: &str = "__cluster_metadata";

pub async fn answer(asked: Rc<Asked>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let wanted: Vec<Result<NewTopic, Declined>> = request.topics.iter().map(new_topic).collect();
    let topics = wanted.iter().flatten().cloned().collect();
    let command = Command::CreateTopics(CreateTopics { topics, validate_only: request.validate_only });
    let mut decided = match asked.submit(&command, request.timeout_ms).await {
        Ok(Reply::CreatedTopics(decided)) => Ok(decided.into_iter()),
        Ok(other) => unreachable!("CreateTopics is not answered by {other:?}"),
        Err(declined) => Err(declined),
    };
    let image = asked.image();
    let topics = request.topics.iter().zip(wanted).map(|(topic, wanted)| {
        let outcome = wanted.and_then(|_| match &mut decided {
            Ok(decided) => {
                let decided = decided.next().expect("the controller answers for every topic that it was asked for");
                decided.outcome.map_err(|refused| Declined::from(&refused))
            }
            Err(declined) => Err(declined.clone()),
        });
        result(&asked, &image, topic, outcome)
    });
    let mut topics: Vec<_> = topics.collect();
    let mut told = BTreeSet::new();
    topics.retain(|topic| told.insert(topic.name.clone())); // who is named twice is refused once
    CreateTopicsResponse { topics, ..Default::default() }
}

/// The topic as the controller is asked for it.
fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, Declined> {
    if *topic.name == *KAFKAS_METADATA {
        let why = format!("{KAFKAS_METADATA} is what Kafka calls its own metadata: no client can create it");
        return Err(Declined::new(ErrorCode::InvalidRequest, why));
    }
    let config = |(name, value): (&str, Option<&str>)| match value {
        Some(value) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Declined::new(ErrorCode::InvalidConfig, format!("{name} has no value"))),
    };
    let pairs = topic.configs.iter().map(|it| (it.name.as_str(), it.value.as_deref()));
    let assignments = topic.assignments.iter().map(|it| {
        let nodes = it.broker_ids.iter().copied().map(NodeId).collect();
        (PartitionIndex(it.partition_index), nodes)
    });
    Ok(NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: pairs.map(config).collect::<Result<_, _>>()?,
    })
}

fn result(
    asked: &Asked,
    image: &Image,
    topic: &CreatableTopic,
    outcome: Result<TopicShape, Declined>,
) -> CreatableTopicResult {
    let name = topic.name.clone();
    match outcome {
        Ok(shape) => CreatableTopicResult {
            name,
            topic_id: shape.id.0,
            num_partitions: i32::try_from(shape.partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(shape.replication_factor).unwrap_or(i16::MAX),
            configs: Some(configs(asked, image, topic)),
            ..Default::default()
        },
        Err(Declined { code, message }) => CreatableTopicResult {
            name,
            error_code: code,
            error_message: Some(message),
            configs: Some(Vec::new()),
            ..Default::default()
        },
    }
}

/// Every key a topic has, as it is set for this one: by the request, and else as for any new topic.
fn configs(asked: &Asked, image: &Image, topic: &CreatableTopic) -> Vec<CreatableTopicConfigs> {
    let values = asked.values(image);
    let mut keys: Vec<_> = table::topic().iter().collect();
    keys.sort_by_key(|key| key.name);
    let config = |key: &'static Key| {
        let own = topic.configs.iter().find(|config| config.name == key.name);
        let own = own.and_then(|config| key.parse(config.value.as_deref()?).ok());
        let (value, source) = own.map_or_else(|| values.of_new_topic(key), |value| (value, Source::Topic));
        CreatableTopicConfigs {
            name: Text::from_static(key.name),
            value: Some(value.to_string().into()),
            config_source: source as i8,
            ..Default::default()
        }
    };
    keys.into_iter().map(config).collect()
}

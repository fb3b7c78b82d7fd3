//! Metadata (3), versions 0-13. Brokers, topics, and who leads which partition, as this broker's image has them.
//!
//! By name, by id (10+), or all topics (null; in version 0 an empty list). An unknown name is created if the client
//! (4+) and `auto.create.topics.enable` allow it: it is still answered with UNKNOWN_TOPIC_OR_PARTITION, as Kafka does,
//! and the client asks again. Brokers are told by their endpoints of the listener asked on, fenced ones only for a
//! moment longer (`broker/departed.rs`). The controller is the active controller's node if clients can reach it, or
//! else this broker: any broker forwards. While a broker may just have died the answer is held for a moment: a stale
//! one would cost the client a back-off.
//!
//! Answers per topic: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, INVALID_TOPIC_EXCEPTION, and what the controller
//! says about a topic to be created; per partition: LEADER_NOT_AVAILABLE (leader -1).

use std::rc::Rc;

use crate::base::ids::{PartitionIndex, TopicId};
use crate::base::limits::KAFKA_AUTO_CREATE_PATIENCE_MS;
use crate::controller::{Command, CreateTopics, CreatedTopic, NewTopic, Refusal, Reply};
use crate::metadata::Image;
use crate::metadata::partitions::Partition;
use crate::metadata::topics::Topic;
use crate::server::kafka::client::{Asked, Endpoint};
use crate::server::kafka::operations;
use crate::server::kafka::partitions::{self, is_topic_name};
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use crate::wire::{ErrorCode, Text};

pub async fn answer(asked: Rc<Asked>, request: MetadataRequest) -> MetadataResponse {
    let version = asked.version();
    let image = asked.door().broker.settled_image().await;
    let mut topics = match &request.topics {
        None => all(&image),
        Some(wanted) if wanted.is_empty() && version == 0 => all(&image),
        Some(wanted) => wanted.iter().map(|topic| find(&image, version, topic)).collect(),
    };
    if request.allow_auto_topic_creation && asked.door().creates_topics {
        create_unknown(&asked, &mut topics).await;
    }
    if request.include_topic_authorized_operations {
        let found = topics.iter_mut().filter(|topic| !topic.error_code.is_error());
        found.for_each(|topic| topic.topic_authorized_operations = operations::TOPIC);
    }
    let asks_about_cluster = request.include_cluster_authorized_operations;
    let brokers = asked.endpoints(image.nodes());
    MetadataResponse {
        cluster_authorized_operations: if asks_about_cluster { operations::CLUSTER } else { operations::NOT_ASKED_FOR },
        cluster_id: image.cluster().id.map(|id| id.to_string().into()),
        controller_id: asked.controller(&image, &brokers),
        brokers: brokers.into_iter().map(broker).collect(),
        topics,
        ..Default::default()
    }
}

fn all(image: &Image) -> Vec<MetadataResponseTopic> {
    image.topics().iter_by_name().map(|topic| described(image, topic)).collect()
}

fn find(image: &Image, version: i16, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
    let by_id = version >= 10 && !wanted.topic_id.is_zero();
    let found = match &wanted.name {
        _ if by_id => image.topics().get(TopicId(wanted.topic_id)),
        Some(name) => image.topics().named(name),
        None => None,
    };
    if let Some(topic) = found {
        return described(image, topic);
    }
    let error_code = match &wanted.name {
        _ if by_id => ErrorCode::UnknownTopicId,
        Some(name) if is_topic_name(name) => ErrorCode::UnknownTopicOrPartition,
        _ => ErrorCode::InvalidTopicException,
    };
    let name = if by_id { None } else { wanted.name.clone() };
    let name = if version < 12 { name.or_else(|| Some(Text::default())) } else { name };
    MetadataResponseTopic { error_code, name, topic_id: wanted.topic_id, ..Default::default() }
}

fn described(image: &Image, topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::None,
        name: Some(Text::from(&*topic.name)),
        topic_id: topic.id.0,
        is_internal: topic.is_internal(),
        partitions: topic.partitions().map(|(index, partition)| partition_of(image, index, partition)).collect(),
        ..Default::default()
    }
}

fn partition_of(image: &Image, index: PartitionIndex, partition: &Partition) -> MetadataResponsePartition {
    let state = &partition.state;
    let error_code = if state.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    MetadataResponsePartition {
        error_code,
        partition_index: index.0,
        leader_id: state.leader.map_or(-1, |leader| leader.0),
        leader_epoch: state.leader_epoch.0,
        replica_nodes: partition.replicas.iter().map(|node| node.0).collect(),
        isr_nodes: partition.isr().map(|node| node.0).collect(),
        offline_replicas: partitions::offline(image, partition),
        ..Default::default()
    }
}

fn broker(endpoint: Endpoint) -> MetadataResponseBroker {
    let Endpoint { node, host, port, rack } = endpoint;
    MetadataResponseBroker { node_id: node.0, host, port, rack, ..Default::default() }
}

/// Creates the topics that were asked for by a name that is free, with the defaults of the cluster.
async fn create_unknown(asked: &Asked, topics: &mut [MetadataResponseTopic]) {
    let missing = topics.iter().filter(|topic| topic.error_code == ErrorCode::UnknownTopicOrPartition);
    let new: Vec<NewTopic> = missing
        .filter_map(|topic| topic.name.as_deref())
        .map(|name| NewTopic { name: name.to_owned(), partitions: -1, replication_factor: -1, ..Default::default() })
        .collect();
    if new.is_empty() {
        return;
    }
    let command = Command::CreateTopics(CreateTopics { topics: new, validate_only: false });
    let created = match asked.submit(&command, KAFKA_AUTO_CREATE_PATIENCE_MS).await {
        Ok(Reply::CreatedTopics(created)) => created,
        Ok(other) => unreachable!("CreateTopics is not answered by {other:?}"),
        Err(_) => return, // the client asks again
    };
    for topic in topics.iter_mut().filter(|topic| topic.error_code == ErrorCode::UnknownTopicOrPartition) {
        let same = |created: &&CreatedTopic| topic.name.as_ref().is_some_and(|name| *name == *created.name);
        let Some(created) = created.iter().find(same) else { continue };
        // Done, if only because somebody else was faster: the client finds it when it asks again.
        let refused = created.outcome.as_ref().err().filter(|refused| refused.refusal != Refusal::TopicAlreadyExists);
        if let Some(refused) = refused {
            topic.error_code = ErrorCode::from_number(refused.refusal.code());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Uuid;
    use crate::server::kafka::api::stories;

    fn asked_for(version: i16, name: Option<&str>, topic_id: Uuid) -> MetadataResponseTopic {
        let wanted = MetadataRequestTopic { topic_id, name: name.map(Text::from), ..Default::default() };
        find(&stories::image(), version, &wanted)
    }

    #[test]
    fn a_topic_is_found_by_its_name_and_by_its_id() {
        let by_name = asked_for(13, Some("orders"), Uuid::ZERO);
        assert_eq!((by_name.error_code, by_name.topic_id), (ErrorCode::None, stories::ORDERS.0));
        assert_eq!(asked_for(13, None, stories::ORDERS.0), by_name);
    }

    #[test]
    fn what_is_not_found_is_told_by_what_it_was_asked_by() {
        let code = |name, id| asked_for(13, name, id).error_code;
        assert_eq!(code(Some("nowhere"), Uuid::ZERO), ErrorCode::UnknownTopicOrPartition);
        assert_eq!(code(Some("no where"), Uuid::ZERO), ErrorCode::InvalidTopicException);
        assert_eq!(code(None, Uuid([1; 16])), ErrorCode::UnknownTopicId);
        assert_eq!(code(None, Uuid::ZERO), ErrorCode::InvalidTopicException);
    }

    #[test]
    fn a_partition_without_a_leader_says_so_and_who_is_away() {
        let topic = asked_for(13, Some("orders"), Uuid::ZERO);
        let told = |at: usize| (topic.partitions[at].error_code, topic.partitions[at].leader_id);
        assert_eq!(told(0), (ErrorCode::None, 1));
        assert_eq!(told(2), (ErrorCode::LeaderNotAvailable, -1));
        assert_eq!(topic.partitions[2].offline_replicas, [2]);
        assert_eq!(topic.partitions[2].leader_epoch, 5);
    }
}

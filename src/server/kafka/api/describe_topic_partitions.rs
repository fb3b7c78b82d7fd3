//! DescribeTopicPartitions (75), version 0. Topics by name, with all that is known of their partitions, page by page.
//!
//! Topics come in the order of their names, all of them if none is named. A page holds as many partitions as the
//! request allows, at most `max.request.partition.size.limit`; the cursor names the first one that is left.
//!
//! Answers per topic: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION; per partition: LEADER_NOT_AVAILABLE.

use std::collections::BTreeSet;

use crate::base::ids::PartitionIndex;
use crate::metadata::Image;
use crate::metadata::partitions::Partition;
use crate::metadata::topics::Topic;
use crate::server::kafka::client::Asked;
use crate::server::kafka::operations;
use crate::server::kafka::partitions::{self, is_topic_name};
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, Text};

pub fn answer(asked: &Asked, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let most = asked.door().broker.settings().number("max.request.partition.size.limit");
    page(&asked.image(), most, request)
}

fn page(image: &Image, most: i64, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let mut left = i64::from(request.response_partition_limit).clamp(1, most.max(1)) as usize;
    let from = request.cursor.unwrap_or_default();
    let mut page = DescribeTopicPartitionsResponse::default();
    for name in names(image, request.topics.iter().map(|topic| &topic.name)) {
        if *name < *from.topic_name {
            continue;
        }
        let first = if *name == *from.topic_name { from.partition_index.max(0) } else { 0 };
        if left == 0 {
            page.next_cursor = Some(cursor(&name, first));
            break;
        }
        let Some(topic) = image.topics().named(&name) else {
            page.topics.push(unknown(name));
            continue;
        };
        let described = described(image, topic, first as usize, left);
        let next = first as usize + described.partitions.len();
        left -= described.partitions.len();
        page.topics.push(described);
        if next < topic.partition_count() {
            page.next_cursor = Some(cursor(&name, next as i32));
            break;
        }
    }
    page
}

/// What was asked for in the order of its names, each once.
fn names<'a>(image: &Image, asked_for: impl Iterator<Item = &'a Text>) -> BTreeSet<Text> {
    let asked_for: BTreeSet<Text> = asked_for.cloned().collect();
    if asked_for.is_empty() { image.topics().iter().map(|topic| Text::from(&*topic.name)).collect() } else { asked_for }
}

fn cursor(name: &Text, partition_index: i32) -> Cursor {
    Cursor { topic_name: name.clone(), partition_index, ..Default::default() }
}

fn unknown(name: Text) -> DescribeTopicPartitionsResponseTopic {
    let is_possible = is_topic_name(&name);
    DescribeTopicPartitionsResponseTopic {
        error_code: if is_possible { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException },
        name: Some(name),
        topic_authorized_operations: operations::TOPIC,
        ..Default::default()
    }
}

fn described(image: &Image, topic: &Topic, first: usize, most: usize) -> DescribeTopicPartitionsResponseTopic {
    let partitions = topic.partitions().skip(first).take(most);
    DescribeTopicPartitionsResponseTopic {
        name: Some(Text::from(&*topic.name)),
        topic_id: topic.id.0,
        is_internal: topic.is_internal(),
        partitions: partitions.map(|(index, partition)| partition_of(image, index, partition)).collect(),
        topic_authorized_operations: operations::TOPIC,
        ..Default::default()
    }
}

fn partition_of(
    image: &Image,
    index: PartitionIndex,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let state = &partition.state;
    DescribeTopicPartitionsResponsePartition {
        error_code: if state.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
        partition_index: index.0,
        leader_id: state.leader.map_or(-1, |leader| leader.0),
        leader_epoch: state.leader_epoch.0,
        replica_nodes: partition.replicas.iter().map(|node| node.0).collect(),
        isr_nodes: partition.isr().map(|node| node.0).collect(),
        eligible_leader_replicas: Some(partition.elr().map(|node| node.0).collect()),
        last_known_elr: Some(state.last_known_leader.iter().map(|node| node.0).collect()),
        offline_replicas: partitions::offline(image, partition),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::kafka::api::stories;
    use crate::wire::messages::describe_topic_partitions::TopicRequest;

    /// What a page shows: a topic with the partitions of it, and where the next page begins.
    type Shown = (Vec<(String, Vec<i32>)>, Option<(String, i32)>);

    fn shown(names: &[&str], limit: i32, from: Option<Cursor>) -> (Shown, Option<Cursor>) {
        let topics = names.iter().map(|name| TopicRequest { name: (*name).into(), ..Default::default() }).collect();
        let request = DescribeTopicPartitionsRequest {
            topics,
            response_partition_limit: limit,
            cursor: from,
            ..Default::default()
        };
        let page = page(&stories::image(), 2000, request);
        let topics = page.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.as_ref().unwrap().to_string(), partitions)
        });
        let next = page.next_cursor.as_ref().map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
        ((topics.collect(), next), page.next_cursor)
    }

    #[test]
    fn all_topics_come_in_order_page_by_page_each_partition_once() {
        let of = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.to_vec());
        let (first, next) = shown(&[], 2, None);
        assert_eq!(first, (vec![of("orders", &[0, 1])], Some(("orders".to_owned(), 2))));
        let (second, next) = shown(&[], 2, next);
        assert_eq!(second, (vec![of("orders", &[2]), of("traces", &[0])], None));
        assert_eq!(next, None);
    }

    #[test]
    fn a_topic_that_is_not_there_has_a_code_and_takes_no_room() {
        let ((topics, next), _) = shown(&["traces", "nowhere", "no where"], 1, None);
        assert_eq!(topics.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["no where", "nowhere", "traces"]);
        assert_eq!(next, None);
        assert_eq!(unknown("nowhere".into()).error_code, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(unknown("no where".into()).error_code, ErrorCode::InvalidTopicException);
    }
}

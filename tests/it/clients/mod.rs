//! Real clients, unmodified: what they are told, what they read back, what they print.
//!
//! `librdkafka.rs` talks to one node; in `failover.rs` the producers of `load.rs` talk to three that are killed by
//! turns, `disks.rs` takes a disk from one, and `recovery.rs` kills one that has much to recover; `tools.rs` runs the
//! programs that come with Kafka, and kcat, `logs.rs` has them judge what is deleted and compacted; `languages.rs` runs
//! stories in other languages. `checker.rs` judges what was acked against what is found.

mod checker;
mod disks;
mod failover;
mod languages;
mod librdkafka;
mod load;
mod logs;
mod recovery;
mod tools;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::process::PATIENCE;
use checker::Record;

/// Creates a topic as its owner would.
fn create_topic(client: &ClientConfig, topic: &str, shape: (i32, i32), settings: &[(&'static str, &'static str)]) {
    let (partitions, replicas) = shape;
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    assert_eq!(ask_for_topic(client, &new), Ok(topic.to_owned()));
}

/// Asks for a topic and says what was answered.
fn ask_for_topic(client: &ClientConfig, new: &NewTopic<'_>) -> TopicResult {
    admin(|options| {
        let client: AdminClient<DefaultClientContext> = client.create().unwrap();
        async move { client.create_topics([new], &options).await }
    })
}

fn delete_topic(client: &ClientConfig, topic: &str) -> TopicResult {
    admin(|options| {
        let client: AdminClient<DefaultClientContext> = client.create().unwrap();
        async move { client.delete_topics(&[topic], &options).await }
    })
}

/// Runs one admin request that is about one topic.
fn admin<F>(request: impl FnOnce(AdminOptions) -> F) -> TopicResult
where
    F: Future<Output = rdkafka::error::KafkaResult<Vec<TopicResult>>>,
{
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut answers = runtime.block_on(request(options)).unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// A consumer of every partition of a topic from its beginning, without a group's help.
fn consumer(client: &ClientConfig, topic: &str) -> BaseConsumer {
    let mut config = client.clone();
    // librdkafka wants a group's name even from those who assign by hand.
    config.set("group.id", "by hand").set("enable.auto.commit", "false").set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assigned = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assigned).unwrap();
    consumer
}

/// The partitions of a topic that has some.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions: Vec<_> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    assert!(!partitions.is_empty(), "{topic} has no partitions");
    partitions
}

/// How many records the brokers say there are in a topic.
fn count(consumer: &BaseConsumer, topic: &str) -> usize {
    let ends = |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
    let count: i64 = partitions(consumer, topic).into_iter().map(ends).map(|(start, end)| end - start).sum();
    usize::try_from(count).unwrap()
}

/// What a record says of itself, and where it is.
fn numbered(message: &BorrowedMessage<'_>) -> Record {
    let number = std::str::from_utf8(message.payload().unwrap()).unwrap().trim_end().parse().unwrap();
    Record { number, partition: message.partition(), offset: message.offset() }
}

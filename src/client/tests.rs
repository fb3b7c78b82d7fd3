//! Stories of a client and brokers that fail by script, in paused time.

mod broker;

use std::time::Duration;

use bytes::Bytes;

use super::{ClientError, Cluster, Consumer, Delivery, Producer, ProducerOptions, TopicPartition};
use crate::base::ids::{Offset, PartitionIndex};
use crate::wire::{ErrorCode, Text};
use broker::{Brokers, Fate, TOPIC};

const FIRST: PartitionIndex = PartitionIndex(0);

fn cluster(brokers: &Brokers) -> Cluster {
    Cluster::new(brokers.seams(), vec!["b1:9092".to_owned(), "b2:9092".to_owned()], "story")
}

fn producer(brokers: &Brokers) -> Producer {
    let options = ProducerOptions { delivery_patience: Duration::from_secs(30), ..Default::default() };
    Producer::new(&cluster(brokers), options)
}

fn send(producer: &Producer, value: &str) -> Delivery {
    producer.send(&TOPIC, FIRST, None, Some(Bytes::copy_from_slice(value.as_bytes())))
}

/// Sends records one by one, each a request of its own, without waiting for any.
async fn send_apart(producer: &Producer, brokers: &Brokers, values: &[&str]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for value in values {
        let seen = brokers.produce_requests().len();
        deliveries.push(send(producer, value));
        brokers.until(|| brokers.produce_requests().len() > seen).await;
    }
    deliveries
}

async fn offsets(deliveries: Vec<Delivery>) -> Vec<i64> {
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(delivery.await.expect("this story delivers").0);
    }
    offsets
}

/// A producer that the leader knows already: its first record is written.
async fn introduced(brokers: &Brokers) -> Producer {
    let producer = producer(brokers);
    assert_eq!(send(&producer, "hello").await, Ok(Offset(0)));
    producer
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_together_travels_together() {
    let brokers = Brokers::new();
    let producer = producer(&brokers);
    let deliveries = ["a", "b", "c"].map(|value| send(&producer, value));
    assert_eq!(offsets(deliveries.into()).await, [0, 1, 2]);
    assert_eq!(brokers.log(), ["a", "b", "c"]);
    assert_eq!(brokers.produce_requests(), [(1, 0, 0, 3)], "broker 1, epoch 0, sequence 0, three records");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_with_the_same_sequence() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.script([Fate::LoseAnswer]);
    assert_eq!(send(&producer, "once").await, Ok(Offset(1)));
    assert_eq!(brokers.log(), ["hello", "once"]);
    assert_eq!(brokers.produce_requests()[1..], [(1, 0, 1, 1), (1, 0, 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_behind_a_failure_stays_behind_it() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.hold_answers();
    brokers.script([Fate::Refuse(ErrorCode::NotEnoughReplicas)]);
    let deliveries = send_apart(&producer, &brokers, &["a", "b", "c"]).await;
    brokers.release_answers();
    assert_eq!(offsets(deliveries).await, [1, 2, 3]);
    assert_eq!(brokers.log(), ["hello", "a", "b", "c"]);
    let sequences: Vec<i32> = brokers.produce_requests()[1..].iter().map(|seen| seen.2).collect();
    assert_eq!(sequences, [1, 2, 3, 1, 2, 3], "b and c were out of order the first time, as a was missing");
}

#[tokio::test(start_paused = true)]
async fn a_batch_written_before_the_answer_was_lost_is_not_written_again_behind_its_followers() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.hold_answers();
    brokers.script([Fate::Write, Fate::LoseAnswer]);
    let deliveries = send_apart(&producer, &brokers, &["a", "b"]).await;
    brokers.release_answers();
    assert_eq!(offsets(deliveries).await, [1, 2]);
    assert_eq!(brokers.log(), ["hello", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_leads_to_the_new_leader_without_a_question() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    let asked = brokers.metadata_requests();
    brokers.script([Fate::MoveTo(2)]);
    assert_eq!(send(&producer, "moved").await, Ok(Offset(1)));
    assert_eq!(brokers.log(), ["hello", "moved"]);
    let requests = brokers.produce_requests();
    assert_eq!(requests[1..], [(1, 0, 1, 1), (2, 0, 1, 1)]);
    assert!(brokers.metadata_requests() <= asked + 1, "the hint was enough; one question may go beside it");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_by_the_one_that_metadata_names() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.hold_answers();
    let deliveries = send_apart(&producer, &brokers, &["a", "b"]).await;
    brokers.stop(1);
    brokers.release_answers();
    brokers.until(|| brokers.metadata_requests() > 3).await;
    brokers.lead(2);
    assert_eq!(offsets(deliveries).await, [1, 2]);
    assert_eq!(brokers.log(), ["hello", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_left_once_another_has_taken_over() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.script([Fate::Silence]);
    let begun = tokio::time::Instant::now();
    let delivery = send(&producer, "patient");
    brokers.until(|| brokers.produce_requests().len() == 2).await;
    brokers.lead(2);
    assert_eq!(delivery.await, Ok(Offset(1)));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it took {:?}, as if it had waited for the answer",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_batch_is_given_up_a_new_epoch_begins_at_sequence_0() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.script([Fate::Refuse(ErrorCode::MessageTooLarge)]);
    let refused = send(&producer, "large").await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::MessageTooLarge));
    assert_eq!(send(&producer, "after").await, Ok(Offset(1)));
    assert_eq!(brokers.log(), ["hello", "after"]);
    assert_eq!(brokers.produce_requests()[1..], [(1, 0, 1, 1), (1, 1, 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn records_nobody_takes_are_given_up_in_time_and_say_why() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    brokers.stop(1);
    brokers.stop(2);
    let begun = tokio::time::Instant::now();
    let ClientError::Expired { last } = send(&producer, "late").await.unwrap_err() else {
        panic!("it was delivered, or refused by a broker that is not there");
    };
    assert!(matches!(*last, ClientError::Broken { .. } | ClientError::Unreachable { .. }), "{last}");
    assert!((29..35).contains(&begun.elapsed().as_secs()), "its patience is 30 s, it took {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_reads_on_at_the_new_leader() {
    let brokers = Brokers::new();
    let producer = introduced(&brokers).await;
    let partition = TopicPartition::new(&TOPIC, FIRST);
    let mut consumer = Consumer::assign(&cluster(&brokers), [(partition, Offset(0))]);
    let mut read = Vec::new();
    for value in ["a", "b", "c"] {
        send(&producer, value).await.expect("somebody leads");
        while read.last().is_none_or(|last| last != value) {
            let fetched = consumer.next().await.expect("it can be read");
            read.extend(fetched.records.into_iter().map(|record| text(record.value.as_ref())));
        }
        brokers.lead(if value == "a" { 2 } else { 1 });
    }
    assert_eq!(read, ["hello", "a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_told_when_its_offset_is_gone() {
    let brokers = Brokers::new();
    let partition = TopicPartition::new(&TOPIC, FIRST);
    let mut consumer = Consumer::assign(&cluster(&brokers), [(partition, Offset(7))]);
    assert_eq!(consumer.next().await.unwrap_err().code(), Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(consumer.next().await, Err(ClientError::Closed));
}

fn text(value: Option<&Bytes>) -> String {
    let value = value.expect("every record has a value");
    Text::try_from(value.clone()).expect("values are text").to_string()
}

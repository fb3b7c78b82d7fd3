//! librdkafka against one node: topics, records of every codec, and the errors that it tells its users.

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::{ask_for_topic, consumer, create_topic, delete_topic};
use crate::cluster::Cluster;
use crate::process::PATIENCE;

/// The codecs with their numbers in a batch's attributes.
const CODECS: [(&str, u8); 5] = [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)];

const RECORDS: usize = 10_000;

/// A topic springs into being only when it was asked for.
const SETTINGS: &[&str] = &["auto.create.topics.enable=false"];

/// What a producer was told about its records: the offset, or why not.
#[derive(Default)]
struct Told(Mutex<Vec<Result<i64, RDKafkaErrorCode>>>);

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let told = result.as_ref().map(Message::offset);
        self.0.lock().unwrap().push(told.map_err(|(error, _)| error.rdkafka_error_code().unwrap()));
    }
}

fn producer(client: &ClientConfig, settings: &[(&str, &str)]) -> BaseProducer<Told> {
    let mut config = client.clone();
    config.set("enable.idempotence", "true").set("acks", "all");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create_with_context(Told::default()).unwrap()
}

/// Sends one record and returns what the producer is told about it.
fn send(producer: &BaseProducer<Told>, topic: &str, payload: &[u8]) -> Result<i64, RDKafkaErrorCode> {
    producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload(payload)).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer.context().0.lock().unwrap().pop().expect("every record has an outcome")
}

#[test]
fn every_codec_passes_through_and_records_stay_in_order() {
    let cluster = Cluster::start(1, SETTINGS);
    let client = cluster.client();
    for (codec, number) in CODECS {
        let topic = format!("story-{codec}");
        create_topic(&client, &topic, (1, 1), &[]);
        produce(&producer(&client, &[("compression.type", codec)]), &topic);
        check_what_is_read(&consumer(&client, &topic), &topic);
        assert_eq!(codec_on_disk(&cluster, &topic), number, "{codec} is kept as the producer chose");
    }
}

fn key(number: usize) -> String {
    format!("key {number}")
}

fn payload(number: usize) -> String {
    format!("record {number} of {RECORDS}, long enough and even enough that compressing it is worth while")
}

fn produce(producer: &BaseProducer<Told>, topic: &str) {
    for number in 0..RECORDS {
        let (key, payload, count) = (key(number), payload(number), number.to_string());
        let headers = OwnedHeaders::new().insert(Header { key: "number", value: Some(&count) });
        let record = BaseRecord::to(topic).key(&key).payload(&payload).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let told = std::mem::take(&mut *producer.context().0.lock().unwrap());
    let offsets: Vec<_> = (0..RECORDS).map(|offset| Ok(i64::try_from(offset).unwrap())).collect();
    assert!(told == offsets, "{topic}: each record is acked once, at the offset of its turn");
}

fn check_what_is_read(consumer: &BaseConsumer, topic: &str) {
    for number in 0..RECORDS {
        let record = consumer.poll(PATIENCE).unwrap_or_else(|| panic!("{topic} ends before {number}")).unwrap();
        assert_eq!((record.partition(), record.offset()), (0, i64::try_from(number).unwrap()), "{topic}");
        assert_eq!(record.key(), Some(key(number).as_bytes()), "{topic}");
        assert_eq!(record.payload(), Some(payload(number).as_bytes()), "{topic}");
        let headers = record.headers().unwrap();
        assert_eq!(headers.get(0).value, Some(number.to_string().as_bytes()), "{topic}");
    }
    let ends = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    assert_eq!(ends, (0, i64::try_from(RECORDS).unwrap()), "{topic}");
}

/// The codec in the attributes of a partition's first batch.
fn codec_on_disk(cluster: &Cluster, topic: &str) -> u8 {
    const ATTRIBUTES_END: usize = 23;
    let path = cluster.partition_folder(1, &format!("{topic}-0")).join("00000000000000000000.log");
    let mut head = [0; ATTRIBUTES_END];
    std::fs::File::open(path).unwrap().read_exact(&mut head).unwrap();
    head[ATTRIBUTES_END - 1] & 7
}

#[test]
fn metadata_names_the_node_and_where_partitions_are() {
    let cluster = Cluster::start(1, SETTINGS);
    let client = cluster.client();
    create_topic(&client, "seen", (3, 1), &[]);
    let consumer = consumer(&client, "seen");
    let metadata = consumer.fetch_metadata(Some("seen"), PATIENCE).unwrap();
    let brokers: Vec<_> =
        metadata.brokers().iter().map(|at| (at.id(), format!("{}:{}", at.host(), at.port()))).collect();
    assert_eq!(brokers, [(1, cluster.bootstrap())]);
    let mut partitions: Vec<_> = metadata.topics()[0].partitions().iter().collect();
    partitions.sort_by_key(|partition| partition.id());
    assert_eq!(partitions.iter().map(|partition| partition.id()).collect::<Vec<_>>(), [0, 1, 2]);
    for partition in partitions {
        assert_eq!((partition.leader(), partition.replicas(), partition.isr()), (1, &[1][..], &[1][..]));
        assert!(partition.error().is_none());
    }
    let unknown = consumer.fetch_metadata(Some("unseen"), PATIENCE).unwrap();
    assert_eq!(
        unknown.topics()[0].error().map(RDKafkaErrorCode::from),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
}

#[test]
fn topics_are_refused_and_deleted_with_the_right_words() {
    let cluster = Cluster::start(1, SETTINGS);
    let client = cluster.client();
    create_topic(&client, "once", (1, 1), &[]);
    let refused = |topic, partitions, replicas| {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        ask_for_topic(&client, &new).unwrap_err().1
    };
    assert_eq!(refused("once", 1, 1), RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(refused("not/a/name", 1, 1), RDKafkaErrorCode::InvalidTopic);
    assert_eq!(refused("copies", 1, 2), RDKafkaErrorCode::InvalidReplicationFactor);
    let new = NewTopic::new("odd", 1, TopicReplication::Fixed(1)).set("retention.ms", "for ever");
    assert_eq!(ask_for_topic(&client, &new).unwrap_err().1, RDKafkaErrorCode::InvalidConfig);
    assert_eq!(delete_topic(&client, "once"), Ok("once".to_owned()));
    assert_eq!(delete_topic(&client, "once").unwrap_err().1, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[test]
fn producers_and_consumers_are_told_what_is_wrong() {
    let cluster = Cluster::start(1, SETTINGS);
    let client = cluster.client();
    create_topic(&client, "small", (1, 1), &[("max.message.bytes", "10000")]);
    let eager = [("topic.metadata.propagation.max.ms", "500"), ("message.max.bytes", "1000000")];
    let producer = producer(&client, &eager);
    assert_eq!(send(&producer, "nowhere", b"x"), Err(RDKafkaErrorCode::UnknownTopicOrPartition));
    assert_eq!(send(&producer, "small", b"the first"), Ok(0));
    assert_eq!(send(&producer, "small", &[b'x'; 20_000]), Err(RDKafkaErrorCode::MessageSizeTooLarge));
    assert_eq!(send(&producer, "small", b"one more after the refusal"), Ok(1));

    let consumer = consumer(&client, "small");
    let mut far = TopicPartitionList::new();
    far.add_partition_offset("small", 0, Offset::Offset(1_000)).unwrap();
    consumer.assign(&far).unwrap();
    let said = consumer.poll(PATIENCE).expect("an offset past the end is an error").map(|record| record.offset());
    // librdkafka gives OFFSET_OUT_OF_RANGE this name when it was told not to jump by itself.
    assert_eq!(said, Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)));
    assert_eq!(consumer.fetch_watermarks("small", 0, Duration::from_secs(10)), Ok((0, 2)));
}

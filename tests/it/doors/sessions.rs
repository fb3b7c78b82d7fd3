//! Fetch sessions (KIP-227): a reader says what has changed, and is told what has changed.

use std::time::{Duration, Instant};

use dohle::base::ids::Uuid;
use dohle::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use dohle::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic};
use dohle::wire::{ApiKey, ErrorCode, Records};

use super::wire::Wire;
use crate::cluster::Cluster;

const NEWEST: i16 = ApiKey::Fetch.entry().versions.last;
/// The last version in which topics have names.
const BY_NAME: i16 = 12;

fn create(wire: &mut Wire, name: &str, num_partitions: i32) -> Uuid {
    let topic = CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..Default::default() };
    let created = wire.ask_newest(&request);
    assert_eq!(created.topics[0].error_code, ErrorCode::None, "{created:?}");
    created.topics[0].topic_id
}

/// A fetch that does not wait.
fn fetch(session: (i32, i32), topic_id: Uuid, wanted: &[(i32, i64)]) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let partitions: Vec<_> = wanted.iter().map(partition).collect();
    let topics = match partitions.is_empty() {
        true => Vec::new(),
        false => vec![FetchTopic { topic_id, partitions, ..Default::default() }],
    };
    let (session_id, session_epoch) = session;
    FetchRequest { session_id, session_epoch, topics, min_bytes: 1, max_bytes: 1 << 20, ..Default::default() }
}

/// The partitions of an answer, with how many bytes of records each has.
fn told(response: &FetchResponse) -> Vec<(i32, usize)> {
    assert_eq!(response.error_code, ErrorCode::None);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let size = |records: &Option<Records>| records.as_ref().map_or(0, Records::len);
    partitions.map(|partition| (partition.partition_index, size(&partition.records))).collect()
}

#[test]
fn a_session_tells_only_what_is_new() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, "many", 5);
    let all: Vec<_> = (0..5).map(|partition| (partition, 0)).collect();

    let first = wire.ask(NEWEST, &fetch((0, 0), topic, &all));
    let id = first.session_id;
    assert_ne!(id, 0, "whoever asks with epoch 0 gets a session");
    assert_eq!(told(&first), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)], "the first answer tells of all");
    assert!(told(&wire.ask(NEWEST, &fetch((id, 1), topic, &[]))).is_empty());

    wire.produce(topic, 3, b"news");
    let third = wire.ask(NEWEST, &fetch((id, 2), topic, &[]));
    let [(3, size)] = told(&third)[..] else { panic!("only one partition has news: {third:?}") };
    assert!(size > 0);
    // Who does not say that it goes on is told the same again.
    assert_eq!(told(&wire.ask(NEWEST, &fetch((id, 3), topic, &[]))), [(3, size)]);
    assert!(told(&wire.ask(NEWEST, &fetch((id, 4), topic, &[(3, 1)]))).is_empty());

    wire.produce(topic, 1, b"to whom it may concern");
    let forgotten = vec![ForgottenTopic { topic_id: topic, partitions: vec![1], ..Default::default() }];
    let request = FetchRequest { forgotten_topics_data: forgotten, ..fetch((id, 5), topic, &[]) };
    assert!(told(&wire.ask(NEWEST, &request)).is_empty(), "partition 1 is not of interest any more");

    // Another connection goes on where this one stopped.
    let mut elsewhere = Wire::to(&cluster.bootstrap());
    let again = elsewhere.ask(NEWEST, &fetch((id, 6), topic, &[(1, 0)]));
    assert_eq!(told(&again).len(), 1);
    assert_eq!(again.session_id, id);
}

#[test]
fn a_request_waits_until_one_of_its_partitions_has_something() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, "late", 3);
    let id = wire.ask(NEWEST, &fetch((0, 0), topic, &[(0, 0), (1, 0), (2, 0)])).session_id;
    let mut writer = Wire::to(&cluster.bootstrap());
    for epoch in 1..=5 {
        // Patience is far longer than the test: only the record can end it.
        let request = FetchRequest { max_wait_ms: 600_000, ..fetch((id, epoch), topic, &[(2, i64::from(epoch) - 1)]) };
        wire.send(NEWEST, &request);
        writer.produce(topic, 2, b"now");
        let response = wire.answer::<FetchRequest>(NEWEST);
        assert_eq!(told(&response).iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [2]);
    }
    // Without a session, too.
    wire.send(NEWEST, &FetchRequest { max_wait_ms: 600_000, ..fetch((0, -1), topic, &[(0, 0), (1, 0)]) });
    writer.produce(topic, 1, b"now");
    let response = wire.answer::<FetchRequest>(NEWEST);
    assert_eq!(response.session_id, 0);
    assert_eq!(told(&response).len(), 2, "without a session all are told of");
}

#[test]
fn who_loses_its_place_is_told_so() {
    let cluster = Cluster::start(1, &["max.incremental.fetch.session.cache.slots=1"]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, "order", 1);
    let mut error = |version, request: &FetchRequest| wire.ask(version, request).error_code;
    assert_eq!(error(NEWEST, &fetch((77, 1), topic, &[])), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(error(NEWEST, &fetch((0, 1), topic, &[])), ErrorCode::FetchSessionIdNotFound);

    let id = wire.ask(NEWEST, &fetch((0, 0), topic, &[(0, 0)])).session_id;
    let mut error = |version, request: &FetchRequest| wire.ask(version, request).error_code;
    assert_eq!(error(NEWEST, &fetch((id, 2), topic, &[])), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(error(BY_NAME, &fetch((id, 1), topic, &[])), ErrorCode::FetchSessionTopicIdError);
    assert_eq!(error(NEWEST, &fetch((id, 1), topic, &[])), ErrorCode::None, "none of that has harmed it");

    let second = wire.ask(NEWEST, &fetch((0, 0), topic, &[(0, 0)]));
    assert_eq!((second.error_code, second.session_id), (ErrorCode::None, 0), "there is room for one session only");

    let last = wire.ask(NEWEST, &fetch((id, -1), topic, &[(0, 0)]));
    assert_eq!((last.error_code, last.session_id), (ErrorCode::None, 0));
    let gone = wire.ask(NEWEST, &fetch((id, 2), topic, &[])).error_code;
    assert_eq!(gone, ErrorCode::FetchSessionIdNotFound, "epoch -1 ends a session");
    assert_ne!(wire.ask(NEWEST, &fetch((0, 0), topic, &[(0, 0)])).session_id, 0, "and makes room for another");
}

#[test]
fn an_error_is_told_again_until_it_is_gone() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, "small", 1);
    let code = |response: &FetchResponse| response.responses[0].partitions[0].error_code;
    let first = wire.ask(NEWEST, &fetch((0, 0), topic, &[(0, 0), (1, 0)]));
    let id = first.session_id;
    assert_eq!(told(&first).len(), 2);
    for epoch in 1..=3 {
        let response = wire.ask(NEWEST, &fetch((id, epoch), topic, &[]));
        assert_eq!(told(&response), [(1, 0)], "partition 0 has nothing new, partition 1 is still not there");
        assert_eq!(code(&response), ErrorCode::UnknownTopicOrPartition);
    }
    let far = wire.ask(NEWEST, &fetch((id, 4), topic, &[(0, 1_000)]));
    assert_eq!(far.responses[0].partitions.len(), 2);
    assert!(far.responses[0].partitions.iter().any(|one| one.error_code == ErrorCode::OffsetOutOfRange));
}

/// The cost of asking is the cost of what has changed, and not of all that is wanted.
#[test]
fn an_idle_session_of_many_partitions_costs_no_more_than_one_of_few() {
    const MANY: i32 = 2_000;
    const REQUESTS: i32 = 200;
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = create(&mut wire, "wide", MANY);
    let mut time = |partitions: i32| {
        let wanted: Vec<_> = (0..partitions).map(|partition| (partition, 0)).collect();
        let id = wire.ask(NEWEST, &fetch((0, 0), topic, &wanted)).session_id;
        assert!(told(&wire.ask(NEWEST, &fetch((id, 1), topic, &[]))).is_empty());
        let start = Instant::now();
        for epoch in 2..2 + REQUESTS {
            assert!(told(&wire.ask(NEWEST, &fetch((id, epoch), topic, &[]))).is_empty());
        }
        start.elapsed()
    };
    let (few, many) = (time(1), time(MANY));
    println!("{REQUESTS} requests: {few:?} with one partition, {many:?} with {MANY}");
    assert!(many < 5 * few + Duration::from_millis(200), "{many:?} for {MANY} partitions, {few:?} for one");
}

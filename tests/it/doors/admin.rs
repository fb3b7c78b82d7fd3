//! What administrators ask for, and what they are told when it cannot be.

use dohle::base::ids::Uuid;
use dohle::wire::messages::alter_configs::{self, AlterConfigsRequest};
use dohle::wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use dohle::wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use dohle::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use dohle::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use dohle::wire::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use dohle::wire::messages::describe_topic_partitions::{self, DescribeTopicPartitionsRequest};
use dohle::wire::messages::describe_user_scram_credentials::{DescribeUserScramCredentialsRequest, UserName};
use dohle::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use dohle::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use dohle::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use dohle::wire::{ErrorCode, Text};

use super::wire::Wire;
use crate::cluster::Cluster;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

pub fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

/// What becomes of some new topics, by name.
pub fn create(wire: &mut Wire, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<(String, ErrorCode)> {
    let request = CreateTopicsRequest { topics, validate_only, timeout_ms: 30_000, ..Default::default() };
    let created = wire.ask_newest(&request).topics;
    let is_told = |name: &Option<Text>| name.as_ref().is_some_and(|name| !name.is_empty());
    assert!(created.iter().all(|it| it.error_code.is_error() == is_told(&it.error_message)), "{created:?}");
    created.iter().map(|it| (it.name.to_string(), it.error_code)).collect()
}

#[test]
fn a_topic_is_refused_for_what_is_wrong_with_it() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let assigned = |name, places: &[(i32, i32)]| CreatableTopic {
        assignments: places
            .iter()
            .map(|(partition_index, broker)| CreatableReplicaAssignment {
                partition_index: *partition_index,
                broker_ids: vec![*broker],
                ..Default::default()
            })
            .collect(),
        ..topic(name, -1, -1)
    };
    let configured = |name, key: &str, value: Option<&str>| CreatableTopic {
        configs: vec![CreatableTopicConfig { name: key.into(), value: value.map(Text::from), ..Default::default() }],
        ..topic(name, 1, 1)
    };
    create(&mut wire, vec![topic("here.already", 1, 1)], false);
    let both = CreatableTopic { num_partitions: 1, ..assigned("both", &[(0, 1)]) };
    let long = "l".repeat(250);
    let outcomes = [
        (topic("defaults", -1, -1), ErrorCode::None),
        (topic("none", 0, 1), ErrorCode::InvalidPartitions),
        (topic("negative", -2, 1), ErrorCode::InvalidPartitions),
        (topic("copies", 1, 2), ErrorCode::InvalidReplicationFactor),
        (topic("no-copy", 1, 0), ErrorCode::InvalidReplicationFactor),
        (topic("here.already", 1, 1), ErrorCode::TopicAlreadyExists),
        (topic("here_already", 1, 1), ErrorCode::InvalidTopicException),
        (topic("not/a/name", 1, 1), ErrorCode::InvalidTopicException),
        (topic("", 1, 1), ErrorCode::InvalidTopicException),
        (topic("..", 1, 1), ErrorCode::InvalidTopicException),
        (topic(&long, 1, 1), ErrorCode::InvalidTopicException),
        (topic("__cluster_metadata", 1, 1), ErrorCode::InvalidRequest),
        (assigned("by-hand", &[(0, 1), (1, 1)]), ErrorCode::None),
        (assigned("gap", &[(0, 1), (2, 1)]), ErrorCode::InvalidReplicaAssignment),
        (assigned("stranger", &[(0, 9)]), ErrorCode::InvalidReplicaAssignment),
        (both, ErrorCode::InvalidRequest),
        (configured("kept", "retention.ms", Some("1000")), ErrorCode::None),
        (configured("odd", "retention.ms", Some("soon")), ErrorCode::InvalidConfig),
        (configured("what", "colour", Some("blue")), ErrorCode::InvalidConfig),
        (configured("null", "retention.ms", None), ErrorCode::InvalidConfig),
    ];
    let expected: Vec<_> = outcomes.iter().map(|(topic, code)| (topic.name.to_string(), *code)).collect();
    let all: Vec<_> = outcomes.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(create(&mut wire, all.clone(), true), expected, "only asked");
    assert_eq!(create(&mut wire, all, false), expected, "so nothing of it had been done");

    let twice = vec![topic("twice", 1, 1), topic("once", 1, 1), topic("twice", 2, 1)];
    let told = [("twice".to_owned(), ErrorCode::InvalidRequest), ("once".to_owned(), ErrorCode::None)];
    assert_eq!(create(&mut wire, twice, false), told);
}

#[test]
fn topics_are_deleted_by_name_or_by_id_once() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, ["a", "b", "c"].map(|name| topic(name, 1, 1)).to_vec(), false);
    let b = wire.topic_id("b");
    let named = |name: &str| DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let by_id = |topic_id| DeleteTopicState { topic_id, ..Default::default() };
    let both = DeleteTopicState { topic_id: b, ..named("b") };
    let topics = vec![named("a"), by_id(b), named("c"), named("c"), named("d"), by_id(Uuid([7; 16])), both];
    let deleted = wire.ask_newest(&DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() });
    let told: Vec<_> = deleted.responses.iter().map(|it| (it.name.as_deref(), it.error_code)).collect();
    let expected = [
        (Some("a"), ErrorCode::None),
        (Some("b"), ErrorCode::None),
        (Some("c"), ErrorCode::InvalidRequest),
        (Some("c"), ErrorCode::InvalidRequest),
        (Some("d"), ErrorCode::UnknownTopicOrPartition),
        (None, ErrorCode::UnknownTopicId),
        (Some("b"), ErrorCode::InvalidRequest),
    ];
    assert_eq!(told, expected);
    wire.topic_id("c");
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("tall", 2, 1), topic("twin", 1, 1)], false);
    let more = |name: &str, count, brokers: Option<&[i32]>| CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: brokers.map(|brokers| {
            let assignment = |id: &i32| CreatePartitionsAssignment { broker_ids: vec![*id], ..Default::default() };
            brokers.iter().map(assignment).collect()
        }),
        ..Default::default()
    };
    let mut grow = |topics: Vec<CreatePartitionsTopic>, validate_only| -> Vec<(String, ErrorCode)> {
        let request = CreatePartitionsRequest { topics, validate_only, timeout_ms: 30_000, ..Default::default() };
        wire.ask_newest(&request).results.iter().map(|it| (it.name.to_string(), it.error_code)).collect()
    };
    let mut one = |topic, validate_only| grow(vec![topic], validate_only)[0].1;
    assert_eq!(one(more("tall", 5, None), true), ErrorCode::None);
    assert_eq!(one(more("tall", 3, None), false), ErrorCode::None, "the rehearsal had done nothing");
    assert_eq!(one(more("tall", 3, None), false), ErrorCode::InvalidPartitions);
    assert_eq!(one(more("tall", 2, None), false), ErrorCode::InvalidPartitions);
    assert_eq!(one(more("short", 2, None), false), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(one(more("tall", 5, Some(&[1])), false), ErrorCode::InvalidReplicaAssignment);
    assert_eq!(one(more("tall", 4, Some(&[9])), false), ErrorCode::InvalidReplicaAssignment);
    assert_eq!(one(more("tall", 4, Some(&[1])), false), ErrorCode::None);
    let twins = vec![more("twin", 2, None), more("tall", 6, None), more("twin", 3, None)];
    let told = [("twin".to_owned(), ErrorCode::InvalidRequest), ("tall".to_owned(), ErrorCode::None)];
    assert_eq!(grow(twins, false), told);
    assert_eq!(pages(&mut wire, 100), [vec![("tall".to_owned(), 6), ("twin".to_owned(), 1)]]);
    // Topics come in the order of their names, and a cursor tells where the next page begins.
    let pages = pages(&mut wire, 4);
    assert_eq!(pages, [vec![("tall".to_owned(), 4)], vec![("tall".to_owned(), 2), ("twin".to_owned(), 1)]]);
}

/// All topics with how many partitions each has on a page, page by page.
fn pages(wire: &mut Wire, response_partition_limit: i32) -> Vec<Vec<(String, usize)>> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let request = DescribeTopicPartitionsRequest { response_partition_limit, cursor, ..Default::default() };
        let page = wire.ask_newest(&request);
        let described = |topic: &describe_topic_partitions::DescribeTopicPartitionsResponseTopic| {
            (topic.name.as_ref().unwrap().to_string(), topic.partitions.len())
        };
        pages.push(page.topics.iter().map(described).collect());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return pages;
        }
    }
}

/// A change of one resource: keys with Kafka's number of the operation and a value.
pub fn change(resource_type: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
    let config = |(name, config_operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *config_operation,
        value: value.map(Text::from),
        ..Default::default()
    };
    let configs = configs.iter().map(config).collect();
    AlterConfigsResource { resource_type, resource_name: name.into(), configs, ..Default::default() }
}

pub fn alter(wire: &mut Wire, resources: Vec<AlterConfigsResource>) -> Vec<ErrorCode> {
    let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
    wire.ask_newest(&request).responses.iter().map(|it| it.error_code).collect()
}

pub fn describe(wire: &mut Wire, resource_type: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let (include_synonyms, include_documentation) = (true, true);
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms,
        include_documentation,
        ..Default::default()
    };
    wire.ask_newest(&request).results.remove(0)
}

/// A key's value, and the number of where it comes from.
pub fn value<'a>(described: &'a DescribeConfigsResult, key: &str) -> (Option<&'a str>, i8) {
    let found: &DescribeConfigsResourceResult = described.configs.iter().find(|it| *it.name == *key).unwrap();
    assert!(found.documentation.is_some(), "{found:?}");
    (found.value.as_deref(), found.config_source)
}

pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const OF_TOPIC: i8 = 1;
const OF_ALL_BROKERS: i8 = 3;
pub const DEFAULT: i8 = 5;

#[test]
fn configuration_is_changed_key_by_key() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("tuned", 1, 1)], false);
    let keys = [("retention.ms", SET, Some("5000")), ("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(&mut wire, vec![change(TOPIC, "tuned", &keys)]), [ErrorCode::None]);
    let described = describe(&mut wire, TOPIC, "tuned");
    assert_eq!(value(&described, "retention.ms"), (Some("5000"), OF_TOPIC));
    assert_eq!(value(&described, "cleanup.policy"), (Some("delete,compact"), OF_TOPIC));
    assert_eq!(value(&described, "max.message.bytes"), (Some("1048588"), DEFAULT));

    let keys = [("retention.ms", DELETE, None), ("cleanup.policy", SUBTRACT, Some("delete"))];
    let cluster_wide = [("log.retention.ms", SET, Some("7000"))];
    let resources = vec![change(TOPIC, "tuned", &keys), change(BROKER, "", &cluster_wide)];
    assert_eq!(alter(&mut wire, resources), [ErrorCode::None; 2]);
    let described = describe(&mut wire, TOPIC, "tuned");
    assert_eq!(value(&described, "retention.ms"), (Some("7000"), OF_ALL_BROKERS));
    assert_eq!(value(&described, "cleanup.policy"), (Some("compact"), OF_TOPIC));
    assert_eq!(value(&describe(&mut wire, BROKER, ""), "log.retention.ms"), (Some("7000"), OF_ALL_BROKERS));
    assert_eq!(value(&describe(&mut wire, BROKER, "1"), "log.retention.ms"), (Some("7000"), OF_ALL_BROKERS));
}

#[test]
fn a_change_that_cannot_be_is_refused_as_kafka_refuses_it() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("stiff", 1, 1)], false);
    let set = |name, key, value| change(TOPIC, name, &[(key, SET, Some(value))]);
    let of_broker = |name, key, value| change(BROKER, name, &[(key, SET, Some(value))]);
    let outcomes = [
        (set("stiff", "retention.ms", "x"), ErrorCode::InvalidConfig),
        (set("stiff", "colour", "blue"), ErrorCode::InvalidConfig),
        (change(TOPIC, "stiff", &[("retention.ms", APPEND, Some("1"))]), ErrorCode::InvalidConfig),
        (change(TOPIC, "stiff", &[("retention.ms", SET, None)]), ErrorCode::InvalidRequest),
        (change(TOPIC, "stiff", &[("retention.ms", 9, Some("1"))]), ErrorCode::InvalidRequest),
        (set("nowhere", "retention.ms", "1"), ErrorCode::UnknownTopicOrPartition),
        (set("", "retention.ms", "1"), ErrorCode::InvalidRequest),
        (of_broker("", "log.retention.ms", "x"), ErrorCode::InvalidRequest),
        (of_broker("", "node.id", "7"), ErrorCode::InvalidRequest),
        (of_broker("one", "log.retention.ms", "1"), ErrorCode::InvalidRequest),
        (of_broker("9", "log.retention.ms", "1"), ErrorCode::BrokerIdNotRegistered),
        (change(BROKER, "", &[("min.insync.replicas", DELETE, None)]), ErrorCode::InvalidConfig),
        (change(BROKER_LOGGER, "1", &[("root", SET, Some("DEBUG"))]), ErrorCode::InvalidConfig),
        (change(BROKER_LOGGER, "9", &[("root", SET, Some("DEBUG"))]), ErrorCode::InvalidRequest),
        (change(99, "x", &[]), ErrorCode::InvalidRequest),
    ];
    for (resource, code) in outcomes {
        assert_eq!(alter(&mut wire, vec![resource.clone()]), [code], "{resource:?}");
    }
    let twice = vec![set("stiff", "retention.ms", "1"), set("stiff", "retention.bytes", "1")];
    assert_eq!(alter(&mut wire, twice), [ErrorCode::InvalidRequest; 2]);
    assert_eq!(value(&describe(&mut wire, TOPIC, "stiff"), "retention.ms").1, DEFAULT, "nothing has been changed");
    for (resource_type, name, code) in [
        (TOPIC, "nowhere", ErrorCode::UnknownTopicOrPartition),
        (TOPIC, "not/a/name", ErrorCode::InvalidTopicException),
        (BROKER, "9", ErrorCode::InvalidRequest),
        (BROKER_LOGGER, "", ErrorCode::InvalidRequest),
        (99, "x", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(describe(&mut wire, resource_type, name).error_code, code, "{resource_type} {name}");
    }
}

#[test]
fn the_older_request_replaces_everything() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("whole", 1, 1)], false);
    let replace = |wire: &mut Wire, configs: &[(&str, Option<&str>)]| {
        let config = |(name, value): &(&str, Option<&str>)| alter_configs::AlterableConfig {
            name: (*name).into(),
            value: value.map(Text::from),
            ..Default::default()
        };
        let resource = alter_configs::AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: "whole".into(),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let response = wire.ask_newest(&AlterConfigsRequest { resources: vec![resource], ..Default::default() });
        response.responses[0].error_code
    };
    assert_eq!(replace(&mut wire, &[("retention.ms", Some("1")), ("retention.bytes", Some("2"))]), ErrorCode::None);
    assert_eq!(replace(&mut wire, &[("retention.ms", None)]), ErrorCode::InvalidRequest);
    assert_eq!(replace(&mut wire, &[("retention.ms", Some("3"))]), ErrorCode::None);
    let described = describe(&mut wire, TOPIC, "whole");
    assert_eq!(value(&described, "retention.ms"), (Some("3"), OF_TOPIC));
    assert_eq!(value(&described, "retention.bytes").1, DEFAULT);
}

#[test]
fn a_topic_is_made_for_who_asks_for_it_where_that_is_allowed() {
    for (setting, is_made) in [("auto.create.topics.enable=true", true), ("auto.create.topics.enable=false", false)] {
        let cluster = Cluster::start(1, &[setting, "num.partitions=3"]);
        let mut wire = Wire::to(&cluster.bootstrap());
        let mut ask = |name: &str, allow_auto_topic_creation| {
            let topics = Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
            let request = MetadataRequest { topics, allow_auto_topic_creation, ..Default::default() };
            let topic = wire.ask_newest(&request).topics.remove(0);
            (topic.error_code, topic.partitions.len())
        };
        let unknown = (ErrorCode::UnknownTopicOrPartition, 0);
        assert_eq!(ask("wanted", false), unknown);
        assert_eq!(ask("wanted", false), unknown, "nobody has allowed it");
        assert_eq!(ask("wanted", true), unknown);
        assert_eq!(ask("wanted", true), if is_made { (ErrorCode::None, 3) } else { unknown }, "{setting}");
        assert_eq!(ask("not/a/name", true), (ErrorCode::InvalidTopicException, 0));
    }
}

#[test]
fn a_leader_that_is_the_right_one_stays() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("led", 2, 1)], false);
    let of = |topic: &str, partitions: &[i32]| {
        let (topic, partitions) = (topic.into(), partitions.to_vec());
        Some(vec![TopicPartitions { topic, partitions, ..Default::default() }])
    };
    let mut elect = |election_type, topic_partitions| {
        let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 30_000, ..Default::default() };
        let response = wire.ask_newest(&request);
        let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        (response.error_code, results.map(|it| (it.partition_id, it.error_code)).collect::<Vec<_>>())
    };
    assert_eq!(elect(0, None), (ErrorCode::None, Vec::new()), "of all, only those are told that changed");
    let unneeded = vec![(0, ErrorCode::ElectionNotNeeded), (1, ErrorCode::ElectionNotNeeded)];
    assert_eq!(elect(0, of("led", &[0, 1])), (ErrorCode::None, unneeded));
    let unknown = vec![(2, ErrorCode::UnknownTopicOrPartition)];
    assert_eq!(elect(1, of("led", &[2])), (ErrorCode::None, unknown));
    assert_eq!(elect(7, None), (ErrorCode::InvalidRequest, Vec::new()));
}

#[test]
fn who_has_written_to_a_partition_is_told_and_of_users_there_are_none() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("written", 1, 1)], false);
    let topic_id = wire.topic_id("written");
    wire.produce(topic_id, 0, b"without an id");
    let topics = vec![TopicRequest { name: "written".into(), partition_indexes: vec![0, 1], ..Default::default() }];
    let response = wire.ask_newest(&DescribeProducersRequest { topics, ..Default::default() });
    let told = |at: usize| {
        let partition = &response.topics[0].partitions[at];
        (partition.error_code, partition.active_producers.len())
    };
    assert_eq!(told(0), (ErrorCode::None, 0));
    assert_eq!(told(1), (ErrorCode::UnknownTopicOrPartition, 0));

    let all = wire.ask_newest(&DescribeUserScramCredentialsRequest::default());
    assert_eq!((all.error_code, all.results.len()), (ErrorCode::None, 0));
    let users = Some(vec![UserName { name: "u".into(), ..Default::default() }]);
    let one = wire.ask_newest(&DescribeUserScramCredentialsRequest { users, ..Default::default() });
    assert_eq!(one.results[0].error_code, ErrorCode::ResourceNotFound);
}

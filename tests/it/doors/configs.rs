//! What can be configured: every key that Kafka has, and groups that nobody has seen yet.

use dohle::config::table;
use dohle::wire::messages::describe_configs::DescribeConfigsResourceResult;
use dohle::wire::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use dohle::wire::messages::list_config_resources::ListConfigResourcesRequest;
use dohle::wire::{ErrorCode, Text};

use super::admin::{BROKER, DEFAULT, DELETE, SET, TOPIC, alter, change, create, describe, topic, value};
use super::wire::Wire;
use crate::cluster::Cluster;

const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const OF_GROUP: i8 = 8;

/// As DescribeConfigs numbers them.
const TYPES: [&str; 10] =
    ["unknown", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"];

#[test]
fn whatever_kafka_describes_is_described() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    create(&mut wire, vec![topic("t", 1, 1)], false);
    let described = [("broker", BROKER, "1"), ("topic", TOPIC, "t"), ("group", GROUP, "g")]
        .map(|(word, resource_type, name)| (word, describe(&mut wire, resource_type, name).configs));
    let mut faults = Vec::new();
    for line in include_str!("configs.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [resource, key, config_type, default] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has four columns");
        };
        let configs = &described.iter().find(|(word, _)| *word == resource).unwrap().1;
        let Some(ours) = configs.iter().find(|ours| ours.name == *key) else {
            faults.push(format!("{resource} has no {key}"));
            continue;
        };
        let DescribeConfigsResourceResult { value, config_source, .. } = ours;
        // Where a default is not Kafka's the table says so.
        let is_known_to_differ = table::server_key(key).is_some_and(|ours| ours.kafka_preset == Some(default));
        let is_default = *config_source == DEFAULT && default != "*";
        if is_default && !is_known_to_differ && value.as_deref().unwrap_or("null") != default {
            faults.push(format!("{resource} has {key}={value:?} and not {default}"));
        }
        if TYPES[ours.config_type as usize] != config_type {
            faults.push(format!("{resource}: {key} is of type {} and not {config_type}", ours.config_type));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let number = described[0].1.iter().find(|ours| ours.name == *"node.id").unwrap();
    assert_eq!(number.value.as_deref(), Some("1"), "a node that was not told its number knows it");
}

/// The groups that have a configuration of their own.
fn groups(wire: &mut Wire) -> Vec<String> {
    let request = ListConfigResourcesRequest { resource_types: vec![GROUP], ..Default::default() };
    let listed = wire.ask_newest(&request).config_resources;
    assert!(listed.iter().all(|it| it.resource_type == GROUP), "{listed:?}");
    listed.iter().map(|it| it.resource_name.to_string()).collect()
}

#[test]
fn a_group_is_configured_before_it_is_there() {
    let mut cluster = Cluster::start(1, &["group.share.max.delivery.count.limit=20"]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let set = |key, value| change(GROUP, "readers", &[(key, SET, Some(value))]);
    assert_eq!(alter(&mut wire, vec![set("consumer.session.timeout.ms", "50000")]), [ErrorCode::None]);
    assert_eq!(alter(&mut wire, vec![set("share.delivery.count.limit", "20")]), [ErrorCode::None]);
    for (key, wrong) in [
        ("consumer.session.timeout.ms", "44999"),
        ("consumer.heartbeat.interval.ms", "soon"),
        ("share.delivery.count.limit", "21"),
        ("share.auto.offset.reset", "never"),
        ("retention.ms", "1"),
    ] {
        assert_eq!(alter(&mut wire, vec![set(key, wrong)]), [ErrorCode::InvalidConfig], "{key}={wrong}");
    }
    let nameless = change(GROUP, "", &[("consumer.session.timeout.ms", SET, Some("50000"))]);
    assert_eq!(alter(&mut wire, vec![nameless]), [ErrorCode::InvalidRequest]);

    drop(wire);
    cluster.kill(1);
    cluster.restart(1);
    let mut wire = Wire::to(&cluster.bootstrap());
    let described = describe(&mut wire, GROUP, "readers");
    assert_eq!(value(&described, "consumer.session.timeout.ms"), (Some("50000"), OF_GROUP));
    assert_eq!(value(&described, "share.delivery.count.limit"), (Some("20"), OF_GROUP));
    assert_eq!(value(&described, "streams.num.standby.replicas"), (Some("0"), DEFAULT));
    let session = described.configs.iter().find(|it| it.name == *"consumer.session.timeout.ms").unwrap();
    let synonyms: Vec<_> = session.synonyms.iter().map(|it| (it.name.as_str(), it.value.as_deref())).collect();
    let server = ("group.consumer.session.timeout.ms", Some("45000"));
    assert_eq!(synonyms, [("consumer.session.timeout.ms", Some("50000")), server]);
    assert_eq!(describe(&mut wire, GROUP, "others").configs.len(), described.configs.len(), "everybody has the keys");

    assert_eq!(groups(&mut wire), ["readers"]);
    let keys = ["consumer.session.timeout.ms", "share.delivery.count.limit"].map(|key| (key, DELETE, None));
    assert_eq!(alter(&mut wire, vec![change(GROUP, "readers", &keys)]), [ErrorCode::None]);
    assert_eq!(groups(&mut wire), [""; 0]);
}

#[test]
fn what_has_no_configuration_is_called_by_its_name() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let resources = vec![change(CLIENT_METRICS, "all", &[("interval.ms", SET, Some("1000"))])];
    let refused = wire.ask_newest(&IncrementalAlterConfigsRequest { resources, ..Default::default() });
    let told = refused.responses[0].error_message.as_ref().map(Text::as_str);
    assert_eq!(told, Some("client metrics \"all\" has no configuration that can be changed"));
}

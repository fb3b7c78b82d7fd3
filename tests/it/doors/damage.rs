//! A replica whose log is damaged where it was durable: its files are left as they are, all are told, no other suffers.

use std::process::Command;

use dohle::base::ids::Uuid;
use dohle::wire::ErrorCode;
use dohle::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use dohle::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

use super::wire::{Wire, batch, produce_request};
use crate::cluster::Cluster;
use crate::process::DOHLE;

const TOPIC: &str = "spoilt";

#[test]
fn a_damaged_replica_is_left_as_it_is_and_told_of() {
    let mut cluster = Cluster::start(1, &["log.retention.ms=-1"]); // the records are old
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = CreatableTopic { name: TOPIC.into(), num_partitions: 2, replication_factor: 1, ..Default::default() };
    wire.ask_newest(&CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() });
    let id = wire.topic_id(TOPIC);
    (0..2).for_each(|partition| wire.produce(id, partition, b"durable"));
    cluster.stop(1);
    let folder = cluster.partition_folder(1, "spoilt-0");
    let log = folder.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    cluster.restart(1);

    let mut wire = Wire::to(&cluster.bootstrap());
    assert_eq!(produced(&mut wire, id, 0), ErrorCode::KafkaStorageError);
    assert_eq!(produced(&mut wire, id, 1), ErrorCode::None, "the other partition serves");
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "nothing is cut off");
    let (told, status) = (format!("spoilt-0: the log of this partition failed: {}", log.display()), status(&cluster));
    assert!(status.contains(&told), "{status}");

    let topics = vec![DeleteTopicState { topic_id: id, ..Default::default() }];
    wire.ask_newest(&DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() });
    cluster.until("the replica is gone with its topic", || !folder.exists());
    let status = self::status(&cluster);
    assert!(!status.contains("spoilt"), "{status}");
}

fn produced(wire: &mut Wire, topic: Uuid, partition: i32) -> ErrorCode {
    let response = wire.ask_newest(&produce_request(topic, partition, batch(b"more")));
    response.responses[0].partition_responses[0].error_code
}

/// What people are told who look at the cluster.
fn status(cluster: &Cluster) -> String {
    let output = Command::new(DOHLE).args(["cluster", "status", "--admin", cluster.admin(1)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

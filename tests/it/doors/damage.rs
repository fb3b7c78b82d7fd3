//! Disks that went bad. A replica whose log is damaged where it was durable, or whose log dir is gone: its files are
//! left as they are, all are told, no other suffers.

use std::process::Command;

use dohle::base::ids::Uuid;
use dohle::wire::ErrorCode;
use dohle::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use dohle::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use dohle::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use dohle::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use dohle::wire::messages::produce::PartitionProduceResponse;

use super::wire::{Wire, batch, produce_request};
use crate::cluster::Cluster;
use crate::process::DOHLE;

const TOPIC: &str = "spoilt";

#[test]
fn a_damaged_replica_is_left_as_it_is_and_told_of() {
    let mut cluster = Cluster::start(1, &["log.retention.ms=-1"]); // the records are old
    let mut wire = Wire::to(&cluster.bootstrap());
    let id = create(&mut wire, TOPIC, 2);
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
    assert_eq!(offline_replicas(&mut wire, id), [(0, vec![1]), (1, vec![])], "who asks the cluster is told as well");

    let topics = vec![DeleteTopicState { topic_id: id, ..Default::default() }];
    wire.ask_newest(&DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() });
    cluster.until("the replica is gone with its topic", || !folder.exists());
    let status = self::status(&cluster);
    assert!(!status.contains("spoilt"), "{status}");
}

#[test]
fn a_log_dir_that_is_gone_is_told_of_and_used_no_more() {
    let mut cluster = Cluster::start(1, &["log.dirs={data}/first,{data}/second"]);
    let mut wire = Wire::to(&cluster.bootstrap());
    let id = create(&mut wire, TOPIC, 4);
    (0..4).for_each(|partition| wire.produce(id, partition, b"before"));
    let (disk, away) = (cluster.data_directory(1).join("second"), cluster.data_directory(1).join("away"));
    let is_gone = |partition: i32| away.join(format!("{TOPIC}-{partition}")).exists();
    std::fs::rename(&disk, &away).unwrap();
    cluster.event(1, "log_dir.failed");

    let code = |partition| if is_gone(partition) { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let told: Vec<_> = (0..4).map(code).collect();
    assert!(told.contains(&ErrorCode::None) && told.contains(&ErrorCode::KafkaStorageError), "{told:?}");
    cluster.until("the cluster knows", || {
        let expected = (0..4).map(|partition| (partition, if is_gone(partition) { vec![1] } else { vec![] }));
        offline_replicas(&mut wire, id) == expected.collect::<Vec<_>>()
    });
    assert_eq!((0..4).map(|partition| produced(&mut wire, id, partition)).collect::<Vec<_>>(), told);
    let dirs = wire.ask_newest(&DescribeLogDirsRequest::default()).results;
    let dirs: Vec<_> = dirs.iter().map(|dir| (dir.log_dir.ends_with("second"), dir.error_code)).collect();
    assert_eq!(dirs, [(false, ErrorCode::None), (true, ErrorCode::KafkaStorageError)]);
    let other = create(&mut wire, "other", 4);
    (0..4).for_each(|partition| wire.produce(other, partition, b"on the other disk"));

    cluster.stop(1);
    std::fs::rename(&away, &disk).unwrap();
    cluster.restart(1);
    let mut wire = Wire::to(&cluster.bootstrap());
    for partition in 0..4 {
        let appended = append(&mut wire, id, partition);
        assert_eq!((appended.error_code, appended.base_offset > 0), (ErrorCode::None, true), "{partition} is whole");
    }
}

pub fn create(wire: &mut Wire, name: &str, partitions: i32) -> Uuid {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: 1, ..Default::default() };
    wire.ask_newest(&CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() });
    wire.topic_id(name)
}

/// Which replicas of a topic are said to be offline, by partition.
fn offline_replicas(wire: &mut Wire, topic: Uuid) -> Vec<(i32, Vec<i32>)> {
    let topics = Some(vec![MetadataRequestTopic { topic_id: topic, ..Default::default() }]);
    let metadata = wire.ask_newest(&MetadataRequest { topics, ..Default::default() });
    let partitions = metadata.topics[0].partitions.iter();
    let mut found: Vec<_> = partitions.map(|it| (it.partition_index, it.offline_replicas.clone())).collect();
    found.sort_unstable();
    found
}

fn produced(wire: &mut Wire, topic: Uuid, partition: i32) -> ErrorCode {
    append(wire, topic, partition).error_code
}

fn append(wire: &mut Wire, topic: Uuid, partition: i32) -> PartitionProduceResponse {
    wire.ask_newest(&produce_request(topic, partition, batch(b"more"))).responses[0].partition_responses[0].clone()
}

/// What people are told who look at the cluster.
fn status(cluster: &Cluster) -> String {
    let output = Command::new(DOHLE).args(["cluster", "status", "--admin", cluster.admin(1)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

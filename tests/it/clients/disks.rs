//! A node that loses one of its disks under load: the replicas on it go offline, everything else goes on, and when the
//! disk is back, so are they.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::failover::{NODES, PARTITIONS, Reader, TOPIC, judge, until_all_are_in_sync};
use super::load::Load;
use super::{consumer, create_topic};
use crate::cluster::Cluster;
use crate::process::DOHLE;

#[test]
fn a_disk_that_goes_away_takes_its_own_replicas_with_it_and_no_others() {
    let mut cluster = Cluster::start(NODES, &["min.insync.replicas=2", "log.dirs={data}/first,{data}/second"]);
    let client = cluster.client();
    create_topic(&client, TOPIC, (PARTITIONS, 3), &[("min.insync.replicas", "2")]);
    let observer = consumer(&client, TOPIC);
    until_all_are_in_sync(&mut cluster, &observer);
    let load = Load::of_librdkafka(&client);
    let reader = Reader::start(consumer(&client, TOPIC));
    load.acks.wait_for(500);

    let (disk, away) = (cluster.data_directory(1).join("second"), cluster.data_directory(1).join("away"));
    std::fs::rename(&disk, &away).unwrap();
    let lost = partitions_in(&away);
    assert!((1..PARTITIONS as usize).contains(&lost.len()), "both disks have some of {lost:?}");
    cluster.event(1, "log_dir.failed");
    cluster_tells(&mut cluster, &lost);
    load.acks.wait_for_every_partition_past(load.sent());

    // A restart does not find the disk either: what was on it is not made anew on the other one.
    cluster.stop(1);
    std::fs::write(&disk, "this is no folder").unwrap();
    cluster.restart(1);
    cluster_tells(&mut cluster, &lost);
    load.acks.wait_for_every_partition_past(load.sent());
    assert_eq!(partitions_in(&cluster.data_directory(1).join("first")).len() + lost.len(), PARTITIONS as usize);

    cluster.stop(1);
    std::fs::remove_file(&disk).unwrap();
    std::fs::rename(&away, &disk).unwrap();
    cluster.restart(1);
    until_all_are_in_sync(&mut cluster, &observer);
    judge(load, reader, &client);
}

/// The partitions whose folders are in a log dir.
fn partitions_in(dir: &Path) -> Vec<i32> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names.filter_map(|name| name.strip_prefix(TOPIC)?[1..].parse().ok()).collect();
    found.sort_unstable();
    found
}

/// Waits until another node tells that these replicas of node 1 are offline and the others in sync, and that somebody
/// leads each partition.
fn cluster_tells(cluster: &mut Cluster, offline: &[i32]) {
    let admin = cluster.admin(2).to_owned();
    let is_as_told = |partition: &Value| {
        let number = i32::try_from(partition["partition"].as_i64().unwrap()).unwrap();
        let names_node_1 = |list: &str| partition[list].as_array().is_some_and(|nodes| nodes.contains(&1.into()));
        let is_offline = offline.contains(&number);
        names_node_1("offline") == is_offline && names_node_1("isr") != is_offline && !partition["leader"].is_null()
    };
    cluster.until("the cluster tells which replicas are offline", || {
        let describe = ["topic", "describe", TOPIC, "-o", "json", "--admin", &admin];
        let output = Command::new(DOHLE).args(describe).output().unwrap();
        let topic: Value = serde_json::from_slice(&output.stdout).unwrap();
        topic["partitions"].as_array().unwrap().iter().all(is_as_told)
    });
}

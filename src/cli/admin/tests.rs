//! What the commands accept, and what they print.

use clap::{CommandFactory, Parser};

use super::{AdminCommand, cluster, events, nodes, quorum, topics};
use crate::cli::{Arguments, Command, Output};
use crate::rpc::admin as proto;
use proto::event::What;

/// The command that a line asks for.
fn parsed(line: &str) -> Result<AdminCommand, String> {
    let arguments = Arguments::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
    match arguments.command {
        Command::Admin(command) => Ok(command),
        _ => panic!("{line} asks no cluster"),
    }
}

fn complaint(line: &str) -> String {
    parsed(line).err().unwrap_or_else(|| panic!("{line} was accepted"))
}

fn create(line: &str) -> topics::Create {
    match parsed(line) {
        Ok(AdminCommand::Topic(noun)) => match noun.command {
            topics::TopicCommand::Create(create) => create,
            _ => panic!("{line} creates nothing"),
        },
        Ok(_) => panic!("{line} is about something else"),
        Err(complaint) => panic!("{complaint}"),
    }
}

fn node(number: i32) -> proto::Node {
    proto::Node {
        node_id: number,
        broker_epoch: 10,
        state: proto::NodeState::Active.into(),
        is_controller: true,
        is_broker: true,
        listeners: vec![proto::Listener { name: "PLAINTEXT".into(), host: format!("node-{number}"), port: 9092 }],
        peer_address: format!("node-{number}:9093"),
        admin_address: format!("node-{number}:9094"),
        replicas: 12,
        leads: 4,
        ..Default::default()
    }
}

fn orders() -> proto::Topic {
    let partition = |partition, leader, isr: &[i32], elr: &[i32]| proto::Partition {
        topic: "orders".into(),
        partition,
        leader,
        leader_epoch: 5,
        partition_epoch: 9,
        replicas: vec![1, 2, 3],
        isr: isr.into(),
        elr: elr.into(),
        offline: if partition == 0 { vec![] } else { vec![3] },
    };
    proto::Topic {
        summary: Some(proto::TopicSummary {
            name: "orders".into(),
            topic_id: "BwcHBwcHBwcHBwcHBwcHBw".into(),
            replication_factor: 3,
            is_internal: false,
            partitions: Some(proto::PartitionCounts { total: 2, under_replicated: 1, under_min_isr: 1, offline: 1 }),
        }),
        partitions: vec![partition(0, Some(1), &[1, 2, 3], &[]), partition(1, None, &[], &[2])],
        configs: [("retention.ms".to_owned(), "1000".to_owned())].into(),
    }
}

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_says_how_it_is_used_with_examples() {
    for line in ["cluster status", "quorum status", "node list", "topic create", "topic list", "topic describe"]
        .into_iter()
        .chain(["topic delete", "events"])
    {
        let help = complaint(&format!("dohle {line} --help"));
        assert!(help.contains(&format!("dohle {line}")) && help.contains("Examples:"), "{help}");
        assert!(help.contains("--admin <HOST:PORT>") && help.contains("--output <OUTPUT>"), "{help}");
    }
}

#[test]
fn a_target_can_stand_at_either_end_of_a_command() {
    for line in ["dohle cluster --admin a:1 -o json status", "dohle cluster status --admin a:1 -o json"] {
        let command = parsed(line).expect("it is accepted");
        assert_eq!(command.target().address(std::iter::empty()), "a:1");
        assert_eq!(command.target().output, Output::Json);
    }
}

#[test]
fn a_topic_is_created_as_the_flags_say() {
    let bare = create("dohle topic create orders");
    assert_eq!((bare.partitions, bare.replication_factor, bare.if_not_exists), (None, None, false));
    let full = create(
        "dohle topic create orders --partitions 6 --replication-factor 3 --config retention.ms=1 --config a=b=c \
         --if-not-exists",
    );
    let configs = [("retention.ms", "1"), ("a", "b=c")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let expected = topics::Create {
        topic: "orders".into(),
        partitions: Some(6),
        replication_factor: Some(3),
        config: configs.into(),
        if_not_exists: true,
    };
    assert_eq!(full, expected);
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let no_value = complaint("dohle topic create orders --config retention.ms");
    assert!(no_value.contains("expected KEY=VALUE, as in retention.ms=86400000"), "{no_value}");
    let none = complaint("dohle topic create orders --partitions 0");
    assert!(none.contains("0 is not in 1.."), "{none}");
    let nothing = complaint("dohle topic describe");
    assert!(nothing.contains("<TOPIC>"), "{nothing}");
}

#[test]
fn a_cluster_as_text() {
    let mut second = node(2);
    second.state = proto::NodeState::Fenced.into();
    second.draining = true;
    second.rack = Some("cellar".into());
    second.is_controller = false;
    let status = proto::ClusterStatus {
        cluster_id: "TWtVM09FVkJOVGN3TlRKRQ".into(),
        answered_by: Some(1),
        applied: 1234,
        feature_level: 1,
        controller: Some(proto::Controller { node_id: 1, epoch: 42 }),
        nodes: vec![node(1), second],
        topics: 3,
        partitions: Some(proto::PartitionCounts { total: 12, under_replicated: 4, under_min_isr: 1, offline: 0 }),
        offline_replicas: vec![proto::OfflineReplica {
            topic: "orders".into(),
            partition: 4,
            why: "it is damaged".into(),
        }],
    };
    let expected = "\
cluster             TWtVM09FVkJOVGN3TlRKRQ
controller          1 (epoch 42)
metadata            up to entry 1234, feature level 1
topics              3
partitions          12
  under-replicated  4
  under min ISR     1
  offline           0
  offline here      orders-4: it is damaged

NODE  STATE            ROLES              KAFKA        PEER         ADMIN        RACK    REPLICAS  LEADS
1     active           controller,broker  node-1:9092  node-1:9093  node-1:9094  -       12        4
2     fenced,draining  broker             node-2:9092  node-2:9093  node-2:9094  cellar  12        4
";
    assert_eq!(cluster::text(&status), expected);
}

#[test]
fn a_quorum_as_text() {
    let voter = |node_id, directory: &str| proto::Voter {
        node_id,
        directory_id: directory.into(),
        peer_address: format!("node-{node_id}:9093"),
    };
    let status = proto::QuorumStatus {
        leader: Some(2),
        term: 7,
        voters: vec![voter(1, "AQEBAQEBAQEBAQEBAQEBAQ"), voter(2, "AgICAgICAgICAgICAgICAg")],
        applied: 1234,
    };
    let expected = "\
leader   2
term     7
applied  1234

VOTER  ROLE      PEER         DIRECTORY
1      follower  node-1:9093  AQEBAQEBAQEBAQEBAQEBAQ
2      leader    node-2:9093  AgICAgICAgICAgICAgICAg
";
    assert_eq!(quorum::text(&status), expected);
}

#[test]
fn topics_as_text() {
    let expected = "\
topic               orders
id                  BwcHBwcHBwcHBwcHBwcHBw
partitions          2
replication factor  3
config              retention.ms=1000

PARTITION  LEADER  EPOCH  REPLICAS  ISR    ELR  OFFLINE
0          1       5      1,2,3     1,2,3  -    -
1          none    5      1,2,3     -      2    3
";
    assert_eq!(topics::text(&orders()), expected);
    let expected = "\
TOPIC   PARTITIONS  REPLICATION  UNDER-REPLICATED  UNDER-MIN-ISR  OFFLINE
orders  2           3            1                 1              1
";
    assert_eq!(topics::list_text(&[orders().summary.expect("it has one")]), expected);
}

#[test]
fn events_as_text() {
    let line = |what| events::text(&proto::Event { number: 1, seen_ms: 951_782_400_000, applied: 9, what: Some(what) });
    let story = [
        What::NodeChanged(proto::NodeChanged {
            node_id: 3,
            before: proto::NodeState::Active.into(),
            now: proto::NodeState::Fenced.into(),
            broker_epoch: 30,
            draining: false,
        }),
        What::LeaderChanged(proto::LeaderChanged {
            topic: "orders".into(),
            partition: 2,
            before: Some(3),
            now: None,
            leader_epoch: 5,
        }),
        What::IsrChanged(proto::IsrChanged {
            topic: "orders".into(),
            partition: 2,
            before: vec![1, 3],
            now: vec![1],
            elr: vec![],
            partition_epoch: 9,
        }),
        What::ControllerChanged(proto::ControllerChanged { before: None, now: 2, epoch: 60 }),
        What::NodeChanged(proto::NodeChanged {
            node_id: 3,
            before: proto::NodeState::ShuttingDown.into(),
            now: proto::NodeState::Unspecified.into(),
            broker_epoch: 30,
            draining: true,
        }),
        What::TopicChanged(proto::TopicChanged {
            topic: "orders".into(),
            topic_id: "BwcHBwcHBwcHBwcHBwcHBw".into(),
            change: proto::Change::Deleted.into(),
            partitions: 3,
        }),
    ];
    let told: Vec<String> = story.into_iter().map(line).collect();
    let expected = [
        "2000-02-29T00:00:00.000Z  node 3: active -> fenced, epoch 30",
        "2000-02-29T00:00:00.000Z  partition orders-2: leader 3 -> none, epoch 5",
        "2000-02-29T00:00:00.000Z  partition orders-2: ISR [1,3] -> [1], ELR []",
        "2000-02-29T00:00:00.000Z  controller: none -> 2, epoch 60",
        "2000-02-29T00:00:00.000Z  node 3: shutting_down -> absent, draining, epoch 30",
        "2000-02-29T00:00:00.000Z  topic orders: deleted, partitions 3, id BwcHBwcHBwcHBwcHBwcHBw",
    ];
    assert_eq!(told, expected);
}

#[test]
fn json_has_the_names_of_the_proto_file_and_words_for_enums() {
    let json = |value: serde_json::Result<serde_json::Value>| value.expect("messages are plain trees");
    let node = json(serde_json::to_value(node(1)));
    assert_eq!((&node["node_id"], &node["state"], &node["rack"]), (&1.into(), &"active".into(), &().into()));
    let what = What::LeaderChanged(proto::LeaderChanged { topic: "orders".into(), now: Some(1), ..Default::default() });
    let event = json(serde_json::to_value(proto::Event { number: 4, seen_ms: 5, applied: 6, what: Some(what) }));
    let expected = serde_json::json!({
        "number": 4, "seen_ms": 5, "applied": 6,
        "leader_changed": {"topic": "orders", "partition": 0, "before": null, "now": 1, "leader_epoch": 0},
    });
    assert_eq!(event, expected);
    let topic = json(serde_json::to_value(orders()));
    assert_eq!(topic["configs"], serde_json::json!({"retention.ms": "1000"}));
    assert_eq!(nodes::node_table(&[]).lines().count(), 1, "no nodes are only headings");
}

//! What people are shown of a small cluster: three nodes, of which one is away, and the topic it has replicas of.

use super::{QuorumSeen, changes, show, topics};
use crate::base::ids::{
    BrokerEpoch, ClusterId, ControllerEpoch, DirectoryId, LeaderEpoch, MetadataIndex, NodeId, PartitionEpoch,
    PartitionIndex, TopicId, Uuid,
};
use crate::controller::{
    Command, CreateTopics, CreatedTopic, DeletedTopic, NewTopic, Refusal, Refused, Reply, TopicShape,
};
use crate::metadata::configs::ConfigScope;
use crate::metadata::nodes::Registration;
use crate::metadata::partitions::{Partition, PartitionState, ReplicaSet};
use crate::metadata::record::{FeatureLevel, PartitionChange, Reign};
use crate::metadata::{Delta, Fact, Image};
use crate::quorum::{self, Member, RaftId};
use crate::rpc::admin as proto;
use proto::event::What;
use tonic::Code;

const CLUSTER: ClusterId = ClusterId(Uuid([9; 16]));
const ORDERS: TopicId = TopicId(Uuid([7; 16]));

fn registration(number: i32) -> Box<Registration> {
    let rack = (number == 2).then(|| "cellar".into());
    Box::new(Registration { rack, ..Registration::example(number as u8) })
}

fn directory(number: i32) -> DirectoryId {
    DirectoryId(Uuid([number as u8; 16]))
}

fn joined(number: i32) -> [Fact; 3] {
    let (node, epoch) = (NodeId(number), BrokerEpoch(i64::from(number) * 10));
    [
        Fact::NodeIdAllocated { node, directory: directory(number) },
        Fact::NodeRegistered { node, epoch, registration: registration(number) },
        Fact::NodeUnfenced { node, epoch },
    ]
}

fn led_by(leader: i32) -> Partition {
    let replicas: Vec<NodeId> = [1, 2, 3].map(NodeId).into();
    let state = PartitionState { isr: ReplicaSet::first(3), leader: Some(NodeId(leader)), ..Default::default() };
    Partition { replicas: replicas.into(), state }
}

/// All is well.
fn before() -> Image {
    let mut facts = vec![
        Fact::ClusterFounded { cluster: CLUSTER },
        Fact::FeatureLevelSet { level: FeatureLevel(1) },
        Fact::ControllerActivated { node: NodeId(1), epoch: ControllerEpoch(2), reign: Reign(1) },
        Fact::ConfigSet { scope: ConfigScope::Cluster, key: "min.insync.replicas".into(), value: "2".into() },
    ];
    facts.extend([1, 2, 3].into_iter().flat_map(joined));
    let partitions = vec![led_by(1), led_by(2), led_by(3)];
    facts.extend([
        Fact::TopicCreated { topic: ORDERS, name: "orders".into() },
        Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(0), partitions },
        Fact::ConfigSet { scope: ConfigScope::Topic(ORDERS), key: "retention.ms".into(), value: "1000".into() },
    ]);
    with(Image::default(), facts)
}

/// Node 3 is away; partition 1 has lost another in-sync replica, partition 2 its leader.
fn after() -> Image {
    let state = |isr, elr, leader: Option<i32>, leader_epoch| PartitionState {
        isr: ReplicaSet(isr),
        elr: ReplicaSet(elr),
        offline: ReplicaSet(if isr == 0b10 { 0b100 } else { 0 }),
        leader: leader.map(NodeId),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(1),
        ..Default::default()
    };
    let changes = [state(0b11, 0, Some(1), 0), state(0b10, 0b01, Some(2), 0), state(0, 0b111, None, 1)];
    let changes = (0..).map(PartitionIndex).zip(changes);
    with(
        before(),
        vec![
            Fact::NodeFenced { node: NodeId(3), epoch: BrokerEpoch(30) },
            Fact::PartitionsChanged {
                topic: ORDERS,
                changes: changes.map(|(partition, state)| PartitionChange { partition, state }).collect(),
            },
        ],
    )
}

fn with(mut image: Image, facts: Vec<Fact>) -> Image {
    facts.iter().for_each(|fact| image.apply(MetadataIndex(50), fact));
    image
}

fn events(old: &Image, new: &Image) -> Vec<What> {
    changes::between(old, new, &Delta::between(old, new)).collect()
}

#[test]
fn the_status_of_a_cluster_counts_partitions_by_what_is_wrong_with_them() {
    let status = show::cluster(&after(), Some(NodeId(2)), Vec::new());
    assert_eq!(status.cluster_id, CLUSTER.to_string());
    assert_eq!((status.answered_by, status.feature_level, status.topics), (Some(2), 1, 1));
    assert_eq!(status.controller, Some(proto::Controller { node_id: 1, epoch: 2 }));
    let counts = proto::PartitionCounts { total: 3, under_replicated: 3, under_min_isr: 2, offline: 1 };
    assert_eq!(status.partitions, Some(counts));
    let nodes: Vec<_> =
        status.nodes.iter().map(|node| (node.node_id, node.state(), node.replicas, node.leads)).collect();
    let (active, fenced) = (proto::NodeState::Active, proto::NodeState::Fenced);
    assert_eq!(nodes, [(1, active, 3, 1), (2, active, 3, 1), (3, fenced, 3, 0)]);
}

#[test]
fn a_node_is_shown_with_what_it_registered() {
    let image = before();
    let node = show::node(&image, image.nodes().get(NodeId(2)).expect("node 2 is there"));
    let expected = proto::Node {
        node_id: 2,
        broker_epoch: 20,
        state: proto::NodeState::Active.into(),
        draining: false,
        is_controller: false,
        is_broker: true,
        listeners: vec![proto::Listener { name: "PLAINTEXT".into(), host: "node-2".into(), port: 9092 }],
        peer_address: "node-2:9093".into(),
        admin_address: "node-2:9094".into(),
        rack: Some("cellar".into()),
        version: "0.1.0".into(),
        replicas: 3,
        leads: 1,
    };
    assert_eq!(node, expected);
}

#[test]
fn a_topic_is_shown_with_its_partitions_and_what_was_set_for_it() {
    let image = after();
    let topic = show::topic(&image, topics::named(&image, "orders").expect("it is there"));
    assert_eq!(topic.configs.into_iter().collect::<Vec<_>>(), [("retention.ms".to_owned(), "1000".to_owned())]);
    let summary = topic.summary.expect("a topic has a summary");
    assert_eq!((summary.replication_factor, summary.is_internal), (3, false));
    let expected = proto::Partition {
        topic: "orders".into(),
        partition: 1,
        leader: Some(2),
        leader_epoch: 0,
        partition_epoch: 1,
        replicas: vec![1, 2, 3],
        isr: vec![2],
        elr: vec![1],
        offline: vec![3],
    };
    assert_eq!(topic.partitions[1], expected);
    assert_eq!(topic.partitions[2].leader, None);
    assert_eq!(topics::named(&image, "orderz").expect_err("it is not there").code(), Code::NotFound);
}

#[test]
fn partitions_are_listed_by_what_is_wrong_with_them() {
    let image = after();
    let topic = topics::named(&image, "orders").expect("it is there");
    let numbers = |condition| -> Vec<i32> {
        show::partitions_in(&image, topic, condition).iter().map(|partition| partition.partition).collect()
    };
    assert_eq!(numbers(proto::Condition::Any), [0, 1, 2]);
    assert_eq!(numbers(proto::Condition::UnderReplicated), [0, 1, 2]);
    assert_eq!(numbers(proto::Condition::UnderMinIsr), [1, 2]);
    assert_eq!(numbers(proto::Condition::Offline), [2]);
}

#[test]
fn the_quorum_is_shown_by_node_ids() {
    let member = |node| Member { node: NodeId(node), directory: directory(node), address: format!("node-{node}:9093") };
    let reign = quorum::Reign { term: 7, leader: Some(RaftId::of(NodeId(2), directory(2))), is_ours: false };
    let seen = QuorumSeen { reign, voters: vec![member(2), member(1)], applied: MetadataIndex(50) };
    let voter = |node| proto::Voter {
        node_id: node,
        directory_id: directory(node).to_string(),
        peer_address: format!("node-{node}:9093"),
    };
    let expected = proto::QuorumStatus { leader: Some(2), term: 7, voters: vec![voter(1), voter(2)], applied: 50 };
    assert_eq!(show::quorum(&seen), expected);
}

#[test]
fn a_node_that_dies_is_told_with_what_it_took_along() {
    let isr = |partition, before: &[i32], now: &[i32], elr: &[i32]| {
        What::IsrChanged(proto::IsrChanged {
            topic: "orders".into(),
            partition,
            before: before.into(),
            now: now.into(),
            elr: elr.into(),
            partition_epoch: 1,
        })
    };
    let expected = [
        What::NodeChanged(proto::NodeChanged {
            node_id: 3,
            before: proto::NodeState::Active.into(),
            now: proto::NodeState::Fenced.into(),
            broker_epoch: 30,
            draining: false,
        }),
        isr(0, &[1, 2, 3], &[1, 2], &[]),
        isr(1, &[1, 2, 3], &[2], &[1]),
        What::LeaderChanged(proto::LeaderChanged {
            topic: "orders".into(),
            partition: 2,
            before: Some(3),
            now: None,
            leader_epoch: 1,
        }),
        isr(2, &[1, 2, 3], &[], &[1, 2, 3]),
    ];
    assert_eq!(events(&before(), &after()), expected);
    assert_eq!(events(&after(), &after()), []);
}

#[test]
fn a_topic_that_comes_grows_or_goes_is_one_event() {
    let told = |change: proto::Change, partitions| {
        vec![What::TopicChanged(proto::TopicChanged {
            topic: "orders".into(),
            topic_id: ORDERS.to_string(),
            change: change.into(),
            partitions,
        })]
    };
    let more = vec![led_by(1), led_by(2)];
    let grown =
        with(before(), vec![Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(3), partitions: more }]);
    let gone = with(before(), vec![Fact::TopicDeleted { topic: ORDERS }]);
    assert_eq!(events(&before(), &grown), told(proto::Change::Grown, 5));
    assert_eq!(events(&before(), &gone), told(proto::Change::Deleted, 3));
    assert_eq!(events(&gone, &before()), told(proto::Change::Created, 3));
}

#[test]
fn another_controller_and_a_node_that_is_new_are_told() {
    let activated = Fact::ControllerActivated { node: NodeId(2), epoch: ControllerEpoch(60), reign: Reign(2) };
    let [allocated, registered, _] = joined(4);
    let new = with(before(), vec![activated, allocated, registered]);
    let expected = [
        What::ControllerChanged(proto::ControllerChanged { before: Some(1), now: 2, epoch: 60 }),
        What::NodeChanged(proto::NodeChanged {
            node_id: 4,
            before: proto::NodeState::Unspecified.into(),
            now: proto::NodeState::Fenced.into(),
            broker_epoch: 40,
            draining: false,
        }),
    ];
    assert_eq!(events(&before(), &new), expected);
}

#[test]
fn what_is_not_said_of_a_new_topic_is_left_to_the_cluster() {
    let request = proto::CreateTopicRequest { name: "orders".into(), ..Default::default() };
    let topic = NewTopic { name: "orders".into(), partitions: -1, replication_factor: -1, ..Default::default() };
    let expected = Command::CreateTopics(CreateTopics { topics: vec![topic], validate_only: false });
    assert_eq!(topics::to_create(request).expect("nothing is wrong with it"), expected);
    let wide = proto::CreateTopicRequest { replication_factor: Some(1 << 20), ..Default::default() };
    assert_eq!(topics::to_create(wide).expect_err("16 bits is all Kafka has").code(), Code::InvalidArgument);
}

#[test]
fn refusals_keep_kafkas_name_and_get_grpcs_kind() {
    let refused = |refusal| Refused { refusal, message: "because".into() };
    let created =
        |outcome| topics::created(Reply::CreatedTopics(vec![CreatedTopic { name: "orders".into(), outcome }]));
    let shape = TopicShape { id: ORDERS, partitions: 6, replication_factor: 3 };
    let expected = proto::CreatedTopic {
        name: "orders".into(),
        topic_id: ORDERS.to_string(),
        partitions: 6,
        replication_factor: 3,
    };
    assert_eq!(created(Ok(shape)).expect("it was created"), expected);
    for (refusal, code) in [
        (Refusal::TopicAlreadyExists, Code::AlreadyExists),
        (Refusal::InvalidTopic, Code::InvalidArgument),
        (Refusal::PolicyViolation, Code::FailedPrecondition),
    ] {
        let status = created(Err(refused(refusal))).expect_err("it was refused");
        assert_eq!((status.code(), status.message()), (code, format!("{refusal}: because").as_str()));
    }
    let deleted = |outcome| topics::deleted(Reply::DeletedTopics(vec![DeletedTopic { name: None, id: None, outcome }]));
    for (refusal, code) in
        [(Refusal::UnknownTopicOrPartition, Code::NotFound), (Refusal::InvalidTopic, Code::FailedPrecondition)]
    {
        assert_eq!(deleted(Err(refused(refusal))).expect_err("it was refused").code(), code);
    }
    assert_eq!(topics::created(Reply::Done).expect_err("that is no answer").code(), Code::Internal);
}

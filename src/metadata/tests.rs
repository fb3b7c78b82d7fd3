//! Facts become an image, survive their bytes, and stop whoever cannot understand them.

use super::codec::{self, Malformed, MetadataError};
use super::configs::ConfigScope;
use super::nodes::{Boot, Registration};
use super::partitions::{Partition, PartitionState, Recovery, ReplicaSet};
use super::record::{FeatureLevel, Header, Origin, PartitionChange, Reign};
use super::{Batch, Delta, Fact, Image, StateHash, snapshot};
use crate::base::clock::WallMillis;
use crate::base::ids::{
    BrokerEpoch, ClusterId, ControllerEpoch, DirectoryId, LeaderEpoch, MetadataIndex, NodeId, PartitionEpoch,
    PartitionIndex, ProducerId, TopicId, Uuid,
};
use crate::rpc::metadata as proto;
use prost::Message;

const ORDERS: TopicId = TopicId(Uuid([7; 16]));
const TRACES: TopicId = TopicId(Uuid([8; 16]));

fn registration(number: u8) -> Box<Registration> {
    let rack = (number == 2).then(|| "cellar".into());
    Box::new(Registration { boot: Boot::ProcessCrash, rack, ..Registration::example(number) })
}

fn partition(replicas: &[i32], leader: i32) -> Partition {
    Partition {
        replicas: replicas.iter().map(|node| NodeId(*node)).collect(),
        state: PartitionState {
            isr: ReplicaSet::first(replicas.len()),
            leader: Some(NodeId(leader)),
            ..PartitionState::default()
        },
    }
}

fn one_change(partition: i32, state: PartitionState) -> Fact {
    Fact::PartitionsChanged {
        topic: ORDERS,
        changes: vec![PartitionChange { partition: PartitionIndex(partition), state }],
    }
}

/// A small history with every kind of fact in it.
fn history() -> Vec<Fact> {
    let node = |number: i32| (NodeId(number), BrokerEpoch(i64::from(number) * 10));
    let mut facts = vec![
        Fact::ClusterFounded { cluster: ClusterId(Uuid([9; 16])) },
        Fact::FeatureLevelSet { level: FeatureLevel(1) },
        Fact::ControllerActivated { node: NodeId(1), epoch: ControllerEpoch(2), reign: Reign(1) },
        Fact::ConfigSet { scope: ConfigScope::Cluster, key: "min.insync.replicas".into(), value: "2".into() },
    ];
    for number in 1..=4 {
        let (node, epoch) = node(number);
        let directory = DirectoryId(Uuid([number as u8; 16]));
        facts.push(Fact::NodeIdAllocated { node, directory });
        facts.push(Fact::NodeRegistered { node, epoch, registration: registration(number as u8) });
        facts.push(Fact::NodeUnfenced { node, epoch });
    }
    let (leaving, leaving_epoch) = node(3);
    let (gone, gone_epoch) = node(4);
    let shrunk = PartitionState {
        isr: ReplicaSet(0b10),
        elr: ReplicaSet(0b001),
        offline: ReplicaSet(0b100),
        leader: Some(NodeId(2)),
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(1),
        recovery: Recovery::Recovering,
        last_known_leader: None,
    };
    let abandoned = PartitionState {
        isr: ReplicaSet::EMPTY,
        elr: ReplicaSet(0b111),
        offline: ReplicaSet::EMPTY,
        leader: None,
        leader_epoch: LeaderEpoch(2),
        partition_epoch: PartitionEpoch(2),
        recovery: Recovery::Recovered,
        last_known_leader: Some(NodeId(2)),
    };
    let three = |count| (0..count).map(|place| partition(&[1, 2, 3], place % 3 + 1)).collect();
    facts.extend([
        Fact::NodeFenced { node: gone, epoch: gone_epoch },
        Fact::NodeRemoved { node: gone },
        Fact::NodeDraining { node: NodeId(2), draining: true },
        Fact::TopicCreated { topic: ORDERS, name: "orders.eu".into() },
        Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(0), partitions: three(130) },
        Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(130), partitions: vec![partition(&[3], 3)] },
        one_change(0, shrunk),
        one_change(0, abandoned),
        Fact::TopicCreated { topic: TRACES, name: "traces".into() },
        Fact::ConfigSet { scope: ConfigScope::Topic(TRACES), key: "retention.ms".into(), value: "1000".into() },
        Fact::TopicDeleted { topic: TRACES },
        Fact::ConfigSet { scope: ConfigScope::Topic(ORDERS), key: "durability".into(), value: "fsync".into() },
        Fact::ConfigSet { scope: ConfigScope::Node(NodeId(1)), key: "log.cleaner.threads".into(), value: "2".into() },
        Fact::ConfigUnset { scope: ConfigScope::Node(NodeId(1)), key: "log.cleaner.threads".into() },
        Fact::ConfigSet {
            scope: ConfigScope::Group("g".into()),
            key: "share.renew.acknowledge.enable".into(),
            value: "false".into(),
        },
        Fact::ProducerIdsAllocated { node: leaving, epoch: leaving_epoch, next: ProducerId(1000) },
        Fact::NodeShuttingDown { node: leaving, epoch: leaving_epoch },
    ]);
    facts
}

fn batch(image: &Image, facts: Vec<Fact>) -> Batch {
    let origin = Origin { principal: "User:ada".into(), api: "CreateTopics".into(), client_id: "cli".into(), facts: 3 };
    let header = Header {
        controller_epoch: ControllerEpoch(2),
        sequence: 5,
        wall: WallMillis(1_700_000_000_000),
        state_hash: image.hash(),
        feature_level: FeatureLevel(1),
        origins: vec![origin],
    };
    Batch { header, facts }
}

fn image() -> Image {
    let mut image = Image::default();
    image.apply_batch(MetadataIndex(7), &batch(&image, history())).expect("the batch fits the image");
    image
}

#[test]
fn every_fact_survives_its_bytes() {
    let batch = batch(&Image::default(), history());
    assert_eq!(codec::decode(MetadataIndex(7), codec::encode(&batch)), Ok(batch.clone()));
    let chunk = codec::encode_chunk(&batch.facts);
    assert_eq!(codec::decode_chunk(MetadataIndex(7), chunk), Ok(batch.facts));
}

#[test]
fn an_image_is_the_facts_that_make_it() {
    let image = image();
    let rebuilt = snapshot::rebuild(image.applied(), snapshot::facts(&image));
    assert_eq!(rebuilt, image);
    assert_eq!(rebuilt.hash(), image.hash());
    assert_eq!(rebuilt.nodes().next_id(), NodeId(5), "the id of the removed node would be given out again");
    assert_eq!(Delta::between(&image, &rebuilt), Delta::default());
}

#[test]
fn equal_images_have_equal_hashes_whatever_happened_on_the_way() {
    let before = image();
    let mut after = before.clone();
    for fact in [
        Fact::TopicCreated { topic: TRACES, name: "traces".into() },
        Fact::PartitionsCreated { topic: TRACES, first: PartitionIndex(0), partitions: vec![partition(&[1, 2], 1)] },
        Fact::ConfigSet { scope: ConfigScope::Topic(TRACES), key: "retention.ms".into(), value: "1".into() },
        Fact::NodeDraining { node: NodeId(1), draining: true },
    ] {
        let hash = after.hash();
        after.apply(MetadataIndex(8), &fact);
        assert_ne!(after.hash(), hash, "{fact:?} left no trace in the hash");
    }
    after.apply(MetadataIndex(8), &Fact::TopicDeleted { topic: TRACES });
    after.apply(MetadataIndex(8), &Fact::NodeDraining { node: NodeId(1), draining: false });
    assert_eq!(after, before);
}

#[test]
fn a_batch_that_was_decided_on_another_state_is_refused() {
    let mut image = image();
    let mut batch = batch(&image, vec![]);
    batch.header.state_hash = StateHash(1);
    let found = image.hash();
    let refused = MetadataError::Diverged { at: MetadataIndex(8), expected: StateHash(1), found };
    assert_eq!(image.apply_batch(MetadataIndex(8), &batch), Err(refused));
}

#[test]
fn what_a_newer_program_wrote_is_refused_with_its_position() {
    let mut message = proto::Batch { feature_level: 2, ..proto::Batch::default() };
    let refused = codec::decode(MetadataIndex(8), message.encode_to_vec().into());
    assert_eq!(refused, Err(MetadataError::TooNew { at: MetadataIndex(8), level: FeatureLevel(2) }));

    message.feature_level = 1;
    let known = proto::fact::Fact::NodeRemoved(proto::NodeRemoved { node_id: 1 });
    message.facts = vec![proto::Fact { fact: Some(known) }];
    let mut bytes = message.encode_to_vec();
    bytes.extend([0x52, 0x03, 0xfa, 0x3e, 0x00]); // facts: { field 1007: a message of length 0 }
    let refused = codec::decode(MetadataIndex(8), bytes.into());
    let why = Malformed::UnknownKind;
    assert_eq!(refused, Err(MetadataError::Malformed { at: MetadataIndex(8), place: 1, why }));
}

#[test]
fn damaged_bytes_are_an_error_or_another_batch_but_never_a_panic() {
    let bytes = codec::encode(&batch(&Image::default(), history()));
    for end in 0..bytes.len() {
        let _ = codec::decode(MetadataIndex(8), bytes.slice(..end));
    }
    for place in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[place] ^= 0x15;
        let _ = codec::decode(MetadataIndex(8), damaged.into());
    }
}

#[test]
fn columns_of_unequal_length_are_refused() {
    let states = proto::PartitionStates { isr: vec![1], ..proto::PartitionStates::default() };
    let topic_id = ORDERS.0.0.to_vec().into();
    let changed = proto::PartitionsChanged { topic_id, partitions: vec![0, 1], states: Some(states) };
    let fact = proto::Fact { fact: Some(proto::fact::Fact::PartitionsChanged(changed)) };
    let chunk = proto::ImageChunk { facts: vec![fact] }.encode_to_vec();
    let why = Malformed::Column("states.isr");
    let refused = MetadataError::Malformed { at: MetadataIndex(8), place: 0, why };
    assert_eq!(codec::decode_chunk(MetadataIndex(8), chunk.into()), Err(refused));
}

#[test]
fn ten_thousand_leader_changes_fit_in_a_tenth_of_a_megabyte() {
    let changes = (0..10_000).map(|index| PartitionChange {
        partition: PartitionIndex(index),
        state: PartitionState {
            isr: ReplicaSet(0b110),
            leader: Some(NodeId(2)),
            leader_epoch: LeaderEpoch(200),
            partition_epoch: PartitionEpoch(300),
            ..PartitionState::default()
        },
    });
    let fact = Fact::PartitionsChanged { topic: ORDERS, changes: changes.collect() };
    let bytes = codec::encode_chunk(&[fact]).len();
    assert!(bytes < 100_000, "{bytes} bytes");
}

#[test]
fn facts_that_cannot_be_true_are_found_out() {
    let image = image();
    let led = |change: fn(&mut PartitionState)| {
        let mut state = partition(&[1, 2, 3], 2).state;
        state.partition_epoch = PartitionEpoch(1);
        change(&mut state);
        one_change(1, state)
    };
    assert_eq!(image.clone().try_apply(&led(|_| ())), Ok(()));
    let (node, epoch) = (NodeId(1), BrokerEpoch(10));
    for (fact, why) in [
        (led(|it| it.partition_epoch = PartitionEpoch(2)), "the partition epoch is not the next one"),
        (led(|it| it.leader_epoch = LeaderEpoch(1)), "the leader epoch counts the leaders"),
        (led(|it| it.leader = Some(NodeId(3))), "the leader epoch counts the leaders"),
        (led(|it| it.isr = ReplicaSet(0b101)), "the leader is not in the ISR"),
        (led(|it| it.isr = ReplicaSet(0b1111)), "the ISR or ELR holds more than the replicas"),
        (led(|it| it.elr = ReplicaSet(0b001)), "a replica is both in the ISR and in the ELR"),
        (Fact::ClusterFounded { cluster: ClusterId::default() }, "the cluster exists"),
        (Fact::NodeUnfenced { node, epoch }, "no way leads there from the node's state"),
        (Fact::NodeFenced { node, epoch: BrokerEpoch(9) }, "the fact is about another registration"),
        (
            Fact::NodeRegistered { node, epoch, registration: registration(1) },
            "a later registration of the node exists",
        ),
        (Fact::NodeRemoved { node }, "a node that is not fenced cannot go"),
        (Fact::TopicDeleted { topic: TRACES }, "no such topic"),
        (Fact::TopicCreated { topic: TRACES, name: "orders_eu".into() }, "the name is taken"),
    ] {
        assert_eq!(image.clone().try_apply(&fact), Err(why), "{fact:?}");
    }
}

#[test]
fn a_topic_is_found_by_id_by_name_and_by_the_nodes_that_host_it() {
    let image = image();
    let topics = image.topics();
    assert_eq!(topics.named("orders.eu").map(|topic| topic.id), Some(ORDERS));
    assert_eq!(topics.named("orders_eu"), None);
    assert_eq!(topics.similarly_named("orders_eu").map(|topic| topic.id), Some(ORDERS));
    assert_eq!(topics.hosted_by(NodeId(1)).count(), 130);
    assert_eq!(topics.hosted_by(NodeId(3)).count(), 131);
    assert_eq!(topics.get(ORDERS).map(|topic| topic.partition_count()), Some(131));
    assert_eq!(image.configs().min_insync_replicas(ORDERS), 2);
    assert!(image.configs().commits_are_synced(ORDERS));
}

#[test]
fn a_delta_names_what_changed_and_nothing_else() {
    let old = image();
    let mut new = old.clone();
    let state = PartitionState { partition_epoch: PartitionEpoch(1), ..partition(&[1, 2, 3], 2).state };
    let facts = vec![
        one_change(1, state),
        Fact::NodeDraining { node: NodeId(1), draining: true },
        Fact::ConfigUnset { scope: ConfigScope::Topic(ORDERS), key: "durability".into() },
        Fact::TopicCreated { topic: TRACES, name: "traces".into() },
        Fact::PartitionsCreated { topic: TRACES, first: PartitionIndex(0), partitions: vec![partition(&[1], 1)] },
    ];
    let delta = new.apply_batch(MetadataIndex(8), &batch(&old, facts)).expect("the batch fits the image");
    assert_eq!(delta, Delta::between(&old, &new));
    assert_eq!(delta.nodes.into_iter().collect::<Vec<_>>(), [NodeId(1)]);
    assert_eq!(delta.topics.keys().collect::<Vec<_>>(), [&ORDERS, &TRACES]);
    assert_eq!(delta.topics[&ORDERS].partitions.iter().collect::<Vec<_>>(), [&PartitionIndex(1)]);
    assert_eq!(Delta::between(&new, &old).topics[&TRACES].partitions.len(), 0);
    assert!(Delta::between(&new, &old).topics[&TRACES].deleted);
}

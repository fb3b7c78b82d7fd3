//! A small cluster that the tests of handlers ask about.

use crate::base::ids::{BrokerEpoch, DirectoryId, LeaderEpoch, MetadataIndex, NodeId, PartitionIndex, TopicId, Uuid};
use crate::metadata::nodes::Registration;
use crate::metadata::partitions::{Partition, PartitionState, ReplicaSet};
use crate::metadata::{Fact, Image};

pub const ORDERS: TopicId = TopicId(Uuid([7; 16]));
const TRACES: TopicId = TopicId(Uuid([8; 16]));

/// Brokers 1 and 2, of which 2 is fenced. `orders` has three partitions, the last of which nobody leads; `traces` has
/// one.
pub fn image() -> Image {
    let mut facts = Vec::new();
    for number in [1, 2] {
        let (node, epoch) = (NodeId(number), BrokerEpoch(number.into()));
        facts.push(Fact::NodeIdAllocated { node, directory: DirectoryId(Uuid([number as u8; 16])) });
        facts.push(Fact::NodeRegistered { node, epoch, registration: registration(number) });
    }
    facts.push(Fact::NodeUnfenced { node: NodeId(1), epoch: BrokerEpoch(1) });
    facts.push(Fact::TopicCreated { topic: ORDERS, name: "orders".to_owned() });
    let partitions = vec![partition(Some(1)), partition(Some(1)), partition(None)];
    facts.push(Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(0), partitions });
    facts.push(Fact::TopicCreated { topic: TRACES, name: "traces".to_owned() });
    let partitions = vec![partition(Some(1))];
    facts.push(Fact::PartitionsCreated { topic: TRACES, first: PartitionIndex(0), partitions });
    let mut image = Image::default();
    facts.iter().for_each(|fact| image.apply(MetadataIndex(1), fact));
    image
}

fn registration(number: i32) -> Box<Registration> {
    let mut registration = Registration::example(number as u8);
    if number == 1 {
        registration.listeners[0].host.clear();
    }
    Box::new(registration)
}

fn partition(leader: Option<i32>) -> Partition {
    let in_sync = if leader.is_some() { ReplicaSet::first(1) } else { ReplicaSet::EMPTY };
    Partition {
        replicas: [NodeId(1), NodeId(2)].into(),
        state: PartitionState {
            isr: in_sync,
            leader: leader.map(NodeId),
            last_known_leader: leader.is_none().then_some(NodeId(2)),
            leader_epoch: LeaderEpoch(5),
            ..Default::default()
        },
    }
}

//! Placement: which nodes get the replicas of new partitions.
//!
//! Partitions are dealt out like cards, one rack after the other, and within a rack one node after the other:
//!
//! ```text
//!   rack a: 1 2    rack b: 3 4          p0   p1   p2   p3  | p4   p5
//!                              leader    1    3    2    4  |  1    3     every node leads the same number
//!                            follower    3    2    4    1  |  4    1     in the next round with another partner
//! ```
//!
//! Each partition starts one rack further than the one before, so leaders spread over racks; its other replicas go to
//! the following racks, so a partition is on as many racks as it can be. After a full round the followers shift by one,
//! so that the load of a dead node is shared by all and not taken by one. Where the dealing starts is drawn from the
//! topic's id: small topics do not all begin at the same node, and a topic that grows goes on where it stopped.
//!
//! Nodes without a rack make up a rack of their own. Only active nodes are used when there are enough of them; a fenced
//! node is never a leader. Nodes that shut down or are being drained get nothing.

use super::{Refusal, Refused};
use crate::base::ids::{NodeId, TopicId};
use crate::metadata::Image;
use crate::metadata::nodes::{Node, NodeState};
use crate::metadata::partitions::{Partition, PartitionState, REPLICAS_MAX, ReplicaSet};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Replicas of new partitions, checked: each has an active node that can lead it.
pub(super) struct Assignment {
    partitions: Vec<Partition>,
}

impl Assignment {
    /// Chooses nodes for the partitions with these numbers.
    pub fn place(
        image: &Image,
        topic: TopicId,
        partitions: Range<usize>,
        replication_factor: usize,
    ) -> Result<Self, Refused> {
        let usable = |node: &&Node| node.is_broker() && node.state != NodeState::ShuttingDown && !node.draining;
        let usable: Vec<&Node> = image.nodes().iter().filter(usable).collect();
        let active: Vec<&Node> = usable.iter().copied().filter(|node| node.is_active()).collect();
        if usable.len() < replication_factor {
            let count = usable.len();
            let why = format!("{replication_factor} replicas need as many brokers, {count} can take new ones");
            return Err(Refusal::InvalidReplicationFactor.because(why));
        }
        if active.is_empty() {
            return Err(Refusal::InvalidReplicationFactor.because("no broker is active"));
        }
        let enough = active.len() >= replication_factor;
        let dealer = Dealer::new(if enough { &active } else { &usable }, topic);
        let born = |index| {
            let mut replicas = dealer.replicas(index, replication_factor);
            replicas.sort_by_key(|node| !image.nodes().is_active(*node)); // stable: the first active one leads
            born(image, &replicas)
        };
        Ok(Self { partitions: partitions.filter_map(born).collect() })
    }

    /// Checks what somebody has chosen. All partitions must have `width` replicas, or the same number at least.
    pub fn manual(image: &Image, replicas: &[&[NodeId]], width: Option<usize>) -> Result<Self, Refused> {
        let width = width.or_else(|| replicas.first().map(|first| first.len())).unwrap_or(0);
        check_width(width)?;
        let mut partitions = Vec::with_capacity(replicas.len());
        for own in replicas {
            check_replicas(image, own, width)?;
            let nobody = || Refusal::InvalidReplicaAssignment.because("a partition needs an active node to lead it");
            partitions.push(born(image, own).ok_or_else(nobody)?);
        }
        Ok(Self { partitions })
    }

    pub fn partitions(self) -> Vec<Partition> {
        self.partitions
    }
}

/// Refuses more replicas than a partition can have.
pub(super) fn check_width(replication_factor: usize) -> Result<(), Refused> {
    if (1..=REPLICAS_MAX).contains(&replication_factor) {
        return Ok(());
    }
    let why = format!("a partition has 1 to {REPLICAS_MAX} replicas, not {replication_factor}");
    Err(Refusal::InvalidReplicationFactor.because(why))
}

fn check_replicas(image: &Image, replicas: &[NodeId], width: usize) -> Result<(), Refused> {
    let unknown = |node: &&NodeId| !image.nodes().get(**node).is_some_and(Node::is_broker);
    let distinct: BTreeSet<_> = replicas.iter().collect();
    let why = if replicas.len() != width {
        format!("every partition of a topic has the same number of replicas: {width}, not {}", replicas.len())
    } else if distinct.len() != replicas.len() {
        "a node can have only one replica of a partition".to_owned()
    } else if let Some(node) = replicas.iter().find(unknown) {
        format!("node {node} is not a registered broker")
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidReplicaAssignment.because(why))
}

/// A partition's first state: active replicas are in sync, because there is nothing to have yet.
fn born(image: &Image, replicas: &[NodeId]) -> Option<Partition> {
    let active = |place: &usize| image.nodes().is_active(replicas[*place]);
    let isr = (0..replicas.len()).filter(active).fold(ReplicaSet::EMPTY, |set, place| set.with(ReplicaSet::at(place)));
    let leader = replicas[isr.first_place()?];
    let state = PartitionState { isr, leader: Some(leader), ..PartitionState::default() };
    Some(Partition { replicas: replicas.into(), state })
}

/// Deals nodes out.
struct Dealer {
    racks: Vec<Vec<NodeId>>,
    nodes: usize,
    /// Where to start: at which rack, and in it at which node.
    start: usize,
}

impl Dealer {
    fn new(nodes: &[&Node], topic: TopicId) -> Self {
        let mut racks: BTreeMap<Option<&str>, Vec<NodeId>> = BTreeMap::new();
        for node in nodes {
            racks.entry(node.registration.rack.as_deref()).or_default().push(node.id);
        }
        let bytes = topic.0.0;
        let start = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
        Self { racks: racks.into_values().collect(), nodes: nodes.len(), start }
    }

    /// The nodes of partition `index`, the leader first.
    fn replicas(&self, index: usize, count: usize) -> Vec<NodeId> {
        assert!(count <= self.nodes, "there are {} nodes for {count} replicas", self.nodes);
        let racks = self.racks.len();
        let turn = self.start % self.nodes + index;
        let round = index / self.nodes;
        let mut replicas = Vec::with_capacity(count);
        for step in 0.. {
            if replicas.len() == count {
                break;
            }
            let rack = &self.racks[(turn + step) % racks];
            let lap = step / racks;
            if lap < rack.len() {
                let first = (turn + step % racks) / racks + if step % racks == 0 { 0 } else { round };
                replicas.push(rack[(first + within(lap, round, rack.len())) % rack.len()]);
            }
        }
        replicas
    }
}

/// How far behind a rack's first replica of a partition its next ones are: a different distance for each.
fn within(lap: usize, round: usize, rack_len: usize) -> usize {
    if lap == 0 { 0 } else { 1 + (lap - 1 + round) % (rack_len - 1) }
}

//! One partition: its replicas, who of them is in sync, who leads.
//!
//! Invariants: ISR, ELR and the offline ones are subsets of the replicas and do not overlap; a leader is in the ISR.

use crate::base::ids::{LeaderEpoch, NodeId, PartitionEpoch};
use std::fmt;
use std::sync::Arc;

/// The most replicas a partition can have: the width of a [`ReplicaSet`].
pub const REPLICAS_MAX: usize = 32;

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// In the order of preference: the first one is the preferred leader.
    pub replicas: Arc<[NodeId]>,
    pub state: PartitionState,
}

/// What changes of a partition while its replicas stay.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PartitionState {
    /// In-sync replicas: they have everything that is committed and take part in committing more.
    pub isr: ReplicaSet,
    /// Eligible leader replicas (KIP-966): not in sync, but nothing committed is missing on them, because nothing is
    /// committed while the ISR is below `min.insync.replicas`.
    pub elr: ReplicaSet,
    /// Replicas that their nodes cannot read or write: a disk failed, or a log is damaged. They take no part until
    /// their node registers anew.
    pub offline: ReplicaSet,
    pub leader: Option<NodeId>,
    /// Who led last, while nobody does.
    pub last_known_leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub recovery: Recovery,
}

/// Whether the leader may lack committed records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Recovery {
    #[default]
    Recovered,
    /// Elected although others may have had more; until it says that it is ready, it is alone in the ISR.
    Recovering,
}

impl Partition {
    /// Where in the replica list this node stands.
    pub fn place(&self, node: NodeId) -> Option<usize> {
        self.replicas.iter().position(|replica| *replica == node)
    }

    /// The set of just this node; empty if it is not a replica.
    pub fn only(&self, node: NodeId) -> ReplicaSet {
        self.place(node).map_or(ReplicaSet::EMPTY, ReplicaSet::at)
    }

    /// The set of these nodes, or the first of them that is not a replica.
    pub fn set_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> Result<ReplicaSet, NodeId> {
        nodes.into_iter().try_fold(ReplicaSet::EMPTY, |set, node| {
            self.place(node).map(|place| set.with(ReplicaSet::at(place))).ok_or(node)
        })
    }

    /// The nodes of a set, in the order of the replicas.
    pub fn members(&self, set: ReplicaSet) -> impl Iterator<Item = NodeId> {
        self.replicas.iter().enumerate().filter(move |(place, _)| set.has(*place)).map(|(_, node)| *node)
    }

    pub fn isr(&self) -> impl Iterator<Item = NodeId> {
        self.members(self.state.isr)
    }

    pub fn elr(&self) -> impl Iterator<Item = NodeId> {
        self.members(self.state.elr)
    }

    pub fn preferred_leader(&self) -> NodeId {
        self.replicas[0]
    }

    /// How large the ISR must be for anything to be committed: a topic with fewer replicas than `min.insync.replicas`
    /// asks for works with all it has.
    pub fn effective_min_isr(&self, min_insync_replicas: usize) -> usize {
        min_insync_replicas.min(self.replicas.len())
    }
}

/// Some replicas of one partition, as a mask over its replica list.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ReplicaSet(pub u32);

impl ReplicaSet {
    pub const EMPTY: Self = Self(0);

    /// Just the replica at this place of the list.
    pub fn at(place: usize) -> Self {
        assert!(place < REPLICAS_MAX, "place {place} is past the widest replica list");
        Self(1 << place)
    }

    /// The first `count` replicas.
    pub fn first(count: usize) -> Self {
        assert!(count <= REPLICAS_MAX, "{count} replicas are more than a set can hold");
        Self(((1_u64 << count) - 1) as u32)
    }

    pub fn has(self, place: usize) -> bool {
        place < REPLICAS_MAX && self.0 & (1 << place) != 0
    }

    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    pub fn is_subset_of(self, others: Self) -> bool {
        self.without(others).is_empty()
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The place of the most preferred of them.
    pub fn first_place(self) -> Option<usize> {
        (!self.is_empty()).then(|| self.0.trailing_zeros() as usize)
    }
}

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#b}", self.0)
    }
}

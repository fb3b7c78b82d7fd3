//! Facts: everything that can become so in the metadata log, and the batch that carries them.
//!
//! Invariants: a fact holds results, never intentions; epochs are written out, so that `apply` can check them.
//! Absent on purpose: heartbeats, sessions and load, which are nobody's history.

use super::StateHash;
use super::configs::ConfigScope;
use super::nodes::Registration;
use super::partitions::{Partition, PartitionState};
use crate::base::clock::WallMillis;
use crate::base::ids::{
    BrokerEpoch, ClusterId, ControllerEpoch, DirectoryId, NodeId, PartitionIndex, ProducerId, TopicId,
};
use std::fmt;

/// Something that is now so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    ClusterFounded { cluster: ClusterId },
    FeatureLevelSet { level: FeatureLevel },
    ControllerActivated { node: NodeId, epoch: ControllerEpoch, reign: Reign },

    NodeIdAllocated { node: NodeId, directory: DirectoryId },
    NodeRegistered { node: NodeId, epoch: BrokerEpoch, registration: Box<Registration> },
    NodeFenced { node: NodeId, epoch: BrokerEpoch },
    NodeUnfenced { node: NodeId, epoch: BrokerEpoch },
    NodeShuttingDown { node: NodeId, epoch: BrokerEpoch },
    NodeDraining { node: NodeId, draining: bool },
    NodeRemoved { node: NodeId },

    TopicCreated { topic: TopicId, name: String },
    TopicDeleted { topic: TopicId },
    PartitionsCreated { topic: TopicId, first: PartitionIndex, partitions: Vec<Partition> },
    PartitionsChanged { topic: TopicId, changes: Vec<PartitionChange> },

    ConfigSet { scope: ConfigScope, key: String, value: String },
    ConfigUnset { scope: ConfigScope, key: String },

    ProducerIdsAllocated { node: NodeId, epoch: BrokerEpoch, next: ProducerId },
}

/// The whole new state of a partition; its replicas stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionChange {
    pub partition: PartitionIndex,
    pub state: PartitionState,
}

/// One entry of the log: facts that hold together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub header: Header,
    pub facts: Vec<Fact>,
}

/// What a batch says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub controller_epoch: ControllerEpoch,
    /// Counts the batches of a reign, from 0.
    pub sequence: u64,
    pub wall: WallMillis,
    /// The hash of the image before the first fact.
    pub state_hash: StateHash,
    pub feature_level: FeatureLevel,
    /// Who asked for the facts, in their order.
    pub origins: Vec<Origin>,
}

/// Who asked for the next `facts` facts of a batch.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Origin {
    pub principal: String,
    pub api: String,
    pub client_id: String,
    pub facts: u32,
}

/// Which facts and fields a reader must understand. Raised by the operator once every node can.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct FeatureLevel(pub u32);

impl FeatureLevel {
    /// The highest level this program understands.
    pub const MAX: Self = Self(1);
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many active controllers there have been: the controller epoch in Kafka's own 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Reign(pub i32);

impl Reign {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

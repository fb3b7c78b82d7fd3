//! The image: all metadata at one place of the log, as a value that is cheap to clone.
//!
//! Invariants: only `apply.rs` changes it, so its hash always fits its content.

use super::StateHash;
use super::cluster::Cluster;
use super::configs::Configs;
use super::nodes::Nodes;
use super::topics::Topics;
use crate::base::ids::MetadataIndex;

/// All metadata.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Image {
    /// The last entry of the log that is in it.
    pub(super) applied: MetadataIndex,
    pub(super) cluster: Cluster,
    pub(super) nodes: Nodes,
    pub(super) topics: Topics,
    pub(super) configs: Configs,
    pub(super) hash: StateHash,
}

impl Image {
    pub fn applied(&self) -> MetadataIndex {
        self.applied
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn configs(&self) -> &Configs {
        &self.configs
    }

    pub fn hash(&self) -> StateHash {
        self.hash
    }
}

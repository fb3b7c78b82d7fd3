//! The cluster as a whole: who it is, what it may write, who rules it, which producer ids are given out.

use super::hash::{Digest, Noun};
use super::record::{FeatureLevel, Reign};
use crate::base::ids::{ClusterId, ControllerEpoch, NodeId, ProducerId};

/// What exists once.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Cluster {
    /// Nobody has founded it while there is none.
    pub id: Option<ClusterId>,
    pub feature_level: FeatureLevel,
    pub controller: Option<ActiveController>,
    /// The producer ids below this one are given out.
    pub next_producer_id: ProducerId,
}

/// Who decides, since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveController {
    pub node: NodeId,
    pub epoch: ControllerEpoch,
    pub reign: Reign,
}

impl Cluster {
    pub(super) fn digest(&self) -> Digest {
        let id = self.id.unwrap_or_default();
        let digest = Digest::of(Noun::Cluster).bytes(&id.0.0).word(u64::from(self.feature_level.0));
        let digest = digest.word(self.next_producer_id.0 as u64);
        match self.controller {
            None => digest,
            Some(ActiveController { node, epoch, reign }) => {
                digest.pair(node.0 as u32, reign.0 as u32).word(epoch.0 as u64)
            }
        }
    }
}

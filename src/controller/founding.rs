//! The first facts: of the cluster, and of each reign.

use super::draft::Draft;
use super::{Refusal, Refused};
use crate::base::ids::{ClusterId, ControllerEpoch, DirectoryId, NodeId};
use crate::metadata::Fact;
use crate::metadata::configs::ConfigScope;
use crate::metadata::record::{FeatureLevel, Reign};

/// Makes the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub cluster: ClusterId,
    /// The node ids that are taken from the first day: a later node must not be given a founder's.
    pub founders: Vec<(NodeId, DirectoryId)>,
    /// What every node must agree on from now on, whatever its own file says: `min.insync.replicas` above all, because
    /// leaders and controller must read the same (R7).
    pub configs: Vec<(String, String)>,
}

pub(super) fn found(draft: &mut Draft<'_>, request: &Found) -> Result<(), Refused> {
    if let Some(cluster) = draft.image().cluster().id {
        return Err(Refusal::DuplicateResource.because(format!("this is cluster {cluster} already")));
    }
    draft.record(Fact::ClusterFounded { cluster: request.cluster });
    draft.record(Fact::FeatureLevelSet { level: FeatureLevel::MAX });
    for (node, directory) in &request.founders {
        draft.record(Fact::NodeIdAllocated { node: *node, directory: *directory });
    }
    for (key, value) in &request.configs {
        let (scope, key, value) = (ConfigScope::Cluster, key.clone(), value.clone());
        (draft.env.check_config)(&scope, &key, &value).map_err(|why| Refusal::InvalidConfig.because(why))?;
        draft.record(Fact::ConfigSet { scope, key, value });
    }
    Ok(())
}

pub(super) fn activate(draft: &mut Draft<'_>, node: NodeId) {
    let reign = draft.image().cluster().controller.map_or(Reign(1), |before| before.reign.next());
    let epoch = ControllerEpoch(draft.env.index.0 as i64);
    draft.record(Fact::ControllerActivated { node, epoch, reign });
}

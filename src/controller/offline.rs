//! Replicas go offline: their node cannot read or write them, because a disk failed or a log is damaged.
//!
//! Invariants: an offline replica leads nothing and is in no ISR and no ELR. Only the next registration of its node
//! brings it back (`nodes.rs`), as one that has to catch up.

use std::collections::BTreeSet;

use super::Refused;
use super::draft::Draft;
use super::elections::{Election, Plan, settle_hosted};
use crate::base::ids::{BrokerEpoch, NodeId, PartitionIndex, TopicId};

/// A node cannot serve these replicas of its.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakeOffline {
    pub node: NodeId,
    pub epoch: BrokerEpoch,
    pub replicas: Vec<(TopicId, PartitionIndex)>,
}

/// What is not there any more, or offline already, stays as it is.
pub(super) fn take_offline(draft: &mut Draft<'_>, request: &TakeOffline) -> Result<(), Refused> {
    let node = draft.node(request.node, request.epoch)?.id;
    let meant: BTreeSet<_> = request.replicas.iter().collect();
    settle_hosted(draft, node, |topic, index, partition| {
        let own = partition.only(node);
        let offline = partition.state.offline.with(own);
        let isr = partition.state.isr.without(own);
        let plan = || Plan { isr, lost: own, offline, ..Plan::same(partition, Election::Keep) };
        meant.contains(&(topic, index)).then(plan)
    });
    Ok(())
}

//! Nodes: get an id, register, are unfenced and fenced, shut down, are drained and removed.
//!
//! Invariants: what a node's new state means for partitions is decided in the same decision; a fenced node is in no
//! ISR; a replica whose log may have lost its end is in no ELR.
//! Absent on purpose: when a node is to be fenced (`liveness.rs`), where replicas go when it is removed.

use super::draft::Draft;
use super::elections::{Election, Plan, settle_hosted};
use super::{Refusal, Refused};
use crate::base::ids::{BrokerEpoch, ClusterId, DirectoryId, MetadataIndex, NodeId};
use crate::metadata::Fact;
use crate::metadata::nodes::{Boot, Node, NodeState, Registration};
use crate::metadata::partitions::ReplicaSet;
use std::collections::BTreeSet;

/// A run of a node joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// The epoch that the run before this one got, as it is noted on the disk. If it is not the last one given out,
    /// the disk is older than it should be, and what it says about how that run ended is not believed.
    pub previous_epoch: Option<BrokerEpoch>,
    pub registration: Registration,
}

/// A fenced node wants to lead and follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfence {
    pub node: NodeId,
    pub epoch: BrokerEpoch,
    /// How far it has read the log.
    pub applied: MetadataIndex,
}

/// A node is dead, or nobody can tell; or it has said goodbye.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    pub node: NodeId,
    pub epoch: BrokerEpoch,
}

pub(super) fn allocate_id(draft: &mut Draft<'_>, directory: DirectoryId) -> NodeId {
    let nodes = draft.image().nodes();
    if let Some(node) = nodes.id_of(directory) {
        return node;
    }
    let node = nodes.next_id();
    draft.record(Fact::NodeIdAllocated { node, directory });
    node
}

pub(super) fn register(draft: &mut Draft<'_>, request: &Register) -> Result<BrokerEpoch, Refused> {
    check(draft, request)?;
    let Register { node, previous_epoch, registration, .. } = request;
    let mut registration = registration.clone();
    let before = draft.image().nodes().get(*node).cloned();
    if let Some(before) = &before {
        if before.registration.incarnation == registration.incarnation {
            return Ok(before.epoch); // the answer to its first request was lost
        }
        if *previous_epoch != Some(before.epoch) {
            registration.boot = Boot::MachineCrash;
        }
    }
    let directory = registration.directories[0];
    let owner = draft.image().nodes().directory_of(*node);
    if owner.is_none_or(|owner| !registration.directories.contains(&owner)) {
        draft.record(Fact::NodeIdAllocated { node: *node, directory });
    }
    if let Some(before) = &before {
        replace(draft, before, &registration);
    }
    let index = BrokerEpoch(draft.env.index.0 as i64);
    let epoch = before.map_or(index, |before| index.max(BrokerEpoch(before.epoch.0 + 1)));
    draft.record(Fact::NodeRegistered { node: *node, epoch, registration: Box::new(registration) });
    Ok(epoch)
}

/// Whether such a run may join at all.
fn check(draft: &Draft<'_>, request: &Register) -> Result<(), Refused> {
    let image = draft.image();
    let Register { cluster, node, registration, .. } = request;
    let directories = &registration.directories;
    if let Some(ours) = image.cluster().id.filter(|ours| ours != cluster) {
        return Err(Refusal::InconsistentClusterId.because(format!("this is cluster {ours}, not {cluster}")));
    }
    if registration.feature_level_max < image.cluster().feature_level {
        let (level, most) = (image.cluster().feature_level, registration.feature_level_max);
        let why = format!("the cluster is at feature level {level}, node {node} understands only {most}");
        return Err(Refusal::UnsupportedVersion.because(why));
    }
    let distinct: BTreeSet<_> = directories.iter().collect();
    if node.0 < 0 || directories.is_empty() || distinct.len() != directories.len() {
        let why =
            "a registration needs a node id that is not negative and at least one directory, each with its own id";
        return Err(Refusal::InvalidRegistration.because(why));
    }
    let shared = |other: &&Node| {
        other.id != *node && other.registration.directories.iter().any(|directory| distinct.contains(directory))
    };
    if let Some(other) = image.nodes().iter().find(shared) {
        let why = format!("a directory of node {node} belongs to node {}: was a disk copied?", other.id);
        return Err(Refusal::InvalidRegistration.because(why));
    }
    let Some(before) = image.nodes().get(*node) else { return Ok(()) };
    let same_disk = before.registration.directories.iter().any(|directory| distinct.contains(directory));
    if !before.is_fenced() && !same_disk {
        let why = format!("node id {node} is in use by a live node with another disk");
        return Err(Refusal::DuplicateBrokerRegistration.because(why));
    }
    Ok(())
}

/// The run before is over: it is fenced, and what the new run has lost no longer counts.
fn replace(draft: &mut Draft<'_>, before: &Node, registration: &Registration) {
    let node = before.id;
    if !before.is_fenced() {
        draft.record(Fact::NodeFenced { node, epoch: before.epoch });
    }
    // A directory that is gone took its replicas with it, and nobody here knows which: all of them are in doubt.
    let wiped = before.registration.directories.iter().any(|it| !registration.directories.contains(it));
    let crashed = registration.boot == Boot::MachineCrash;
    let configs = draft.image().configs().clone();
    settle_hosted(draft, node, |topic, _, partition| {
        let own = partition.only(node);
        let lost = wiped || crashed && !configs.commits_are_synced(topic);
        let lost = if lost { own } else { ReplicaSet::EMPTY };
        let isr = partition.state.isr.without(own);
        let offline = partition.state.offline.without(own);
        Some(Plan { isr, lost, wiped, offline, ..Plan::same(partition, Election::Keep) })
    });
}

/// False if the node has not read its own registration yet.
pub(super) fn unfence(draft: &mut Draft<'_>, request: &Unfence) -> Result<bool, Refused> {
    let Unfence { node, epoch, applied } = *request;
    let known = draft.node(node, epoch)?;
    if !known.is_fenced() {
        return Ok(known.is_active());
    }
    if (applied.0 as i64) < epoch.0 {
        return Ok(false);
    }
    draft.record(Fact::NodeUnfenced { node, epoch });
    settle_hosted(draft, node, |_, _, partition| {
        partition.state.leader.is_none().then(|| Plan::same(partition, Election::Keep))
    });
    Ok(true)
}

/// R12.
pub(super) fn fence(draft: &mut Draft<'_>, request: &Fence) -> Result<(), Refused> {
    let Fence { node, epoch } = *request;
    if draft.node(node, epoch)?.is_fenced() {
        return Ok(());
    }
    draft.record(Fact::NodeFenced { node, epoch });
    settle_hosted(draft, node, |_, _, partition| {
        let isr = partition.state.isr.without(partition.only(node));
        (isr != partition.state.isr).then(|| Plan { isr, ..Plan::same(partition, Election::Keep) })
    });
    Ok(())
}

/// Moves what others can lead; returns how many partitions are left that nobody else can.
pub(super) fn shut_down(draft: &mut Draft<'_>, node: NodeId, epoch: BrokerEpoch) -> Result<usize, Refused> {
    match draft.node(node, epoch)?.state {
        NodeState::Fenced => return Ok(0),
        NodeState::ShuttingDown => {}
        NodeState::Active => {
            draft.record(Fact::NodeShuttingDown { node, epoch });
            let nodes = draft.image().nodes().clone();
            settle_hosted(draft, node, |_, _, partition| {
                let isr = partition.state.isr.without(partition.only(node));
                let others = partition.members(isr).any(|other| nodes.is_active(other));
                (others && isr != partition.state.isr).then(|| Plan { isr, ..Plan::same(partition, Election::Keep) })
            });
        }
    }
    let hosted = draft.image().topics().hosted_by(node);
    Ok(hosted.filter(|(_, _, partition)| partition.state.leader == Some(node)).count())
}

pub(super) fn drain(draft: &mut Draft<'_>, node: NodeId, draining: bool) -> Result<(), Refused> {
    if draft.registered(node)?.draining == draining {
        return Ok(());
    }
    draft.record(Fact::NodeDraining { node, draining });
    if draining {
        settle_hosted(draft, node, |_, _, partition| {
            (partition.state.leader == Some(node)).then(|| Plan::same(partition, Election::Move))
        });
    }
    Ok(())
}

pub(super) fn remove(draft: &mut Draft<'_>, node: NodeId) -> Result<(), Refused> {
    if !draft.registered(node)?.is_fenced() {
        return Err(Refusal::InvalidRequest.because(format!("node {node} is alive: stop it first")));
    }
    let replicas = draft.image().topics().hosted_by(node).count();
    if replicas > 0 {
        let why = format!("node {node} has replicas of {replicas} partitions: move them first");
        return Err(Refusal::InvalidRequest.because(why));
    }
    draft.record(Fact::NodeRemoved { node });
    Ok(())
}

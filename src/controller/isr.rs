//! A leader changes its ISR (AlterPartition): compare-and-set on both epochs (R8, R10).
//!
//! Refusals of one partition, in the order they are looked for:
//! - UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION: it is gone;
//! - NOT_CONTROLLER: the leader has seen a later epoch than this controller;
//! - FENCED_LEADER_EPOCH: there is another leader. Definitive: the old one stops asking;
//! - INVALID_REQUEST: it does not lead, or its ISR makes no sense;
//! - INVALID_UPDATE_VERSION: the partition has changed since; the leader reads the news and asks again from there;
//! - INELIGIBLE_REPLICA: a member is fenced, shutting down, offline or of another run (KIP-903): what was known of its
//!   log may no longer be so;
//! - NEW_LEADER_ELECTED: done, and the leader is on its way out, so that somebody who joined leads now.

use super::draft::{Changes, Draft};
use super::elections::{Election, Judge, Plan};
use super::{Refusal, Refused};
use crate::base::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicId};
use crate::base::mutants::Mutant;
use crate::metadata::nodes::NodeState;
use crate::metadata::partitions::{Partition, PartitionState, Recovery, ReplicaSet};
use crate::metadata::record::PartitionChange;

/// A leader's wishes for some of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterPartitions {
    pub leader: NodeId,
    pub epoch: BrokerEpoch,
    pub partitions: Vec<AlterPartition>,
}

/// A leader's wish for one partition, and the state it was made on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub isr: Vec<IsrMember>,
    pub recovery: Recovery,
}

/// Who is in sync, as which run: the broker epoch of its replication stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsrMember {
    pub node: NodeId,
    pub epoch: BrokerEpoch,
}

/// What became of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlteredPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
    pub outcome: Result<Partition, Refused>,
}

pub(super) fn alter(draft: &mut Draft<'_>, request: &AlterPartitions) -> Result<Vec<AlteredPartition>, Refused> {
    draft.node(request.leader, request.epoch)?;
    let mut results = Vec::with_capacity(request.partitions.len());
    for wish in &request.partitions {
        let outcome = alter_one(draft, request.leader, wish);
        results.push(AlteredPartition { topic: wish.topic, partition: wish.partition, outcome });
    }
    Ok(results)
}

fn alter_one(draft: &mut Draft<'_>, leader: NodeId, wish: &AlterPartition) -> Result<Partition, Refused> {
    let partition = find(draft, wish)?;
    let isr = check(draft, leader, partition, wish)?;
    let plan = plan(draft, partition, wish, isr);
    // It may be so already. A new partition epoch then says what became of earlier attempts that got no answer.
    let unchanged = || PartitionState { partition_epoch: partition.state.partition_epoch.next(), ..partition.state };
    let state = Judge::of(draft.image(), wish.topic).settle(partition, &plan).unwrap_or_else(unchanged);
    let settled = Partition { state, ..partition.clone() };
    let mut changes = Changes::default();
    changes.add(wish.topic, PartitionChange { partition: wish.partition, state });
    draft.record_changes(changes);
    match state.leader {
        Some(now) if now != leader => Err(Refusal::NewLeaderElected.because(format!("node {now} leads now"))),
        _ => Ok(settled),
    }
}

fn find<'d>(draft: &'d Draft<'_>, wish: &AlterPartition) -> Result<&'d Partition, Refused> {
    let Some(topic) = draft.image().topics().get(wish.topic) else {
        return Err(Refusal::UnknownTopicId.because(format!("there is no topic with id {}", wish.topic)));
    };
    let unknown = || format!("topic {} has no partition {}", topic.name, wish.partition);
    topic.partition(wish.partition).ok_or_else(|| Refusal::UnknownTopicOrPartition.because(unknown()))
}

/// The wished ISR, if it may be.
fn check(
    draft: &Draft<'_>,
    leader: NodeId,
    partition: &Partition,
    wish: &AlterPartition,
) -> Result<ReplicaSet, Refused> {
    let now = &partition.state;
    if wish.leader_epoch > now.leader_epoch || wish.partition_epoch > now.partition_epoch {
        return Err(Refusal::NotController.because("the leader has seen a later epoch than this controller"));
    }
    if wish.leader_epoch < now.leader_epoch {
        let why = format!("the leader epoch is {}, not {}", now.leader_epoch, wish.leader_epoch);
        return Err(Refusal::FencedLeaderEpoch.because(why));
    }
    if now.leader != Some(leader) {
        return Err(Refusal::InvalidRequest.because(format!("node {leader} does not lead the partition")));
    }
    if wish.partition_epoch < now.partition_epoch {
        let why = format!("the partition epoch is {}, not {}", now.partition_epoch, wish.partition_epoch);
        return Err(Refusal::InvalidUpdateVersion.because(why));
    }
    let stranger = |node| Refusal::InvalidRequest.because(format!("node {node} is not a replica of the partition"));
    let isr = partition.set_of(wish.isr.iter().map(|member| member.node)).map_err(stranger)?;
    if !partition.only(leader).is_subset_of(isr) {
        return Err(Refusal::InvalidRequest.because("the ISR is without its leader"));
    }
    if wish.recovery == Recovery::Recovering && (now.recovery == Recovery::Recovered || isr.len() > 1) {
        return Err(Refusal::InvalidRequest.because("only a leader that is alone in the ISR can be recovering"));
    }
    for member in &wish.isr {
        check_member(draft, partition, *member)?;
    }
    Ok(isr)
}

/// A member must be the run that is registered, and active; one that was in the ISR before may be on its way out.
fn check_member(draft: &Draft<'_>, partition: &Partition, member: IsrMember) -> Result<(), Refused> {
    let IsrMember { node, epoch } = member;
    let joins = !partition.only(node).is_subset_of(partition.state.isr);
    let why = match draft.image().nodes().get(node) {
        None => format!("node {node} is not registered"),
        Some(known) if known.epoch != epoch && !Mutant::StaleBrokerEpoch.lives() => {
            format!("node {node} is registered with epoch {}, not {epoch}", known.epoch)
        }
        Some(known) if known.is_fenced() => format!("node {node} is fenced"),
        Some(_) if partition.only(node).and(partition.state.offline) != ReplicaSet::EMPTY => {
            format!("node {node} has said that its replica is offline")
        }
        Some(known) if joins && known.state == NodeState::ShuttingDown => format!("node {node} is shutting down"),
        Some(_) => return Ok(()),
    };
    Err(Refusal::IneligibleReplica.because(why))
}

/// A leader on its way out hands over as soon as somebody else is in sync.
fn plan(draft: &Draft<'_>, partition: &Partition, wish: &AlterPartition, isr: ReplicaSet) -> Plan {
    let plan = Plan { isr, recovery: wish.recovery, ..Plan::same(partition, Election::Keep) };
    let Some(leader) = partition.state.leader.and_then(|leader| draft.image().nodes().get(leader)) else {
        return plan;
    };
    let others = partition.members(isr).any(|node| draft.image().nodes().is_active(node));
    match leader.state {
        NodeState::ShuttingDown if others => Plan { isr: isr.without(partition.only(leader.id)), ..plan },
        _ if leader.draining => Plan { election: Election::Move, ..plan },
        _ => plan,
    }
}

//! A pretend controller: registrations, fencing, elections from ISR and ELR, compare-and-set of the ISR.

use crate::base::ids::*;
use crate::replica::isr::{Outcome, Proposal, Replica, Standing};
use crate::replica::leader::Assignment;

pub(super) const MIN_ISR: usize = 2;

/// One state of the metadata; brokers learn of them one after another, late.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) leader: Option<NodeId>,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) partition_epoch: PartitionEpoch,
    pub(super) isr: Vec<NodeId>,
    /// Left the ISR when it was at its minimum: has all that is committed (KIP-966).
    pub(super) elr: Vec<NodeId>,
    pub(super) standings: Vec<Standing>,
}

impl Metadata {
    pub(super) fn assignment(&self) -> Assignment {
        let replicas = self.standings.iter().enumerate().map(|(id, standing)| Replica {
            id: NodeId(id as i32),
            in_isr: self.isr.contains(&NodeId(id as i32)),
            adding: false,
            standing: *standing,
        });
        Assignment {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            replicas: replicas.collect(),
        }
    }

    fn standing(&self, id: NodeId) -> &Standing {
        &self.standings[id.0 as usize]
    }
}

pub(super) struct Controller {
    pub(super) history: Vec<Metadata>,
    registrations: i64,
}

impl Controller {
    pub(super) fn new(brokers: usize) -> Self {
        let ids: Vec<_> = (0..brokers).map(|id| NodeId(id as i32)).collect();
        let standings = ids.iter().map(|id| Standing { broker_epoch: BrokerEpoch(i64::from(id.0)), active: true });
        let first = Metadata {
            leader: Some(NodeId(0)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            standings: standings.collect(),
            isr: ids,
            elr: Vec::new(),
        };
        Self { history: vec![first], registrations: brokers as i64 }
    }

    pub(super) fn now(&self) -> &Metadata {
        self.history.last().unwrap()
    }

    /// AlterPartition. An unchanged ISR moves the partition epoch too: the leader may be in doubt about an attempt.
    pub(super) fn alter(&mut self, from: NodeId, proposal: &Proposal) -> Outcome {
        let mut next = self.now().clone();
        let epochs = (proposal.leader_epoch, proposal.partition_epoch);
        if next.leader != Some(from) || (next.leader_epoch, next.partition_epoch) != epochs {
            return Outcome::Outdated;
        }
        let stands = |(id, epoch): &(NodeId, BrokerEpoch)| {
            next.standing(*id).active && next.standing(*id).broker_epoch == *epoch
        };
        if !proposal.isr.iter().all(stands) {
            return Outcome::Refused;
        }
        let isr: Vec<_> = proposal.isr.iter().map(|(id, _)| *id).collect();
        resize(&mut next, isr.clone(), None);
        next.partition_epoch = next.partition_epoch.next();
        let partition_epoch = next.partition_epoch;
        self.history.push(next);
        Outcome::Accepted { partition_epoch, isr }
    }

    pub(super) fn fence(&mut self, id: NodeId) {
        let mut next = self.now().clone();
        next.standings[id.0 as usize].active = false;
        leave(&mut next, id, None);
        self.history.push(next);
    }

    pub(super) fn unfence(&mut self, id: NodeId) {
        let mut next = self.now().clone();
        next.standings[id.0 as usize].active = true;
        elect_if_leaderless(&mut next);
        self.history.push(next);
    }

    /// A process starts: its predecessor is fenced, and out for good if it may have lost what it had.
    pub(super) fn register(&mut self, id: NodeId, lost_its_tail: bool) -> BrokerEpoch {
        let mut next = self.now().clone();
        self.registrations += 1;
        let broker_epoch = BrokerEpoch(self.registrations);
        next.standings[id.0 as usize] = Standing { broker_epoch, active: false };
        leave(&mut next, id, lost_its_tail.then_some(id));
        self.history.push(next);
        self.unfence(id);
        broker_epoch
    }

    /// Moves leadership to an in-sync replica, as a drain or a preferred election does.
    pub(super) fn move_leader(&mut self, to: NodeId) {
        let mut next = self.now().clone();
        if next.isr.contains(&to) && next.standing(to).active && next.leader != Some(to) {
            name_leader(&mut next, Some(to));
            self.history.push(next);
        }
    }
}

fn leave(next: &mut Metadata, id: NodeId, unclean: Option<NodeId>) {
    let before = (next.isr.clone(), next.elr.clone());
    let isr = next.isr.iter().copied().filter(|member| *member != id).collect();
    resize(next, isr, unclean);
    if next.leader == Some(id) {
        name_leader(next, None);
        elect_if_leaderless(next);
    } else if before != (next.isr.clone(), next.elr.clone()) {
        next.partition_epoch = next.partition_epoch.next();
    }
}

fn resize(next: &mut Metadata, isr: Vec<NodeId>, unclean: Option<NodeId>) {
    let had_everything = next.elr.iter().chain(&next.isr).copied();
    let eligible = had_everything.filter(|id| !isr.contains(id) && Some(*id) != unclean);
    next.elr = if isr.len() < MIN_ISR { eligible.collect() } else { Vec::new() };
    next.isr = isr;
}

fn elect_if_leaderless(next: &mut Metadata) {
    if next.leader.is_some() {
        return;
    }
    let active = |id: &&NodeId| next.standing(**id).active;
    if let Some(id) = next.isr.iter().find(active).copied() {
        name_leader(next, Some(id));
    } else if let Some(id) = next.elr.iter().find(active).copied().filter(|_| next.isr.is_empty()) {
        next.isr.push(id);
        next.elr.retain(|eligible| *eligible != id);
        name_leader(next, Some(id));
    }
}

fn name_leader(next: &mut Metadata, leader: Option<NodeId>) {
    next.leader = leader;
    next.leader_epoch = next.leader_epoch.next();
    next.partition_epoch = next.partition_epoch.next();
}

//! What must hold after every batch, whatever was asked: the reason why the rules are as they are.

use crate::base::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::controller::{Command, ElectionKind};
use crate::metadata::nodes::{Boot, NodeState};
use crate::metadata::partitions::{Partition, Recovery, ReplicaSet};
use crate::metadata::{Image, snapshot};
use std::collections::BTreeMap;

type Key = (TopicId, PartitionIndex);

/// What has been promised so far.
#[derive(Default)]
pub struct Promises {
    /// Who led in which epoch.
    leaders: BTreeMap<(Key, LeaderEpoch), NodeId>,
    /// Which replicas have every committed record, if as much is committed as the rules allow.
    complete: BTreeMap<Key, ReplicaSet>,
    /// Which replicas are on a disk that was empty and have not caught up since.
    wiped: BTreeMap<Key, ReplicaSet>,
    pub elections: usize,
    /// Elections of a replica that may lack committed records.
    pub unclean_elections: usize,
}

impl Promises {
    pub fn check(&mut self, before: &Image, after: &Image, command: &Command) {
        let rebuilt = snapshot::rebuild(after.applied(), snapshot::facts(after));
        assert!(rebuilt == *after && rebuilt.hash() == after.hash(), "an image is the facts that make it");
        for topic in after.topics().iter() {
            let min_insync_replicas = after.configs().min_insync_replicas(topic.id);
            for (index, partition) in topic.partitions() {
                let key = (topic.id, index);
                let min_isr = partition.effective_min_isr(min_insync_replicas);
                check_shape(after, partition, min_isr);
                let Some(old) = before.topics().get(topic.id).and_then(|topic| topic.partition(index)) else {
                    self.complete.insert(key, partition.state.isr);
                    continue;
                };
                check_epochs(old, partition);
                let lost = self.lose(before, after, key, old, command);
                self.elect(after, key, old, partition, lost, command);
                self.commit(key, partition, min_isr);
            }
        }
    }

    /// The replicas that may just have lost their logs' ends.
    fn lose(&mut self, before: &Image, after: &Image, key: Key, old: &Partition, command: &Command) -> ReplicaSet {
        let none = ReplicaSet::EMPTY;
        if let Command::TakeOffline(request) = command {
            let is_meant = before.nodes().get(request.node).is_some_and(|node| node.epoch == request.epoch)
                && request.replicas.contains(&key);
            return if is_meant { self.forget(key, old.only(request.node)) } else { none };
        }
        let Command::Register(request) = command else { return none };
        let (Some(was), Some(is)) = (before.nodes().get(request.node), after.nodes().get(request.node)) else {
            return none;
        };
        let own = old.only(request.node);
        let wiped = was.registration.directories.iter().any(|it| !is.registration.directories.contains(it));
        let unproven = request.previous_epoch != Some(was.epoch);
        let crashed = is.epoch != was.epoch && (unproven || request.registration.boot == Boot::MachineCrash);
        if wiped {
            let wiped = self.wiped.entry(key).or_default();
            *wiped = wiped.with(own);
        } else if !crashed || before.configs().commits_are_synced(key.0) {
            return none;
        }
        self.forget(key, own)
    }

    fn forget(&mut self, key: Key, replicas: ReplicaSet) -> ReplicaSet {
        let complete = self.complete.entry(key).or_default();
        *complete = complete.without(replicas);
        replicas
    }

    /// A leader has everything that is committed, or the rules allow that it lacks some.
    fn elect(
        &mut self,
        image: &Image,
        key: Key,
        old: &Partition,
        new: &Partition,
        lost: ReplicaSet,
        command: &Command,
    ) {
        let complete = self.complete.entry(key).or_default();
        let wiped = self.wiped.entry(key).or_default();
        if let Command::AlterPartitions(_) = command {
            *complete = complete.with(new.state.isr.without(old.state.isr)); // they have caught up, says their leader
        }
        let Some(leader) = new.state.leader else { return };
        let first = *self.leaders.entry((key, new.state.leader_epoch)).or_insert(leader);
        assert_eq!(first, leader, "{key:?} has two leaders in epoch {}", new.state.leader_epoch);
        if old.state.leader == Some(leader) {
            return;
        }
        self.elections += 1;
        let own = new.only(leader);
        if !own.is_subset_of(*complete) {
            self.unclean_elections += 1;
            let asked = matches!(command, Command::ElectLeaders(request) if request.kind == ElectionKind::Unclean);
            let allowed = asked || image.configs().unclean_leader_election(key.0) || new.replicas.len() == 1;
            let nobody_better = old.state.isr.with(old.state.elr).is_subset_of(lost);
            let remembered = old.state.last_known_leader == Some(leader) && !own.is_subset_of(*wiped);
            assert!(allowed || nobody_better && remembered, "{key:?}: the leader lacks committed records: {new:?}");
            assert_eq!(new.state.recovery, Recovery::Recovering, "{key:?}: nobody is told of the loss: {new:?}");
            *complete = own;
        }
    }

    /// As much is committed as the rules allow: only who is in the ISR has it.
    fn commit(&mut self, key: Key, partition: &Partition, min_isr: usize) {
        let state = &partition.state;
        if state.leader.is_some() && state.isr.len() >= min_isr {
            self.complete.insert(key, state.isr);
        }
        let wiped = self.wiped.entry(key).or_default();
        *wiped = wiped.without(state.isr);
    }
}

fn check_shape(image: &Image, partition: &Partition, min_isr: usize) {
    let state = &partition.state;
    let replicas = ReplicaSet::first(partition.replicas.len());
    assert!(state.isr.with(state.elr).is_subset_of(replicas), "not replicas: {partition:?}");
    assert!(state.isr.and(state.elr).is_empty(), "in ISR and ELR: {partition:?}");
    assert!(state.elr.is_empty() || state.isr.len() < min_isr, "an ELR that protects nothing: {partition:?}");
    for node in partition.isr() {
        let fenced = image.nodes().get(node).is_none_or(|node| node.is_fenced());
        assert!(!fenced, "fenced node {node} in the ISR: {partition:?}");
    }
    match state.leader {
        Some(leader) => assert!(partition.isr().any(|node| node == leader), "led from outside: {partition:?}"),
        None => {
            assert!(state.offline.and(state.isr.with(state.elr)).is_empty(), "offline, and counted on: {partition:?}");
            let mut able = partition.members(state.isr.with(state.elr)).filter(|node| image.nodes().is_active(*node));
            assert_eq!(able.next(), None, "nobody leads, but somebody could: {partition:?}");
        }
    }
    let alone = partition.isr().count() == 1;
    for node in partition.isr().filter_map(|node| image.nodes().get(node)) {
        assert!(alone || node.state != NodeState::ShuttingDown, "node {} leaves, others stay: {partition:?}", node.id);
    }
    assert!(state.recovery == Recovery::Recovered || state.isr.len() <= 1, "recovering, not alone: {partition:?}");
}

fn check_epochs(old: &Partition, new: &Partition) {
    let (then, now) = (&old.state, &new.state);
    assert!(now.leader_epoch >= then.leader_epoch, "the leader epoch went back: {new:?}");
    assert!(now.partition_epoch >= then.partition_epoch, "the partition epoch went back: {new:?}");
    let changed = then != now;
    assert_eq!(changed, now.partition_epoch > then.partition_epoch, "the partition epoch counts changes: {new:?}");
    if then.leader != now.leader {
        assert!(now.leader_epoch > then.leader_epoch, "another leader in the same epoch: {new:?}");
    }
}

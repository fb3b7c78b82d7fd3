//! Elections: what becomes of a partition when its ISR, its replicas' nodes or its rules change.
//!
//! Every change of a partition goes through [`Judge::settle`], so that ISR, ELR, leader and epochs always move
//! together.
//!
//! ```text
//!   who leads, first that exists                              afterwards
//!   1  the leader, while it is in the ISR and not fenced      ISR stays
//!   2  first able replica of the ISR                          ISR stays
//!   3  first able replica of the ELR, if the ISR is empty     ISR = it
//!   4  the only replica, or the last known leader,            ISR = it, RECOVERING
//!      if ISR and ELR are empty
//!   5  first able replica, if unclean election is allowed     ISR = it, RECOVERING, ELR empty
//!   6  nobody; the leader is remembered
//! ```
//!
//! Able is who is registered, active and not offline; of several, one that is not being drained. A leader that is to
//! move (it is drained or shuts down) comes after the others of the ISR.

use super::draft::{Changes, Draft};
use super::{Refusal, Refused};
use crate::base::ids::{NodeId, PartitionIndex, TopicId};
use crate::base::limits::ELECTIONS_PER_DECISION_MAX;
use crate::metadata::Image;
use crate::metadata::nodes::NodeState;
use crate::metadata::partitions::{Partition, PartitionState, Recovery, ReplicaSet};
use crate::metadata::record::PartitionChange;

/// What is to become of a partition, before anybody is elected.
pub(super) struct Plan {
    pub isr: ReplicaSet,
    /// Replicas that may have lost committed records: they leave the ELR.
    pub lost: ReplicaSet,
    /// Whether they may have lost all, so that not even the last known leader counts.
    pub wiped: bool,
    pub offline: ReplicaSet,
    pub recovery: Recovery,
    pub election: Election,
}

/// Who comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Election {
    /// The present leader.
    Keep,
    /// Anybody else of the ISR.
    Move,
    /// The first of the replica list.
    Preferred,
    /// The present leader; and if nobody can lead cleanly, then whoever is there.
    Unclean,
}

impl Plan {
    /// Nothing changes but the world around the partition.
    pub fn same(partition: &Partition, election: Election) -> Self {
        let PartitionState { isr, offline, recovery, .. } = partition.state;
        Self { isr, lost: ReplicaSet::EMPTY, wiped: false, offline, recovery, election }
    }
}

/// Judges the partitions of one topic.
pub(super) struct Judge<'a> {
    image: &'a Image,
    topic: TopicId,
    min_insync_replicas: usize,
    unclean: bool,
}

/// Which replicas of a partition can do what.
struct Able {
    /// Not fenced: a leader can stay.
    serving: ReplicaSet,
    /// Active: can become leader.
    active: ReplicaSet,
    /// Active and not being drained: should become leader.
    willing: ReplicaSet,
}

impl<'a> Judge<'a> {
    pub fn of(image: &'a Image, topic: TopicId) -> Self {
        let configs = image.configs();
        let min_insync_replicas = configs.min_insync_replicas(topic);
        Self { image, topic, min_insync_replicas, unclean: configs.unclean_leader_election(topic) }
    }

    /// Settles a partition and gathers the change, if there is one.
    pub fn change(&self, changes: &mut Changes, index: PartitionIndex, partition: &Partition, plan: &Plan) {
        if let Some(state) = self.settle(partition, plan) {
            changes.add(self.topic, PartitionChange { partition: index, state });
        }
    }

    /// The state that follows from a plan; none if nothing changes.
    pub fn settle(&self, partition: &Partition, plan: &Plan) -> Option<PartitionState> {
        let old = &partition.state;
        let mut new = PartitionState { isr: plan.isr, offline: plan.offline, recovery: plan.recovery, ..*old };
        new.elr = old.elr.without(plan.lost).without(plan.isr);
        let clean = self.elect(partition, &mut new, plan.election);
        if plan.wiped && new.last_known_leader.is_some_and(|node| partition.only(node) == plan.lost) {
            new.last_known_leader = None;
        }
        let min_isr = partition.effective_min_isr(self.min_insync_replicas);
        new.elr = if new.isr.len() >= min_isr || !clean {
            ReplicaSet::EMPTY
        } else {
            old.elr.with(old.isr).without(new.isr).without(plan.lost)
        };
        if new == *old {
            return None;
        }
        if new.leader != old.leader {
            new.leader_epoch = old.leader_epoch.next(); // R11
        }
        new.partition_epoch = old.partition_epoch.next();
        Some(new)
    }

    /// Finds a leader for `new`, whose ISR and ELR are as planned. False if it may lack committed records.
    fn elect(&self, partition: &Partition, new: &mut PartitionState, election: Election) -> bool {
        let able = self.able(partition, new.offline);
        if let Some(place) = in_sync(partition, new, election, &able) {
            lead(partition, new, place);
            return true;
        }
        if !new.isr.is_empty() {
            // Whoever is in the ISR has everything, so nobody else may lead; it will come back or be fenced.
            nobody_leads(new);
            return true;
        }
        if let Some(place) = first(new.elr, &able) {
            lead(partition, new, place);
            new.isr = ReplicaSet::at(place);
            return true;
        }
        let Some(place) = self.last_resort(partition, new, election, &able) else {
            nobody_leads(new);
            return true;
        };
        lead(partition, new, place);
        new.isr = ReplicaSet::at(place);
        new.recovery = Recovery::Recovering;
        false
    }

    /// Who leads although it may lack committed records.
    fn last_resort(
        &self,
        partition: &Partition,
        new: &PartitionState,
        election: Election,
        able: &Able,
    ) -> Option<usize> {
        if new.elr.is_empty() {
            let known = match new.last_known_leader {
                _ if partition.replicas.len() == 1 => ReplicaSet::at(0),
                Some(node) => partition.only(node),
                None => ReplicaSet::EMPTY,
            };
            if let Some(place) = known.and(able.active).first_place() {
                return Some(place);
            }
        }
        if self.unclean || election == Election::Unclean { first(able.active, able) } else { None }
    }

    fn able(&self, partition: &Partition, offline: ReplicaSet) -> Able {
        let mut able = Able { serving: ReplicaSet::EMPTY, active: ReplicaSet::EMPTY, willing: ReplicaSet::EMPTY };
        for (place, node) in partition.replicas.iter().enumerate().filter(|(place, _)| !offline.has(*place)) {
            let Some(node) = self.image.nodes().get(*node) else { continue };
            let it = ReplicaSet::at(place);
            if node.state != NodeState::Fenced {
                able.serving = able.serving.with(it);
            }
            if node.state == NodeState::Active {
                able.active = able.active.with(it);
            }
            if node.state == NodeState::Active && !node.draining {
                able.willing = able.willing.with(it);
            }
        }
        able
    }
}

/// Who of the ISR leads.
fn in_sync(partition: &Partition, new: &PartitionState, election: Election, able: &Able) -> Option<usize> {
    let leader = new.leader.map_or(ReplicaSet::EMPTY, |node| partition.only(node));
    let present = leader.and(new.isr).and(able.serving).first_place();
    let preferred = ReplicaSet::at(0).and(new.isr).and(able.willing).first_place();
    match election {
        Election::Preferred => preferred.or(present),
        Election::Move => new.isr.and(able.willing).first_place().or(present),
        Election::Keep | Election::Unclean => present,
    }
    .or_else(|| first(new.isr, able))
}

/// The first of these that can lead, rather one that is not being drained.
fn first(of: ReplicaSet, able: &Able) -> Option<usize> {
    of.and(able.willing).first_place().or_else(|| of.and(able.active).first_place())
}

fn lead(partition: &Partition, new: &mut PartitionState, place: usize) {
    new.leader = Some(partition.replicas[place]);
    new.last_known_leader = None;
}

fn nobody_leads(new: &mut PartitionState) {
    new.last_known_leader = new.leader.or(new.last_known_leader);
    new.leader = None;
}

/// Settles every partition that has a replica on this node, each by a plan of its own.
pub(super) fn settle_hosted(
    draft: &mut Draft<'_>,
    node: NodeId,
    plan: impl Fn(TopicId, PartitionIndex, &Partition) -> Option<Plan>,
) {
    let mut changes = Changes::default();
    let image = draft.image();
    let mut judge: Option<Judge<'_>> = None;
    for (topic, index, partition) in image.topics().hosted_by(node) {
        let Some(plan) = plan(topic.id, index, partition) else { continue };
        let judge = match &mut judge {
            Some(judge) if judge.topic == topic.id => judge,
            other => other.insert(Judge::of(image, topic.id)),
        };
        judge.change(&mut changes, index, partition, &plan);
    }
    draft.record_changes(changes);
}

/// Settles every partition of a topic as it is: its rules have changed.
pub(super) fn settle_topic(draft: &Draft<'_>, topic: TopicId, changes: &mut Changes) {
    let judge = Judge::of(draft.image(), topic);
    let partitions = draft.image().topics().get(topic).into_iter().flat_map(|topic| topic.partitions());
    for (index, partition) in partitions {
        judge.change(changes, index, partition, &Plan::same(partition, Election::Keep));
    }
}

/// Asks for elections, because an operator wants them or leaders are to go back where they belong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElectLeaders {
    pub kind: ElectionKind,
    /// None: every partition that needs one, a bounded number at a time.
    pub partitions: Option<Vec<(String, PartitionIndex)>>,
}

/// Kafka's two kinds of election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionKind {
    /// The first replica of the list leads again, if it is in the ISR.
    Preferred,
    /// Somebody leads, even if committed records are lost.
    Unclean,
}

/// What became of one election.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElectedLeader {
    pub topic: String,
    pub partition: PartitionIndex,
    pub outcome: Result<(), Refused>,
}

pub(super) fn elect(draft: &mut Draft<'_>, request: &ElectLeaders) -> Vec<ElectedLeader> {
    let wanted = match &request.partitions {
        Some(partitions) => partitions.clone(),
        None => needing(draft.image(), request.kind),
    };
    let mut results = Vec::with_capacity(wanted.len());
    for (topic, partition) in wanted {
        let outcome = elect_one(draft, &topic, partition, request.kind);
        results.push(ElectedLeader { topic, partition, outcome });
    }
    results
}

/// The partitions that such an election would help.
fn needing(image: &Image, kind: ElectionKind) -> Vec<(String, PartitionIndex)> {
    let all = image.topics().iter_by_name().flat_map(|topic| {
        let judge = Judge::of(image, topic.id);
        let needing = topic
            .partitions()
            .filter(move |(_, partition)| is_needed(partition, kind) && elected(&judge, partition, kind).is_some());
        needing.map(|(index, _)| (topic.name.to_string(), index))
    });
    all.take(ELECTIONS_PER_DECISION_MAX).collect()
}

/// The state after the election, if it brings what was asked for.
fn elected(judge: &Judge<'_>, partition: &Partition, kind: ElectionKind) -> Option<PartitionState> {
    let (election, wanted) = match kind {
        ElectionKind::Preferred => (Election::Preferred, Some(partition.preferred_leader())),
        ElectionKind::Unclean => (Election::Unclean, None),
    };
    let state = judge.settle(partition, &Plan::same(partition, election))?;
    let leader = state.leader?;
    wanted.is_none_or(|wanted| wanted == leader).then_some(state)
}

fn is_needed(partition: &Partition, kind: ElectionKind) -> bool {
    match kind {
        ElectionKind::Preferred => partition.state.leader != Some(partition.preferred_leader()),
        ElectionKind::Unclean => partition.state.leader.is_none(),
    }
}

fn elect_one(draft: &mut Draft<'_>, topic: &str, index: PartitionIndex, kind: ElectionKind) -> Result<(), Refused> {
    let unknown = || Refusal::UnknownTopicOrPartition.because(format!("there is no partition {topic}-{index}"));
    let topic = draft.image().topics().named(topic).ok_or_else(unknown)?;
    let (topic, name) = (topic.id, topic.name.clone());
    let partition = draft.image().topics().get(topic).and_then(|it| it.partition(index)).ok_or_else(unknown)?;
    if !is_needed(partition, kind) {
        return Err(Refusal::ElectionNotNeeded.because(format!("{name}-{index} has the leader it should have")));
    }
    let Some(state) = elected(&Judge::of(draft.image(), topic), partition, kind) else {
        let preferred = partition.preferred_leader();
        return Err(match kind {
            ElectionKind::Preferred => Refusal::PreferredLeaderNotAvailable
                .because(format!("node {preferred} cannot lead {name}-{index}: it is not active and in sync")),
            ElectionKind::Unclean => {
                Refusal::EligibleLeadersNotAvailable.because(format!("no replica of {name}-{index} is active"))
            }
        });
    };
    let mut changes = Changes::default();
    changes.add(topic, PartitionChange { partition: index, state });
    draft.record_changes(changes);
    Ok(())
}

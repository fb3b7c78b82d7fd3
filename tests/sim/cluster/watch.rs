//! What every node says of itself, looked at after every step, and the rules that hold for it.
//!
//! - nodes that have applied as much metadata have the same; epochs of partitions only grow; who is fenced is in no ISR
//!   (I8, I20);
//! - nobody is fenced again and again;
//! - one leader per leader epoch (I7);
//! - while a process runs, its high watermarks do not go back, and its logs are not cut below them (I5, I9);
//! - a leader commits nothing by what was said in an earlier epoch (R6);
//! - who joins the ISR of a leader has, as far as it counts, all that the leader's epoch began with (R8);
//! - what was ever committed is on every member of the ISR and of the ELR (I5, I7), and nothing is committed while the
//!   ISR is too small;
//! - what is acknowledged is on as many replicas as `min.insync.replicas` says (I1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dohle::base::ids::{BrokerEpoch, LeaderEpoch, MetadataIndex, NodeId, Offset, PartitionIndex};
use dohle::metadata::partitions::Partition as Assigned;
use dohle::metadata::topics::Topic;
use dohle::metadata::{Image, StateHash};

use super::node::{Inside, NAMES, Place};
use super::{MIN_INSYNC, PARTITIONS, TOPIC};
use crate::world::trace::Trace;

/// Who is fenced so often in so long is let in when it should not be.
const FENCED_MAX: usize = 5;
const FLAPPING: Duration = Duration::from_secs(1);

/// How long an answer to a client may take.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// What is remembered from step to step.
#[derive(Default)]
pub struct Watch {
    trace: Trace,
    metadata: BTreeMap<MetadataIndex, StateHash>,
    newest: Arc<Image>,
    leaders: BTreeMap<(PartitionIndex, LeaderEpoch), usize>,
    replicas: BTreeMap<(usize, PartitionIndex), Replica>,
    /// Where the log of a leader ended before its epoch began; or earlier.
    epoch_starts: BTreeMap<(PartitionIndex, LeaderEpoch), Offset>,
    /// Who was taken into an ISR just now, by the leader of that epoch.
    joined: Vec<(PartitionIndex, LeaderEpoch, usize)>,
    /// Who has moved a high watermark just now, in which epoch.
    committing: Vec<(PartitionIndex, LeaderEpoch, usize)>,
    is_fsync: bool,
    /// Machines that may have lost something, the registration their broker had, and whether all is gone.
    losses: BTreeMap<usize, (Option<BrokerEpoch>, bool)>,
    /// When the cluster could last not know yet that a machine had lost something.
    unnoticed_at: BTreeMap<usize, Duration>,
    /// How far anything was ever said to be committed.
    committed: BTreeMap<PartitionIndex, Offset>,
    /// When each node was fenced of late.
    fenced: BTreeMap<NodeId, Vec<Duration>>,
    pub truncations: usize,
    violations: Vec<String>,
    now: Duration,
}

/// One replica, as it was seen last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    run: u64,
    seen_at: Duration,
    pub end: Offset,
    flushed_end: Offset,
    pub high_watermark: Offset,
    pub led_epoch: Option<LeaderEpoch>,
    /// The epoch of the partition in the metadata that this node has read.
    known_epoch: Option<LeaderEpoch>,
    /// Whether the ISR was large enough to commit anything, to the knowledge of anybody who counts.
    may_commit: bool,
}

impl Watch {
    pub fn new(trace: Trace, is_fsync: bool) -> Self {
        Self { trace, is_fsync, ..Self::default() }
    }

    /// The newest metadata that any node has applied.
    pub fn newest(&self) -> &Arc<Image> {
        &self.newest
    }

    /// The topic's partitions, in the newest metadata.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &Assigned)> {
        self.newest.topics().named(TOPIC).into_iter().flat_map(Topic::partitions)
    }

    pub fn replica(&self, place: usize, index: PartitionIndex) -> Option<Replica> {
        self.replicas.get(&(place, index)).copied()
    }

    /// How often another leader took over.
    pub fn leader_changes(&self) -> usize {
        self.leaders.len().saturating_sub(PARTITIONS as usize)
    }

    /// A machine has crashed, or its disk was wiped: nothing is known of what it kept.
    pub fn forget(&mut self, place: usize, is_wiped: bool) {
        self.replicas.retain(|(on, _), _| *on != place);
        let is_wiped = is_wiped || self.is_wiped_unnoticed(place);
        self.losses.insert(place, (self.epoch_of(place), is_wiped));
    }

    /// The registration of a machine's broker.
    pub fn epoch_of(&self, place: usize) -> Option<BrokerEpoch> {
        self.newest.nodes().iter().find(|node| place_of(node.id) == place).map(|node| node.epoch)
    }

    /// Whether the cluster cannot know yet that a machine has lost something: its broker has not come back.
    pub fn has_lost_unnoticed(&self, place: usize) -> bool {
        self.losses.get(&place).is_some_and(|(before, _)| self.epoch_of(place) <= *before)
    }

    /// The same of a machine that has lost all.
    pub fn is_wiped_unnoticed(&self, place: usize) -> bool {
        self.has_lost_unnoticed(place) && self.losses[&place].1
    }

    /// Looks at every node, and says what is wrong.
    pub fn look(&mut self, places: &[Place], now: Duration) -> Vec<String> {
        self.now = now;
        let unnoticed = (0..NAMES.len()).filter(|place| self.has_lost_unnoticed(*place));
        let unnoticed: Vec<_> = unnoticed.map(|place| (place, now)).collect();
        self.unnoticed_at.extend(unnoticed);
        let inside: Vec<(usize, Inside)> =
            places.iter().enumerate().filter_map(|(at, place)| Some((at, place.inside()?))).collect();
        for (at, node) in &inside {
            self.on_metadata(*at, &node.broker.image());
            if let Some(controller) = &node.controller {
                self.on_metadata(*at, &controller.image());
            }
        }
        for (at, node) in &inside {
            for index in (0..PARTITIONS).map(PartitionIndex) {
                self.on_replica(*at, node, index);
            }
        }
        self.check_joined(&inside);
        self.check_committing(&inside);
        self.check_isr(&inside);
        std::mem::take(&mut self.violations)
    }

    fn on_metadata(&mut self, at: usize, image: &Arc<Image>) {
        let first = *self.metadata.entry(image.applied()).or_insert(image.hash());
        if first != image.hash() {
            self.violated(format!("the metadata of {} at {} differs from another node's", NAMES[at], image.applied()));
        }
        if image.applied() <= self.newest.applied() {
            return;
        }
        let older = std::mem::replace(&mut self.newest, Arc::clone(image));
        self.tell(&older, image);
        let Some(topic) = image.topics().named(TOPIC) else { return };
        for (index, now) in topic.partitions() {
            let before = older.topics().named(TOPIC).and_then(|topic| topic.partition(index));
            for why in wrong_with(now, before, image) {
                self.violated(format!("metadata at {}, partition {index}: {why}", image.applied()));
            }
            let epoch = now.state.leader_epoch;
            if let Some(before) = before.filter(|before| before.state.leader_epoch == epoch) {
                let new = now.isr().filter(|node| !before.isr().any(|old| old == *node));
                self.joined.extend(new.map(|node| (index, epoch, place_of(node))));
            }
        }
    }

    /// Writes down what has become of the nodes and the topic's partitions.
    fn tell(&mut self, older: &Image, newer: &Image) {
        let at = newer.applied();
        for node in newer.nodes().iter().filter(|node| older.nodes().get(node.id) != Some(node)) {
            let (id, epoch, boot) = (node.id, node.epoch, node.registration.boot);
            let said = format!("{at}: node {id} of epoch {epoch}, after {boot:?}, is {:?}", node.state);
            self.trace.at(self.now.as_micros(), said);
            if node.is_fenced() {
                self.on_fenced(node.id);
            }
        }
        let Some(topic) = newer.topics().named(TOPIC) else { return };
        for (index, new) in topic.partitions() {
            if older.topics().named(TOPIC).and_then(|topic| topic.partition(index)) == Some(new) {
                continue;
            }
            let (isr, elr): (Vec<_>, Vec<_>) =
                (new.isr().map(|node| node.0).collect(), new.elr().map(|it| it.0).collect());
            let leader = new.state.leader.map(|leader| leader.0);
            let epochs = (new.state.leader_epoch.0, new.state.partition_epoch.0);
            let said = format!("{at}: partition {index} led by {leader:?} in {epochs:?}, isr {isr:?}, elr {elr:?}");
            self.trace.at(self.now.as_micros(), said);
        }
    }

    fn on_fenced(&mut self, node: NodeId) {
        let times = self.fenced.entry(node).or_default();
        times.push(self.now);
        times.retain(|at| *at + FLAPPING > self.now);
        if times.len() > FENCED_MAX {
            self.violated(format!("{} is fenced again and again", NAMES[place_of(node)]));
        }
    }

    fn on_replica(&mut self, at: usize, node: &Inside, index: PartitionIndex) {
        let image = node.broker.image();
        let Some(topic) = image.topics().named(TOPIC) else { return };
        let Ok(partition) = node.broker.partition(topic.id, index) else { return };
        let may_commit = |image: &Image| {
            let topic = image.topics().named(TOPIC).and_then(|topic| topic.partition(index));
            topic.is_some_and(|partition| partition.state.isr.len() >= MIN_INSYNC)
        };
        let ends = partition.log_ends();
        let now = Replica {
            run: node.run,
            seen_at: self.now,
            end: ends.end,
            flushed_end: ends.flushed_end,
            high_watermark: partition.checkpoint()[0],
            led_epoch: partition.led_epoch(),
            known_epoch: topic.partition(index).map(|partition| partition.state.leader_epoch),
            may_commit: may_commit(&image) || may_commit(&self.newest),
        };
        let committed = self.committed.entry(index).or_default();
        *committed = now.high_watermark.max(*committed);
        let before = self.replicas.insert((at, index), now).filter(|before| before.run == now.run);
        if let Some(epoch) = now.led_epoch {
            self.epoch_starts.entry((index, epoch)).or_insert(before.map_or(Offset(0), |before| before.end));
            let first = *self.leaders.entry((index, epoch)).or_insert(at);
            if first != at {
                self.violated(format!("{} and {} lead {index} in epoch {epoch}", NAMES[first], NAMES[at]));
            }
        }
        let Some(before) = before else { return };
        self.truncations += usize::from(now.end < before.end);
        let name = NAMES[at];
        if now.end < before.high_watermark {
            self.violated(format!("{name} cut {index} at {}, committed up to {}", now.end, before.high_watermark));
        } else if now.high_watermark < before.high_watermark {
            self.violated(format!("the high watermark of {index} on {name} went back: {before:?}, {now:?}"));
        }
        let is_committing = now.led_epoch.is_some() && now.high_watermark > before.high_watermark;
        if let Some(epoch) = now.led_epoch.filter(|_| is_committing) {
            self.committing.push((index, epoch, at));
        }
        if is_committing && before.led_epoch == now.led_epoch && !before.may_commit && !now.may_commit {
            self.violated(format!("{name} commits {index} up to {} with too small an ISR", now.high_watermark));
        }
    }

    fn check_joined(&mut self, inside: &[(usize, Inside)]) {
        for (index, epoch, place) in std::mem::take(&mut self.joined) {
            let Some(replica) = self.running(inside, place, index) else { continue };
            let counted = if self.is_fsync { replica.flushed_end } else { replica.end };
            let start = self.epoch_starts.get(&(index, epoch)).copied().unwrap_or_default();
            if counted < start {
                let name = NAMES[place];
                self.violated(format!("{name} joined the ISR of {index} at {counted}, epoch {epoch} began at {start}"));
            }
        }
    }

    /// A leader commits by what the ISR has told it in its own epoch: a member that does not know of that epoch yet has
    /// told it nothing.
    fn check_committing(&mut self, inside: &[(usize, Inside)]) {
        for (index, epoch, leader) in std::mem::take(&mut self.committing) {
            let Some(node) = inside.iter().find(|(at, _)| *at == leader).map(|(_, node)| node) else { continue };
            let isr_in = |image: &Image| -> BTreeSet<usize> {
                let partition = image.topics().named(TOPIC).and_then(|topic| topic.partition(index));
                let partition = partition.filter(|partition| partition.state.leader_epoch == epoch);
                partition.into_iter().flat_map(Assigned::isr).map(place_of).collect()
            };
            let members = &isr_in(&node.broker.image()) & &isr_in(&self.newest);
            for member in members.into_iter().filter(|member| *member != leader) {
                let known = self.running(inside, member, index).and_then(|replica| replica.known_epoch);
                if let Some(known) = known.filter(|known| *known < epoch) {
                    let (leader, member) = (NAMES[leader], NAMES[member]);
                    let why =
                        format!("{leader} commits {index} in epoch {epoch}, {member} of the ISR is in {known} yet");
                    self.violated(why);
                }
            }
        }
    }

    /// Whoever may lead now or next has all that was ever committed.
    fn check_isr(&mut self, inside: &[(usize, Inside)]) {
        let mut wrong = Vec::new();
        for (index, assigned) in self.partitions() {
            let committed = self.committed.get(&index).copied().unwrap_or_default();
            for member in assigned.isr().chain(assigned.elr()).map(place_of) {
                let end = self.running(inside, member, index).map(|replica| replica.end);
                if let Some(end) = end.filter(|end| *end < committed) {
                    wrong
                        .push(format!("{} may lead {index} and ends at {end} of {committed} committed", NAMES[member]));
                }
            }
        }
        wrong.into_iter().for_each(|why| self.violated(why));
    }

    /// What a replica is now. One that its node has given up since, with its disk, is no more.
    fn running(&self, inside: &[(usize, Inside)], place: usize, index: PartitionIndex) -> Option<Replica> {
        let node = inside.iter().find(|(at, _)| *at == place).map(|(_, node)| node)?;
        self.replica(place, index).filter(|replica| replica.run == node.run && replica.seen_at == self.now)
    }

    /// On how many replicas this place of the partition was when it was acknowledged, as far as is known. A machine
    /// that has crashed may have had it, and the leader rightly counts it until its broker comes back as another run;
    /// just after that, the answer may still be on its way.
    pub fn copies(&self, index: PartitionIndex, offset: Offset) -> usize {
        let has_it = |place: &usize| self.replica(*place, index).is_some_and(|it| it.end > offset);
        let had_it = |place: &usize| self.unnoticed_at.get(place).is_some_and(|at| *at + ON_ITS_WAY > self.now);
        (0..NAMES.len()).filter(|place| has_it(place) || had_it(place)).count()
    }

    fn violated(&mut self, what: String) {
        self.violations.push(what);
    }
}

/// Where a node of this number stands among the names.
pub fn place_of(node: NodeId) -> usize {
    usize::try_from(node.0).expect("nodes are numbered from 1") - 1
}

/// What of a partition's metadata cannot be.
fn wrong_with(now: &Assigned, before: Option<&Assigned>, image: &Image) -> Vec<String> {
    let (isr, elr): (BTreeSet<_>, BTreeSet<_>) = (now.isr().collect(), now.elr().collect());
    let mut wrong = Vec::new();
    if let Some(node) = isr.iter().find(|node| image.nodes().get(**node).is_none_or(|node| node.is_fenced())) {
        wrong.push(format!("{node} is in the ISR and fenced"));
    }
    if now.state.leader.is_some_and(|leader| !isr.contains(&leader)) {
        wrong.push(format!("the leader {:?} is not in the ISR {isr:?}", now.state.leader));
    }
    if let Some(node) = isr.intersection(&elr).next() {
        wrong.push(format!("{node} is in the ISR and in the ELR"));
    }
    if let Some(before) = before {
        let (old, new) = (before.state, now.state);
        if (new.leader_epoch, new.partition_epoch) < (old.leader_epoch, old.partition_epoch) {
            wrong.push(format!("its epochs went back from {old:?} to {new:?}"));
        }
        if new.leader != old.leader && new.leader.is_some() && new.leader_epoch == old.leader_epoch {
            wrong.push(format!("another leader in the same epoch: {old:?}, {new:?}"));
        }
        if new != old && new.partition_epoch == old.partition_epoch {
            wrong.push(format!("it changed within one partition epoch: {old:?}, {new:?}"));
        }
    }
    wrong
}

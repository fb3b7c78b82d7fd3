//! The world around the minds: what may happen next, and what must never have happened.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;

use super::broker::{Broker, Role};
use super::client::{Client, Entry, Request};
use super::controller::{Controller, MIN_ISR, Metadata};
use crate::base::ids::*;
use crate::base::time::Millis;
use crate::replica::effect::*;
use crate::replica::follower::{Data, Leadership, Marks, Taken};
use crate::replica::isr::{Outcome, Policy, Proposal};
use crate::replica::leader::{Acks, Leader};
use crate::replica::producers::Verdict;
use crate::replica::{Durability, StreamId};

const BROKERS: usize = 3;
const CLIENTS: usize = 2;
/// Kinds of trouble; each seed knows only some of them, in its own measure, so that each meets the others' absence.
const TROUBLES: usize = 8;
const HEALING_STEPS: usize = 20_000;

/// What happened, so that a run in which nothing did is not taken for a proof.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) acked: u64,
    pub(super) duplicates: u64,
    pub(super) elections: u64,
    pub(super) truncations: u64,
    pub(super) joins: u64,
    pub(super) crashes: u64,
    pub(super) machine_crashes: u64,
    pub(super) doubts: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.acked += other.acked;
        self.duplicates += other.duplicates;
        self.elections += other.elections;
        self.truncations += other.truncations;
        self.joins += other.joins;
        self.crashes += other.crashes;
        self.machine_crashes += other.machine_crashes;
        self.doubts += other.doubts;
    }
}

enum ToLeader {
    Open(Open),
    Ack(Ack),
    Closed,
}

enum ToFollower {
    Opened(Opened),
    Data {
        data: Data,
        entries: Vec<Entry>,
        marks: Marks,
    },
    Marks(Marks),
    Closed,
}

/// A connection for one partition: in order, late, and possibly cut anywhere.
struct Stream {
    follower: Opener,
    leader: NodeId,
    to_leader: VecDeque<ToLeader>,
    to_follower: VecDeque<ToFollower>,
    /// What the leader pushes next, and the epoch it was opened in.
    sending: Option<(LeaderEpoch, Offset)>,
}

/// A proposal under way to the controller; it may arrive after its sender gave up.
struct Flight {
    from: NodeId,
    broker_epoch: BrokerEpoch,
    proposal: Proposal,
    given_up: bool,
}

pub(super) struct World {
    random: u64,
    /// One kind of trouble per place, as often as it is to come.
    troubles: Vec<usize>,
    trouble_in_1000: usize,
    /// Of so many messages one is delivered when its turn has come.
    slowness: usize,
    now: Millis,
    policy: Policy,
    controller: Controller,
    brokers: Vec<Broker>,
    clients: Vec<Client>,
    streams: BTreeMap<StreamId, Stream>,
    next_stream: u64,
    proposals: Vec<Flight>,
    outcomes: Vec<(NodeId, BrokerEpoch, LeaderEpoch, u32, Outcome)>,
    answers: Vec<(Request, Answer)>,
    /// Everything any leader ever declared committed.
    committed: Vec<Entry>,
    /// The last committed record of each producer.
    produced: BTreeMap<ProducerId, (ProducerEpoch, i32)>,
    tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Done,
    TryAgain,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let controller = Controller::new(BROKERS);
        let durability = if seed % 4 == 3 {
            Durability::Fsync
        } else {
            Durability::Replicated
        };
        let policy = Policy {
            min_insync_replicas: MIN_ISR,
            durability,
            replica_lag_time_max_ms: 400,
        };
        let mut brokers: Vec<_> = (0..BROKERS).map(|id| Broker::new(NodeId(id as i32))).collect();
        for broker in &mut brokers {
            broker.start(broker.epoch, 0, Millis(0));
        }
        let mut world = Self {
            random: seed,
            troubles: Vec::new(),
            trouble_in_1000: 0,
            slowness: 1,
            now: Millis(0),
            policy,
            controller,
            brokers,
            // The second one's sequences wrap on the way.
            clients: vec![Client::new(1, 0), Client::new(2, i32::MAX - 20)],
            streams: BTreeMap::new(),
            next_stream: 0,
            proposals: Vec::new(),
            outcomes: Vec::new(),
            answers: Vec::new(),
            committed: Vec::new(),
            produced: BTreeMap::new(),
            tally: Tally::default(),
        };
        world.choose_temper();
        let first = world.controller.now().clone();
        (0..BROKERS).for_each(|id| world.act_on(id, &first));
        world
    }

    fn choose_temper(&mut self) {
        self.trouble_in_1000 = [2, 8, 8, 40][self.below(4)];
        self.slowness = [1, 1, 2, 6][self.below(4)];
        for kind in 0..TROUBLES {
            let often = [0, 1, 1, 4][self.below(4)];
            self.troubles.extend(std::iter::repeat_n(kind, often));
        }
    }

    /// A stretch of trouble, then healing, after which everything must come to rest in order.
    pub(super) fn run(mut self, steps: usize) -> Tally {
        for _ in 0..steps {
            if self.below(1000) < self.trouble_in_1000 {
                self.trouble();
            } else {
                self.progress();
            }
            self.check();
        }
        self.heal();
        self.tally
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn any_broker(&mut self) -> usize {
        self.below(BROKERS)
    }

    /// What a healthy cluster does.
    fn progress(&mut self) {
        self.tally.steps += 1;
        self.now = self.now.plus(self.random % 4);
        let id = self.any_broker();
        match self.below(100) {
            0..8 => self.learn_metadata(id),
            8..13 => self.open(id),
            13..16 => self.wake(id),
            16..21 => self.flush(id),
            21..22 => self.checkpoint(id),
            22..38 => self.push_data(),
            38..72 => self.deliver(),
            72..82 => self.produce(),
            82..92 => self.answer(),
            92..95 => self.deliver_proposal(),
            95..98 => self.deliver_outcome(),
            _ => self.controller_notices(id),
        }
    }

    /// What happens to it.
    fn trouble(&mut self) {
        self.tally.steps += 1;
        let id = self.any_broker();
        let kind = self.below(self.troubles.len().max(1));
        match self.troubles.get(kind) {
            Some(0) => self.break_stream(),
            Some(1) => self.crash(id),
            Some(2) => self.crash_machine(id),
            Some(3) => self.controller.fence(NodeId(id as i32)),
            Some(4) => self.controller.move_leader(NodeId(id as i32)),
            Some(5) => self.give_up_proposal(),
            Some(6) => self.now = self.now.plus(300), // a pause: everybody lags
            Some(_) => self.trouble_clients(),
            None => {}
        }
    }

    fn heal(&mut self) {
        self.slowness = 1;
        for client in &mut self.clients {
            client.stops = true;
        }
        for step in 0..HEALING_STEPS {
            if step % 500 == 499 {
                (0..CLIENTS).for_each(|at| self.point_client(at));
            }
            self.progress();
            self.check();
            if step % 100 == 0 && self.is_at_rest() {
                self.check_prefixes();
                return;
            }
        }
        let roles = self.brokers.iter().map(|broker| match &broker.role {
            Role::Down => "down".to_owned(),
            Role::Follower(follower) => format!("{follower:?}"),
            Role::Leader(leader) => format!("{leader:?}"),
        });
        panic!(
            "no rest after healing: {:?}\n{}",
            self.controller.now(),
            roles.collect::<Vec<_>>().join("\n")
        );
    }

    /// Everybody is in sync, everything is committed, everybody knows, and every client is answered.
    fn is_at_rest(&self) -> bool {
        let end = Offset(self.committed.len() as i64);
        let level = |broker: &Broker| broker.log.end() == end && broker.high_watermark() == end;
        self.controller.now().isr.len() == BROKERS
            && self.brokers.iter().all(level)
            && self.clients.iter().all(Client::is_done)
    }

    // What brokers do.

    fn learn_metadata(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if !broker.is_up() || broker.applied + 1 >= self.controller.history.len() {
            return;
        }
        broker.applied += 1;
        let metadata = self.controller.history[broker.applied].clone();
        self.act_on(id, &metadata);
    }

    fn act_on(&mut self, id: usize, metadata: &Metadata) {
        let me = NodeId(id as i32);
        let mut effects = Vec::new();
        if let Role::Leader(leader) = &mut self.brokers[id].role
            && metadata.leader_epoch == leader.leader_epoch()
        {
            leader.on_partition_changed(&metadata.assignment(), self.now, &mut effects);
            for (other, standing) in metadata.standings.iter().enumerate() {
                leader.on_broker_changed(NodeId(other as i32), *standing, self.now, &mut effects);
            }
            return self.do_leader(id, effects);
        }
        self.resign(id);
        self.brokers[id].leader = metadata.leader;
        if metadata.leader == Some(me) {
            self.lead(id, metadata);
        } else {
            self.follow(id, metadata);
        }
    }

    fn resign(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        match std::mem::replace(&mut broker.role, Role::Down) {
            Role::Leader(leader) => broker.role = Role::Follower(leader.resign()),
            other => broker.role = other,
        }
        let answers = &mut self.answers;
        broker
            .waiters
            .drain(|request| answers.push((request, Answer::TryAgain)));
    }

    fn lead(&mut self, id: usize, metadata: &Metadata) {
        let broker = &mut self.brokers[id];
        let Role::Follower(follower) = std::mem::replace(&mut broker.role, Role::Down) else {
            return;
        };
        broker.log.epochs.push((metadata.leader_epoch, broker.log.end()));
        (broker.stream, broker.open_at, broker.wake_at) = (None, None, None);
        broker.seen = (metadata.leader_epoch, follower.high_watermark());
        let mut effects = Vec::new();
        let me = NodeId(id as i32);
        broker.role = Role::Leader(follower.lead(me, &metadata.assignment(), self.policy, self.now, &mut effects));
        self.tally.elections += 1;
        self.do_leader(id, effects);
    }

    fn follow(&mut self, id: usize, metadata: &Metadata) {
        let mut effects = Vec::new();
        if let Role::Follower(follower) = &mut self.brokers[id].role {
            match metadata.leader {
                Some(leader) => {
                    let leader_epoch = metadata.leader_epoch;
                    follower.follow(
                        Leadership {
                            leader,
                            leader_epoch,
                            recovering: false,
                        },
                        &mut effects,
                    );
                }
                None => follower.detach(),
            }
        }
        self.do_follower(id, effects);
    }

    fn open(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if broker.open_at.is_none_or(|at| at > self.now) {
            return;
        }
        let (Role::Follower(follower), Some(leader)) = (&mut broker.role, broker.leader) else {
            return;
        };
        self.next_stream += 1;
        let stream = StreamId(self.next_stream);
        let Some(open) = follower.open(stream, &broker.log) else {
            return;
        };
        broker.open_at = None;
        let left = broker.stream.replace(stream);
        let follower = Opener {
            id: broker.id,
            broker_epoch: broker.epoch,
        };
        let to_leader = VecDeque::from([ToLeader::Open(open)]);
        let opened = Stream {
            follower,
            leader,
            to_leader,
            to_follower: VecDeque::new(),
            sending: None,
        };
        self.streams.insert(stream, opened);
        // The stream left behind still carries what was written to it.
        if let Some(left) = left.and_then(|left| self.streams.get_mut(&left)) {
            left.to_leader.push_back(ToLeader::Closed);
        }
    }

    fn wake(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if broker.wake_at.is_none_or(|at| at > self.now) {
            return;
        }
        broker.wake_at = None;
        let mut effects = Vec::new();
        if let Role::Leader(leader) = &mut broker.role {
            leader.tick(self.now, &mut effects);
        }
        self.do_leader(id, effects);
    }

    fn flush(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        let flushed_end = broker.log.end();
        if !broker.is_up() || broker.log.flushed == broker.log.entries.len() {
            return;
        }
        broker.log.flushed = broker.log.entries.len();
        let (mut of_leader, mut of_follower) = (Vec::new(), Vec::new());
        match &mut broker.role {
            Role::Leader(leader) => leader.on_flushed(flushed_end, self.now, &mut of_leader),
            Role::Follower(follower) => follower.on_flushed(flushed_end, &mut of_follower),
            Role::Down => {}
        }
        self.do_leader(id, of_leader);
        self.do_follower(id, of_follower);
    }

    fn checkpoint(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if broker.is_up() {
            broker.log.high_watermark_checkpoint = broker.high_watermark();
            broker.log.take_snapshot(&broker.producers);
        }
    }

    // What goes between them.

    fn any_stream(&mut self) -> Option<StreamId> {
        let place = self.below(self.streams.len().max(1));
        self.streams.keys().nth(place).copied()
    }

    fn push_data(&mut self) {
        let count = self.below(4) + 1;
        let Some(id) = self.any_stream() else { return };
        let stream = self.streams.get_mut(&id).unwrap();
        let broker = &self.brokers[stream.leader.0 as usize];
        let (Role::Leader(leader), Some((leader_epoch, from))) = (&broker.role, stream.sending) else {
            return;
        };
        if leader.leader_epoch() != leader_epoch {
            return;
        }
        let marks = Marks {
            high_watermark: leader.high_watermark(),
            log_start: Offset(0),
        };
        let entries: Vec<_> = broker
            .log
            .entries
            .iter()
            .skip(from.0 as usize)
            .take(count)
            .copied()
            .collect();
        if entries.is_empty() {
            stream.to_follower.push_back(ToFollower::Marks(marks));
            return;
        }
        stream.sending = Some((leader_epoch, from.plus(entries.len() as i64)));
        let data = Data {
            stream: id,
            leader_epoch,
            base_offset: from,
        };
        stream.to_follower.push_back(ToFollower::Data { data, entries, marks });
    }

    fn deliver(&mut self) {
        let to_leader = self.below(2) == 0;
        let Some(id) = self.any_stream() else { return };
        if self.below(self.slowness) != 0 {
            return;
        }
        let stream = self.streams.get_mut(&id).unwrap();
        if to_leader {
            if let Some(message) = stream.to_leader.pop_front() {
                self.reach_leader(id, message);
            }
        } else if let Some(message) = stream.to_follower.pop_front() {
            self.reach_follower(id, message);
        }
        self.forget_if_over(id);
    }

    fn forget_if_over(&mut self, id: StreamId) {
        let stream = &self.streams[&id];
        let listens = self.brokers.iter().any(|broker| broker.stream == Some(id));
        if !listens && stream.to_leader.is_empty() {
            self.streams.remove(&id);
        }
    }

    fn reach_leader(&mut self, id: StreamId, message: ToLeader) {
        let stream = self.streams.get_mut(&id).unwrap();
        let at = stream.leader.0 as usize;
        let broker = &mut self.brokers[at];
        let mut effects = Vec::new();
        let Role::Leader(leader) = &mut broker.role else {
            if matches!(message, ToLeader::Open(_)) {
                let answer = if broker.is_up() {
                    ToFollower::Opened(Opened::NotLeader)
                } else {
                    ToFollower::Closed
                };
                stream.to_follower.push_back(answer);
            }
            return;
        };
        match message {
            ToLeader::Open(open) => {
                let opened = leader.on_open(stream.follower, &open, &broker.log, self.now, &mut effects);
                if matches!(opened, Opened::Ok { .. }) {
                    stream.sending = Some((open.leader_epoch, open.log_end));
                }
                stream.to_follower.push_back(ToFollower::Opened(opened));
            }
            ToLeader::Ack(ack) => leader.on_ack(stream.follower.id, &ack, self.now, &mut effects),
            ToLeader::Closed => leader.on_stream_closed(id, self.now, &mut effects),
        }
        self.do_leader(at, effects);
    }

    fn reach_follower(&mut self, id: StreamId, message: ToFollower) {
        let at = self.streams[&id].follower.id.0 as usize;
        let broker = &mut self.brokers[at];
        if broker.epoch != self.streams[&id].follower.broker_epoch {
            return; // it was sent to the process before
        }
        let Role::Follower(follower) = &mut broker.role else {
            return;
        };
        let mut effects = Vec::new();
        match message {
            ToFollower::Opened(opened) => follower.on_opened(id, opened, &broker.log, &mut effects),
            ToFollower::Marks(marks) => follower.on_marks(id, marks, &mut effects),
            ToFollower::Closed => follower.on_stream_closed(id, &mut effects),
            ToFollower::Data { data, entries, marks } => {
                if follower.on_data(&data, &mut effects) == Taken::Append {
                    for entry in entries {
                        let high_watermark = follower.high_watermark();
                        broker
                            .producers
                            .record(&entry.batch(broker.log.end()), high_watermark, self.now);
                        broker.log.append(entry);
                    }
                    follower.on_appended(broker.log.end(), marks, &mut effects);
                }
            }
        }
        self.do_follower(at, effects);
    }

    // What the minds want done.

    fn do_leader(&mut self, id: usize, effects: Vec<LeaderEffect>) {
        for effect in effects {
            match effect {
                LeaderEffect::HighWatermark(offset) => self.on_high_watermark(id, offset),
                LeaderEffect::WakeAt(at) => {
                    let wake_at = self.brokers[id].wake_at.map_or(at, |known| known.min(at));
                    self.brokers[id].wake_at = Some(wake_at);
                }
                LeaderEffect::RefuseStream(stream) => {
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        stream.sending = None;
                        stream.to_follower.push_back(ToFollower::Closed);
                    }
                }
                LeaderEffect::ProposeIsr(proposal) => {
                    let (from, broker_epoch) = (NodeId(id as i32), self.brokers[id].epoch);
                    self.proposals.push(Flight {
                        from,
                        broker_epoch,
                        proposal,
                        given_up: false,
                    });
                }
            }
        }
    }

    fn on_high_watermark(&mut self, id: usize, offset: Offset) {
        let broker = &mut self.brokers[id];
        let (answers, waiters) = (&mut self.answers, &mut broker.waiters);
        waiters.on_high_watermark(offset, |request| answers.push((request, Answer::Done)));
        let known = self.committed.len().min(offset.0 as usize);
        let from = (broker.seen.1.0 as usize).min(known);
        assert_eq!(
            broker.log.entries[from..known],
            self.committed[from..known],
            "two histories were committed"
        );
        for entry in &broker.log.entries[known..offset.0 as usize] {
            let last = self
                .produced
                .insert(entry.producer, (entry.producer_epoch, entry.sequence.0));
            let fits = match last {
                Some((epoch, sequence)) if epoch == entry.producer_epoch => {
                    entry.sequence.0 == sequence.wrapping_add(1) & i32::MAX
                }
                Some((epoch, _)) => epoch < entry.producer_epoch && entry.sequence.0 == 0,
                None => true,
            };
            assert!(
                fits,
                "after {last:?} producer {} cannot have {:?}",
                entry.producer, entry.sequence
            );
            self.committed.push(*entry);
        }
    }

    fn do_follower(&mut self, id: usize, effects: Vec<FollowerEffect>) {
        for effect in effects {
            match effect {
                FollowerEffect::OpenAfter { ms } => self.brokers[id].open_at = Some(self.now.plus(ms)),
                FollowerEffect::Truncate { to } => self.truncate(id, to),
                FollowerEffect::HighWatermark(offset) => {
                    let end = offset.0 as usize;
                    let from = end.saturating_sub(8);
                    let own = &self.brokers[id].log.entries[from..end];
                    assert_eq!(
                        own,
                        &self.committed[from..end],
                        "a follower believes what was not committed"
                    );
                }
                FollowerEffect::Ack(ack) => {
                    if let Some(stream) = self.streams.get_mut(&ack.stream) {
                        stream.to_leader.push_back(ToLeader::Ack(ack));
                    }
                }
                FollowerEffect::RestartAt { .. } | FollowerEffect::LogStart(_) => panic!("no log starts past 0 here"),
                FollowerEffect::Fault(fault) => panic!("broker {id}: {fault}"),
            }
        }
    }

    fn truncate(&mut self, id: usize, to: Offset) {
        self.tally.truncations += 1;
        let broker = &mut self.brokers[id];
        assert!(
            to >= broker.high_watermark(),
            "broker {id} truncates to {to}, below its high watermark"
        );
        broker.truncate(to, self.now);
        let mut effects = Vec::new();
        if let Role::Follower(follower) = &mut broker.role {
            follower.on_truncated(to, &mut effects);
        }
        self.do_follower(id, effects);
    }

    // Clients.

    fn produce(&mut self) {
        let at = self.below(CLIENTS);
        let client = &mut self.clients[at];
        let Some(entry) = client.next() else { return };
        let sequence = entry.sequence;
        let mut request = Request {
            client: at,
            connection: client.connection,
            sequence,
            offset: Offset(-1),
        };
        let id = client.broker.0 as usize;
        let broker = &mut self.brokers[id];
        let Role::Leader(leader) = &mut broker.role else {
            return self.answers.push((request, Answer::TryAgain));
        };
        if leader.may_append(Acks::All).is_err() {
            return self.answers.push((request, Answer::TryAgain));
        }
        let mut effects = Vec::new();
        let base_offset = broker.log.end();
        let batch = entry.batch(base_offset);
        match broker.producers.check(&[batch], leader.high_watermark()) {
            Verdict::Append => {
                let leader_epoch = leader.leader_epoch();
                broker.log.append(Entry { leader_epoch, ..entry });
                broker.producers.record(&batch, leader.high_watermark(), self.now);
                request.offset = base_offset;
                broker.waiters.wait(base_offset, Millis(u64::MAX), request);
                leader.on_appended(broker.log.end(), self.now, &mut effects);
            }
            Verdict::Duplicate {
                base_offset,
                last_offset,
                ..
            } => {
                self.tally.duplicates += 1;
                request.offset = base_offset;
                broker.waiters.wait(last_offset, Millis(u64::MAX), request);
                let answers = &mut self.answers;
                let high_watermark = leader.high_watermark();
                broker
                    .waiters
                    .on_high_watermark(high_watermark, |request| answers.push((request, Answer::Done)));
            }
            _ => self.answers.push((request, Answer::TryAgain)),
        }
        self.do_leader(id, effects);
    }

    /// The oldest answer of some client arrives.
    fn answer(&mut self) {
        let at = self.below(CLIENTS);
        let Some(place) = self.answers.iter().position(|(request, _)| request.client == at) else {
            return;
        };
        let (request, answer) = self.answers.remove(place);
        if request.connection != self.clients[at].connection {
            return;
        }
        match answer {
            Answer::TryAgain => self.point_client(at),
            Answer::Done => {
                let (producer, epoch, sequence) = self.clients[at].acknowledged(request.sequence);
                let stored = self.committed.get(request.offset.0 as usize);
                let same = |entry: &&Entry| {
                    (entry.producer, entry.producer_epoch, entry.sequence) == (producer, epoch, sequence)
                };
                assert!(
                    stored.filter(same).is_some(),
                    "acknowledged at {}, not committed there",
                    request.offset
                );
                self.tally.acked += 1;
            }
        }
    }

    fn trouble_clients(&mut self) {
        let at = self.below(CLIENTS);
        match self.below(8) {
            0 => self.clients[at].restart(),
            _ => self.point_client(at),
        }
    }

    /// Somewhere, mostly at the present leader.
    fn point_client(&mut self, at: usize) {
        let somewhere = NodeId(self.any_broker() as i32);
        let known = if self.below(4) == 0 {
            None
        } else {
            self.controller.now().leader
        };
        self.clients[at].reconnect(known.unwrap_or(somewhere));
    }

    // Proposals, and the controller.

    fn deliver_proposal(&mut self) {
        if self.proposals.is_empty() {
            return;
        }
        let place = self.below(self.proposals.len());
        let flight = self.proposals.swap_remove(place);
        let before = self.controller.now().isr.len();
        let outcome = self.controller.alter(flight.from, &flight.proposal);
        self.tally.joins += u64::from(self.controller.now().isr.len() > before);
        let Proposal {
            leader_epoch, attempt, ..
        } = flight.proposal;
        let lost = self.below(8) == 0;
        let heard = if lost && !flight.given_up {
            Outcome::Unknown
        } else {
            outcome
        };
        self.tally.doubts += u64::from(heard == Outcome::Unknown);
        self.outcomes
            .push((flight.from, flight.broker_epoch, leader_epoch, attempt, heard));
    }

    /// Its sender stops waiting; it may still arrive.
    fn give_up_proposal(&mut self) {
        if let Some(flight) = self.proposals.iter_mut().find(|flight| !flight.given_up) {
            flight.given_up = true;
            self.tally.doubts += 1;
            let Proposal {
                leader_epoch, attempt, ..
            } = flight.proposal;
            self.outcomes.push((
                flight.from,
                flight.broker_epoch,
                leader_epoch,
                attempt,
                Outcome::Unknown,
            ));
        }
    }

    fn deliver_outcome(&mut self) {
        if self.outcomes.is_empty() {
            return;
        }
        let place = self.below(self.outcomes.len());
        let (to, broker_epoch, leader_epoch, attempt, outcome) = self.outcomes.swap_remove(place);
        let id = to.0 as usize;
        let broker = &mut self.brokers[id];
        let mut effects = Vec::new();
        if let Role::Leader(leader) = &mut broker.role
            && (broker.epoch, leader.leader_epoch()) == (broker_epoch, leader_epoch)
        {
            leader.on_proposal_outcome(attempt, outcome, self.now, &mut effects);
        }
        self.do_leader(id, effects);
    }

    /// Fences the dead, unfences the living, restarts the crashed.
    fn controller_notices(&mut self, id: usize) {
        let node = NodeId(id as i32);
        let active = self.controller.now().standings[id].active;
        match (self.brokers[id].is_up(), active) {
            (false, true) if self.below(2) == 0 => self.controller.fence(node),
            (false, _) => self.restart(id),
            (true, false) => self.controller.unfence(node),
            (true, true) => {}
        }
    }

    fn restart(&mut self, id: usize) {
        // Under `fsync` everything committed is on disk: a machine crash is no reason to leave the ISR.
        let unclean = self.brokers[id].lost_its_tail && self.policy.durability != Durability::Fsync;
        let broker_epoch = self.controller.register(NodeId(id as i32), unclean);
        // It acts on nothing that was true before it registered: it may have been a leader then.
        let applied = self.controller.history.len() - 1;
        self.brokers[id].start(broker_epoch, applied, self.now);
        let metadata = self.controller.now().clone();
        self.act_on(id, &metadata);
    }

    // Trouble.

    fn break_stream(&mut self) {
        let Some(id) = self.any_stream() else { return };
        let (kept_up, kept_down) = (self.below(3), self.below(3));
        let stream = self.streams.get_mut(&id).unwrap();
        stream.sending = None;
        stream.to_leader.truncate(kept_up);
        stream.to_follower.truncate(kept_down);
        stream.to_leader.push_back(ToLeader::Closed);
        stream.to_follower.push_back(ToFollower::Closed);
    }

    fn crash(&mut self, id: usize) {
        if !self.brokers[id].is_up() {
            return;
        }
        self.tally.crashes += 1;
        self.brokers[id].crash();
        let node = NodeId(id as i32);
        for stream in self.streams.values_mut() {
            if stream.leader == node {
                stream.sending = None;
                stream.to_follower.push_back(ToFollower::Closed);
            }
            if stream.follower.id == node {
                stream.to_leader.push_back(ToLeader::Closed);
            }
        }
        self.answers
            .retain(|(request, _)| self.clients[request.client].broker != node);
    }

    /// Loses what was not flushed. Under `replicated` only if somebody else must have all that is committed.
    fn crash_machine(&mut self, id: usize) {
        let metadata = self.controller.now();
        let mut holders = metadata.isr.iter().chain(&metadata.elr);
        let others = holders.any(|holder| holder.0 as usize != id);
        let lost = self.brokers.iter().any(|broker| broker.lost_its_tail);
        if self.policy.durability != Durability::Fsync && (lost || !others) {
            return;
        }
        self.crash(id);
        self.tally.machine_crashes += 1;
        let broker = &mut self.brokers[id];
        broker.lost_its_tail = true;
        let flushed_end = Offset(broker.log.flushed as i64);
        broker.log.truncate(flushed_end);
    }

    // What must be true after every step.

    fn check(&mut self) {
        let metadata = self.controller.now();
        for holder in metadata.isr.iter().chain(&metadata.elr) {
            let broker = &self.brokers[holder.0 as usize];
            let counted_on = !broker.lost_its_tail || self.policy.durability == Durability::Fsync;
            let has_all = broker.log.entries.len() >= self.committed.len();
            assert!(
                has_all || !counted_on,
                "broker {holder} may be elected without all that is committed"
            );
        }
        for broker in &mut self.brokers {
            if let Role::Leader(leader) = &broker.role {
                let now = (leader.leader_epoch(), leader.high_watermark());
                assert!(
                    now >= broker.seen,
                    "the high watermark fell from {:?} to {now:?}",
                    broker.seen
                );
                broker.seen = now;
            }
        }
        if self.tally.steps.is_multiple_of(64) {
            self.check_prefixes();
        }
    }

    fn check_prefixes(&self) {
        let metadata = self.controller.now();
        for holder in metadata.isr.iter().chain(&metadata.elr) {
            let broker = &self.brokers[holder.0 as usize];
            let common = broker.log.entries.len().min(self.committed.len());
            assert_eq!(
                broker.log.entries[..common],
                self.committed[..common],
                "broker {holder} holds another history"
            );
        }
        let led = self.brokers.iter().filter_map(|broker| match &broker.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        });
        let mut epochs: Vec<_> = led.map(Leader::leader_epoch).collect();
        epochs.sort();
        assert!(
            epochs.is_sorted_by(|one, other| one < other),
            "two leaders in one epoch: {epochs:?}"
        );
    }
}

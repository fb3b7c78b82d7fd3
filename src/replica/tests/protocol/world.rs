//! The world around the minds: what may happen next, and what must never have happened.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::broker::{Broker, Role};
use super::client::{Client, Entry, Request};
use super::controller::{Controller, MIN_ISR};
use super::requests::{Answer, Flight};
use super::streams::Stream;
use crate::base::ids::*;
use crate::base::time::Millis;
use crate::replica::isr::{Outcome, Policy, Proposal};
use crate::replica::leader::Leader;
use crate::replica::{Durability, StreamId};

const BROKERS: usize = 3;
pub(super) const CLIENTS: usize = 2;
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

pub(super) struct World {
    pub(super) random: u64,
    /// One kind of trouble per place, as often as it is to come.
    pub(super) troubles: Vec<usize>,
    pub(super) trouble_in_1000: usize,
    pub(super) healed: bool,
    pub(super) now: Millis,
    pub(super) policy: Policy,
    pub(super) controller: Controller,
    pub(super) brokers: Vec<Broker>,
    pub(super) clients: Vec<Client>,
    pub(super) streams: BTreeMap<StreamId, Stream>,
    pub(super) next_stream: u64,
    pub(super) proposals: Vec<Flight>,
    pub(super) outcomes: Vec<(NodeId, BrokerEpoch, Proposal, Outcome)>,
    pub(super) answers: Vec<(Request, Answer)>,
    /// Everything any leader ever declared committed.
    pub(super) committed: Vec<Entry>,
    /// The last committed record of each producer.
    pub(super) produced: BTreeMap<ProducerId, (ProducerEpoch, i32)>,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let controller = Controller::new(BROKERS);
        let durability = if seed % 4 == 3 { Durability::Fsync } else { Durability::Replicated };
        let policy = Policy { min_insync_replicas: MIN_ISR, durability, replica_lag_time_max_ms: 400 };
        let mut brokers: Vec<_> = (0..BROKERS).map(|id| Broker::new(NodeId(id as i32))).collect();
        for broker in &mut brokers {
            broker.start(broker.epoch, 0, Millis(0));
        }
        let mut world = Self {
            random: seed,
            troubles: Vec::new(),
            trouble_in_1000: 0,
            healed: false,
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

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn any_broker(&mut self) -> usize {
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
        self.healed = true;
        for stream in self.streams.values_mut() {
            stream.slowness = 1;
        }
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
        panic!("no rest after healing: {:?}\n{}", self.controller.now(), roles.collect::<Vec<_>>().join("\n"));
    }

    /// Everybody is in sync, everything is committed, everybody knows, and every client is answered.
    fn is_at_rest(&self) -> bool {
        let end = Offset(self.committed.len() as i64);
        let level = |broker: &Broker| broker.log.end() == end && broker.high_watermark() == end;
        self.controller.now().isr.len() == BROKERS
            && self.brokers.iter().all(level)
            && self.clients.iter().all(Client::is_done)
    }

    // What must be true after every step.

    fn check(&mut self) {
        let metadata = self.controller.now();
        for holder in metadata.isr.iter().chain(&metadata.elr) {
            let broker = &self.brokers[holder.0 as usize];
            let counted_on = !broker.lost_its_tail || self.policy.durability == Durability::Fsync;
            let has_all = broker.log.entries.len() >= self.committed.len();
            assert!(has_all || !counted_on, "broker {holder} may be elected without all that is committed");
        }
        for broker in &mut self.brokers {
            if let Role::Leader(leader) = &broker.role {
                let now = (leader.leader_epoch(), leader.high_watermark());
                assert!(now >= broker.seen, "the high watermark fell from {:?} to {now:?}", broker.seen);
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
            assert_eq!(broker.log.entries[..common], self.committed[..common], "broker {holder} holds another history");
        }
        let led = self.brokers.iter().filter_map(|broker| match &broker.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        });
        let mut epochs: Vec<_> = led.map(Leader::leader_epoch).collect();
        epochs.sort();
        assert!(epochs.is_sorted_by(|one, other| one < other), "two leaders in one epoch: {epochs:?}");
    }
}

//! What pretend brokers do: act on metadata, open streams, do what their minds want, crash and start again.

use std::collections::VecDeque;

use super::broker::Role;
use super::controller::Metadata;
use super::requests::{Answer, Flight};
use super::streams::{Stream, ToFollower, ToLeader};
use super::world::World;
use crate::base::ids::*;
use crate::replica::effect::*;
use crate::replica::follower::Leadership;
use crate::replica::{Durability, StreamId};

impl World {
    pub(super) fn learn_metadata(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if !broker.is_up() || broker.applied + 1 >= self.controller.history.len() {
            return;
        }
        broker.applied += 1;
        let metadata = self.controller.history[broker.applied].clone();
        self.act_on(id, &metadata);
    }

    pub(super) fn act_on(&mut self, id: usize, metadata: &Metadata) {
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

    pub(super) fn resign(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        match std::mem::replace(&mut broker.role, Role::Down) {
            Role::Leader(leader) => broker.role = Role::Follower(leader.resign()),
            other => broker.role = other,
        }
        let answers = &mut self.answers;
        broker.waiters.drain(|request| answers.push((request, Answer::TryAgain)));
    }

    pub(super) fn lead(&mut self, id: usize, metadata: &Metadata) {
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

    pub(super) fn follow(&mut self, id: usize, metadata: &Metadata) {
        let mut effects = Vec::new();
        if let Role::Follower(follower) = &mut self.brokers[id].role {
            match metadata.leader {
                Some(leader) => {
                    let leader_epoch = metadata.leader_epoch;
                    follower.follow(Leadership { leader, leader_epoch, recovering: false }, &mut effects);
                }
                None => follower.detach(),
            }
        }
        self.do_follower(id, effects);
    }

    pub(super) fn open(&mut self, id: usize) {
        let slowness = if self.healed { 1 } else { [1, 1, 1, 4, 60][self.below(5)] };
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
        let follower = Opener { id: broker.id, broker_epoch: broker.epoch };
        let to_leader = VecDeque::from([ToLeader::Open(open)]);
        let opened = Stream { follower, leader, to_leader, to_follower: VecDeque::new(), sending: None, slowness };
        self.streams.insert(stream, opened);
        // The stream left behind still carries what was written to it.
        if let Some(left) = left.and_then(|left| self.streams.get_mut(&left)) {
            left.to_leader.push_back(ToLeader::Closed);
        }
    }

    pub(super) fn wake(&mut self, id: usize) {
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

    pub(super) fn flush(&mut self, id: usize) {
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

    pub(super) fn checkpoint(&mut self, id: usize) {
        let broker = &mut self.brokers[id];
        if broker.is_up() {
            broker.log.high_watermark_checkpoint = broker.high_watermark();
            broker.log.take_snapshot(&broker.producers);
        }
    }

    pub(super) fn do_leader(&mut self, id: usize, effects: Vec<LeaderEffect>) {
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
                    self.proposals.push(Flight { from, broker_epoch, proposal, given_up: false });
                }
            }
        }
    }

    pub(super) fn on_high_watermark(&mut self, id: usize, offset: Offset) {
        let broker = &mut self.brokers[id];
        let (answers, waiters) = (&mut self.answers, &mut broker.waiters);
        waiters.on_high_watermark(offset, |request| answers.push((request, Answer::Done)));
        let known = self.committed.len().min(offset.0 as usize);
        let from = (broker.seen.1.0 as usize).min(known);
        assert_eq!(broker.log.entries[from..known], self.committed[from..known], "two histories were committed");
        for entry in &broker.log.entries[known..offset.0 as usize] {
            let last = self.produced.insert(entry.producer, (entry.producer_epoch, entry.sequence.0));
            let fits = match last {
                Some((epoch, sequence)) if epoch == entry.producer_epoch => {
                    entry.sequence.0 == sequence.wrapping_add(1) & i32::MAX
                }
                Some((epoch, _)) => epoch < entry.producer_epoch && entry.sequence.0 == 0,
                None => true,
            };
            assert!(fits, "after {last:?} producer {} cannot have {:?}", entry.producer, entry.sequence);
            self.committed.push(*entry);
        }
    }

    pub(super) fn do_follower(&mut self, id: usize, effects: Vec<FollowerEffect>) {
        for effect in effects {
            match effect {
                FollowerEffect::OpenAfter { ms } => self.brokers[id].open_at = Some(self.now.plus(ms)),
                FollowerEffect::Truncate { to } => self.truncate(id, to),
                FollowerEffect::ForgetEmptyEpochs => {
                    let end = self.brokers[id].log.end();
                    self.brokers[id].log.truncate(end);
                }
                FollowerEffect::HighWatermark(offset) => {
                    let end = offset.0 as usize;
                    let from = end.saturating_sub(8);
                    let own = &self.brokers[id].log.entries[from..end];
                    assert_eq!(own, &self.committed[from..end], "a follower believes what was not committed");
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

    pub(super) fn truncate(&mut self, id: usize, to: Offset) {
        self.tally.truncations += 1;
        let broker = &mut self.brokers[id];
        assert!(to >= broker.high_watermark(), "broker {id} truncates to {to}, below its high watermark");
        broker.truncate(to, self.now);
        let mut effects = Vec::new();
        if let Role::Follower(follower) = &mut broker.role {
            follower.on_truncated(to, &mut effects);
        }
        self.do_follower(id, effects);
    }

    /// Fences the dead, unfences the living, restarts the crashed.
    pub(super) fn controller_notices(&mut self, id: usize) {
        let node = NodeId(id as i32);
        let active = self.controller.now().standings[id].active;
        match (self.brokers[id].is_up(), active) {
            (false, true) if self.below(2) == 0 => self.controller.fence(node),
            (false, _) => self.restart(id),
            (true, false) => self.controller.unfence(node),
            (true, true) => {}
        }
    }

    pub(super) fn restart(&mut self, id: usize) {
        // Under `fsync` everything committed is on disk: a machine crash is no reason to leave the ISR.
        let unclean = self.brokers[id].lost_its_tail && self.policy.durability != Durability::Fsync;
        let broker_epoch = self.controller.register(NodeId(id as i32), unclean);
        // It acts on nothing that was true before it registered: it may have been a leader then.
        let applied = self.controller.history.len() - 1;
        self.brokers[id].start(broker_epoch, applied, self.now);
        let metadata = self.controller.now().clone();
        self.act_on(id, &metadata);
    }

    pub(super) fn crash(&mut self, id: usize) {
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
                stream.slowness = stream.slowness.max(20); // what it wrote last may be read after it is back
            }
        }
        self.answers.retain(|(request, _)| self.clients[request.client].broker != node);
    }

    /// Loses what was not flushed. Under `replicated` only if somebody else must have all that is committed.
    pub(super) fn crash_machine(&mut self, id: usize) {
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
}

//! What goes between pretend brokers: streams that delay, break, and carry on after nobody listens.

use std::collections::VecDeque;

use super::broker::Role;
use super::client::Entry;
use super::world::World;
use crate::base::ids::*;
use crate::replica::StreamId;
use crate::replica::effect::*;
use crate::replica::follower::{Data, Marks, Taken};

pub(super) enum ToLeader {
    Open(Open),
    Ack(Ack),
    Closed,
}

pub(super) enum ToFollower {
    Opened(Opened),
    Data { data: Data, entries: Vec<Entry>, marks: Marks },
    Marks(Marks),
    Closed,
}

/// A connection for one partition: in order, late, and possibly cut anywhere.
pub(super) struct Stream {
    pub(super) follower: Opener,
    pub(super) leader: NodeId,
    pub(super) to_leader: VecDeque<ToLeader>,
    pub(super) to_follower: VecDeque<ToFollower>,
    /// What the leader pushes next, and the epoch it was opened in.
    pub(super) sending: Option<(LeaderEpoch, Offset)>,
    /// Of so many turns it uses one: some connections are half dead, and outlive their broker's next registration.
    pub(super) slowness: usize,
}

impl World {
    pub(super) fn any_stream(&mut self) -> Option<StreamId> {
        let place = self.below(self.streams.len().max(1));
        self.streams.keys().nth(place).copied()
    }

    pub(super) fn push_data(&mut self) {
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
        let marks = Marks { high_watermark: leader.high_watermark(), log_start: Offset(0) };
        let entries: Vec<_> = broker.log.entries.iter().skip(from.0 as usize).take(count).copied().collect();
        if entries.is_empty() {
            stream.to_follower.push_back(ToFollower::Marks(marks));
            return;
        }
        stream.sending = Some((leader_epoch, from.plus(entries.len() as i64)));
        let data = Data { stream: id, leader_epoch, base_offset: from };
        stream.to_follower.push_back(ToFollower::Data { data, entries, marks });
    }

    pub(super) fn deliver(&mut self) {
        let to_leader = self.below(2) == 0;
        let Some(id) = self.any_stream() else { return };
        if self.below(self.streams[&id].slowness) != 0 {
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

    pub(super) fn forget_if_over(&mut self, id: StreamId) {
        let stream = &self.streams[&id];
        let listens = self.brokers.iter().any(|broker| broker.stream == Some(id));
        if !listens && stream.to_leader.is_empty() {
            self.streams.remove(&id);
        }
    }

    pub(super) fn reach_leader(&mut self, id: StreamId, message: ToLeader) {
        let stream = self.streams.get_mut(&id).unwrap();
        let at = stream.leader.0 as usize;
        let broker = &mut self.brokers[at];
        let mut effects = Vec::new();
        let Role::Leader(leader) = &mut broker.role else {
            if matches!(message, ToLeader::Open(_)) {
                let answer = if broker.is_up() { ToFollower::Opened(Opened::NotLeader) } else { ToFollower::Closed };
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

    pub(super) fn reach_follower(&mut self, id: StreamId, message: ToFollower) {
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
                        broker.producers.record(&entry.batch(broker.log.end()), high_watermark, self.now);
                        broker.log.append(entry);
                    }
                    follower.on_appended(broker.log.end(), marks, &mut effects);
                }
            }
        }
        self.do_follower(at, effects);
    }

    pub(super) fn break_stream(&mut self) {
        let Some(id) = self.any_stream() else { return };
        let (kept_up, kept_down) = (self.below(3), self.below(3));
        let stream = self.streams.get_mut(&id).unwrap();
        stream.sending = None;
        stream.to_leader.truncate(kept_up);
        stream.to_follower.truncate(kept_down);
        stream.to_leader.push_back(ToLeader::Closed);
        stream.to_follower.push_back(ToFollower::Closed);
    }
}

//! A pretend broker: one replica's mind, its log in memory, its producers and its waiting requests.

use super::client::{Entry, Request};
use crate::base::ids::*;
use crate::base::time::Millis;
use crate::replica::LogEnds;
use crate::replica::StreamId;
use crate::replica::epochs::{EpochEnd, EpochLookup};
use crate::replica::follower::Follower;
use crate::replica::leader::Leader;
use crate::replica::producers::{ProducerRow, Producers, Rollback};
use crate::replica::waiters::ProduceWaiters;

/// What a process leaves behind when it dies.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
    /// `(epoch, where it starts)`, those without entries too.
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
    pub(super) flushed: usize,
    pub(super) high_watermark_checkpoint: Offset,
    snapshot: Vec<ProducerRow>,
    snapshot_at: usize,
}

impl Log {
    pub(super) fn end(&self) -> Offset {
        Offset(self.entries.len() as i64)
    }

    pub(super) fn ends(&self) -> LogEnds {
        LogEnds { log_start: Offset(0), end: self.end(), flushed_end: Offset(self.flushed as i64) }
    }

    pub(super) fn append(&mut self, entry: Entry) {
        assert!(self.epochs.last().is_none_or(|(epoch, _)| *epoch <= entry.leader_epoch), "epochs do not go back");
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < entry.leader_epoch) {
            self.epochs.push((entry.leader_epoch, self.end()));
        }
        self.entries.push(entry);
    }

    pub(super) fn truncate(&mut self, to: Offset) {
        self.entries.truncate(to.0 as usize);
        self.flushed = self.flushed.min(self.entries.len());
        self.epochs.retain(|(_, start)| *start < to);
        if self.snapshot_at > self.entries.len() {
            self.snapshot_at = 0;
            self.snapshot.clear();
        }
    }

    pub(super) fn take_snapshot(&mut self, producers: &Producers) {
        self.snapshot = producers.export();
        self.snapshot_at = self.entries.len();
    }

    /// The snapshot's rows, then the log after it.
    pub(super) fn rebuild_producers(&self, now: Millis) -> Producers {
        let mut producers = Producers::new(usize::MAX);
        producers.import(self.snapshot.iter().copied(), now);
        for (at, entry) in self.entries.iter().enumerate().skip(self.snapshot_at) {
            producers.record(&entry.batch(Offset(at as i64)), Offset(0), now);
        }
        producers
    }
}

impl EpochLookup for Log {
    fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let place = self.epochs.iter().rposition(|(known, _)| *known <= epoch)?;
        let end = self.epochs.get(place + 1).map_or_else(|| self.end(), |(_, start)| *start);
        Some(EpochEnd { epoch: self.epochs[place].0, end })
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.leader_epoch)
    }
}

pub(super) enum Role {
    Down,
    Follower(Follower),
    Leader(Leader),
}

pub(super) struct Broker {
    pub(super) id: NodeId,
    pub(super) epoch: BrokerEpoch,
    pub(super) role: Role,
    pub(super) log: Log,
    pub(super) producers: Producers,
    pub(super) waiters: ProduceWaiters<Request>,
    /// How much of the controller's history it knows.
    pub(super) applied: usize,
    pub(super) leader: Option<NodeId>,
    pub(super) stream: Option<StreamId>,
    pub(super) open_at: Option<Millis>,
    pub(super) wake_at: Option<Millis>,
    /// Its machine crashed and it has not registered since: what it had is not to be counted on.
    pub(super) lost_its_tail: bool,
    /// Leader epoch and high watermark last seen: the latter never falls within the former.
    pub(super) seen: (LeaderEpoch, Offset),
}

impl Broker {
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            epoch: BrokerEpoch(i64::from(id.0)),
            role: Role::Down,
            log: Log::default(),
            producers: Producers::new(usize::MAX),
            waiters: ProduceWaiters::default(),
            applied: 0,
            leader: None,
            stream: None,
            open_at: None,
            wake_at: None,
            lost_its_tail: false,
            seen: (LeaderEpoch(-1), Offset(0)),
        }
    }

    /// A process starts on what its predecessor left.
    pub(super) fn start(&mut self, epoch: BrokerEpoch, applied: usize, now: Millis) {
        let high_watermark = self.log.high_watermark_checkpoint.min(self.log.end());
        self.role = Role::Follower(Follower::new(self.log.ends(), high_watermark));
        self.producers = self.log.rebuild_producers(now);
        self.epoch = epoch;
        self.applied = applied;
        self.lost_its_tail = false;
    }

    pub(super) fn crash(&mut self) {
        self.role = Role::Down;
        self.waiters = ProduceWaiters::default();
        (self.leader, self.stream, self.open_at, self.wake_at) = (None, None, None, None);
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.role, Role::Down)
    }

    pub(super) fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::Down => Offset(0),
            Role::Follower(follower) => follower.high_watermark(),
            Role::Leader(leader) => leader.high_watermark(),
        }
    }

    pub(super) fn truncate(&mut self, to: Offset, now: Millis) {
        self.log.truncate(to);
        if self.producers.truncate_to(to) == Rollback::RebuildNeeded {
            self.producers = self.log.rebuild_producers(now);
        }
    }
}

//! Who is in sync: what a leader knows of each follower, and the rules that read it.
//!
//! Invariants: nothing a follower said in another leader epoch, on another stream or in another registration is kept;
//! its ends never reach past the leader's log.

use super::{Durability, LogEnds, StreamId};
use crate::base::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionEpoch};
use crate::base::time::Millis;

/// What metadata says of one replica of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    pub id: NodeId,
    pub in_isr: bool,
    /// Still being added by a reassignment: does not count towards the effective min ISR.
    pub adding: bool,
    pub standing: Standing,
}

/// What metadata says of a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    pub broker_epoch: BrokerEpoch,
    /// Neither fenced nor shutting down.
    pub active: bool,
}

/// The topic's settings that a leader acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub min_insync_replicas: usize,
    pub durability: Durability,
    pub replica_lag_time_max_ms: u64,
}

/// A request to the controller for another ISR, to be compared with both epochs (Kafka's AlterPartition, R10).
///
/// It must only reach a controller whose epoch is not below the one seen in metadata: an older one's refusal would
/// stop a rightful leader (KAFKA-14154). A proposal may equal the present ISR: it then asks for nothing but a new
/// partition epoch, which ends the doubt about earlier attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub attempt: u32,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// In ascending order; each with the registration the leader means.
    pub isr: Vec<(NodeId, BrokerEpoch)>,
}

/// What became of a [`Proposal`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The controller made it so.
    Accepted { partition_epoch: PartitionEpoch, isr: Vec<NodeId> },
    /// INELIGIBLE_REPLICA and the like: this attempt was not applied and never will be.
    Refused,
    /// FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, UNKNOWN_TOPIC_ID…: the controller knows more; metadata will tell.
    Outdated,
    /// No answer, or none from the active controller: it may have been applied, or may yet be.
    Unknown,
}

/// A follower as its leader sees it.
#[derive(Clone, Debug)]
pub(super) struct RemoteReplica {
    pub(super) id: NodeId,
    pub(super) standing: Standing,
    /// In the ISR of the latest metadata.
    pub(super) member: bool,
    pub(super) adding: bool,
    /// Named by a proposal whose fate is open.
    pub(super) proposed: bool,
    /// The registration it last opened in; metadata may tell of it later, or of a newer one earlier.
    spoke_as: BrokerEpoch,
    stream: Option<StreamId>,
    /// How far it reaches; `None` until it opened in this leader epoch.
    ends: Option<LogEnds>,
    lag: LagClock,
}

impl RemoteReplica {
    /// A follower from which nothing was heard in this epoch; one in the ISR gets a full lag time to show up.
    pub(super) fn new(replica: &Replica, log_end: Offset, now: Millis) -> Self {
        Self {
            id: replica.id,
            standing: replica.standing,
            member: replica.in_isr,
            adding: replica.adding,
            proposed: false,
            spoke_as: replica.standing.broker_epoch,
            stream: None,
            ends: None,
            lag: LagClock { caught_up_at: replica.in_isr.then_some(now), mark_end: log_end, mark_at: now },
        }
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        self.stream
    }

    pub(super) fn ends(&self) -> Option<LogEnds> {
        self.ends
    }

    /// A broker that registered again is another one: its log may have lost its tail, so what it said before is
    /// forgotten. Returns the stream that ends with it.
    pub(super) fn stand(&mut self, standing: Standing) -> Option<StreamId> {
        self.standing = standing;
        if self.spoke_as >= standing.broker_epoch {
            return None;
        }
        self.spoke_as = standing.broker_epoch;
        self.ends = None;
        self.stream.take()
    }

    /// Its older stream ends, and what it said there; returns that stream. Refuses an older registration than one
    /// already heard or known.
    pub(super) fn reopen_as(&mut self, broker_epoch: BrokerEpoch) -> Result<Option<StreamId>, StaleBrokerEpoch> {
        if broker_epoch < self.standing.broker_epoch.max(self.spoke_as) {
            return Err(StaleBrokerEpoch);
        }
        self.spoke_as = broker_epoch;
        let displaced = self.stream;
        self.forget();
        Ok(displaced)
    }

    /// Its log matches ours up to its end.
    pub(super) fn open(&mut self, stream: StreamId, ends: LogEnds, log_end: Offset, now: Millis) {
        self.stream = Some(stream);
        self.ends = Some(ends);
        self.lag.advance(ends.end, log_end, now);
    }

    /// The stream ended; what was acknowledged on it stays true until its broker registers anew.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Nothing it said counts any more.
    pub(super) fn forget(&mut self) {
        self.stream = None;
        self.ends = None;
    }

    /// R6: only the stream opened in this epoch, in this registration, says anything about this epoch's log.
    pub(super) fn speaks_on(&self, stream: StreamId) -> bool {
        self.stream == Some(stream)
    }

    pub(super) fn advance(&mut self, ends: LogEnds, log_end: Offset, now: Millis) {
        let before = self.ends.unwrap_or(ends);
        let end = before.end.max(ends.end);
        self.ends = Some(LogEnds {
            log_start: before.log_start.max(ends.log_start),
            end,
            flushed_end: before.flushed_end.max(ends.flushed_end),
        });
        self.lag.advance(end, log_end, now);
    }

    /// The leader's log is about to grow from `log_end`: who was level with it has been in sync until now.
    pub(super) fn before_append(&mut self, log_end: Offset, now: Millis) {
        if self.has(log_end) {
            self.lag.caught_up_at = Some(now);
        }
    }

    /// R7: members and proposed members count, and so do those about to join. Without the last, an ISR of the leader
    /// alone would commit every record at once, and a follower could never reach the high watermark under load.
    pub(super) fn holds_high_watermark(&self, log_end: Offset, now: Millis, policy: &Policy) -> bool {
        self.member || self.proposed || (self.is_live() && self.in_sync(log_end, now, policy))
    }

    /// How far its log counts, `None` if unheard.
    pub(super) fn counted(&self, policy: &Policy) -> Option<Offset> {
        self.ends.map(|ends| policy.durability.counted(ends.end, ends.flushed_end))
    }

    /// R8: it has all that was committed, and all that the leader started with: a leader's first high watermark may be
    /// below what an earlier leader committed, but its log never is.
    pub(super) fn may_join(&self, must_have: Offset, log_end: Offset, now: Millis, policy: &Policy) -> bool {
        self.is_live() && self.counted(policy).is_some_and(|end| end >= must_have) && self.in_sync(log_end, now, policy)
    }

    /// R9: level with the log, or so not long ago.
    pub(super) fn in_sync(&self, log_end: Offset, now: Millis, policy: &Policy) -> bool {
        let late = |at: Millis| now.ms_since(at) > policy.replica_lag_time_max_ms;
        self.has(log_end) || self.lag.caught_up_at.is_some_and(|at| !late(at))
    }

    /// When it stops being in sync if nothing more is heard; `None` if it is level with the log, or never was.
    pub(super) fn falls_out_at(&self, log_end: Offset, policy: &Policy) -> Option<Millis> {
        if self.has(log_end) {
            return None;
        }
        self.lag.caught_up_at.map(|at| at.plus(policy.replica_lag_time_max_ms + 1))
    }

    /// Has a stream of the registration that metadata knows (KIP-903), and that registration is active.
    pub(super) fn is_live(&self) -> bool {
        self.standing.active && self.stream.is_some() && self.spoke_as == self.standing.broker_epoch
    }

    fn has(&self, offset: Offset) -> bool {
        self.ends.is_some_and(|ends| ends.end >= offset)
    }
}

/// The broker behind a stream has registered again since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StaleBrokerEpoch;

/// R9's clock: when was the follower last known to have all that the leader had at that time.
///
/// Under load its end is never the log's end at the moment an acknowledgement is read. So the leader marks its own end
/// from time to time; when the mark is acknowledged, the follower was caught up as of when it was made.
#[derive(Clone, Copy, Debug)]
struct LagClock {
    caught_up_at: Option<Millis>,
    mark_end: Offset,
    mark_at: Millis,
}

impl LagClock {
    fn advance(&mut self, end: Offset, log_end: Offset, now: Millis) {
        if end >= log_end {
            self.caught_up_at = Some(now);
        } else if end >= self.mark_end {
            self.caught_up_at = self.caught_up_at.max(Some(self.mark_at));
        } else {
            return;
        }
        self.mark_end = log_end;
        self.mark_at = now;
    }
}

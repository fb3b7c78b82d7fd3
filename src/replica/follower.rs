//! The follower's judgement: when its log is a copy of the leader's, and how much of it is known to be committed.
//!
//! ```text
//!   follow ──▶ Detached ──open──▶ Opening ──Ok──▶ Streaming
//!                  ▲                  │                │
//!                  └──── OpenAfter ◀──┴────────────────┘ refused, diverged, R4 broken, stream closed
//!
//!   Faulted: R3 would be broken; only another leader epoch leads out.
//! ```
//!
//! Invariants: data is appended only in the epoch, on the stream and at the offset it was sent for; the local high
//! watermark never falls, unless the partition recovers from an unclean election.
//!
//! Absent on purpose: a way to the leader (the lanes'), the log itself: the caller reports what it did to it.

use super::effect::{Ack, Fault, FollowerEffect, Open, Opened};
use super::epochs::{EpochEnd, EpochLookup};
use super::isr::Policy;
use super::leader::{Assignment, Leader, LeaderEffects};
use super::{LogEnds, StreamId};
use crate::base::ids::{LeaderEpoch, NodeId, Offset};
use crate::base::mutants::Mutant;
use crate::base::time::Millis;

/// The list a follower's effects are pushed on; the caller owns and reuses it.
pub type FollowerEffects = Vec<FollowerEffect>;

/// How long a follower rests after an answer that only metadata or time can change, at first and at most. After an
/// election the leader hears of it a moment later than its followers as often as not, and producers wait for them.
const OPEN_REST_MS: u64 = 2;
const OPEN_REST_MS_MAX: u64 = 50;

/// Whom a follower follows: what metadata says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leadership {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// The leader was elected uncleanly (`leaderRecoveryState` RECOVERING): committed records may have been given up.
    pub recovering: bool,
}

/// What a leader sent, as far as it is judged: one or more whole batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data {
    pub stream: StreamId,
    pub leader_epoch: LeaderEpoch,
    pub base_offset: Offset,
}

/// Where the leader's log starts, and how much of it is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// Whether data is to be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Taken {
    /// Append it, then call `on_appended`.
    Append,
    Drop,
}

/// A replica that copies its leader's log, or waits for one to copy.
#[derive(Debug)]
pub struct Follower {
    log: LogEnds,
    /// Committed as far as this replica knows: R13 serves reads below it, R3 never truncates below it.
    high_watermark: Offset,
    leadership: Option<Leadership>,
    phase: Phase,
    /// Of the leader that is followed, one after the other.
    refusals: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No stream: no leader, or resting, or no way to it yet.
    Detached,
    Opening(StreamId),
    Streaming(StreamId),
    /// The log is about to be cut here. Nothing is opened before it was, or what comes then could be cut as well.
    Cutting(Offset),
    /// The log is about to be emptied, and to go on here.
    Restarting(Offset),
    /// R3: stopped with its data kept.
    Faulted,
}

impl Follower {
    /// A replica as its log was found, or as a leader left it.
    pub fn new(log: LogEnds, high_watermark: Offset) -> Self {
        assert!(high_watermark <= log.end, "the log ends at {}, below its high watermark {high_watermark}", log.end);
        Self { log, high_watermark, leadership: None, phase: Phase::Detached, refusals: 0 }
    }

    /// Metadata names a leader. A later epoch than the one followed ends the stream.
    pub fn follow(&mut self, leadership: Leadership, effects: &mut FollowerEffects) {
        let known = self.leadership.replace(leadership);
        if known.is_none_or(|known| known.leader_epoch < leadership.leader_epoch) {
            if Mutant::TruncateToHighWatermark.lives() && self.high_watermark < self.log.end {
                self.phase = Phase::Cutting(self.high_watermark);
                return effects.push(FollowerEffect::Truncate { to: self.high_watermark });
            }
            self.refusals = 0;
            self.reopen(0, effects);
        }
    }

    /// Metadata names no leader: nothing is taken any more.
    pub fn detach(&mut self) {
        self.leadership = None;
        self.phase = Phase::Detached;
    }

    /// Metadata names this broker: from here on it judges as a leader.
    pub fn lead(
        self,
        me: NodeId,
        assignment: &Assignment,
        policy: Policy,
        now: Millis,
        effects: &mut LeaderEffects,
    ) -> Leader {
        Leader::new(self, me, assignment, policy, now, effects)
    }

    /// There is a way to the leader: what to send on it. `None` if nothing should be opened now.
    pub fn open(&mut self, stream: StreamId, epochs: &dyn EpochLookup) -> Option<Open> {
        let leadership = self.leadership?;
        if matches!(self.phase, Phase::Faulted | Phase::Cutting(_) | Phase::Restarting(_)) {
            return None;
        }
        self.phase = Phase::Opening(stream);
        Some(Open {
            stream,
            leader_epoch: leadership.leader_epoch,
            log_start: self.log.log_start,
            log_end: self.log.end,
            last_epoch: epochs.last_epoch(),
        })
    }

    pub fn on_opened(
        &mut self,
        stream: StreamId,
        opened: Opened,
        epochs: &dyn EpochLookup,
        effects: &mut FollowerEffects,
    ) {
        if self.phase != Phase::Opening(stream) {
            return;
        }
        match opened {
            Opened::Ok { high_watermark, log_start } => {
                self.refusals = 0;
                self.phase = Phase::Streaming(stream);
                if has_empty_epochs(epochs) {
                    effects.push(FollowerEffect::ForgetEmptyEpochs);
                }
                self.learn(Marks { high_watermark, log_start }, effects);
                self.acknowledge(effects); // the Open did not say how much is flushed
            }
            Opened::Diverged(theirs) => self.part(theirs, epochs, effects),
            Opened::OutOfRange { log_start } if log_start > self.log.end => {
                // All of it was committed and deleted at the leader: nothing R3 protects is lost.
                self.phase = Phase::Restarting(log_start);
                effects.push(FollowerEffect::RestartAt { log_start });
            }
            Opened::OutOfRange { .. }
            | Opened::UnknownLeaderEpoch
            | Opened::NotLeader
            | Opened::NotReplica
            | Opened::StaleBrokerEpoch => {
                let rest = OPEN_REST_MS << self.refusals.min(16);
                self.refusals += 1;
                self.reopen(rest.min(OPEN_REST_MS_MAX), effects);
            }
            Opened::FencedLeaderEpoch => self.phase = Phase::Detached, // R1: metadata is about to name a later epoch
        }
    }

    /// R4: the leader's data is appended only if it is of the epoch followed now and goes on where the log ends.
    pub fn on_data(&mut self, data: &Data, effects: &mut FollowerEffects) -> Taken {
        if self.phase != Phase::Streaming(data.stream) {
            return Taken::Drop;
        }
        let ours = self.leadership.is_some_and(|leadership| leadership.leader_epoch == data.leader_epoch);
        if !ours || data.base_offset != self.log.end {
            self.reopen(0, effects);
            return Taken::Drop;
        }
        Taken::Append
    }

    /// The log was written up to `end`: data that was taken is in it.
    pub fn on_appended(&mut self, end: Offset, marks: Marks, effects: &mut FollowerEffects) {
        assert!(end >= self.log.end, "an append moved the log end from {} back to {end}", self.log.end);
        self.log.end = end;
        self.learn(marks, effects);
        self.acknowledge(effects);
    }

    /// The log is on disk up to `flushed_end`.
    pub fn on_flushed(&mut self, flushed_end: Offset, effects: &mut FollowerEffects) {
        assert!(flushed_end <= self.log.end, "flushed to {flushed_end}, past the log end {}", self.log.end);
        if flushed_end > self.log.flushed_end {
            self.log.flushed_end = flushed_end;
            self.acknowledge(effects);
        }
    }

    /// The leader tells its marks without data.
    pub fn on_marks(&mut self, stream: StreamId, marks: Marks, effects: &mut FollowerEffects) {
        if self.phase == Phase::Streaming(stream) {
            self.learn(marks, effects);
        }
    }

    /// The local log's start moved, as the leader told or by local retention.
    pub fn on_log_start(&mut self, log_start: Offset, effects: &mut FollowerEffects) {
        assert!(log_start <= self.log.end, "the log cannot start at {log_start}, past its end {}", self.log.end);
        if log_start > self.log.log_start {
            self.log.log_start = log_start;
            self.acknowledge(effects);
        }
    }

    /// The stream ended, by its connection or because the leader refused it.
    pub fn on_stream_closed(&mut self, stream: StreamId, effects: &mut FollowerEffects) {
        if matches!(self.phase, Phase::Opening(current) | Phase::Streaming(current) if current == stream) {
            self.reopen(OPEN_REST_MS_MAX, effects);
        }
    }

    /// Whether the log is still to be cut here: it may have been, or another leader may have come.
    pub fn is_to_be_cut(&self, to: Offset) -> bool {
        self.phase == Phase::Cutting(to)
    }

    /// Whether the log is still to go on here, empty.
    pub fn is_to_restart(&self, at: Offset) -> bool {
        self.phase == Phase::Restarting(at)
    }

    /// The log could not be cut or emptied now: the leader is asked again.
    pub fn on_not_cut(&mut self, effects: &mut FollowerEffects) {
        if matches!(self.phase, Phase::Cutting(_) | Phase::Restarting(_)) {
            self.reopen(OPEN_REST_MS_MAX, effects);
        }
    }

    pub fn on_truncated(&mut self, to: Offset, effects: &mut FollowerEffects) {
        self.log.end = self.log.end.min(to);
        self.log.flushed_end = self.log.flushed_end.min(to);
        self.high_watermark = self.high_watermark.min(to); // lower only after an unclean election (R3)
        self.reopen(0, effects);
    }

    pub fn on_restarted(&mut self, log_start: Offset, effects: &mut FollowerEffects) {
        self.log = LogEnds { log_start, end: log_start, flushed_end: log_start };
        self.high_watermark = log_start;
        self.reopen(0, effects);
    }

    pub fn log(&self) -> LogEnds {
        self.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// How far consumers may read here (R13): not at all before the log was compared with the present leader's, or
    /// a replica that just came back would serve what was truncated meanwhile.
    pub fn readable_to(&self) -> Option<Offset> {
        matches!(self.phase, Phase::Streaming(_)).then_some(self.high_watermark)
    }

    pub fn is_faulted(&self) -> bool {
        self.phase == Phase::Faulted
    }

    /// R2 and R3: the logs part; where is ours to be cut, and may it be?
    fn part(&mut self, theirs: EpochEnd, epochs: &dyn EpochLookup, effects: &mut FollowerEffects) {
        let leadership = self.leadership.expect("a stream is only opened to a leader");
        let to = truncation_point(theirs, self.log, epochs);
        if to >= self.log.end {
            // The leader sees a difference where we have nothing to give up: the same Open would get the same answer.
            return self.reopen(OPEN_REST_MS_MAX, effects);
        }
        if to < self.high_watermark && !leadership.recovering {
            self.phase = Phase::Faulted;
            let (leader, leader_epoch) = (leadership.leader, leadership.leader_epoch);
            let high_watermark = self.high_watermark;
            let fault = Fault::TruncationBelowHighWatermark { leader, leader_epoch, to, high_watermark };
            return effects.push(FollowerEffect::Fault(fault));
        }
        let (phase, effect) = match to < self.log.log_start {
            true => (Phase::Restarting(to), FollowerEffect::RestartAt { log_start: to }),
            false => (Phase::Cutting(to), FollowerEffect::Truncate { to }),
        };
        self.phase = phase;
        effects.push(effect);
    }

    /// R5: what the leader has committed is committed here too, as far as the log reaches. Committed once is committed:
    /// a new leader that knows less takes nothing back.
    fn learn(&mut self, marks: Marks, effects: &mut FollowerEffects) {
        let reached = self.log.end.min(marks.high_watermark);
        if reached > self.high_watermark {
            self.high_watermark = reached;
            effects.push(FollowerEffect::HighWatermark(reached));
        }
        let log_start = marks.log_start.min(self.high_watermark);
        if log_start > self.log.log_start {
            effects.push(FollowerEffect::LogStart(log_start));
        }
    }

    fn acknowledge(&self, effects: &mut FollowerEffects) {
        if let Phase::Streaming(stream) = self.phase {
            effects.push(FollowerEffect::Ack(Ack { stream, ends: self.log }));
        }
    }

    fn reopen(&mut self, ms: u64, effects: &mut FollowerEffects) {
        self.phase = Phase::Detached;
        effects.push(FollowerEffect::OpenAfter { ms });
    }
}

/// R2: the first offset at which this log may differ from the leader's. The leader's history ends `theirs.epoch` at
/// `theirs.end`; ours may end it earlier, and what follows there is of an epoch the leader does not have.
///
/// Not the high watermark: a follower's lags, and two failovers in a row would cut committed records (KIP-101,
/// KIP-279).
fn truncation_point(theirs: EpochEnd, log: LogEnds, epochs: &dyn EpochLookup) -> Offset {
    let ours = epochs.end_offset_for(theirs.epoch).map_or(log.log_start, |ours| ours.end);
    theirs.end.min(ours).min(log.end)
}

/// Whether the latest epoch this replica knows of is none that its last record is of.
fn has_empty_epochs(epochs: &dyn EpochLookup) -> bool {
    let latest = epochs.end_offset_for(LeaderEpoch(i32::MAX)).map(|latest| latest.epoch);
    latest != epochs.last_epoch()
}

//! The leader's judgement: when a record is committed, who is in sync, whose stream counts.
//!
//! ```text
//!   proposing an ISR:
//!     Idle ──propose──▶ InFlight ──accepted─────────▶ Idle
//!      ▲                       ├───refused, unknown──▶ Resting ──its time is over──▶ Idle
//!      │                       └───outdated──────────▶ Stopped
//!      └──── from anywhere, when metadata tells of a later partition epoch
//! ```
//!
//! Invariants: the high watermark only rises within one `Leader`; it is never above the end of a member of the maximal
//! ISR that this leader heard; one proposal is in flight at a time; whoever was named by a proposal of open fate
//! counts as a member until the partition epoch moves.
//!
//! Absent on purpose: waiting requests (`waiters.rs`), sequences (`producers.rs`), what to send to whom (the lanes').

use std::mem;

use super::effect::{Ack, LeaderEffect, Open, Opened, Opener};
use super::epochs::{EpochEnd, EpochLookup};
use super::follower::Follower;
use super::isr::{Outcome, Policy, Proposal, RemoteReplica, Replica, Standing};
use super::{LogEnds, StreamId};
use crate::base::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionEpoch};
use crate::base::mutants::Mutant;
use crate::base::time::Millis;

/// The list a leader's effects are pushed on; the caller owns and reuses it.
pub type LeaderEffects = Vec<LeaderEffect>;

/// How long a proposal rests that was refused, or whose fate is unknown, before it is built anew.
const PROPOSAL_REST_MS: u64 = 100;

/// What metadata says of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// All replicas, the leader among them.
    pub replicas: Vec<Replica>,
}

/// What a producer waits for; Kafka's `acks` 0, 1 and -1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    None,
    Leader,
    All,
}

/// NOT_ENOUGH_REPLICAS: an append with `acks=all` could not be acknowledged as things stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("in-sync replicas: {in_sync}, required by min.insync.replicas: {required}")]
pub struct NotEnoughReplicas {
    pub in_sync: usize,
    pub required: usize,
}

/// OFFSET_NOT_AVAILABLE: the leader is new and does not know yet how much is committed (KIP-207).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the leader took over at {epoch_start} and knows only {high_watermark} to be committed")]
pub struct OffsetNotAvailable {
    pub high_watermark: Offset,
    pub epoch_start: Offset,
}

/// A replica that leads its partition in one leader epoch.
#[derive(Debug)]
pub struct Leader {
    me: NodeId,
    my_broker_epoch: BrokerEpoch,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    adding_me: bool,
    policy: Policy,
    log: LogEnds,
    /// Where the log ended when this epoch began.
    epoch_start: Offset,
    high_watermark: Offset,
    /// Few, in ascending order of id.
    followers: Vec<RemoteReplica>,
    proposing: Proposing,
    attempt: u32,
    /// An attempt at this partition epoch got no answer and may still be applied.
    in_doubt: bool,
    wake_at: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proposing {
    Idle,
    InFlight,
    Resting {
        until: Millis,
    },
    /// R10: the controller knows more than we do; retrying would only repeat the answer.
    Stopped,
}

impl Leader {
    /// Takes over with the log as it is. The high watermark starts at the last one known (R14); the caller has put
    /// `(leader epoch, log end)` into the epoch cache and rebuilt the producers' sequences before.
    pub(super) fn new(
        replica: Follower,
        me: NodeId,
        assignment: &Assignment,
        policy: Policy,
        now: Millis,
        effects: &mut LeaderEffects,
    ) -> Self {
        let (log, high_watermark) = (replica.log(), replica.high_watermark());
        let mine = assignment.replica(me);
        assert!(mine.in_isr, "broker {me} was made leader without being in the ISR");
        let mut leader = Self {
            me,
            my_broker_epoch: mine.standing.broker_epoch,
            leader_epoch: assignment.leader_epoch,
            partition_epoch: assignment.partition_epoch,
            adding_me: mine.adding,
            policy,
            log,
            epoch_start: log.end,
            high_watermark,
            followers: assignment.others(me).map(|replica| RemoteReplica::new(replica, log.end, now)).collect(),
            proposing: Proposing::Idle,
            attempt: 0,
            in_doubt: false,
            wake_at: None,
        };
        leader.followers.sort_by_key(|follower| follower.id);
        leader.review(now, effects);
        leader
    }

    /// Somebody else leads now, or the same broker in another epoch: all waiting producers get NOT_LEADER_OR_FOLLOWER.
    pub fn resign(self) -> Follower {
        Follower::new(self.log, self.high_watermark)
    }

    /// Whether a batch may be taken at all.
    pub fn may_append(&self, acks: Acks) -> Result<(), NotEnoughReplicas> {
        if acks == Acks::All && !self.has_enough_replicas() {
            return Err(NotEnoughReplicas { in_sync: self.isr_len(), required: self.effective_min_isr() });
        }
        Ok(())
    }

    /// The log was written up to `end`.
    pub fn on_appended(&mut self, end: Offset, now: Millis, effects: &mut LeaderEffects) {
        assert!(end >= self.log.end, "an append moved the log end from {} back to {end}", self.log.end);
        for follower in &mut self.followers {
            follower.before_append(self.log.end, now);
        }
        self.log.end = end;
        self.review(now, effects);
    }

    /// The log is on disk up to `flushed_end`.
    pub fn on_flushed(&mut self, flushed_end: Offset, now: Millis, effects: &mut LeaderEffects) {
        assert!(flushed_end <= self.log.end, "flushed to {flushed_end}, past the log end {}", self.log.end);
        self.log.flushed_end = self.log.flushed_end.max(flushed_end);
        self.review(now, effects);
    }

    /// Retention or DeleteRecords moved the log's start.
    pub fn on_log_start(&mut self, log_start: Offset) {
        assert!(log_start <= self.high_watermark, "the log cannot start at {log_start}, past the high watermark");
        self.log.log_start = self.log.log_start.max(log_start);
    }

    /// A follower opens the partition. Unless it is refused, its older stream ends here.
    pub fn on_open(
        &mut self,
        from: Opener,
        open: &Open,
        epochs: &dyn EpochLookup,
        now: Millis,
        effects: &mut LeaderEffects,
    ) -> Opened {
        // R1: both must speak of the same epoch, or what they find equal today another leader changes tomorrow.
        if open.leader_epoch < self.leader_epoch {
            return Opened::FencedLeaderEpoch;
        }
        if open.leader_epoch > self.leader_epoch {
            return Opened::UnknownLeaderEpoch;
        }
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.id == from.id) else {
            return Opened::NotReplica;
        };
        let Ok(displaced) = follower.reopen_as(from.broker_epoch) else { return Opened::StaleBrokerEpoch };
        // This Open may be the late one, of a connection already given up: then the other must be opened again.
        effects.extend(displaced.map(LeaderEffect::RefuseStream));
        if open.log_end < self.log.log_start {
            return Opened::OutOfRange { log_start: self.log.log_start };
        }
        if let Some(divergence) = divergence(open, self.log, epochs) {
            return Opened::Diverged(divergence);
        }
        // How much it has flushed the first acknowledgement tells.
        let ends = LogEnds { log_start: open.log_start, end: open.log_end, flushed_end: open.log_start };
        follower.open(open.stream, ends, self.log.end, now);
        self.review(now, effects);
        Opened::Ok { high_watermark: self.high_watermark, log_start: self.log.log_start }
    }

    /// A follower tells how far its log reaches.
    pub fn on_ack(&mut self, from: NodeId, ack: &Ack, now: Millis, effects: &mut LeaderEffects) {
        let log_end = self.log.end;
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.id == from) else {
            return effects.push(LeaderEffect::RefuseStream(ack.stream));
        };
        if !follower.speaks_on(ack.stream) && !Mutant::AckOfOldStream.lives() {
            return effects.push(LeaderEffect::RefuseStream(ack.stream)); // R6
        }
        if ack.ends.end > log_end {
            follower.forget(); // it has what we never sent: compare logs again
            return effects.push(LeaderEffect::RefuseStream(ack.stream));
        }
        follower.advance(ack.ends, log_end, now);
        self.review(now, effects);
    }

    /// The connection under a stream ended, or its follower closed it.
    pub fn on_stream_closed(&mut self, stream: StreamId, now: Millis, effects: &mut LeaderEffects) {
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.speaks_on(stream)) {
            follower.close();
            self.review(now, effects);
        }
    }

    /// Metadata has changed the partition without changing its leader or leader epoch (R11): streams go on.
    pub fn on_partition_changed(&mut self, assignment: &Assignment, now: Millis, effects: &mut LeaderEffects) {
        assert!(
            assignment.leader_epoch == self.leader_epoch,
            "leader epoch {} is another leadership than {}: resign first",
            assignment.leader_epoch,
            self.leader_epoch
        );
        if assignment.partition_epoch < self.partition_epoch {
            return; // the answer to a proposal came first and told more
        }
        let mut known = mem::take(&mut self.followers);
        for replica in assignment.others(self.me) {
            let place = known.iter().position(|follower| follower.id == replica.id);
            let mut follower = match place {
                Some(place) => known.swap_remove(place),
                None => RemoteReplica::new(replica, self.log.end, now),
            };
            follower.member = replica.in_isr;
            follower.adding = replica.adding;
            effects.extend(follower.stand(replica.standing).map(LeaderEffect::RefuseStream));
            self.followers.push(follower);
        }
        self.followers.sort_by_key(|follower| follower.id);
        effects.extend(known.iter().filter_map(RemoteReplica::stream).map(LeaderEffect::RefuseStream));
        self.adding_me = assignment.replica(self.me).adding;
        self.settle_at(assignment.partition_epoch);
        self.review(now, effects);
    }

    /// Metadata tells something new of a broker: registered again, fenced, unfenced, shutting down.
    pub fn on_broker_changed(&mut self, id: NodeId, standing: Standing, now: Millis, effects: &mut LeaderEffects) {
        if id == self.me {
            self.my_broker_epoch = standing.broker_epoch;
        }
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.id == id) {
            effects.extend(follower.stand(standing).map(LeaderEffect::RefuseStream));
        }
        self.review(now, effects);
    }

    pub fn on_policy_changed(&mut self, policy: Policy, now: Millis, effects: &mut LeaderEffects) {
        self.policy = policy;
        self.review(now, effects);
    }

    /// What became of a proposal. A late answer to an earlier attempt can only teach, not refuse; one to a proposal of
    /// an earlier leadership says nothing.
    pub fn on_proposal_outcome(
        &mut self,
        proposal: &Proposal,
        outcome: Outcome,
        now: Millis,
        effects: &mut LeaderEffects,
    ) {
        if proposal.leader_epoch != self.leader_epoch {
            return;
        }
        let expected = proposal.attempt == self.attempt && self.proposing == Proposing::InFlight;
        match outcome {
            Outcome::Accepted { partition_epoch, isr } if partition_epoch > self.partition_epoch => {
                for follower in &mut self.followers {
                    follower.member = isr.contains(&follower.id);
                }
                self.settle_at(partition_epoch);
            }
            _ if !expected => return,
            Outcome::Outdated => self.proposing = Proposing::Stopped,
            Outcome::Accepted { .. } => self.rest(now),
            Outcome::Refused => {
                // Whoever an earlier attempt named may yet become a member, whatever became of this one.
                self.forget_proposed_unless(self.in_doubt);
                self.rest(now);
            }
            Outcome::Unknown => {
                self.in_doubt = true;
                self.rest(now);
            }
        }
        self.review(now, effects);
    }

    /// The time of a `WakeAt` has come.
    pub fn tick(&mut self, now: Millis, effects: &mut LeaderEffects) {
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
        }
        self.review(now, effects);
    }

    /// Whether none of the others in the ISR is connected: any of them may be elected without our knowing. A sole
    /// member of the ISR is not cut off, nobody else can be.
    pub fn is_cut_off(&self) -> bool {
        let mut members = self.followers.iter().filter(|follower| follower.member).peekable();
        members.peek().is_some() && !members.any(RemoteReplica::is_live)
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// How far a `read_committed` consumer may read: the high watermark, as long as there are no transactions.
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark
    }

    /// The committed ISR, in ascending order.
    pub fn isr(&self) -> Vec<NodeId> {
        let mut isr: Vec<_> = self.followers.iter().filter(|f| f.member).map(|f| f.id).chain([self.me]).collect();
        isr.sort();
        isr
    }

    /// Whether the high watermark stands still for want of in-sync replicas.
    pub fn is_under_min_isr(&self) -> bool {
        !self.has_enough_replicas()
    }

    /// ListOffsets(LATEST). Before the high watermark has reached the epoch's start, an earlier leader may have told
    /// a consumer of a later one (R14, KIP-207).
    pub fn latest_offset(&self) -> Result<Offset, OffsetNotAvailable> {
        if self.high_watermark < self.epoch_start {
            return Err(OffsetNotAvailable { high_watermark: self.high_watermark, epoch_start: self.epoch_start });
        }
        Ok(self.high_watermark)
    }

    /// Whether a consumer may be sent to this follower to read at `offset` (R13, KIP-392): in sync, with a live
    /// stream of this epoch, and with the offset in its log, or the two would send the consumer back and forth.
    pub fn may_redirect_to(&self, follower: NodeId, offset: Offset) -> bool {
        self.followers.iter().any(|known| {
            known.id == follower
                && known.member
                && known.is_live()
                && known.ends().is_some_and(|ends| ends.log_start <= offset && offset <= ends.end)
        })
    }

    /// DeleteRecords' low watermark: where the log starts on every replica that is heard.
    pub fn low_watermark(&self) -> Offset {
        let heard = self.followers.iter().filter(|follower| follower.is_live()).filter_map(RemoteReplica::ends);
        heard.map(|ends| ends.log_start).fold(self.log.log_start, Offset::min)
    }

    /// After every event, in this order: a new member must hold the high watermark back before it moves.
    fn review(&mut self, now: Millis, effects: &mut LeaderEffects) {
        self.review_isr(now, effects);
        self.raise_high_watermark(now, effects);
        self.arrange_wake(now, effects);
    }

    /// R7: only what the whole maximal ISR has is committed, and only while there are enough members.
    fn raise_high_watermark(&mut self, now: Millis, effects: &mut LeaderEffects) {
        if !self.has_enough_replicas() {
            return;
        }
        let mut committed = self.policy.durability.counted(self.log.end, self.log.flushed_end);
        for follower in &self.followers {
            if follower.holds_high_watermark(self.log.end, now, &self.policy) {
                let Some(end) = follower.counted(&self.policy) else { return }; // not heard in this epoch
                committed = committed.min(end);
            }
        }
        if committed > self.high_watermark {
            self.high_watermark = committed;
            effects.push(LeaderEffect::HighWatermark(committed));
        }
    }

    /// Strict min ISR (KIP-966): with fewer members nothing is committed, so whoever left the ISR last still has all
    /// that ever was. Replicas still being added do not count, or growing a topic from one replica would freeze it.
    fn has_enough_replicas(&self) -> bool {
        self.isr_len() >= self.effective_min_isr() || Mutant::MinIsrSkipped.lives()
    }

    fn effective_min_isr(&self) -> usize {
        let mine = usize::from(!self.adding_me);
        let settled = mine + self.followers.iter().filter(|follower| !follower.adding).count();
        self.policy.min_insync_replicas.min(settled).max(1)
    }

    fn isr_len(&self) -> usize {
        1 + self.followers.iter().filter(|follower| follower.member).count()
    }

    /// R8, R9, R10: proposes the ISR as it should be, if it is another and no proposal stands in the way.
    fn review_isr(&mut self, now: Millis, effects: &mut LeaderEffects) {
        match self.proposing {
            Proposing::InFlight | Proposing::Stopped => return,
            Proposing::Resting { until } if now < until => return,
            Proposing::Resting { .. } | Proposing::Idle => self.proposing = Proposing::Idle,
        }
        let as_it_is = |follower: &RemoteReplica| self.belongs(follower, now) == follower.member && !follower.proposed;
        if self.followers.iter().all(as_it_is) {
            return;
        }
        self.propose(now, effects);
    }

    /// Whether a follower should be in the ISR.
    fn belongs(&self, follower: &RemoteReplica, now: Millis) -> bool {
        if follower.member {
            return follower.in_sync(self.log.end, now, &self.policy);
        }
        let must_have = match Mutant::JoinBelowEpochStart.lives() {
            true => self.high_watermark,
            false => self.high_watermark.max(self.epoch_start),
        };
        follower.may_join(must_have, self.log.end, now, &self.policy)
    }

    fn propose(&mut self, now: Millis, effects: &mut LeaderEffects) {
        let mut isr = vec![(self.me, self.my_broker_epoch)];
        for place in 0..self.followers.len() {
            if self.belongs(&self.followers[place], now) {
                let follower = &mut self.followers[place];
                follower.proposed |= !follower.member;
                isr.push((follower.id, follower.standing.broker_epoch));
            }
        }
        isr.sort();
        self.attempt += 1;
        self.proposing = Proposing::InFlight;
        effects.push(LeaderEffect::ProposeIsr(Proposal {
            attempt: self.attempt,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr,
        }));
    }

    /// The partition epoch is known to be at least this: every proposal made at an earlier one is settled.
    fn settle_at(&mut self, partition_epoch: PartitionEpoch) {
        if partition_epoch > self.partition_epoch {
            self.partition_epoch = partition_epoch;
            self.proposing = Proposing::Idle;
            self.in_doubt = false;
            self.forget_proposed_unless(false);
        }
    }

    fn forget_proposed_unless(&mut self, in_doubt: bool) {
        for follower in &mut self.followers {
            follower.proposed &= in_doubt;
        }
    }

    fn rest(&mut self, now: Millis) {
        self.proposing = Proposing::Resting { until: now.plus(PROPOSAL_REST_MS) };
    }

    /// Time matters while a follower that holds the high watermark lags, or while a proposal rests; an idle partition
    /// has no timer.
    fn arrange_wake(&mut self, now: Millis, effects: &mut LeaderEffects) {
        let falls_out = |follower: &RemoteReplica| match follower.member || follower.is_live() {
            true => follower.falls_out_at(self.log.end, &self.policy).filter(|at| *at > now),
            false => None,
        };
        let rested = match self.proposing {
            Proposing::Resting { until } => Some(until),
            _ => None,
        };
        let next = self.followers.iter().filter_map(falls_out).chain(rested).min();
        let Some(next) = next else { return };
        if self.wake_at.is_none_or(|at| next < at) {
            self.wake_at = Some(next);
            effects.push(LeaderEffect::WakeAt(next));
        }
    }
}

impl Assignment {
    fn replica(&self, id: NodeId) -> &Replica {
        let found = self.replicas.iter().find(|replica| replica.id == id);
        found.expect("metadata makes a broker leader only of partitions it is a replica of")
    }

    fn others(&self, me: NodeId) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(move |replica| replica.id != me)
    }
}

/// R2: where the follower's log can no longer be a prefix of ours; `None` if all of it is.
fn divergence(open: &Open, log: LogEnds, epochs: &dyn EpochLookup) -> Option<EpochEnd> {
    let Some(last_epoch) = open.last_epoch else {
        // No records to compare: an empty log only must not start past our end.
        let end = EpochEnd { epoch: LeaderEpoch(-1), end: log.end };
        return (open.log_end > log.end).then_some(end);
    };
    // If all our epochs are later, what the follower has past our start is not of our history.
    let unknown = EpochEnd { epoch: last_epoch, end: log.log_start };
    let ours = epochs.end_offset_for(last_epoch).unwrap_or(unknown);
    let prefix = ours.epoch == last_epoch && open.log_end <= ours.end;
    (!prefix).then_some(ours)
}

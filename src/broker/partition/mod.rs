//! One partition of this node: its replica's mind and its log behind one short mutex.
//!
//! Invariants: mind and log agree on where the log ends whenever the lock is free; a waiting producer is answered once,
//! when its record is committed or the leadership is lost; what the mind wants done outside is handed over after the
//! lock was let go of.
//!
//! Reading order: this page (what a partition is, how it changes its role), `produce`, `fetch`, `park` (what waits for
//! it to lead), `lead` (what followers ask of it), `follow` (what it asks of its leader), `upkeep` and `compact` (what
//! goes).

mod after;
mod compact;
mod fetch;
mod follow;
mod lead;
mod park;
mod produce;
mod producers;
mod upkeep;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::errands::{Errand, Errands};
use super::lease::Lease;
use super::passing::HandOver;
use super::suspects::Suspects;
use super::{PartitionError, TopicSettings};
use crate::base::World;
use crate::base::clock::WallMillis;
use crate::base::executor::Reactor;
use crate::base::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::base::time::Millis;
use crate::log::{Flush, Log, LogError};
use crate::replica::epochs::{EpochEnd, EpochLookup};
use crate::replica::follower::{Follower, FollowerEffects, Leadership};
use crate::replica::isr::{Outcome, Proposal, Standing};
use crate::replica::leader::{Assignment, Leader, LeaderEffects};
use crate::replica::producers::Producers;
use crate::replica::waiters::ProduceWaiters;
use crate::replica::{Durability, LogEnds, StreamId};

use after::After;
use park::ParkedAppends;
use watch::Watches;

pub use fetch::{FetchFrom, Fetched, Isolation};
pub use lead::{LaneQueue, Pulled};
pub(super) use park::Append;
pub use park::Parked;
pub use produce::Produced;
pub use producers::ProducersFound;
pub use upkeep::Deleted;
pub use watch::{News, Watch};

/// What all partitions of a node share.
pub struct Surroundings {
    pub me: NodeId,
    pub world: World,
    pub errands: Errands,
    pub(in crate::broker) suspects: Suspects,
    pub(in crate::broker) lease: Lease,
    pub hand_over: HandOver,
    /// Weak, because what runs on them holds this.
    reactors: Vec<Weak<dyn Reactor>>,
    /// Whose turn it is.
    turn: AtomicUsize,
    started: Instant,
    streams: AtomicU64,
}

impl Surroundings {
    pub fn new(me: NodeId, world: World) -> Self {
        Self {
            me,
            world,
            errands: Errands::default(),
            suspects: Suspects::default(),
            lease: Lease::default(),
            hand_over: HandOver::default(),
            reactors: Vec::new(),
            turn: AtomicUsize::default(),
            started: Instant::now(),
            streams: AtomicU64::default(),
        }
    }

    /// The same, with reactors for what must not wait for the rest of the process.
    pub fn on(self, reactors: &[Arc<dyn Reactor>]) -> Self {
        Self { reactors: reactors.iter().map(Arc::downgrade).collect(), ..self }
    }

    /// The reactor whose turn it is, if there is any.
    pub(in crate::broker) fn reactor(&self) -> Option<Arc<dyn Reactor>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.reactors.get(turn % self.reactors.len().max(1))?.upgrade()
    }

    pub fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment of which `now` says this.
    pub fn instant_of(&self, at: Millis) -> Instant {
        self.started + at.since(Millis(0))
    }

    /// An id that no stream of this process has had, on either side of any connection.
    pub fn fresh_stream(&self) -> StreamId {
        StreamId(self.streams.fetch_add(1, Ordering::Relaxed))
    }

    fn wall(&self) -> WallMillis {
        self.world.clock.now()
    }
}

/// A partition that this node has a replica of.
pub struct Partition {
    pub topic: TopicId,
    pub name: Arc<str>,
    pub index: PartitionIndex,
    /// Where its log lies.
    pub folder: PathBuf,
    around: Arc<Surroundings>,
    state: Mutex<State>,
}

/// All that the lock protects.
struct State {
    log: Log,
    role: Role,
    settings: TopicSettings,
    producers: Producers,
    /// Producers that wait for the high watermark.
    writers: ProduceWaiters<oneshot::Sender<Result<(), PartitionError>>>,
    /// Appends that wait for this replica to lead.
    parked: ParkedAppends,
    /// Consumers that want to know when there is something new.
    watches: Watches,
    /// The followers' streams, where this replica leads.
    streams: Vec<lead::Stream>,
    flush_is_due: bool,
    /// When the oldest record that is not durable has waited long enough.
    flush_at: Option<Millis>,
    /// Who waits for a deletion on all replicas.
    deleters: Vec<upkeep::Deleter>,
    /// Upkeep has been asked for, or will look here by itself; somebody has used the log since it looked last.
    upkeep_is_due: bool,
    in_upkeep: bool,
    used: bool,
    /// Where the active segment began when compaction last failed.
    not_compacted_at: Option<Offset>,
    leader_effects: LeaderEffects,
    follower_effects: FollowerEffects,
    /// Who leads, for those who come to the wrong broker.
    leader_hint: Option<(NodeId, LeaderEpoch)>,
}

enum Role {
    Leading(Leader),
    Following(Follower),
    /// Only while a role changes hands, within one call.
    Changing,
}

/// A log's leader epochs, as the minds ask for them.
struct Epochs<'a>(&'a Log);

impl EpochLookup for Epochs<'_> {
    fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let known = self.0.epochs();
        let later = known.partition_point(|entry| entry.epoch <= epoch);
        let found = known.get(later.checked_sub(1)?)?;
        Some(EpochEnd { epoch: found.epoch, end: known.get(later).map_or(self.0.log_end(), |next| next.start) })
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        let last = self.0.log_end().0.checked_sub(1).filter(|last| *last >= self.0.log_start().0)?;
        self.0.epoch_at(Offset(last))
    }
}

/// What metadata says that a replica is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    Lead(Assignment),
    Follow(Leadership),
    /// Nobody leads.
    Wait,
}

impl Partition {
    /// A replica with the log as it was opened; it follows nobody yet.
    pub fn new(
        around: Arc<Surroundings>,
        (topic, name, index): (TopicId, Arc<str>, PartitionIndex),
        log: Log,
        producers: Producers,
        high_watermark: Offset,
        settings: TopicSettings,
    ) -> Arc<Self> {
        let ends = ends_of(&log);
        let high_watermark = high_watermark.max(ends.log_start).min(ends.end);
        let folder = log.folder().to_path_buf();
        let state = State {
            log,
            role: Role::Following(Follower::new(ends, high_watermark)),
            settings,
            producers,
            writers: ProduceWaiters::default(),
            parked: ParkedAppends::default(),
            watches: Watches::default(),
            streams: Vec::new(),
            flush_is_due: false,
            flush_at: None,
            deleters: Vec::new(),
            upkeep_is_due: false,
            in_upkeep: false,
            used: false,
            not_compacted_at: None,
            leader_effects: LeaderEffects::new(),
            follower_effects: FollowerEffects::new(),
            leader_hint: None,
        };
        Arc::new(Self { topic, name, index, folder, around, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, then what that calls for after it.
    fn within<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let result = {
            let mut state = self.lock();
            let result = act(&mut state, &mut after);
            state.settle(self, &mut after);
            result
        };
        after.carry_out(&self.around.errands);
        result
    }

    /// The log dir that its folder is in.
    pub fn log_dir(&self) -> &Path {
        self.folder.parent().expect("a partition's folder is in a log dir")
    }

    /// Takes up what metadata says. Calling it again with the same duty changes nothing.
    pub fn take_up(self: &Arc<Self>, duty: &Duty) -> Result<(), PartitionError> {
        let now = self.around.now();
        self.within(|state, after| {
            match duty {
                Duty::Lead(assignment) => {
                    state.enter_upkeep(self, after);
                    state.lead(self.around.me, assignment, now, after)?;
                    state.append_parked(self, after);
                }
                Duty::Follow(leadership) => {
                    state.leader_hint = Some((leadership.leader, leadership.leader_epoch));
                    state.step_down(after);
                    if !self.around.hand_over.passes_on(|| now) {
                        state.refuse_writers(after);
                    }
                    state.follower().follow(*leadership);
                    state.refuse_parked(self, after);
                }
                Duty::Wait => {
                    state.leader_hint = None;
                    state.resign(after);
                    state.follower().mind.detach();
                    state.refuse_parked(self, after);
                }
            }
            state.flush_if_promised(self, after);
            Ok(())
        })
    }

    /// Metadata tells something new of a fellow broker.
    pub fn on_broker_changed(self: &Arc<Self>, id: NodeId, standing: Standing) {
        let now = self.around.now();
        self.within(|state, _| {
            if let Role::Leading(leader) = &mut state.role {
                leader.on_broker_changed(id, standing, now, &mut state.leader_effects);
            }
        });
    }

    /// The topic's settings have changed.
    pub fn configure(self: &Arc<Self>, settings: TopicSettings) {
        let now = self.around.now();
        self.within(|state, after| {
            state.settings = settings;
            state.log.set_options(settings.log);
            state.upkeep_when_due(self, after);
            state.flush_if_promised(self, after);
            if let Role::Leading(leader) = &mut state.role {
                leader.on_policy_changed(settings.policy, now, &mut state.leader_effects);
            }
        });
    }

    /// The time of an [`Errand::WakeAt`] has come.
    pub fn tick(self: &Arc<Self>) {
        let now = self.around.now();
        self.within(|state, after| {
            if state.flush_at.is_some_and(|at| at <= now) {
                state.flush_when_due(self, after);
            }
            if let Role::Leading(leader) = &mut state.role {
                leader.tick(now, &mut state.leader_effects);
            }
            state.producers.expire(now, state.settings.producer_idle_ms, state.role.high_watermark());
        });
    }

    /// What became of an [`Errand::Propose`].
    pub fn on_proposal_outcome(self: &Arc<Self>, proposal: &Proposal, outcome: Outcome) {
        let now = self.around.now();
        self.within(|state, _| {
            if let Role::Leading(leader) = &mut state.role {
                leader.on_proposal_outcome(proposal, outcome, now, &mut state.leader_effects);
            }
        });
    }

    /// What an [`Errand::Flush`] has to sync, to be run on a worker; then call `flushed`.
    pub fn begin_flush(self: &Arc<Self>) -> Result<Flush, PartitionError> {
        self.within(|state, _| {
            state.flush_is_due = false;
            state.flush_at = None;
            Ok(state.log.begin_flush()?)
        })
    }

    /// A flush has run.
    pub fn flushed(self: &Arc<Self>, flush: &Flush) {
        let now = self.around.now();
        self.within(|state, _| {
            state.log.finish_flush(flush);
            let flushed_end = state.log.recovery_point().min(state.log.log_end());
            match &mut state.role {
                Role::Leading(leader) => leader.on_flushed(flushed_end, now, &mut state.leader_effects),
                Role::Following(follower) => follower.on_flushed(flushed_end, &mut state.follower_effects),
                Role::Changing => {}
            }
        });
    }

    /// A flush did not run to its end: what is on the disk is unknown, and no later sync could say.
    pub fn on_failed_flush(self: &Arc<Self>, error: &LogError) {
        self.within(|state, after| {
            state.log.fail(error);
            state.leader_hint = None;
            state.resign(after);
        });
    }

    /// Closes the log, durably, for a clean stop. Waits for the disk.
    pub fn close(self: &Arc<Self>) -> Result<(), PartitionError> {
        let flush = self.within(|state, after| {
            state.resign(after);
            state.follower().mind.detach();
            state.keep_snapshot();
            state.log.close()
        })?;
        flush.run()?;
        self.lock().log.finish_flush(&flush);
        Ok(())
    }

    /// What the checkpoints keep: high watermark, recovery point, log start, and how far it has been compacted.
    pub fn checkpoint(&self) -> [Offset; 4] {
        let state = self.lock();
        let log = &state.log;
        [state.role.high_watermark(), log.recovery_point(), log.log_start(), log.cleaned_to()]
    }

    /// Whether this replica leads, in which epoch, and how far its log reaches.
    pub fn led_epoch(&self) -> Option<LeaderEpoch> {
        match &self.lock().role {
            Role::Leading(leader) => Some(leader.leader_epoch()),
            _ => None,
        }
    }

    pub fn log_ends(&self) -> LogEnds {
        ends_of(&self.lock().log)
    }

    pub fn settings(&self) -> TopicSettings {
        self.lock().settings
    }
}

impl State {
    fn lead(
        &mut self,
        me: NodeId,
        assignment: &Assignment,
        now: Millis,
        after: &mut After,
    ) -> Result<(), PartitionError> {
        self.leader_hint = Some((me, assignment.leader_epoch));
        if let Role::Leading(leader) = &mut self.role {
            if leader.leader_epoch() == assignment.leader_epoch {
                leader.on_partition_changed(assignment, now, &mut self.leader_effects);
                return Ok(());
            }
            self.resign(after);
        }
        // R14: the epoch begins where the log ends, before anything is taken in it.
        self.log.begin_epoch(assignment.leader_epoch)?;
        let Role::Following(follower) = std::mem::replace(&mut self.role, Role::Changing) else {
            unreachable!("a replica that does not lead follows")
        };
        let leader = follower.lead(me, assignment, self.settings.policy, now, &mut self.leader_effects);
        self.role = Role::Leading(leader);
        Ok(())
    }

    /// Leads no longer, if it did, and tells whoever waited to look elsewhere.
    fn resign(&mut self, after: &mut After) {
        self.step_down(after);
        self.refuse_writers(after);
    }

    /// Stops leading, if it did. What was appended and is not committed yet may be committed by the next leader, of
    /// which a replica that follows it learns.
    fn step_down(&mut self, after: &mut After) {
        if !matches!(self.role, Role::Leading(_)) {
            return;
        }
        let Role::Leading(leader) = std::mem::replace(&mut self.role, Role::Changing) else { unreachable!("checked") };
        self.role = Role::Following(leader.resign());
        let hint = self.leader_hint;
        let deleters = self.deleters.drain(..).map(upkeep::Deleter::into_writer);
        deleters.for_each(|deleter| after.answer(deleter, Err(PartitionError::NotLeader { hint })));
        self.watches.fire(after);
        self.streams.drain(..).for_each(|stream| after.refuse(stream.id));
    }

    /// Whoever waits for an append to be committed is told to look elsewhere.
    pub(super) fn refuse_writers(&mut self, after: &mut After) {
        let hint = self.leader_hint;
        self.writers.drain(|writer| after.answer(writer, Err(PartitionError::NotLeader { hint })));
    }

    /// Does what the minds want, and notes what has to wait for the lock to be free.
    fn settle(&mut self, partition: &Arc<Partition>, after: &mut After) {
        self.settle_leading(partition, after);
        self.settle_following(partition, after);
        self.answer_deleters(after);
    }

    /// Something was appended: by when, or at once, it is to be durable.
    fn flush_after_append(&mut self, partition: &Arc<Partition>, rolled: bool, now: Millis, after: &mut After) {
        let waiting = self.log.log_end().0 - self.log.recovery_point().0;
        let is_fsync = self.settings.policy.durability == Durability::Fsync;
        if rolled || is_fsync || waiting >= self.settings.flush.records {
            return self.flush_when_due(partition, after);
        }
        if let (Some(ms), None) = (self.settings.flush.ms, self.flush_at) {
            let at = now.plus(ms);
            self.flush_at = Some(at);
            after.errand(Errand::WakeAt(Arc::clone(partition), at));
        }
    }

    /// Where only what is on the disk counts, all that was written has to get there; also what an earlier process has
    /// left in the page cache: nobody else would ask for it, and without it no replica that came back would count.
    fn flush_if_promised(&mut self, partition: &Arc<Partition>, after: &mut After) {
        let is_flushed = self.log.recovery_point() >= self.log.log_end();
        if self.settings.policy.durability == Durability::Fsync && !is_flushed {
            self.flush_when_due(partition, after);
        }
    }

    fn flush_when_due(&mut self, partition: &Arc<Partition>, after: &mut After) {
        if !self.flush_is_due {
            self.flush_is_due = true;
            after.errand(Errand::Flush(Arc::clone(partition)));
        }
    }
}

impl Role {
    fn high_watermark(&self) -> Offset {
        match self {
            Self::Leading(leader) => leader.high_watermark(),
            Self::Following(follower) => follower.high_watermark(),
            Self::Changing => unreachable!("a role changes hands within one call"),
        }
    }
}

fn ends_of(log: &Log) -> LogEnds {
    LogEnds { log_start: log.log_start(), end: log.log_end(), flushed_end: log.recovery_point().min(log.log_end()) }
}

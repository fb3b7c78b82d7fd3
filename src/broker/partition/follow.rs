//! Following: what a partition asks of its leader, and what it does with the answers.

use std::sync::Arc;

use super::after::After;
use super::{Epochs, Partition, PartitionError, ProducersFound, Role, State};
use crate::base::ids::{LeaderEpoch, NodeId, Offset};
use crate::base::mutants::Mutant;
use crate::base::time::Millis;
use crate::broker::Errand;
use crate::record::Batch;
use crate::replica::StreamId;
use crate::replica::effect::{FollowerEffect, Open, Opened};
use crate::replica::follower::{Data, Follower, FollowerEffects, Leadership, Marks, Taken};

use super::producers::info_of;

/// A follower's mind with the list of what it wants.
pub struct Followed<'a> {
    pub(super) mind: &'a mut Follower,
    effects: &'a mut FollowerEffects,
}

impl Followed<'_> {
    pub(super) fn follow(self, leadership: Leadership) {
        self.mind.follow(leadership, self.effects);
    }
}

impl Partition {
    /// Whom this replica follows, and in which epoch.
    pub fn leader(&self) -> Option<(NodeId, LeaderEpoch)> {
        let state = self.lock();
        state.leader_hint.filter(|_| matches!(state.role, Role::Following(_)))
    }

    /// There is a way to the leader: what to send on it, if anything.
    pub fn open(self: &Arc<Self>, stream: StreamId) -> Option<Open> {
        self.within(|state, _| match &mut state.role {
            Role::Following(mind) => mind.open(stream, &Epochs(&state.log)),
            _ => None,
        })
    }

    pub fn on_opened(self: &Arc<Self>, stream: StreamId, opened: Opened) {
        self.within(|state, _| {
            if let Role::Following(mind) = &mut state.role {
                mind.on_opened(stream, opened, &Epochs(&state.log), &mut state.follower_effects);
            }
        });
    }

    /// The leader sent whole batches.
    pub fn on_data(self: &Arc<Self>, data: &Data, marks: Marks, batches: &[Batch]) -> Result<(), PartitionError> {
        let (now, wall) = (self.around.now(), self.around.wall());
        self.within(|state, after| {
            let Role::Following(mind) = &mut state.role else { return Ok(()) };
            if mind.on_data(data, &mut state.follower_effects) == Taken::Drop {
                return Ok(());
            }
            let appended = state.log.append_as_follower(batches, wall);
            let appended = appended.inspect_err(|error| after.on_log_error(error, self))?;
            let high_watermark = mind.high_watermark();
            for batch in batches.iter().filter(|_| !Mutant::ProducersForgotten.lives()) {
                state.producers.record(&info_of(batch), high_watermark, now);
            }
            mind.on_appended(state.log.log_end(), marks, &mut state.follower_effects);
            state.enter_upkeep(self, after);
            if appended.snapshot_due {
                state.keep_snapshot();
            }
            if appended.rolled {
                state.upkeep_when_due(self, after);
            }
            state.flush_after_append(self, appended.rolled, now, after);
            Ok(())
        })
    }

    pub fn on_marks(self: &Arc<Self>, stream: StreamId, marks: Marks) {
        self.within(|state, _| {
            if let Role::Following(mind) = &mut state.role {
                mind.on_marks(stream, marks, &mut state.follower_effects);
            }
        });
    }

    /// The stream to the leader ended, or the leader refused it.
    pub fn on_leader_gone(self: &Arc<Self>, stream: StreamId) {
        self.within(|state, _| {
            if let Role::Following(mind) = &mut state.role {
                mind.on_stream_closed(stream, &mut state.follower_effects);
            }
        });
    }

    /// Before a truncation to this offset: vouches for no more than what would survive a crash in the middle of it, and
    /// says how far that is. Waits for the disk.
    pub fn prepare_truncation(&self, to: Offset) -> Result<Offset, PartitionError> {
        Ok(self.lock().log.prepare_truncation(to)?)
    }

    /// Does an [`Errand::Truncate`], unless it was done or another epoch has begun since. Waits for the disk: for a
    /// worker.
    ///
    /// Before it, the recovery point's checkpoint must be durable at or below what `prepare_truncation` said.
    pub fn truncate(self: &Arc<Self>, to: Offset, epoch: LeaderEpoch) -> Result<(), PartitionError> {
        let now = self.around.now();
        self.within(|state, after| {
            if !state.follows_in(epoch) || !state.follower().mind.is_to_be_cut(to) {
                return Ok(());
            }
            state.log.truncate_to(to)?;
            let end = state.log.log_end();
            state.roll_back_producers(end, now);
            let hint = state.leader_hint;
            state.writers.on_truncated(end, |writer| after.answer(writer, Err(PartitionError::NotLeader { hint })));
            let followed = state.follower();
            followed.mind.on_truncated(end, followed.effects);
            Ok(())
        })
    }

    /// Before a log is emptied: vouches for nothing in it any more.
    pub fn prepare_start_over(&self) {
        self.lock().log.distrust_from(Offset(0));
    }

    /// Does an [`Errand::StartOver`], unless it was done or another epoch has begun since. Waits for the disk: for a
    /// worker.
    ///
    /// Before it, the checkpoints must say, durably, that the log begins there and is without a recovery point.
    pub fn start_over(self: &Arc<Self>, at: Offset, epoch: LeaderEpoch) -> Result<(), PartitionError> {
        let wall = self.around.wall();
        self.within(|state, after| {
            if !state.follows_in(epoch) || !state.follower().mind.is_to_restart(at) {
                return Ok(());
            }
            state.refuse_writers(after);
            state.log.truncate_fully_and_start_at(at, wall)?;
            state.producers = ProducersFound::new(Millis(0)).producers;
            let followed = state.follower();
            followed.mind.on_restarted(at, followed.effects);
            Ok(())
        })
    }
}

impl Partition {
    /// The log could not be cut, or emptied.
    pub fn on_not_cut(self: &Arc<Self>) {
        self.within(|state, _| {
            if let Role::Following(mind) = &mut state.role {
                mind.on_not_cut(&mut state.follower_effects);
            }
        });
    }
}

impl State {
    pub(super) fn follower(&mut self) -> Followed<'_> {
        match &mut self.role {
            Role::Following(mind) => Followed { mind, effects: &mut self.follower_effects },
            _ => unreachable!("a replica that does not lead follows"),
        }
    }

    fn follows_in(&self, epoch: LeaderEpoch) -> bool {
        let is_current = self.leader_hint.is_some_and(|(_, current)| current == epoch);
        is_current && matches!(self.role, Role::Following(_))
    }

    pub(super) fn settle_following(&mut self, partition: &Arc<Partition>, after: &mut After) {
        while !self.follower_effects.is_empty() {
            let mut effects = std::mem::take(&mut self.follower_effects);
            for effect in effects.drain(..) {
                self.follow_up(partition, effect, after);
            }
        }
    }

    fn follow_up(&mut self, partition: &Arc<Partition>, effect: FollowerEffect, after: &mut After) {
        match effect {
            FollowerEffect::OpenAfter { ms } => after.errand(Errand::Open(Arc::clone(partition), ms)),
            FollowerEffect::Truncate { to } => {
                let Some((_, epoch)) = self.leader_hint else { return };
                after.errand(Errand::Truncate(Arc::clone(partition), to, epoch));
            }
            FollowerEffect::RestartAt { log_start } => {
                let Some((_, epoch)) = self.leader_hint else { return };
                after.errand(Errand::StartOver(Arc::clone(partition), log_start, epoch));
            }
            FollowerEffect::ForgetEmptyEpochs => self.forget_empty_epochs(),
            FollowerEffect::Ack(ack) => after.errand(Errand::Acknowledge(Arc::clone(partition), ack)),
            // Consumers read from the leader; but a producer may have been answered by nobody since this one led.
            FollowerEffect::HighWatermark(committed) => {
                self.writers.on_high_watermark(committed, |writer| after.answer(writer, Ok(())));
            }
            FollowerEffect::LogStart(log_start) => {
                self.advance_start(log_start);
                if self.log.has_dead_segments() {
                    self.upkeep_when_due(partition, after);
                }
            }
            FollowerEffect::Fault(fault) => after.errand(Errand::Fault(Arc::clone(partition), fault)),
        }
    }

    fn forget_empty_epochs(&mut self) {
        if let Err(error) = self.log.forget_empty_epochs() {
            tracing::error!(event = "log.failed", %error, "a log's epochs could not be written");
        }
    }

    fn advance_start(&mut self, log_start: Offset) {
        match self.log.advance_log_start(log_start) {
            Ok(()) => {
                if let Role::Following(mind) = &mut self.role {
                    mind.on_log_start(log_start, &mut self.follower_effects);
                }
            }
            Err(error) => tracing::error!(event = "log.failed", %error, "a log's start could not be moved"),
        }
    }
}

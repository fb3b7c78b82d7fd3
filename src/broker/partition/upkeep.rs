//! Upkeep: what a partition does for its log now and then, on a worker, and how records are deleted by request.
//!
//! Only the leader decides where the log starts; its followers are told with the marks and delete the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::after::After;
use super::{Partition, PartitionError, Role, State};
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;
use crate::base::limits::{UPKEEP_IDLE_MS, UPKEEP_MS_MAX};
use crate::broker::Errand;
use crate::log::Retired;

/// Somebody waits until all replicas that are heard have deleted what lies before an offset.
pub(super) struct Deleter {
    before: Offset,
    done: oneshot::Sender<Result<(), PartitionError>>,
}

/// Records before this offset are deleted here.
pub struct Deleted {
    pub log_start: Offset,
    /// Tells when they are on every replica that is heard; nothing if there is nothing to wait for.
    pub everywhere: Option<oneshot::Receiver<Result<(), PartitionError>>>,
}

impl Partition {
    /// DeleteRecords: nothing before this offset, or without one before the high watermark, may be read any more.
    pub fn delete_before(self: &Arc<Self>, offset: Option<Offset>) -> Result<Deleted, PartitionError> {
        self.within(|state, after| {
            let hint = state.leader_hint;
            let Role::Leading(leader) = &state.role else { return Err(PartitionError::NotLeader { hint }) };
            let committed = leader.high_watermark();
            let before = offset.unwrap_or(committed);
            if before > committed {
                return Err(PartitionError::OffsetOutOfRange);
            }
            state.move_start(self, before, after)?;
            state.upkeep_when_due(self, after);
            let log_start = state.log.log_start();
            if state.low_watermark().is_some_and(|low| low >= before) {
                return Ok(Deleted { log_start, everywhere: None });
            }
            let (done, everywhere) = oneshot::channel();
            state.deleters.retain(|deleter| !deleter.done.is_closed());
            state.deleters.push(Deleter { before, done });
            Ok(Deleted { log_start, everywhere: Some(everywhere) })
        })
    }

    /// Where the log starts on every replica that is heard.
    pub fn low_watermark(&self) -> Result<Offset, PartitionError> {
        let state = self.lock();
        state.low_watermark().ok_or(PartitionError::NotLeader { hint: state.leader_hint })
    }

    /// First step of upkeep: the log starts after what the topic need not keep. Says whether files can go.
    pub fn expire(self: &Arc<Self>) -> Result<bool, PartitionError> {
        let wall = self.around.wall();
        self.within(|state, after| {
            state.upkeep_is_due = false;
            if let (Role::Leading(leader), Some(retention)) = (&state.role, state.settings.keep.delete) {
                let start = state.log.kept_from(&retention, leader.high_watermark(), wall)?;
                if start == state.log.log_end() && start > state.log.log_start() {
                    state.roll(self, wall, after)?;
                }
                state.move_start(self, start, after)?;
            }
            Ok(state.log.has_dead_segments())
        })
    }

    /// Second step, once the log dir's checkpoint says where the log starts: its dead segments are no longer part of
    /// it. Their files are to be removed after `file.delete.delay.ms`.
    pub fn retire(&self) -> Result<(Retired, Duration), PartitionError> {
        let mut state = self.lock();
        let start = state.log.log_start();
        let delay = Duration::from_millis(state.settings.keep.delete_delay_ms);
        Ok((state.log.retire_segments(start)?, delay))
    }

    /// `file.delete.delay.ms`
    pub fn delete_delay(&self) -> Duration {
        Duration::from_millis(self.lock().settings.keep.delete_delay_ms)
    }

    /// Last step: gives back what an idle partition need not hold. Says after how long to look again, if ever.
    pub fn rest(&self, check: Duration, backoff: Duration) -> Option<Duration> {
        let wall = self.around.wall();
        let mut state = self.lock();
        let state = &mut *state;
        let expires = state.settings.keep.delete.and_then(|retention| state.log.expires_at(&retention));
        let until = |at: WallMillis| Duration::from_millis(u64::try_from(at.0.saturating_sub(wall.0)).unwrap_or(0));
        let mut next = expires.map(|at| until(at).max(check));
        // What is closed may not be durable or old enough yet to be compacted.
        if state.settings.keep.compact.is_some() && state.log.cleaned_to() < state.log.active_base() {
            next = Some(next.unwrap_or(backoff).min(backoff));
        }
        if std::mem::take(&mut state.used) {
            next = Some(next.unwrap_or(Duration::MAX).min(Duration::from_millis(UPKEEP_IDLE_MS)));
        } else if let Err(error) = state.log.release() {
            tracing::debug!(event = "log.not_released", %error, "an idle log keeps its memory");
        }
        state.in_upkeep = next.is_some();
        next.map(|next| next.min(Duration::from_millis(UPKEEP_MS_MAX)))
    }
}

impl State {
    /// The log may start here now: a leader that is told so tells its followers.
    fn move_start(
        &mut self,
        partition: &Arc<Partition>,
        start: Offset,
        after: &mut After,
    ) -> Result<(), PartitionError> {
        if start <= self.log.log_start() {
            return Ok(());
        }
        self.log.advance_log_start(start)?;
        if let Role::Leading(leader) = &mut self.role {
            leader.on_log_start(start);
        }
        self.watches.fire(after);
        self.offer_to_followers(partition, after);
        Ok(())
    }

    fn roll(&mut self, partition: &Arc<Partition>, wall: WallMillis, after: &mut After) -> Result<(), PartitionError> {
        self.log.roll(wall)?;
        self.keep_snapshot();
        self.flush_when_due(partition, after);
        Ok(())
    }

    fn low_watermark(&self) -> Option<Offset> {
        match &self.role {
            Role::Leading(leader) => Some(leader.low_watermark()),
            _ => None,
        }
    }

    /// Answers who waited for a deletion that has now reached every replica that is heard.
    pub(super) fn answer_deleters(&mut self, after: &mut After) {
        if self.deleters.is_empty() {
            return;
        }
        let Some(low) = self.low_watermark() else { return };
        for deleter in self.deleters.extract_if(.., |deleter| deleter.before <= low) {
            after.answer(deleter.done, Ok(()));
        }
    }

    /// The log has something in it and is in nobody's calendar: it must be looked at one day.
    pub(super) fn enter_upkeep(&mut self, partition: &Arc<Partition>, after: &mut After) {
        self.used = true;
        if !self.in_upkeep {
            self.upkeep_when_due(partition, after);
        }
    }

    /// Something may be deleted: the partition is to be looked at soon.
    pub(super) fn upkeep_when_due(&mut self, partition: &Arc<Partition>, after: &mut After) {
        self.in_upkeep = true;
        if !self.upkeep_is_due {
            self.upkeep_is_due = true;
            after.errand(Errand::Upkeep(Arc::clone(partition)));
        }
    }
}

impl Deleter {
    pub(super) fn into_writer(self) -> oneshot::Sender<Result<(), PartitionError>> {
        self.done
    }
}

//! Errands: what a partition wants done and cannot do under its lock.
//!
//! Invariants: an errand is handed over after the lock has been let go of; each partition has a bounded number of them
//! under way (one proposal, one flush, one wish to open…), so the queue is bounded by the number of partitions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Partition;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::time::Millis;
use crate::log::LogError;
use crate::replica::StreamId;
use crate::replica::effect::{Ack, Fault};
use crate::replica::isr::Proposal;

/// Something to be done for a partition.
pub enum Errand {
    /// Send it to the active controller, and tell the outcome with `on_proposal_outcome`, always.
    Propose(Arc<Partition>, Proposal),
    /// Call `tick` then.
    WakeAt(Arc<Partition>, Millis),
    /// Make what was written durable (`flush`).
    Flush(Arc<Partition>),
    /// The disk failed under its log, for this reason: give up the log dir (`broker/handle.rs`).
    DiskFailed(Arc<Partition>, LogError),
    /// Look at what the log need not keep any more, soon (`broker/upkeep.rs`).
    Upkeep(Arc<Partition>),
    /// Cut the log back to here as a follower of this epoch (`truncate`), on a worker: it waits for the disk.
    Truncate(Arc<Partition>, Offset, LeaderEpoch),
    /// Empty the log and let it begin here, as a follower of this epoch: all it has was committed and deleted at the
    /// leader (`start_over`). On a worker.
    StartOver(Arc<Partition>, Offset, LeaderEpoch),
    /// Open a stream to the leader, after so many milliseconds.
    Open(Arc<Partition>, u64),
    /// Tell the leader on its stream.
    Acknowledge(Arc<Partition>, Ack),
    /// Tell the follower of this stream that it must open again.
    RefuseStream(StreamId),
    /// Have the leader append what was held for it (`broker/passing.rs`).
    PassOn(Arc<Partition>),
    /// The replica has stopped and keeps its data: say so loudly.
    Fault(Arc<Partition>, Fault),
}

/// The errands of all partitions, in order.
#[derive(Default)]
pub struct Errands {
    queue: Mutex<VecDeque<Errand>>,
    arrived: Notify,
}

impl Errands {
    pub(super) fn push(&self, errands: impl IntoIterator<Item = Errand>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(errands);
        self.arrived.notify_one();
    }

    /// All that wait, at least one.
    pub async fn next(&self) -> VecDeque<Errand> {
        loop {
            let waiting = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
            if !waiting.is_empty() {
                return waiting;
            }
            self.arrived.notified().await;
        }
    }
}

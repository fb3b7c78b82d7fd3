//! The follower's side of replication: one lane to each leader that this node copies from.
//!
//! ```text
//!   Errand::Open ────────► wishes of the lane to that leader ─► its task: dials, greets, opens, takes frames
//!   Errand::Acknowledge ─► outbox of its connection ──────────► FollowerFrames   (polled by the connection)
//! ```
//!
//! A partition that wants to be opened waits as an entry in a list; tasks belong to leaders, not to partitions. A lane
//! on which nothing is open and for which nothing waits ends by itself.
//!
//! Invariants: a partition waits for one leader at most once; when a connection ends, every stream on it is reported
//! to its partition; what a leader sends is paid for by credit, whether it was of use or not.

mod connection;
mod lane;
mod outbox;
mod wishes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::{Home, Partition, Surroundings};
use crate::base::executor::{BoxFuture, Task};
use crate::base::ids::{IncarnationId, NodeId};
use crate::replica::effect::Ack;

use lane::Lane;
use outbox::Outbox;
use wishes::Wishes;

/// Follows the leaders of the partitions that this node has replicas of. Dropping it ends all lanes.
pub struct Following {
    shared: Arc<Shared>,
}

/// What the lanes have in common.
struct Shared {
    around: Arc<Surroundings>,
    home: Arc<dyn Home>,
    /// Of this run of the node.
    incarnation: IncarnationId,
    /// Metadata has changed.
    metadata: watch::Sender<()>,
    lanes: Mutex<BTreeMap<NodeId, Entry>>,
}

/// The lane to one leader, as others reach it. It ends when this is dropped.
struct Entry {
    wishes: Wishes,
    wished: Arc<Notify>,
    /// Of the present connection.
    outbox: Option<Arc<Outbox>>,
    _wanted: oneshot::Sender<()>,
    _starting: Task,
}

impl Following {
    pub fn new(around: Arc<Surroundings>, home: Arc<dyn Home>, incarnation: IncarnationId) -> Self {
        let metadata = watch::Sender::new(());
        Self { shared: Arc::new(Shared { around, home, incarnation, metadata, lanes: Mutex::default() }) }
    }

    /// Does an [`super::Errand::Open`]. Without a reactor a new lane lives on the runtime this is called on.
    pub fn open(&self, partition: &Arc<Partition>, after_ms: u64) {
        self.shared.open(partition, after_ms);
    }

    /// Does an [`super::Errand::Acknowledge`].
    pub fn acknowledge(&self, partition: &Arc<Partition>, ack: &Ack) {
        let Some((leader, _)) = partition.leader() else { return };
        let outbox = self.shared.lock().get(&leader).and_then(|entry| entry.outbox.clone());
        if let Some(outbox) = outbox {
            outbox.acknowledge(ack);
        }
    }

    /// The broker's image has changed: addresses and registrations may be others.
    pub fn on_metadata(&self) {
        self.shared.metadata.send_replace(());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // The tasks hold what holds them.
        drop(std::mem::take(&mut *self.shared.lock()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Entry>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, partition: &Arc<Partition>, after_ms: u64) {
        // Without a leader there is nothing to do: metadata will name one, and that makes it wish again.
        let Some((leader, _)) = partition.leader() else { return };
        let due = Instant::now() + Duration::from_millis(after_ms);
        let mut lanes = self.lock();
        let entry = lanes.entry(leader).or_insert_with(|| self.start(leader));
        entry.wishes.add(due, partition);
        entry.wished.notify_one();
    }

    /// Starts a lane, on a reactor where there is one: what comes on it is appended there.
    fn start(self: &Arc<Self>, leader: NodeId) -> Entry {
        let wished = Arc::new(Notify::new());
        let lane = Lane::new(Arc::clone(self), leader, Arc::clone(&wished));
        let (wanted, unwanted) = oneshot::channel();
        let run = async move {
            tokio::select! {
                biased;
                _ = unwanted => {}
                () = lane.run() => {}
            }
        };
        let start: BoxFuture<'static, ()> = match self.around.reactor() {
            Some(reactor) => Box::pin(async move { reactor.run(Box::new(move || Box::pin(run))).await }),
            None => Box::pin(run),
        };
        let starting = self.around.world.executor.spawn("replication.follow", start);
        Entry { wishes: Wishes::default(), wished, outbox: None, _wanted: wanted, _starting: starting }
    }

    /// Does something with the entry of a lane that runs.
    fn with<T>(&self, leader: NodeId, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.lock().get_mut(&leader).map(act)
    }

    /// Ends a lane for which nothing waits; false if something does.
    fn end(&self, leader: NodeId) -> bool {
        let mut lanes = self.lock();
        let idle = lanes.get(&leader).is_none_or(|entry| entry.wishes.is_empty());
        if idle {
            lanes.remove(&leader);
        }
        idle
    }
}

//! The data plane's body: the partitions of this node, led and followed as the metadata says.
//!
//! ```text
//!   metadata feed ─► subscription ─► image ─► reconcile ─► partitions: lead, follow, stop
//!   doors ──────────────────────────────────────────────► Partition: one short lock around mind and log
//!   fellow brokers ─► lanes ─► Partition                          │
//!                                          errands ◄──────────────┘ what must not be done under the lock
//! ```
//!
//! A [`Partition`] is a value behind a short mutex: the mind that judges (`replica`) and the log that keeps (`log`). Every
//! call does its work at once, on the reactor that makes it; nothing awaits under the lock, no lock is taken under
//! another. What takes time or talks to others is handed out as an [`Errand`].
//!
//! Absent on purpose: tasks, timers and descriptors of idle partitions.

mod errands;
mod error;
mod partition;
mod settings;

mod following;
mod frames;
mod leading;

use std::sync::Arc;

use crate::base::ids::{PartitionIndex, TopicId};
use crate::metadata::Image;

pub use errands::{Errand, Errands};
pub use error::PartitionError;
pub use following::Following;
pub use leading::Leading;
pub use partition::{
    Duty, FetchFrom, Fetched, Followed, Isolation, LaneQueue, Partition, Produced, ProducersFound, Pulled,
    Surroundings, WaitGuard,
};
pub use settings::TopicSettings;

/// What the lanes ask of the broker they belong to.
pub trait Home: Send + Sync + 'static {
    /// Metadata as this broker knows it.
    fn image(&self) -> Arc<Image>;

    /// This broker's replica of a partition.
    fn partition(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<Partition>>;
}

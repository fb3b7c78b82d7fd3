//! The data plane's body: the partitions of this node, led and followed as the metadata says.
//!
//! ```text
//!   metadata feed ─► subscription ─► partitions: open, lead, follow, remove ─► image, for everybody else to see
//!   doors ─────────► Partition: one short lock around mind and log ─► errands ─► runner, lanes
//!   fellow brokers ─► lanes ─┘
//! ```
//!
//! A [`Partition`] is a value behind a short mutex: the mind that judges (`replica`) and the log that keeps (`log`).
//! Every call does its work at once, on the reactor that makes it; nothing awaits under the lock, and no lock
//! is taken under it. What takes time or talks to others is handed out as an [`Errand`].
//!
//! A broker talks to controllers only by `rpc`, also to the one in its own process.
//!
//! Absent on purpose: tasks, timers and descriptors of idle partitions; decisions about the cluster (the controller's).

mod departed;
mod errands;
mod error;
mod folders;
mod lease;
mod suspects;

mod partition;
mod partitions;
mod settings;

mod link;
mod session;
mod subscription;
mod witness;

mod lanes;

mod frames;
mod leading;

mod following;

mod compaction;
mod handle;
mod passing;
mod runner;
mod upkeep;

pub use errands::{Errand, Errands};
pub use error::PartitionError;
pub use folders::{DirReport, Folders};
pub use following::Following;
pub use handle::{Broker, Identity, Running};
pub use lanes::Home;
pub use leading::Leading;
pub use link::SubmitError;
pub use partition::{
    Deleted, Duty, FetchFrom, Fetched, Isolation, LaneQueue, News, Parked, Partition, Produced, ProducersFound, Pulled,
    Surroundings, Watch,
};
pub use partitions::{Offline, Partitions};
pub use session::{Joining, Note};
pub use settings::{FlushAfter, Keep, TopicSettings};

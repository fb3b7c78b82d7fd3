//! Logs: the records of partitions on the disk, in Kafka's own files, which Kafka's own tools can read and judge.
//!
//! ```text
//!  <log dir>/
//!    meta.properties                    whose directory this is
//!    recovery-point-offset-checkpoint   up to where each log is known to be durable
//!    replication-offset-checkpoint      each partition's high watermark
//!    log-start-offset-checkpoint        where each log begins, when records before it were deleted
//!    cleaner-offset-checkpoint          up to where each log has been compacted
//!    .kafka_cleanshutdown               there only after a clean stop
//!    <topic>-<partition>/
//!      partition.metadata               the topic's id
//!      leader-epoch-checkpoint          which epoch began at which offset
//!      00000000000000000100.log         a segment: batches, byte for byte as they travel; named by its first offset
//!      00000000000000000100.index       (relative last offset: i32, position: i32) of a batch every 4 KiB
//!      00000000000000000100.timeindex   (largest timestamp so far: i64, relative last offset of its batch: i32)
//!      00000000000000000100.snapshot    what was known of producers before this offset, every 64 MiB and at each roll
//! ```
//!
//! A [`Log`] is a value without a lock: its owner keeps it behind the partition's short mutex. Under that mutex only
//! what is cheap happens: an append is one write into the page cache, a read finds out where the batches are. What may
//! wait for the device is handed out ([`ColdRead`], [`TimestampSearch`], [`Flush`], [`Retired`], [`Compaction`]) to be
//! run by a worker without the mutex.
//!
//! Invariants:
//! - bytes are written once, in order, and never changed; only a truncation takes them back, and compaction leaves
//!   out what was replaced;
//! - nothing is acknowledged from user space: when `append` has returned, the bytes survive the process;
//! - up to the recovery point they survive the machine; there, damage is reported and never repaired by forgetting;
//! - a log whose write or sync failed takes no more calls (a full disk is no failure: the append is undone).
//!
//! Absent on purpose: who may write, the high watermark, producers' sequences (the replica's); when to delete or flush
//! (the broker's); memory maps: a page fault blocks a reactor and an IO error becomes a signal; descriptors, buffers
//! and index entries of idle partitions; `.txnindex`, which Kafka makes with a segment's first aborted transaction.
//!
//! Reading order: the log, what it is made of, how it comes back, the folder around it.

mod error;
pub use error::LogError;

mod partition;
pub use partition::{Appended, Log, LogOptions};

mod reader;
pub use reader::{ColdRead, Located, Read, ReadRequest, Reading, Slice};

mod flush;
pub use flush::Flush;

mod trim;
pub use trim::Retired;

mod retention;
pub use retention::Retention;

mod compaction;
pub use compaction::{Brief, Cleaned, Compaction, CompactionRules, Dirt, LastBatch, Step};

mod timestamps;
pub use timestamps::{Found, TimestampSearch};

mod epochs;
pub use epochs::{EpochEnd, EpochStart};

mod index;
mod offset_index;
mod segment;
mod tail;
mod time_index;

mod recovery;
pub use recovery::{After, Cut, Known, Opened, Visitor};

mod scan;

mod snapshot;
pub use snapshot::ProducerEntry;

mod checkpoint;
pub use checkpoint::PartitionOffsets;

mod folder;

mod dirs;
pub use dirs::{DirMeta, LogDir, Offsets, PartitionFolder};

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod memory_disk;
#[cfg(test)]
mod model;

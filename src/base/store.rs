//! The metadata store: an ordered map of bytes to bytes that survives crashes; RocksDB, or a journal on the disk seam.
//!
//! It holds the Raft log, the hard state and the metadata image of one node. Never partition data: that lives in files
//! of Kafka's format.
//!
//! Invariants every implementation keeps:
//! - a batch is all there or not there at all, also after a crash;
//! - batches are kept in the order they were written: if one survives a crash, so do all before it;
//! - a written batch can be read at once, and survives the machine once `sync` has returned.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

/// Opens stores.
pub trait Stores: Send + Sync + 'static {
    /// Opens the store in this folder, or makes an empty one.
    fn open(&self, folder: &Path) -> io::Result<Arc<dyn Store>>;
}

/// An open store. Calls block; writes and syncs belong on a worker.
pub trait Store: Send + Sync + 'static {
    fn read(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// The pairs with keys in this range, in the order of their keys, at most `most`.
    fn scan(&self, table: Table, keys: RangeInclusive<&[u8]>, most: usize) -> io::Result<Vec<Pair>>;

    /// The pair with the greatest key.
    fn last(&self, table: Table) -> io::Result<Option<Pair>>;

    /// Writes a batch, in one step.
    fn write(&self, batch: Batch) -> io::Result<()>;

    /// Makes every batch written so far durable.
    fn sync(&self) -> io::Result<()>;
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The maps of a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Raft entries by index.
    Log,
    /// The vote, what is purged, what is committed, what is applied.
    Hard,
    /// The metadata image.
    Image,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::Log, Self::Hard, Self::Image];

    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Hard => "hard",
            Self::Image => "image",
        }
    }
}

/// Changes that are made in one step.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    pub changes: Vec<Change>,
}

/// One change of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Put {
        table: Table,
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Delete {
        table: Table,
        key: Vec<u8>,
    },
    /// Deletes every key from `from` up to, not including, `until`.
    DeleteRange {
        table: Table,
        from: Vec<u8>,
        until: Vec<u8>,
    },
}

impl Batch {
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change::Put { table, key: key.into(), value: value.into() });
    }

    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push(Change::Delete { table, key: key.into() });
    }

    pub fn delete_range(&mut self, table: Table, from: impl Into<Vec<u8>>, until: impl Into<Vec<u8>>) {
        self.changes.push(Change::DeleteRange { table, from: from.into(), until: until.into() });
    }
}

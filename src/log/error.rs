//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::ids::{LeaderEpoch, Offset};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: no space is left; nothing was kept of what was to be written", path.display())]
    NoSpace { path: PathBuf },
    #[error("{} failed before and takes no more calls: {cause}", folder.display())]
    Failed { folder: PathBuf, cause: Arc<str> },
    #[error("{} is corrupt at byte {position}: {what}", path.display())]
    Corrupt { path: PathBuf, position: u64, what: String },
    #[error("{}, line {line}: {what}", path.display())]
    Malformed { path: PathBuf, line: usize, what: &'static str },
    #[error("offset {wanted} is not between {start} and {end}")]
    OffsetOutOfRange { wanted: Offset, start: Offset, end: Offset },
    #[error("a batch at offset {base} does not continue a log that ends at {end}")]
    NotNext { base: Offset, end: Offset },
    #[error("a batch of leader epoch {epoch} cannot follow one of epoch {last}")]
    EpochGoesBack { epoch: LeaderEpoch, last: LeaderEpoch },
}

impl LogError {
    pub(super) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path: path.as_ref().into() },
            _ => Self::Io { path: path.as_ref().into(), source },
        }
    }

    /// Whether the same call may succeed later, on this log.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

//! Retention: which records a log need no longer keep, by their age and by its size.
//!
//! Invariants: only whole segments go, the oldest first, and none that reaches past the bound its caller names: what is
//! not committed yet is nobody's to delete.

use super::segment::Segment;
use super::{Log, LogError};
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;

/// How long records are kept: `retention.ms` and `retention.bytes`, neither of which may be set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Retention {
    pub ms: Option<i64>,
    pub bytes: Option<u64>,
}

impl Log {
    /// Where the log begins once all is gone that need not be kept and lies below `bound`.
    ///
    /// That may be the end of the log: then even the active segment is to go, once it has been rolled.
    pub fn kept_from(&self, retention: &Retention, bound: Offset, now: WallMillis) -> Result<Offset, LogError> {
        self.check()?;
        let mut excess = retention.bytes.map_or(0, |most| self.size().saturating_sub(most));
        let mut start = self.log_start;
        for (segment, end) in self.with_ends() {
            let is_old = retention.ms.is_some_and(|ms| now.0.saturating_sub(segment.newest().0) > ms);
            let is_excess = excess > 0 && excess >= segment.size();
            if segment.size() == 0 || end > bound || !(is_old || is_excess) {
                break;
            }
            excess = excess.saturating_sub(segment.size());
            start = start.max(end);
        }
        Ok(start)
    }

    /// When the oldest records will have grown too old, if they ever do.
    pub fn expires_at(&self, retention: &Retention) -> Option<WallMillis> {
        let oldest = self.segments.first().filter(|segment| segment.size() > 0)?;
        Some(WallMillis(oldest.newest().0.saturating_add(retention.ms?).saturating_add(1)))
    }

    /// Whether there are segments of which nothing may be read any more, for `retire_segments`.
    pub fn has_dead_segments(&self) -> bool {
        self.segments.get(1).is_some_and(|second| second.base() <= self.log_start)
    }

    /// The segments, each with the offset that follows it.
    pub(super) fn with_ends(&self) -> impl Iterator<Item = (&Segment, Offset)> {
        let ends = self.segments.iter().skip(1).map(Segment::base).chain([self.log_end]);
        self.segments.iter().zip(ends)
    }
}

#[cfg(test)]
mod tests;

//! Compaction: of every key, the last record stays; what it replaced goes.
//!
//! ```text
//!    log start            cleaned to              until          bound   log end
//!        │ clean              │ dirty               │ too young    │         │
//!   ├────┴──────┬─────────────┼──────────┬──────────┼──────────────┼─────────┤
//!   │  segment  │   segment   │ segment  │ segment  │   segment    │ active  │
//!   └───────────┴─────────────┴──────────┴──────────┴──────────────┴─────────┘
//!        rewritten with what is dirty: keys are gathered from the dirty part, and all before is judged by them
//! ```
//!
//! A pass has three parts, each in small steps so that a worker can be throttled and is never busy for long:
//!
//! 1. `keys`: the last offset of every key of the dirty part, in bounded memory. When that is full the pass covers less
//!    than it might, and another one follows.
//! 2. `rewrite`: small segments are put together as one `.cleaned` file with its indexes, which holds what stays.
//! 3. `swap`: that file takes the place of its segments, through a `.swap` that a crash finds and completes.
//!
//! What stays is what Kafka keeps: the last record of each key; the mark that a key was deleted, until its delete
//! horizon has passed, which is written into the batch when the mark is first seen; the last batch of every producer,
//! if need be without records; the end of a transaction as long as anything of it is there, and a horizon longer. What
//! was aborted goes. Offsets never change. Besides, the last batch of a cleaned segment stays, so that the file itself
//! tells how far it reaches.
//!
//! Invariants: nothing is touched that is not committed, not durable, or in the active segment; the log's mutex is held
//! only for renames; a log looks the same to its readers before and after, but for what was replaced.
//!
//! Absent on purpose: when to compact (the broker's), memory maps, a second thread for one log.

mod keys;
mod offset_map;
mod pass;
mod rewrite;
mod swap;

use std::collections::BTreeMap;

pub use pass::{Compaction, Step};
pub use swap::Cleaned;

use super::segment::Segment;
use super::{Log, LogError};
use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, ProducerEpoch, ProducerId};

/// When and how a topic is compacted; Kafka's settings of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactionRules {
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub dirty_millionths_min: u32,
    /// `min.compaction.lag.ms`
    pub lag_ms_min: i64,
    /// `max.compaction.lag.ms`
    pub lag_ms_max: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
}

/// What of a log could be compacted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirt {
    pub from: Offset,
    pub until: Offset,
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// Records have waited for longer than they may.
    pub is_overdue: bool,
}

impl Dirt {
    /// Which share of what would be read is dirty.
    pub fn millionths(&self) -> u32 {
        let all = u128::from(self.clean_bytes + self.dirty_bytes).max(1);
        (u128::from(self.dirty_bytes) * 1_000_000 / all) as u32
    }

    /// Whether it is worth a pass.
    pub fn is_worth_it(&self, rules: &CompactionRules) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.millionths() > rules.dirty_millionths_min)
    }
}

/// The last batch that a producer wrote: what its sequence goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastBatch {
    pub epoch: ProducerEpoch,
    /// None if only the end of a transaction is known.
    pub last_offset: Option<Offset>,
}

/// What a pass is told by its log's owner.
#[derive(Clone, Debug)]
pub struct Brief {
    pub now: WallMillis,
    /// Memory for keys; Kafka's `log.cleaner.dedupe.buffer.size`.
    pub key_bytes_max: usize,
    pub rules: CompactionRules,
    pub producers: BTreeMap<ProducerId, LastBatch>,
}

impl Log {
    /// What could be compacted below `bound`, up to where every transaction has ended and everything is committed.
    pub fn dirt(&mut self, rules: &CompactionRules, bound: Offset, now: WallMillis) -> Result<Dirt, LogError> {
        self.check()?;
        let bound = bound.min(self.recovery_point);
        let first = self.segments.first().map_or(self.log_start, Segment::base);
        let from = self.cleaned_to.clamp(first, self.log_end);
        let mut dirt = Dirt { from, until: from, clean_bytes: 0, dirty_bytes: 0, is_overdue: false };
        let closed = self.segments.len() - 1;
        let ends: Vec<Offset> = self.segments.iter().skip(1).map(Segment::base).collect();
        for (segment, end) in self.segments[..closed].iter_mut().zip(ends) {
            let is_young = rules.lag_ms_min > 0 && now.0.saturating_sub(segment.newest().0) < rules.lag_ms_min;
            if end <= from {
                dirt.clean_bytes += segment.size();
                continue;
            }
            if end > bound || is_young {
                break;
            }
            if dirt.dirty_bytes == 0 && segment.size() > 0 {
                let waited = now.0.saturating_sub(segment.first_timestamp(&self.folder)?.0);
                dirt.is_overdue = waited > rules.lag_ms_max;
            }
            dirt.dirty_bytes += segment.size();
            dirt.until = end;
        }
        Ok(dirt)
    }

    /// Up to where the log has been compacted.
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to
    }

    /// A pass has come so far, or the log dir's checkpoint says so.
    pub fn set_cleaned_to(&mut self, offset: Offset) {
        self.cleaned_to = offset.min(self.log_end);
    }
}

#[cfg(test)]
mod tests;

//! What the minds must know of a log's leader epochs; the log keeps them.
//!
//! ```text
//!   epoch      1           2     4
//!   offset     0 ········· 10 ·· 15 ········ 21 = log end
//!   end of:    epoch 1 is 10, of 2 and of 3 it is 15, of 4 it is 21
//! ```

use crate::base::ids::{LeaderEpoch, Offset};

/// The history of a log in leader epochs.
///
/// It follows the records: a truncation forgets every epoch that starts at the new end or later.
pub trait EpochLookup {
    /// The largest epoch not above `epoch` that the log knows, and where it ends: where the next known epoch starts,
    /// for the latest one the log's end. `None` if every known epoch is later, or none is known.
    ///
    /// Epochs without records are known too: forgetting one lets a follower that has it be told the wrong end.
    fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd>;

    /// The epoch of the log's last record, `None` for a log without records.
    ///
    /// The last *record's*: a log truncated back to where its last epoch started must not claim that epoch, or it and
    /// its leader tell each other the same two numbers for ever.
    fn last_epoch(&self) -> Option<LeaderEpoch>;
}

/// A leader epoch and the first offset after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

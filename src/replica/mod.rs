//! The judgement of one replica of one partition: what a leader may promise, what a follower may believe.
//!
//! ```text
//!   log start        last stable     high watermark          log end
//!       │                 │                 │                   │
//!  ░░░░░├─────────────────┼─────────────────┼───────────────────┤
//!  gone │  read_committed │ read_uncommitted│ taken, not yet    │ next append
//!       │  may read       │ may read        │ promised          │
//! ```
//!
//! * The *log end* is the offset the next record gets. The *high watermark* is how far every replica that could be
//!   elected is known to reach: a record below it is committed, is never truncated, and is what `acks=all` waits for.
//!   The *last stable offset* equals the high watermark as long as there are no transactions.
//! * The *in-sync replicas* (ISR) are those a leader may be elected from; only the controller changes them, on the
//!   leader's proposal, compared with the partition epoch. The *maximal ISR* is all that may be in it already: the
//!   committed one and everybody a proposal of open fate has named.
//! * A *stream* is one opening of the partition by a follower: follower and leader compare their histories once, then
//!   the leader pushes and the follower acknowledges. Nothing said on an older stream counts.
//!
//! A **leader** promises: a record is acknowledged with `acks=all` only when it is below the high watermark; the high
//! watermark moves only over what the maximal ISR has, and only with enough in-sync replicas (R7); whoever joins the
//! ISR has everything that was committed before and in its epoch (R8). A **follower** promises: its log is a copy of
//! the log of the leader of its epoch up to its last acknowledgement (R2, R4), and what it once knew to be committed
//! it never drops (R3).
//!
//! The rules, wherever a comment says so:
//!
//! | rule | says | lives in |
//! |---|---|---|
//! | R1 | an Open of another leader epoch is refused | `leader.rs` |
//! | R2 | logs are compared by their last record's epoch, and cut where they part | `leader.rs`, `follower.rs` |
//! | R3 | no truncation below the local high watermark, but after an unclean election | `follower.rs` |
//! | R4 | data counts only in its epoch, on its stream and at the log end | `follower.rs` |
//! | R5 | a follower's high watermark is the leader's, as far as its own log reaches | `follower.rs` |
//! | R6 | acknowledgements count only on the stream opened in this epoch | `leader.rs` |
//! | R7 | high watermark: least end of all that may be in the ISR; strict min ISR | `leader.rs`, `isr.rs` |
//! | R8 | who may join the ISR | `isr.rs` |
//! | R9 | who is too late to stay in it | `isr.rs` |
//! | R10 | one proposal in flight, built anew from state for every attempt | `leader.rs` |
//! | R11 | a change of the ISR alone ends no stream | `leader.rs` |
//! | R12 | fencing a broker is the controller's; here its ISR is taken as given | `leader.rs` |
//! | R13 | which followers consumers may read from, and how far | `leader.rs`, `follower.rs` |
//! | R14 | where a new leader starts; producers' sequences outlive leaders | `leader.rs`, `producers.rs` |
//!
//! Both minds are steppers: an event goes in, effects come out, the caller (`broker/partition.rs`, under one short lock
//! around mind and log) does them and reports back. No IO, no clock, no randomness. Effects are pushed on a list the
//! caller owns and reuses, so that the path of a produce and of an acknowledgement allocates nothing.
//!
//! A produce with `acks=all`, under that lock: `Leader::may_append`, `Producers::check`, the log's append,
//! `Producers::record`, `ProduceWaiters::wait`, `Leader::on_appended`. An acknowledgement: `Leader::on_ack`, and if it
//! raises the high watermark, `ProduceWaiters::on_high_watermark`.
//!
//! What the caller owes the minds:
//!
//! * «appended» means that the write has returned; nothing acknowledged is still in user space;
//! * metadata from before the broker's own registration is not acted on: it may name this broker a leader of an epoch
//!   whose records it has lost since;
//! * every proposal gets an outcome, if only that there was none in time;
//! * the epoch cache keeps the contract of [`epochs::EpochLookup`].
//!
//! Absent on purpose: bytes (the log's), who may ask (the doors'), elections (the controller's), transactions.

pub mod effect;
pub mod epochs;
pub mod isr;

pub mod leader;

pub mod follower;

pub mod producers;
pub mod waiters;

#[cfg(test)]
mod tests;

use crate::base::ids::Offset;
use crate::base::mutants::Mutant;

/// Where one replica's log begins and ends, and how much of it has reached the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEnds {
    pub log_start: Offset,
    pub end: Offset,
    pub flushed_end: Offset,
}

/// What an acknowledgement promises; `interval` differs from `replicated` only in how often the log is flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Written by every in-sync replica.
    Replicated,
    /// Written by every in-sync replica, and flushed every so often.
    Interval,
    /// Flushed by every in-sync replica.
    Fsync,
}

impl Durability {
    /// How much of a log counts for the high watermark.
    pub fn counted(self, end: Offset, flushed_end: Offset) -> Offset {
        match self {
            Self::Replicated | Self::Interval => end,
            Self::Fsync if Mutant::UnflushedCounted.lives() => end,
            Self::Fsync => flushed_end.min(end),
        }
    }
}

/// One opening of a partition by a follower, unique within a broker's process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StreamId(pub u64);

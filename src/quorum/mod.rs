//! The controller quorum: Raft keeps one log of facts on every controller, and this room is its body.
//!
//! openraft decides; we give it a log on the metadata store (`log`), a way to its peers (`network`) and a state that
//! the committed facts are applied to (`machine`). Its types never leave this room, and neither the disk nor the wire
//! knows them (`codec`).
//!
//! Invariants: a vote or an entry is acknowledged only after it has been synced, in the order they were made; a Raft id
//! belongs to one disk ([`RaftId`]), so that a wiped voter cannot vote again under its old name.
//!
//! Absent on purpose: reading by lease. Elections are hurried by evidence, so a lease proves nothing; reads that must
//! be current ask the quorum.

mod codec;
mod handle;
mod log;
mod machine;
mod network;
mod types;

pub use handle::{ProposeError, Quorum, QuorumError, Reign, Tuning};
pub use log::RaftLog;
pub use machine::{Encode, Machine, State};
pub use types::{Facts, Member, RaftId, Types};

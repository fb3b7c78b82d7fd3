//! The controller quorum: Raft keeps one log of facts on every controller, and this room is its body.
//!
//! openraft decides; we give it a log on the metadata store (`log`), a way to its peers (`network`) and a state that
//! the committed facts are applied to (`machine`). Its types never leave this room, and neither the disk nor the wire
//! knows them (`codec`).
//!
//! On top of it a [`Controller`]: its state is the metadata image (`image`); on the leader, `active` judges commands by
//! `controller::decide` and proposes the facts; `feed` hands committed entries to whoever subscribes; `sessions` hears
//! who is alive; `haste` sees a leader die. `bootstrap` is how a node without a cluster comes to one.
//!
//! Invariants: a vote or an entry is acknowledged only after it has been synced, in the order they were made; a Raft id
//! belongs to one disk ([`RaftId`]), so that a wiped voter cannot vote again under its old name.
//!
//! Absent on purpose: reading by lease. Elections are hurried by evidence, so a lease proves nothing; reads that must
//! be current ask the quorum.

mod codec;
mod floor;
mod log;
mod machine;
mod network;
mod types;

mod handle;
mod haste;
mod probe;

mod active;
mod feed;
mod image;
mod inquiries;
mod sessions;
mod settings;

mod bootstrap;
mod controller;
mod late;

pub use active::{Answer, Charter, SubmitError};
pub use bootstrap::{Bootstrap, Found, Keep, Newcomer, Roster, Standing, allocate_node_id};
pub use controller::{Controller, ControllerTasks};
pub use floor::Floor;
pub use handle::{ProposeError, Quorum, QuorumError, Reign, Tuning};
pub use image::{Metadata, Published};
pub use late::Late;
pub use log::RaftLog;
pub use machine::{Encode, Machine, State};
pub use types::{Facts, Member, RaftId, Types};

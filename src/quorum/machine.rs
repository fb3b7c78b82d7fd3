//! Applies committed facts, one entry after another.
//!
//! The state lives in memory and is made anew from the log at every start.
//!
//! Absent so far: snapshots. The log is never purged, so nobody needs one; a peer that asks for one is refused loudly.

use std::io;

use futures_util::{Stream, TryStreamExt};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use super::types::{Facts, Types};
use crate::base::ids::MetadataIndex;

/// What the facts are applied to.
pub trait State: Send + Sync + 'static {
    /// Applies one committed entry. Called in the order of the log, without gaps, on every controller.
    fn apply(&mut self, index: MetadataIndex, facts: &Facts);
}

/// The applying end of Raft.
pub struct Machine {
    state: Box<dyn State>,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl Machine {
    pub fn new(state: impl State) -> Self {
        Self { state: Box::new(state), applied: None, membership: StoredMembershipOf::<Types>::default() }
    }
}

fn no_snapshots() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this version keeps its whole metadata log and has no snapshots")
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(&mut self) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Normal(facts) => self.state.apply(MetadataIndex(entry.log_id.index()), &facts),
                EntryPayload::Membership(members) => {
                    self.membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), members);
                }
                EntryPayload::Blank => {}
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<Types>, _: Vec<u8>) -> Result<(), io::Error> {
        Err(no_snapshots())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, Vec<u8>>>, io::Error> {
        Ok(None)
    }
}

/// Refuses to build what nobody asks for.
pub struct NoSnapshots;

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Vec<u8>>, io::Error> {
        Err(no_snapshots())
    }
}

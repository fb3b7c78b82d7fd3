//! Applies committed facts, one entry after another, and keeps the newest snapshot of what they made.
//!
//! The state lives in memory. A start restores the snapshot and applies the log behind it.
//!
//! Invariants: a snapshot is on the disk, whole, before anybody hears of it; there is one at most.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use prost::Message;

use super::codec;
use super::types::{Facts, Types};
use crate::base::executor::Worker;
use crate::base::ids::MetadataIndex;
use crate::base::mutants::Mutant;
use crate::base::store::{Batch, Store, Table};
use crate::rpc::raft as proto;

const SNAPSHOT: &[u8] = b"snapshot";

/// What the facts are applied to.
pub trait State: Send + Sync + 'static {
    /// Applies one committed entry. Called in the order of the log, without gaps, on every controller. What cannot be
    /// applied ends this node: it must not go on without it.
    fn apply(&mut self, index: MetadataIndex, facts: &Facts) -> io::Result<()>;

    /// The state as it is now; encoded later, when there is time.
    fn snapshot(&self) -> Encode;

    /// Becomes what an encoded snapshot says.
    fn restore(&mut self, snapshot: &Bytes) -> io::Result<()>;
}

/// Encodes a state that was captured before.
pub type Encode = Box<dyn FnOnce() -> Bytes + Send + Sync>;

/// The applying end of Raft.
pub struct Machine {
    state: Box<dyn State>,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    shelf: Shelf,
}

impl Machine {
    pub fn new(store: Arc<dyn Store>, worker: Arc<dyn Worker>, state: impl State) -> Self {
        let membership = StoredMembershipOf::<Types>::default();
        Self { state: Box::new(state), applied: None, membership, shelf: Shelf { store, worker } }
    }

    fn meta(&self) -> SnapshotMetaOf<Types> {
        SnapshotMetaOf::<Types> { last_log_id: self.applied, last_membership: self.membership.clone() }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

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
                EntryPayload::Normal(facts) => self.state.apply(MetadataIndex(entry.log_id.index()), &facts)?,
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

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { meta: self.meta(), encode: Some(self.state.snapshot()), shelf: self.shelf.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Types>, state: Bytes) -> Result<(), io::Error> {
        self.shelf.put(SnapshotOf::<Types, Bytes> { meta: meta.clone(), snapshot: state.clone() }).await?;
        self.state.restore(&state)?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, Bytes>>, io::Error> {
        self.shelf.newest().await
    }
}

/// Makes a snapshot of a state that was captured, while the machine applies on.
pub struct Builder {
    meta: SnapshotMetaOf<Types>,
    encode: Option<Encode>,
    shelf: Shelf,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Bytes>, io::Error> {
        let encode = self.encode.take().ok_or_else(|| io::Error::other("a snapshot is built once"))?;
        let built = SnapshotOf::<Types, Bytes> { meta: self.meta.clone(), snapshot: encode() };
        self.shelf.put(built.clone()).await?;
        Ok(built)
    }
}

/// Where the newest snapshot is kept.
#[derive(Clone)]
struct Shelf {
    store: Arc<dyn Store>,
    worker: Arc<dyn Worker>,
}

impl Shelf {
    async fn put(&self, snapshot: SnapshotOf<Types, Bytes>) -> io::Result<()> {
        if Mutant::HalfSnapshotKept.lives() {
            let half = snapshot.snapshot.slice(..snapshot.snapshot.len() / 2);
            self.put_whole(SnapshotOf::<Types, Bytes> { meta: snapshot.meta.clone(), snapshot: half }).await?;
        }
        self.put_whole(snapshot).await
    }

    async fn put_whole(&self, snapshot: SnapshotOf<Types, Bytes>) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let put = move || {
            let mut batch = Batch::default();
            batch.put(Table::Image, SNAPSHOT, codec::snapshot_out(snapshot).encode_to_vec());
            store.write(batch)?;
            store.sync()
        };
        self.worker.call(put).await
    }

    async fn newest(&self) -> io::Result<Option<SnapshotOf<Types, Bytes>>> {
        let store = Arc::clone(&self.store);
        let Some(bytes) = self.worker.call(move || store.read(Table::Image, SNAPSHOT)).await? else { return Ok(None) };
        codec::snapshot_in(proto::Snapshot::decode(Bytes::from(bytes))?).map(Some)
    }
}

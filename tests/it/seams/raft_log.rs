//! The library's own conformance suite for storage, on both stores.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dohle::base::World;
use dohle::base::ids::MetadataIndex;
use dohle::quorum::{Encode, Facts, Floor, Machine, RaftLog, State, Types};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use tempfile::TempDir;

use super::machine;

/// The suite writes no facts of its own.
struct Nothing;

impl State for Nothing {
    fn apply(&mut self, _: MetadataIndex, _: &Facts) -> io::Result<()> {
        Ok(())
    }

    fn snapshot(&self) -> Encode {
        Box::new(Bytes::new)
    }

    fn restore(&mut self, _: &Bytes) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn opened(world: &World, folder: &Path) -> io::Result<(RaftLog, Machine)> {
    let store = world.stores.open(folder)?;
    let worker = world.executor.worker("raft-log");
    let floor = Floor::open(&*world.disk, &folder.join("hard_state"))?;
    let log = RaftLog::open(Arc::clone(&store), Arc::clone(&worker), floor)?;
    Ok((log, Machine::new(store, worker, Nothing)))
}

struct OnRocksDb;

impl StoreBuilder<Types, RaftLog, Machine, TempDir> for OnRocksDb {
    async fn build(&self) -> Result<(TempDir, RaftLog, Machine), StorageError<Types>> {
        let folder = TempDir::new().unwrap();
        let (log, machine) = opened(&dohle::host::world(), folder.path()).unwrap();
        Ok((folder, log, machine))
    }
}

struct OnSimulatedDisk;

impl StoreBuilder<Types, RaftLog, Machine, World> for OnSimulatedDisk {
    async fn build(&self) -> Result<(World, RaftLog, Machine), StorageError<Types>> {
        let world = machine(1).boot_process();
        let (log, machine) = opened(&world, Path::new("/raft")).unwrap();
        Ok((world, log, machine))
    }
}

#[test]
fn raft_storage_on_rocksdb_conforms() {
    Types::run(Suite::test_all(OnRocksDb)).unwrap();
}

#[test]
fn raft_storage_on_a_simulated_disk_conforms() {
    Types::run(Suite::test_all(OnSimulatedDisk)).unwrap();
}

//! The promises of the seams, held against the real implementation and the simulated one alike.

mod crash;
mod disk;
mod floor;
mod raft_log;
mod store;

use std::sync::Arc;

use dohle::base::disk::Disk;
use dohle::base::store::Stores;
use tempfile::TempDir;

use crate::world::Machine;
use crate::world::dice::Dice;
use crate::world::trace::Trace;

fn machine(seed: u64) -> Machine {
    Machine::new("machine", &Dice::new(seed), &Trace::default())
}

/// Runs a test on a real disk, in a folder of its own, and on a simulated one.
fn on_each_disk(test: impl Fn(Arc<dyn Disk>, &std::path::Path)) {
    let folder = TempDir::new().unwrap();
    test(dohle::host::world().disk, folder.path());
    let simulated = machine(1).boot_process().disk;
    let folder = std::path::Path::new("/folder");
    simulated.create_folder(folder).unwrap();
    test(simulated, folder);
}

/// Runs a test on RocksDB and on the simulator's journal.
fn on_each_store(test: impl Fn(&dyn Stores, &std::path::Path)) {
    let folder = TempDir::new().unwrap();
    test(&*dohle::host::world().stores, folder.path());
    test(&*machine(1).boot_process().stores, std::path::Path::new("/folder"));
}

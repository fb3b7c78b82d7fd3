//! The machine we really run on: the production side of every seam, and the only room that touches it.
//!
//! `cli` builds the [`World`] here and passes it down; no other room imports this one, so that nothing can reach around
//! its seams. The simulator has its own six, under `tests/sim/`.
#![allow(clippy::disallowed_methods, reason = "what is banned elsewhere is done here")]

mod children;
mod clock;
mod disk;
mod entropy;
mod executor;
mod network;
mod process;
mod store;

use std::sync::Arc;

use crate::base::World;

pub use children::{Child, Ended, die_with};
pub use executor::control_runtime;
pub use process::{
    arguments, asked_to_stop, cpu_time, environment, hostname, id, is_running, is_terminal, is_watched, processors,
    resident_bytes, temporary_folder, terminate, typed_lines, write_back_times,
};

/// The world as it is: this machine's network, disk, threads, clock and randomness.
pub fn world() -> World {
    World {
        network: Arc::new(network::Sockets),
        disk: Arc::new(disk::Files),
        stores: Arc::new(store::RocksStores),
        executor: Arc::new(executor::Threads),
        clock: Arc::new(clock::SystemClock),
        entropy: Arc::new(entropy::SystemEntropy),
    }
}

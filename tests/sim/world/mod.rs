//! The simulated side of every seam: one machine of a cluster that lives in one thread and obeys one seed.
//!
//! A [`Machine`] outlives the processes that run on it: its disk keeps what they wrote, and a crash of the process or
//! of the machine decides how much of that the next process finds. [`Machine::boot_process`] gives each process its
//! world.

pub mod dice;
pub mod disk;
pub mod logs;
pub mod network;
pub mod process;
pub mod store;
pub mod trace;

use std::sync::Arc;

use dohle::base::World;

use dice::Dice;
use disk::SimDisk;
use trace::Trace;

/// One machine: a disk, the dice its processes throw, and the name its events go by.
pub struct Machine {
    pub disk: SimDisk,
    dice: Dice,
    trace: Trace,
}

impl Machine {
    pub fn new(name: &str, dice: &Dice, trace: &Trace) -> Self {
        let disk = SimDisk::new(dice.fork(), trace.of(name));
        Self { disk, dice: dice.fork(), trace: trace.of(name) }
    }

    /// The world of a new process on this machine. A process that ran here before can touch nothing any more.
    pub fn boot_process(&self) -> World {
        let disk = Arc::new(self.disk.handle_of_next_process());
        World {
            network: Arc::new(network::SimNetwork { trace: self.trace.clone() }),
            stores: Arc::new(store::JournalStores { disk: disk.clone() }),
            disk,
            executor: Arc::new(process::SimExecutor),
            clock: Arc::new(process::SimClock),
            entropy: Arc::new(process::SimEntropy::new(self.dice.fork())),
        }
    }
}

//! The simulated side of every seam: one machine of a cluster that lives in one thread and obeys one seed.
//!
//! A [`Machine`] outlives the processes that run on it: its disk keeps what they wrote, and a crash of the process or
//! of the machine decides how much of that the next process finds. [`Machine::boot_process`] gives each process its
//! world.

pub mod dice;
pub mod disk;
pub mod logs;
pub mod network;
pub mod pause;
pub mod process;
pub mod store;
pub mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dohle::base::World;

use dice::Dice;
use disk::SimDisk;
use pause::Gate;
use trace::Trace;

/// One machine: a disk, a clock, the dice its processes throw, and the name its events go by.
pub struct Machine {
    pub disk: SimDisk,
    /// Closed while its process does not run.
    pub gate: Gate,
    clock_set_by_ms: Arc<AtomicI64>,
    pace: Option<Arc<Dice>>,
    dice: Dice,
    trace: Trace,
}

impl Machine {
    pub fn new(name: &str, dice: &Dice, trace: &Trace) -> Self {
        let disk = SimDisk::new(dice.fork(), trace.of(name));
        let (gate, clock_set_by_ms) = (Gate::default(), Arc::default());
        Self { disk, gate, clock_set_by_ms, pace: None, dice: dice.fork(), trace: trace.of(name) }
    }

    /// The same, with a disk that takes its time to sync.
    pub fn paced(self) -> Self {
        Self { pace: Some(Arc::new(self.dice.fork())), ..self }
    }

    /// Sets the wall clock, forward or back.
    pub fn set_clock_by(&self, ms: i64) {
        self.clock_set_by_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The world of a new process on this machine. A process that ran here before can touch nothing any more.
    pub fn boot_process(&self) -> World {
        let disk = Arc::new(self.disk.handle_of_next_process());
        self.gate.open();
        World {
            network: Arc::new(network::SimNetwork { trace: self.trace.clone() }),
            stores: Arc::new(store::JournalStores { disk: disk.clone() }),
            disk,
            executor: Arc::new(process::SimExecutor { gate: self.gate.clone(), pace: self.pace.clone() }),
            clock: Arc::new(process::SimClock { set_by_ms: Arc::clone(&self.clock_set_by_ms) }),
            entropy: Arc::new(process::SimEntropy::new(self.dice.fork())),
        }
    }
}

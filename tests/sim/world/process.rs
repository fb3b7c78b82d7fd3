//! Tasks, time and randomness of a simulated process.

use std::sync::{Arc, Mutex};

use dohle::base::clock::{WallClock, WallMillis};
use dohle::base::entropy::Entropy;
use dohle::base::executor::{BoxFuture, Executor, Job, MakeLocal, Reactor, Task, Worker};
use tokio::time::Instant;

use super::dice::Dice;

/// Tasks on the simulated host; a worker does its jobs at once, because simulated disks take no time.
pub struct SimExecutor;

impl Executor for SimExecutor {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        Task::new(tokio::spawn(future))
    }

    fn worker(&self, _name: &'static str) -> Arc<dyn Worker> {
        Arc::new(AtOnce)
    }

    fn cores(&self) -> usize {
        1
    }

    fn reactor(&self, _name: &'static str) -> Arc<dyn Reactor> {
        Arc::new(SameThread)
    }
}

/// The simulated host has one thread, which is as good a reactor as any.
struct SameThread;

impl Reactor for SameThread {
    fn run(&self, make: MakeLocal) -> BoxFuture<'_, ()> {
        Box::pin(async move { drop(tokio::task::spawn_local(make())) })
    }
}

struct AtOnce;

impl Worker for AtOnce {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move { job() })
    }
}

/// A wall clock that starts on a fixed day and follows simulated time.
#[derive(Default)]
pub struct SimClock {
    started: Mutex<Option<Instant>>,
}

const A_FIXED_DAY: i64 = 1_790_000_000_000;

impl WallClock for SimClock {
    fn now(&self) -> WallMillis {
        let now = Instant::now();
        let started = *self.started.lock().expect("the clock does not panic").get_or_insert(now);
        WallMillis(A_FIXED_DAY + (now - started).as_millis() as i64)
    }
}

pub struct SimEntropy(Mutex<Dice>);

impl SimEntropy {
    pub fn new(dice: Dice) -> Self {
        Self(Mutex::new(dice))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let dice = self.0.lock().expect("dice do not panic");
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.number().to_le_bytes()[..chunk.len()]);
        }
    }
}

//! Tasks, time and randomness of a simulated process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dohle::base::clock::{WallClock, WallMillis};
use dohle::base::entropy::Entropy;
use dohle::base::executor::{BoxFuture, Executor, Job, MakeLocal, Reactor, Task, Worker};
use dohle::base::limits::REACTOR_QUEUE_TASKS_MAX;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::dice::Dice;
use super::pause::Gate;

/// Tasks on the simulated host. A worker does its jobs at once, because simulated disks take no time; but on a paced
/// machine those that wait for a sync take as long as the dice say.
pub struct SimExecutor {
    pub gate: Gate,
    pub pace: Option<Arc<Dice>>,
}

impl Executor for SimExecutor {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        Task::new(tokio::spawn(self.gate.behind(future)))
    }

    fn worker(&self, name: &'static str) -> Arc<dyn Worker> {
        let stall_ms_max = match name {
            "log-flush" => 300,
            "raft-log" => 30,
            _ => return Arc::new(AtOnce),
        };
        match &self.pace {
            Some(dice) => Arc::new(Slow::start(dice.fork(), stall_ms_max)),
            None => Arc::new(AtOnce),
        }
    }

    fn cores(&self) -> usize {
        1
    }

    /// The simulated host has one thread, which is as good a reactor as any. To be called by the host's own future,
    /// which lives among local tasks; those that are handed over later come from tasks that do not.
    fn reactor(&self, _name: &'static str) -> Arc<dyn Reactor> {
        let (tasks, mut arriving) = mpsc::channel::<MakeLocal>(REACTOR_QUEUE_TASKS_MAX);
        let gate = self.gate.clone();
        spawn_local(async move {
            while let Some(make) = arriving.recv().await {
                spawn_local(gate.behind(make()));
            }
        });
        Arc::new(SameThread(tasks))
    }
}

struct SameThread(mpsc::Sender<MakeLocal>);

impl Reactor for SameThread {
    fn run(&self, make: MakeLocal) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let sent = self.0.send(make).await;
            assert!(sent.is_ok(), "a host outlives the handles of its reactor");
        })
    }
}

struct AtOnce;

impl Worker for AtOnce {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move { job() })
    }
}

/// Waits for the device: mostly not at all, often a little, now and then for long.
struct Slow(mpsc::Sender<Job>);

impl Slow {
    fn start(dice: Dice, stall_ms_max: u64) -> Self {
        let (jobs, mut taken) = mpsc::channel::<Job>(JOBS_MAX);
        tokio::spawn(async move {
            while let Some(job) = taken.recv().await {
                let waits = match dice.below(100) {
                    0..50 => 0,
                    50..97 => dice.between(1, 3),
                    _ => dice.between(10, stall_ms_max),
                };
                if waits > 0 {
                    sleep(Duration::from_millis(waits)).await;
                }
                job();
            }
        });
        Self(jobs)
    }
}

impl Worker for Slow {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let sent = self.0.send(job).await;
            assert!(sent.is_ok(), "a worker lives as long as its handles");
        })
    }
}

const JOBS_MAX: usize = 64;

/// A wall clock that begins on a fixed day and follows simulated time, until somebody sets it.
pub struct SimClock {
    pub set_by_ms: Arc<AtomicI64>,
}

const A_FIXED_DAY: i64 = 1_790_000_000_000;

impl WallClock for SimClock {
    fn now(&self) -> WallMillis {
        let since_start = turmoil::sim_elapsed().unwrap_or_default();
        WallMillis(A_FIXED_DAY + since_start.as_millis() as i64 + self.set_by_ms.load(Ordering::Relaxed))
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

//! Tasks, time and randomness of a simulated process.

use std::sync::{Arc, Mutex};

use dohle::base::clock::{WallClock, WallMillis};
use dohle::base::entropy::Entropy;
use dohle::base::executor::{BoxFuture, Executor, Job, MakeLocal, Reactor, Task, Worker};
use dohle::base::limits::REACTOR_QUEUE_TASKS_MAX;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

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

    /// The simulated host has one thread, which is as good a reactor as any. To be called by the host's own future,
    /// which lives among local tasks; those that are handed over later come from tasks that do not.
    fn reactor(&self, _name: &'static str) -> Arc<dyn Reactor> {
        let (tasks, mut arriving) = mpsc::channel::<MakeLocal>(REACTOR_QUEUE_TASKS_MAX);
        spawn_local(async move {
            while let Some(make) = arriving.recv().await {
                spawn_local(make());
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

/// A wall clock that begins on a fixed day and follows simulated time, whoever reads it.
pub struct SimClock;

const A_FIXED_DAY: i64 = 1_790_000_000_000;

impl WallClock for SimClock {
    fn now(&self) -> WallMillis {
        let since_start = turmoil::sim_elapsed().unwrap_or_default();
        WallMillis(A_FIXED_DAY + since_start.as_millis() as i64)
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

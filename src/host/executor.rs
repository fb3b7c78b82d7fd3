//! Tasks on tokio's runtimes, a thread per worker, and a thread with a runtime per reactor.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::base::executor::{BoxFuture, Executor, Job, MakeLocal, Reactor, Task, Worker};
use crate::base::limits::{REACTOR_QUEUE_TASKS_MAX, WORKER_QUEUE_JOBS_MAX};

pub(super) struct Threads;

impl Executor for Threads {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        Task::new(tokio::spawn(future))
    }

    fn worker(&self, name: &'static str) -> Arc<dyn Worker> {
        let (jobs, mut queue) = mpsc::channel::<Job>(WORKER_QUEUE_JOBS_MAX);
        let run = move || {
            while let Some(job) = queue.blocking_recv() {
                job();
            }
        };
        // A process that cannot start a thread at its start cannot run at all.
        thread::Builder::new().name(name.to_owned()).spawn(run).expect("the operating system starts a thread");
        Arc::new(Queue { jobs })
    }

    fn cores(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    fn reactor(&self, name: &'static str) -> Arc<dyn Reactor> {
        let (tasks, mut arriving) = mpsc::channel::<MakeLocal>(REACTOR_QUEUE_TASKS_MAX);
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("the operating system has a poll");
            LocalSet::new().block_on(&runtime, async move {
                while let Some(make) = arriving.recv().await {
                    spawn_local(make());
                }
            });
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).expect("the operating system starts a thread");
        Arc::new(LocalTasks { tasks })
    }
}

/// The way to a reactor's thread, which ends, and drops its tasks, when the last of these is gone.
struct LocalTasks {
    tasks: mpsc::Sender<MakeLocal>,
}

impl Reactor for LocalTasks {
    fn run(&self, make: MakeLocal) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let sent = self.tasks.send(make).await;
            assert!(sent.is_ok(), "a reactor's thread ended before its handles");
        })
    }
}

/// The way to a worker's thread, which ends when the last of these is gone and its jobs are done.
struct Queue {
    jobs: mpsc::Sender<Job>,
}

impl Worker for Queue {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let sent = self.jobs.send(job).await;
            assert!(sent.is_ok(), "a worker's thread ended before its handles, because a job panicked");
        })
    }
}

/// The runtime of the control plane: Raft, sessions, the feed, admin. Small, and apart from the reactors, so that
/// neither plane starves the other. It runs on the thread that waits on it: a second one would only have the two pass
/// each other the right to wait, and wake each other for it, some hundred times a second.
pub fn control_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

//! Tasks and threads: the only way to start either.
//!
//! Async work is spawned on the runtime it is spawned from. Work that blocks (an fsync, a RocksDB write) goes to a
//! [`Worker`]: a thread of its own in production, done at once in the simulator, where a call to the disk is instant.
//! What must never wait for the rest of the process (the data plane) goes to a [`Reactor`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;

/// A future whose type has been forgotten.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A future that stays on the thread it was made on.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Makes a task on the thread that will run it.
pub type MakeLocal = Box<dyn FnOnce() -> LocalFuture + Send>;

/// One piece of blocking work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Starts tasks and threads.
pub trait Executor: Send + Sync + 'static {
    /// Starts a task on the current runtime; the name is what a trace of it shows.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;

    /// Starts a worker that runs its jobs one after another, in the order they were given.
    fn worker(&self, name: &'static str) -> Arc<dyn Worker>;

    /// How many reactors can run at the same time.
    fn cores(&self) -> usize;

    /// Starts a reactor.
    fn reactor(&self, name: &'static str) -> Arc<dyn Reactor>;
}

/// A running task; dropping it stops the task at its next await.
#[must_use = "a task is stopped when its handle is dropped"]
pub struct Task(tokio::task::JoinHandle<()>);

impl Task {
    pub fn new(handle: tokio::task::JoinHandle<()>) -> Self {
        Self(handle)
    }

    /// Waits until the task has ended by itself.
    pub async fn ended(mut self) {
        // A task that was aborted or panicked has ended too; a panic has already been reported by the panic hook.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A thread with a runtime of its own, whose tasks never leave it: they share without locks and wake without a hop.
/// Its tasks are dropped with the last handle of it.
pub trait Reactor: Send + Sync + 'static {
    /// Starts a task that ends by itself, waiting while too many are about to be started.
    fn run(&self, make: MakeLocal) -> BoxFuture<'_, ()>;
}

/// Runs blocking jobs in order.
pub trait Worker: Send + Sync + 'static {
    /// Queues a job, waiting while the queue is full.
    fn submit(&self, job: Job) -> BoxFuture<'_, ()>;
}

impl dyn Worker {
    /// Runs `job` on the worker and waits for what it returns.
    pub async fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = oneshot::channel();
        self.submit(Box::new(move || {
            // The caller may have gone away; the job has still been done.
            let _ = done.send(job());
        }))
        .await;
        result.await.expect("a worker runs every job it has taken before it ends")
    }
}

//! Memory for requests: a budget that all connections share, so that many of them cannot take more than there is.
//!
//! Every connection has a small allowance of its own, so ordinary requests never ask here. What goes beyond is taken
//! from the budget *before* the buffer grows, and never by what a frame declares: only by what has arrived.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::limits::KAFKA_CONNECTION_BYTES_FREE;

/// What all connections share.
#[derive(Clone)]
pub struct Memory(Arc<Semaphore>);

impl Memory {
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.min(u32::MAX as usize))))
    }

    /// Nothing yet, for one connection.
    pub fn share(&self) -> Share {
        Share { memory: self.0.clone(), taken: None, asked: None }
    }
}

/// What one connection holds of it.
pub struct Share {
    memory: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    /// A request for more that has to wait its turn.
    asked: Option<Asked>,
}

type Asked = Pin<Box<dyn Future<Output = OwnedSemaphorePermit>>>;

impl Share {
    /// Takes what is missing to hold this many bytes, and waits until it can be had.
    pub fn poll_cover(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<()> {
        let wanted = bytes.saturating_sub(KAFKA_CONNECTION_BYTES_FREE);
        loop {
            if let Some(asked) = &mut self.asked {
                let permit = ready!(asked.as_mut().poll(cx));
                self.asked = None;
                self.take(permit);
            }
            let Some(missing) = wanted.checked_sub(self.taken()).filter(|missing| *missing > 0) else {
                return Poll::Ready(());
            };
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            match self.memory.clone().try_acquire_many_owned(missing) {
                Ok(permit) => self.take(permit),
                Err(_) => {
                    let acquire = self.memory.clone().acquire_many_owned(missing);
                    self.asked = Some(Box::pin(async { acquire.await.expect("the budget is never closed") }));
                }
            }
        }
    }

    /// Gives back what is not needed to hold this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let wanted = bytes.saturating_sub(KAFKA_CONNECTION_BYTES_FREE);
        if let Some(taken) = &mut self.taken {
            let surplus = taken.num_permits().saturating_sub(wanted);
            drop(taken.split(surplus));
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    fn taken(&self) -> usize {
        self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn take(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
    }
}

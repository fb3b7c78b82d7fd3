//! Memory for requests and answers: budgets that all connections share, so that many of them cannot take more than
//! there is.
//!
//! Every connection has a small allowance of its own for requests, so ordinary ones never ask here. What goes beyond is
//! taken from the budget *before* the buffer grows, and never by what a frame declares: only by what has arrived.
//!
//! Answers are counted. While there are too many bytes of them, whoever has one on its way is asked no further request,
//! and reads are as small as they can be: readers that do not read cost one batch each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::limits::{KAFKA_ANSWER_BYTES_MAX, KAFKA_CONNECTION_BYTES_FREE};

/// What all connections share.
#[derive(Clone)]
pub struct Memory {
    requests: Arc<Semaphore>,
    /// Bytes of answers on their way.
    answers: Arc<AtomicUsize>,
}

impl Memory {
    pub fn new(request_bytes_max: usize) -> Self {
        let requests = Arc::new(Semaphore::new(request_bytes_max.min(u32::MAX as usize)));
        Self { requests, answers: Arc::default() }
    }

    /// Nothing yet, for one connection.
    pub fn share(&self) -> Share {
        Share { memory: self.clone(), taken: None, asked: None, answer_bytes: 0 }
    }

    /// How large an answer should be at most.
    pub fn left_for_answers(&self) -> usize {
        KAFKA_ANSWER_BYTES_MAX.saturating_sub(self.answers.load(Ordering::Relaxed))
    }
}

/// What one connection holds of it.
pub struct Share {
    memory: Memory,
    taken: Option<OwnedSemaphorePermit>,
    /// A request for more that has to wait its turn.
    asked: Option<Asked>,
    answer_bytes: usize,
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
            match self.memory.requests.clone().try_acquire_many_owned(missing) {
                Ok(permit) => self.take(permit),
                Err(_) => {
                    let acquire = self.memory.requests.clone().acquire_many_owned(missing);
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

    /// So many bytes of answers are on their way on this connection now.
    pub fn note_answers(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.answer_bytes, bytes);
        match bytes.checked_sub(before) {
            Some(0) => {}
            Some(more) => drop(self.memory.answers.fetch_add(more, Ordering::Relaxed)),
            None => drop(self.memory.answers.fetch_sub(before - bytes, Ordering::Relaxed)),
        }
    }

    /// Whether there is room for an answer beside those that are on their way.
    pub fn has_room_for_answer(&self) -> bool {
        self.answer_bytes == 0 || self.memory.left_for_answers() > 0
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

impl Drop for Share {
    fn drop(&mut self) {
        self.note_answers(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_an_answer_on_its_way_gets_no_other_while_there_are_too_many() {
        let memory = Memory::new(1);
        let (mut greedy, mut modest) = (memory.share(), memory.share());
        greedy.note_answers(KAFKA_ANSWER_BYTES_MAX - 1);
        modest.note_answers(1);
        assert_eq!(memory.left_for_answers(), 0);
        assert!(!greedy.has_room_for_answer() && !modest.has_room_for_answer());
        assert!(memory.share().has_room_for_answer(), "the first answer is always given");
        drop(greedy);
        assert!(modest.has_room_for_answer());
        modest.note_answers(0);
        assert_eq!(memory.left_for_answers(), KAFKA_ANSWER_BYTES_MAX);
    }
}

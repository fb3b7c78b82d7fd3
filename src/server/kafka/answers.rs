//! The answers of one conversation, in the order of its requests: from when a request is taken until its answer may go.
//!
//! ```text
//!   taken ─► open ─► waiting (Later, Ready) ─► on the way out
//! ```
//!
//! Invariants: an answer never overtakes one to an earlier request; every request that was taken is counted until it is
//! answered, and every answer that is ready until it is handed out.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;

use super::hangup::Hangup;
use crate::wire::Frame;

/// How a request is answered.
pub enum Answer {
    Ready(Frame),
    Later(LocalBoxFuture<'static, Result<Frame, Hangup>>),
    /// Not at all.
    Nothing,
}

impl Answer {
    /// How many bytes of it are ready, and how many of those are in memory.
    fn ready_bytes(&self) -> (usize, usize) {
        if let Self::Ready(frame) = self { (frame.size(), frame.memory()) } else { (0, 0) }
    }
}

/// What is not answered yet.
#[derive(Default)]
pub struct Answers {
    /// In the order of the requests, with the size of each.
    waiting: VecDeque<(Answer, usize)>,
    /// The sizes of the requests after those, of which nobody has said yet how they are answered.
    open: VecDeque<usize>,
    /// Of all these requests.
    request_bytes: usize,
    /// Of the answers that are ready, and wait only for those before them.
    ready_bytes: usize,
    ready_memory: usize,
}

impl Answers {
    /// A request was taken.
    pub fn open(&mut self, bytes: usize) {
        self.open.push_back(bytes);
        self.request_bytes += bytes;
    }

    /// Says how the first of the open requests is answered.
    pub fn push(&mut self, answer: Answer) {
        let bytes = self.open.pop_front().expect("who answers was asked");
        let (ready_bytes, ready_memory) = answer.ready_bytes();
        self.ready_bytes += ready_bytes;
        self.ready_memory += ready_memory;
        self.waiting.push_back((answer, bytes));
    }

    /// The next answer, if it is ready.
    pub fn next(&mut self, cx: &mut Context<'_>) -> Result<Option<Frame>, Hangup> {
        while let Some((answer, _)) = self.waiting.front_mut() {
            let come = match answer {
                Answer::Later(coming) => match coming.as_mut().poll(cx) {
                    Poll::Ready(frame) => Some(frame?),
                    Poll::Pending => return Ok(None),
                },
                Answer::Ready(_) | Answer::Nothing => None,
            };
            let ready = self.take_first();
            if let Some(frame) = come.or(ready) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// The frame of the first answer, if that is a ready one; it is counted no more.
    fn take_first(&mut self) -> Option<Frame> {
        let (answer, bytes) = self.waiting.pop_front()?;
        self.request_bytes -= bytes;
        let (ready_bytes, ready_memory) = answer.ready_bytes();
        self.ready_bytes -= ready_bytes;
        self.ready_memory -= ready_memory;
        if let Answer::Ready(frame) = answer { Some(frame) } else { None }
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.open.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// What is ready, and how much of that is in memory.
    pub fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    pub fn ready_memory(&self) -> usize {
        self.ready_memory
    }
}

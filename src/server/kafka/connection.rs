//! One client's connection: frames in, answers out, in the order of the requests.
//!
//! ```text
//!  socket ─► received ─► answerer ─► answers ──► outgoing ─► socket
//!            (requests)  (at once)   (in order)  (segments)
//! ```
//!
//! One task does it all, and starts no other. A request is handed over as soon as it is complete, so what it does
//! (an append) happens in the order of arrival, together with others that have come with it; what it has to wait for is
//! a future in a queue, polled here.
//!
//! Invariants:
//! - nothing is allocated because a frame says that it will be large: buffers grow with what has arrived, and beyond a
//!   small allowance only with the budget's consent;
//! - at most so many requests and bytes are on their way; then reading stops, and TCP makes the client wait;
//! - whatever a client does or leaves undone costs itself its connection, and nobody else anything.
//!
//! Absent on purpose: what requests mean (`dispatch.rs`).

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::answers::Answers;
use super::hangup::Hangup;
use super::memory::Share;
use super::outgoing::Outgoing;
use super::patience::{LastUse, Patience, Reading};
use super::received::Received;
use crate::base::executor::Worker;
use crate::base::limits::{KAFKA_BYTES_IN_FLIGHT_MAX, KAFKA_REQUESTS_IN_FLIGHT_MAX};
use crate::base::network::Connection;

#[cfg(test)]
pub mod tests;

/// What is read when nothing is known of what comes; on the stack, so that an idle connection holds no buffer. Five
/// requests of 16 KiB, as many as Kafka's clients have on their way, come together then and are appended together.
const CHUNK_BYTES: usize = 128 * 1024;
/// From how much on the rest of a request is read to where it stays.
const REST_BYTES_MIN: usize = 64 * 1024;

/// Answers requests.
pub trait Answerer {
    /// Takes a request, and does what has to happen in the order of arrival; at the latest when told to `settle`. By
    /// then its answer has been pushed, behind those to every request before it.
    fn take(&mut self, frame: Bytes, answers: &mut Answers) -> Result<(), Hangup>;

    /// For now there are no more requests: does and answers what was put off to be done together.
    fn settle(&mut self, answers: &mut Answers) -> Result<(), Hangup>;
}

/// What holds for every connection of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`; nothing: as long as it likes.
    pub idle_max: Option<Duration>,
}

/// Serves a connection until it ends, and says why it ended. The loader reads what is to be sent from files and is not
/// in memory.
pub async fn serve(
    stream: Connection,
    answerer: impl Answerer,
    share: Share,
    terms: Terms,
    used: LastUse,
    loader: Arc<dyn Worker>,
) -> Hangup {
    let mut conversation = Conversation::new(stream, answerer, share, terms, used, loader);
    match poll_fn(|cx| conversation.poll(cx)).await {
        Ok(never) => match never {},
        Err(hangup) => hangup,
    }
}

/// Nothing ends well: a conversation goes on until somebody hangs up.
enum Never {}

struct Conversation<A> {
    stream: Connection,
    answerer: A,
    share: Share,
    patience: Patience,
    terms: Terms,
    /// What has arrived and was not taken.
    received: Received,
    answers: Answers,
    outgoing: Outgoing,
}

impl<A: Answerer> Conversation<A> {
    fn new(
        stream: Connection,
        answerer: A,
        share: Share,
        terms: Terms,
        used: LastUse,
        loader: Arc<dyn Worker>,
    ) -> Self {
        Self {
            stream,
            answerer,
            share,
            patience: Patience::new(terms.idle_max, used),
            terms,
            received: Received::default(),
            answers: Answers::default(),
            outgoing: Outgoing::new(loader),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Never, Hangup>> {
        loop {
            self.take_requests()?;
            self.collect_answers(cx)?;
            // What came together is answered together.
            match if self.outgoing.may_grow() { self.poll_read(cx) } else { Ok(Poll::Pending) } {
                Ok(Poll::Ready(())) => continue,
                Ok(Poll::Pending) => {}
                Err(hangup) => {
                    self.outgoing.poll_write(&mut self.stream, cx)?; // who says no more may still listen
                    return Poll::Ready(Err(hangup));
                }
            }
            let written = self.outgoing.poll_write(&mut self.stream, cx)?;
            if written > 0 {
                self.patience.moved();
            }
            self.share.note_answers(self.answers.ready_memory() + self.outgoing.memory);
            if self.received.has_next() && self.may_take() {
                continue; // what was written has made room for it
            }
            if self.poll_read(cx)?.is_pending() {
                break;
            }
        }
        ready!(self.patience.poll(cx, self.reading()))?;
        unreachable!("patience waits or ends")
    }

    /// Hands over every request that is complete, as far as there is room.
    fn take_requests(&mut self) -> Result<(), Hangup> {
        while self.may_take() {
            let Some(frame) = self.received.next() else { break };
            self.patience.request_taken();
            self.answers.open(frame.len());
            self.answerer.take(frame, &mut self.answers)?;
            self.share.note_answers(self.answers.ready_memory() + self.outgoing.memory); // which may be enough for now
        }
        self.answerer.settle(&mut self.answers)?;
        self.share.note_answers(self.answers.ready_memory() + self.outgoing.memory);
        Ok(())
    }

    /// Moves answers that are ready to the way out, none before its predecessors.
    fn collect_answers(&mut self, cx: &mut Context<'_>) -> Result<(), Hangup> {
        while let Some(frame) = self.answers.next(cx)? {
            self.outgoing.push(&frame);
        }
        self.share.shrink_to(self.held());
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Hangup> {
        if !self.may_take() {
            return Ok(Poll::Pending); // what is written or answered wakes us
        }
        let room = self.received.large(REST_BYTES_MIN);
        let buffer = self.received.held() + room.unwrap_or(CHUNK_BYTES);
        if self.share.poll_cover(buffer + self.answers.request_bytes(), cx).is_pending() {
            return Ok(Poll::Pending);
        }
        let read = match room {
            None => self.poll_read_chunk(cx)?,
            Some(room) => self.poll_read_large(room, cx),
        };
        match read {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(0)) if self.received.is_empty() => Err(Hangup::ByPeer),
            Poll::Ready(Ok(0)) => Err(Hangup::CutShort { received: self.received.partial() }),
            Poll::Ready(Ok(_)) => {
                self.patience.moved();
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// Reads whatever comes, up to a chunk.
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Result<Poll<io::Result<usize>>, Hangup> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK_BYTES];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut chunk);
        self.received.take(chunk.filled(), self.terms.request_bytes_max)?;
        Ok(read.map_ok(|()| chunk.filled().len()))
    }

    /// Reads a large request's bytes to where they stay.
    fn poll_read_large(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let buffer = self.received.buffer();
        buffer.reserve(room);
        let mut buffer = buffer.limit(room);
        let read = ready!(pin!(self.stream.read_buf(&mut buffer)).poll(cx));
        self.received.complete();
        Poll::Ready(read)
    }

    fn held(&self) -> usize {
        self.received.held() + self.answers.request_bytes()
    }

    /// Whether another request may be taken.
    fn may_take(&self) -> bool {
        let bytes = self.answers.request_bytes() + self.answers.ready_bytes() + self.outgoing.bytes;
        self.answers.len() < KAFKA_REQUESTS_IN_FLIGHT_MAX
            && bytes < KAFKA_BYTES_IN_FLIGHT_MAX
            && self.share.has_room_for_answer()
    }

    fn reading(&self) -> Reading {
        if self.outgoing.bytes > 0 {
            Reading::Sending
        } else if !self.answers.is_empty() {
            Reading::Busy
        } else if self.share.is_waiting() {
            Reading::Starved
        } else if self.received.is_empty() {
            Reading::Idle
        } else {
            Reading::Frame { received: self.received.partial() }
        }
    }
}

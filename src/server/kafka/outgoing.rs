//! Answers on their way out: from memory, or straight from files.
//!
//! Invariants:
//! - a reactor waits for no device: what is sent from a file seems to be in memory, and what is not is brought there by
//!   a worker first, a piece at a time, while this connection waits;
//! - a file that was cut since, in the middle of what was to be sent of it, ends the connection: nothing is made up.
//!
//! Absent on purpose: corks and hints that more will come. What is small goes out with whatever is in memory behind it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWrite;

use crate::base::disk::FileRange;
use crate::base::executor::Worker;
use crate::base::network::Connection;
use crate::wire::{Frame, Records};

/// Segments that one system call writes.
const SEGMENTS_PER_WRITE_MAX: usize = 64;

/// What is looked for in memory, and then sent, in one go.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// Answers that are written at once, even if there are more requests to take, and their bytes: every write wakes the
/// client, but none should wait for long.
const ANSWERS_TOGETHER_MAX: usize = 16;
const BYTES_TOGETHER_MAX: usize = 64 * 1024;

/// Segments to be written, in order.
pub struct Outgoing {
    segments: VecDeque<Records>,
    /// Of all segments, and of those in memory.
    pub bytes: usize,
    pub memory: usize,
    /// How many answers were pushed since something was written.
    answers: usize,
    unflushed: bool,
    loader: Arc<dyn Worker>,
    /// The piece of a file that comes next is being brought to memory.
    loading: Option<LocalBoxFuture<'static, io::Result<()>>>,
}

impl Outgoing {
    pub fn new(loader: Arc<dyn Worker>) -> Self {
        let segments = VecDeque::new();
        Self { segments, bytes: 0, memory: 0, answers: 0, unflushed: false, loader, loading: None }
    }

    pub fn push(&mut self, frame: &Frame) {
        self.segments.extend(frame.segments());
        self.bytes += frame.size();
        self.memory += frame.memory();
        self.answers += 1;
    }

    /// Whether it is worth while to look for further requests before anything is written.
    pub fn may_grow(&self) -> bool {
        self.answers < ANSWERS_TOGETHER_MAX && self.bytes < BYTES_TOGETHER_MAX
    }

    /// Writes as much as the socket takes. Returns how much that was.
    pub fn poll_write(&mut self, stream: &mut Connection, cx: &mut Context<'_>) -> io::Result<usize> {
        let before = self.bytes;
        self.answers = 0;
        while let Some(first) = self.segments.front() {
            let written = match first {
                Records::Memory(_) => self.poll_write_memory(stream, cx),
                Records::Stored(range) => {
                    let piece = range.first(PIECE_BYTES_MAX);
                    self.poll_send(stream, &piece, cx)
                }
            };
            match written {
                Poll::Pending => return Ok(before - self.bytes),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.advance(written?),
            }
            self.unflushed = true;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(stream).poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(before - self.bytes)
    }

    /// Writes what is in memory, up to the first that is not.
    fn poll_write_memory(&self, stream: &mut Connection, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SEGMENTS_PER_WRITE_MAX];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let Records::Memory(bytes) = segment else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &slices[..count])
    }

    fn poll_send(
        &mut self,
        stream: &mut Connection,
        piece: &FileRange,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.loading.is_none() && !piece.is_cached()? {
            let (loader, piece) = (Arc::clone(&self.loader), piece.clone());
            self.loading = Some(Box::pin(async move { loader.call(move || piece.load()).await }));
        }
        if let Some(loading) = &mut self.loading {
            let loaded = ready!(loading.as_mut().poll(cx));
            self.loading = None;
            loaded?;
        }
        Pin::new(&mut **stream).poll_send(cx, piece)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.segments.front_mut() {
            let length = first.len();
            let gone = written.min(length);
            match first {
                Records::Memory(bytes) => {
                    self.memory -= gone;
                    bytes.advance(gone);
                }
                Records::Stored(range) => range.advance(gone),
            }
            if gone < length {
                return;
            }
            written -= gone;
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;

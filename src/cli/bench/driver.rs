//! One connection of the benchmark: so many requests in flight, each answer timed, and judged by whoever asked.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::latencies::Latencies;
use crate::base::ids::PartitionIndex;
use crate::base::network::{Connection, Network};
use crate::record::RecordError;
use crate::wire::frame::{FrameError, next_frame};
use crate::wire::{DecodeError, ErrorCode};

/// Answers to fetches are asked for to be smaller than this.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const RECEIVE_BYTES: usize = 1024 * 1024;

/// Asks and judges.
pub(super) trait Work {
    /// The next request: a whole frame.
    fn ask(&mut self, correlation_id: i32) -> &[u8];

    /// Judges the answer to the oldest request that has none: a whole frame without its length.
    fn judge(&mut self, answer: Bytes) -> Result<Done, Trouble>;
}

/// What one answer says was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    pub(super) records: u64,
    /// Of the batches, as they are stored.
    pub(super) bytes: u64,
}

/// How fast, and when it counts.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) in_flight: usize,
    /// Asks for answers without a pause, rather than to sleep until there is one.
    pub(super) spins: bool,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// What was done while it counted.
#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) latencies: Latencies,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.latencies.add(&other.latencies);
    }
}

/// What ends a run: every answer must be the right one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the connection to {address} failed: {cause}")]
    Connection { address: String, cause: io::Error },
    #[error("{0} closed the connection")]
    Closed(String),
    #[error("an answer is no frame: {0}")]
    Frame(#[from] FrameError),
    #[error("an answer cannot be read: {0}")]
    Answer(#[from] DecodeError),
    #[error("an answer came that nobody asked for")]
    Uncalled,
    #[error("answer {came:?} came instead of {due}")]
    OutOfOrder { came: Option<i32>, due: i32 },
    #[error("an answer leaves out partition {0}")]
    Unanswered(PartitionIndex),
    #[error("partition {partition} refuses: {}", .code.message())]
    Refused { partition: PartitionIndex, code: ErrorCode },
    #[error("partition {partition} put a batch at offset {came}, which belongs to {due}")]
    Misplaced { partition: PartitionIndex, came: i64, due: i64 },
    #[error("partition {partition} gives out a broken batch: {cause}")]
    Broken { partition: PartitionIndex, cause: RecordError },
    #[error("a connection's driver ended without a word")]
    Vanished,
}

/// Keeps the connection busy until time is up, and takes in what is still under way then.
pub(super) async fn drive(
    network: Arc<dyn Network>,
    address: String,
    mut work: impl Work,
    pace: Pace,
) -> Result<Tally, Trouble> {
    let failed = |cause| Trouble::Connection { address: address.clone(), cause };
    let mut line = Line {
        connection: network.connect(&address).await.map_err(failed)?,
        received: BytesMut::new(),
        waiting: VecDeque::new(),
        asked: 0,
    };
    let mut tally = Tally::default();
    loop {
        while line.waiting.len() < pace.in_flight && Instant::now() < pace.until {
            line.ask(&mut work).await.map_err(failed)?;
        }
        if line.waiting.is_empty() {
            return Ok(tally);
        }
        if !line.receive(pace.spins).await.map_err(failed)? {
            return Err(Trouble::Closed(address));
        }
        while let Some(answer) = next_frame(&mut line.received, ANSWER_BYTES_MAX)? {
            line.settle(answer, &mut work, pace, &mut tally)?;
        }
    }
}

/// A connection, and the requests on it.
struct Line {
    connection: Connection,
    received: BytesMut,
    /// The number of each request, and when it was sent.
    waiting: VecDeque<(i32, Instant)>,
    asked: i32,
}

impl Line {
    async fn ask(&mut self, work: &mut impl Work) -> io::Result<()> {
        self.waiting.push_back((self.asked, Instant::now()));
        self.connection.write_all(work.ask(self.asked)).await?;
        self.asked = self.asked.wrapping_add(1);
        Ok(())
    }

    /// Whether there will be more.
    async fn receive(&mut self, spins: bool) -> io::Result<bool> {
        self.received.reserve(RECEIVE_BYTES);
        let mut reading = pin!(self.connection.read_buf(&mut self.received));
        let received = poll_fn(|cx| {
            let read = reading.as_mut().poll(cx);
            if spins && read.is_pending() {
                cx.waker().wake_by_ref();
            }
            read
        });
        Ok(received.await? > 0)
    }

    fn settle(&mut self, answer: Bytes, work: &mut impl Work, pace: Pace, tally: &mut Tally) -> Result<(), Trouble> {
        let came = answer.first_chunk().map(|id| i32::from_be_bytes(*id));
        let (due, sent) = self.waiting.pop_front().ok_or(Trouble::Uncalled)?;
        if came != Some(due) {
            return Err(Trouble::OutOfOrder { came, due });
        }
        let done = work.judge(answer)?;
        let now = Instant::now();
        if now >= pace.from && now < pace.until {
            tally.requests += 1;
            tally.records += done.records;
            tally.bytes += done.bytes;
            tally.latencies.record(now - sent);
        }
        Ok(())
    }
}

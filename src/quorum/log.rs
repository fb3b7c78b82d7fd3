//! Raft's log and hard state on the metadata store.
//!
//! Everything that changes joins one pending batch; a job on the worker writes what has gathered and syncs once. While
//! one sync is under way the next batch gathers: group commit without a timer.
//!
//! Invariants:
//! - entries can be read as soon as `append` returns (from the tail in memory) and are acknowledged once synced;
//! - changes reach the store in the order they were made, so a vote can never overtake an entry;
//! - what was promised to others is in the floor too, which a store that lost it is measured by;
//! - after one failed write or sync nothing is acknowledged any more: what is on the disk is unknown.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use prost::Message;
use tokio::sync::oneshot;

use super::codec;
use super::floor::{Floor, Promise};
use super::types::Types;
use crate::base::executor::Worker;
use crate::base::ids::MetadataIndex;
use crate::base::limits::{RAFT_READ_ENTRIES_MAX, RAFT_TAIL_BYTES_MAX};
use crate::base::mutants::Mutant;
use crate::base::store::{Batch, Store, Table};
use crate::rpc::raft as proto;

const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";

/// The Raft log of one node. Clones are the same log.
#[derive(Clone)]
pub struct RaftLog {
    store: Arc<dyn Store>,
    worker: Arc<dyn Worker>,
    book: Arc<Mutex<Book>>,
    /// Touched by the worker alone.
    floor: Arc<Mutex<Floor>>,
}

/// What is known of the log without reading the store, and what the store has yet to be told.
#[derive(Default)]
struct Book {
    vote: Option<VoteOf<Types>>,
    committed: Option<LogIdOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    last: Option<LogIdOf<Types>>,
    tail: Tail,
    pending: Batch,
    waiting: Vec<Waiting>,
    /// How short the log becomes by what is pending, before it grows again.
    cut: Option<Option<LogIdOf<Types>>>,
    /// A job is on its way that will write what is pending.
    flush_is_due: bool,
    failure: Option<String>,
}

/// Somebody who waits for a sync.
enum Waiting {
    Append(IOFlushed<Types>),
    Caller(oneshot::Sender<io::Result<()>>),
}

impl RaftLog {
    /// Reads what the store knows, which must not be less than it once did. Blocks: for the start of a node.
    pub fn open(store: Arc<dyn Store>, worker: Arc<dyn Worker>, floor: Floor) -> io::Result<Self> {
        let purged = read::<proto::LogId>(&*store, PURGED)?.map(codec::log_id_in);
        let last = match store.last(Table::Log)? {
            Some((_, value)) => Some(decoded_entry(&value)?.log_id),
            None => purged,
        };
        let book = Book {
            vote: read::<proto::Vote>(&*store, VOTE)?.map(codec::vote_in),
            committed: read::<proto::LogId>(&*store, COMMITTED)?.map(codec::log_id_in),
            purged,
            last,
            tail: Tail::after(last),
            ..Book::default()
        };
        floor.check(book.promise())?;
        Ok(Self { store, worker, book: Arc::new(Mutex::new(book)), floor: Arc::new(Mutex::new(floor)) })
    }

    /// The index that the next entry will have, as long as nobody else appends.
    pub(super) fn end(&self) -> MetadataIndex {
        MetadataIndex(self.book().last.map_or(0, |last| last.index() + 1))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, and sees to it that a job will write it. `change` runs under the lock: changes keep their order.
    async fn change(&self, change: impl FnOnce(&mut Book)) -> io::Result<()> {
        let is_due = {
            let mut book = self.book();
            if let Some(failure) = &book.failure {
                return Err(io::Error::other(failure.clone()));
            }
            change(&mut book);
            std::mem::replace(&mut book.flush_is_due, true)
        };
        if !is_due {
            let log = self.clone();
            self.worker.submit(Box::new(move || log.flush())).await;
        }
        Ok(())
    }

    /// Like `change`, and waits until it is durable.
    async fn change_durably(&self, change: impl FnOnce(&mut Book)) -> io::Result<()> {
        let (synced, result) = oneshot::channel();
        self.change(|book| {
            change(book);
            book.waiting.push(Waiting::Caller(synced));
        })
        .await?;
        result.await.map_err(|_| io::Error::other("the node stopped before its vote was synced"))?
    }

    /// Writes and syncs all that is pending. Runs on the worker.
    fn flush(&self) {
        let (batch, waiting, promise, cut, written_end) = {
            let mut book = self.book();
            book.flush_is_due = false;
            let (batch, waiting) = (std::mem::take(&mut book.pending), std::mem::take(&mut book.waiting));
            (batch, waiting, book.promise(), book.cut.take(), book.tail.end)
        };
        let result = self.write(batch, promise, cut);
        let failure = {
            let mut book = self.book();
            match &result {
                Ok(()) => book.tail.written(written_end),
                Err(error) => book.failure = Some(format!("the metadata store failed for good: {error}")),
            }
            book.failure.clone()
        };
        for one in waiting {
            let outcome = failure.clone().map_or(Ok(()), |failure| Err(io::Error::other(failure)));
            match one {
                Waiting::Append(flushed) => flushed.io_completed(outcome),
                // A caller that has gone away, because the node stops, needs no answer.
                Waiting::Caller(synced) => drop(synced.send(outcome)),
            }
        }
    }

    /// Writes and syncs a batch, between what the floor must say before and after it.
    fn write(&self, batch: Batch, promise: Promise, cut: Option<Option<LogIdOf<Types>>>) -> io::Result<()> {
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = cut {
            floor.lower(last)?;
        }
        self.store.write(batch)?;
        self.store.sync()?;
        floor.raise(promise)
    }

    /// Entries that have left the tail, from the store.
    async fn read_cold(&self, from: u64, until: u64) -> io::Result<Vec<EntryOf<Types>>> {
        let store = Arc::clone(&self.store);
        self.worker
            .call(move || {
                let mut entries = Vec::new();
                let mut next = from;
                while next < until {
                    let (first, last) = (next.to_be_bytes(), (until - 1).to_be_bytes());
                    let found = store.scan(Table::Log, &first..=&last, RAFT_READ_ENTRIES_MAX)?;
                    if found.is_empty() {
                        break;
                    }
                    for (_, value) in found {
                        let entry = decoded_entry(&value)?;
                        next = entry.log_id.index() + 1;
                        entries.push(entry);
                    }
                }
                Ok(entries)
            })
            .await
    }
}

impl Book {
    /// What the quorum may rely on once all that is pending has been synced.
    fn promise(&self) -> Promise {
        Promise { vote: self.vote, last: self.last }
    }
}

fn read<M: Message + Default>(store: &dyn Store, key: &[u8]) -> io::Result<Option<M>> {
    let Some(value) = store.read(Table::Hard, key)? else { return Ok(None) };
    M::decode(value.as_slice()).map(Some).map_err(io::Error::from)
}

fn decoded_entry(value: &[u8]) -> io::Result<EntryOf<Types>> {
    codec::entry_in(proto::Entry::decode(value)?)
}

impl RaftLogReader<Types> for RaftLog {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let until = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let (tail_start, recent) = {
            let book = self.book();
            (book.tail.start(), book.tail.range(from, until))
        };
        if from >= tail_start {
            return Ok(recent);
        }
        let mut entries = self.read_cold(from, until.min(tail_start)).await?;
        entries.extend(recent);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.book().vote)
    }
}

impl RaftLogStorage<Types> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let book = self.book();
        Ok(LogState { last_purged_log_id: book.purged, last_log_id: book.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        if Mutant::VoteNotSynced.lives() {
            let mut book = self.book();
            book.vote = Some(*vote);
            book.pending.put(Table::Hard, VOTE, codec::vote_out(vote).encode_to_vec());
            return Ok(());
        }
        self.change_durably(|book| {
            book.vote = Some(*vote);
            book.pending.put(Table::Hard, VOTE, codec::vote_out(vote).encode_to_vec());
        })
        .await
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        // Goes along with the next write: losing it only means applying a little more after a restart.
        let mut book = self.book();
        book.committed = committed;
        if let Some(id) = &committed {
            book.pending.put(Table::Hard, COMMITTED, codec::log_id_out(id).encode_to_vec());
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types>>, io::Error> {
        Ok(self.book().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.change(|book| {
            for entry in entries {
                let value = codec::entry_out(entry.clone()).encode_to_vec();
                book.last = Some(entry.log_id());
                book.tail.push(entry, value.len());
                book.pending.put(Table::Log, book.tail.last_key(), value);
            }
            book.waiting.push(Waiting::Append(flushed));
        })
        .await
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        // Needs no sync of its own: what follows in the log is synced after it, in order.
        self.change(|book| {
            let end = last.map_or(0, |id| id.index() + 1);
            book.last = book.last.min(last); // the log may end before
            book.cut = Some(book.cut.map_or(book.last, |cut| cut.min(book.last)));
            book.tail.truncate(end);
            book.pending.delete_range(Table::Log, end.to_be_bytes(), u64::MAX.to_be_bytes());
        })
        .await
    }

    async fn purge(&mut self, up_to: LogIdOf<Types>) -> Result<(), io::Error> {
        self.change(|book| {
            let start = up_to.index() + 1;
            book.purged = Some(up_to);
            book.last = book.last.max(Some(up_to));
            book.tail.purge(start);
            book.pending.put(Table::Hard, PURGED, codec::log_id_out(&up_to).encode_to_vec());
            book.pending.delete_range(Table::Log, 0_u64.to_be_bytes(), start.to_be_bytes());
        })
        .await
    }
}

/// The newest entries, in memory: all that the store has yet to be told, and older ones as far as the budget goes.
#[derive(Default)]
struct Tail {
    entries: VecDeque<(EntryOf<Types>, usize)>,
    /// The index after the last entry.
    end: u64,
    /// Entries before this index are in the store.
    written_end: u64,
    bytes: usize,
}

impl Tail {
    /// An empty tail behind the entries that the store has.
    fn after(last: Option<LogIdOf<Types>>) -> Self {
        let end = last.map_or(0, |id| id.index() + 1);
        Self { end, written_end: end, ..Self::default() }
    }

    fn start(&self) -> u64 {
        self.end - self.entries.len() as u64
    }

    fn last_key(&self) -> [u8; 8] {
        (self.end - 1).to_be_bytes()
    }

    fn push(&mut self, entry: EntryOf<Types>, bytes: usize) {
        if self.entries.is_empty() {
            self.end = entry.index();
        }
        assert!(entry.index() == self.end, "entry {} appended at the log's end {}", entry.index(), self.end);
        self.entries.push_back((entry, bytes));
        self.end += 1;
        self.bytes += bytes;
    }

    fn range(&self, from: u64, until: u64) -> Vec<EntryOf<Types>> {
        let start = self.start();
        let place = |index: u64| usize::try_from(index.clamp(start, self.end) - start).unwrap_or(usize::MAX);
        let (from, until) = (place(from), place(until));
        self.entries.range(from..until.max(from)).map(|(entry, _)| entry.clone()).collect()
    }

    /// Notes what the store has, and lets go of what exceeds the budget.
    fn written(&mut self, end: u64) {
        self.written_end = end.min(self.end);
        while self.bytes > RAFT_TAIL_BYTES_MAX && self.start() < self.written_end {
            self.forget_first();
        }
    }

    fn truncate(&mut self, end: u64) {
        while self.end > end && !self.entries.is_empty() {
            self.end -= 1;
            self.bytes -= self.entries.pop_back().map_or(0, |(_, bytes)| bytes);
        }
        self.end = self.end.min(end);
        self.written_end = self.written_end.min(end);
    }

    fn purge(&mut self, start: u64) {
        while self.start() < start && !self.entries.is_empty() {
            self.forget_first();
        }
        self.end = self.end.max(start);
    }

    fn forget_first(&mut self) {
        self.bytes -= self.entries.pop_front().map_or(0, |(_, bytes)| bytes);
    }
}

//! The durable floor: what this node has promised to its quorum, outside the store, so that a store that comes back
//! older than it was is found out.
//!
//! A store may lose what it had synced: a restored backup, a disk that lies, a journal cut at its first damage. A node
//! that has forgotten its vote can vote twice in one term; one that has forgotten entries can elect a leader without
//! them. Both lose what was acknowledged, so such a node must not take part as who it was.
//!
//! ```text
//! hard_state   two slots of 4 KiB, written in turn, so that one is whole whenever the machine stops
//!   slot       magic u32, crc32c u32 of all that follows, number u64, length u32, Floor (raft.proto)
//! ```
//!
//! Invariants: a vote is here before it is answered for; the end of the log is here at most a second late, so a loss of
//! votes is always noticed and one of entries nearly always; what is here is never more than the store has.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut};
use openraft::alias::{LogIdOf, VoteOf};
use prost::Message;
use tokio::time::Instant;

use super::codec;
use super::types::Types;
use crate::base::disk::{Disk, File, Open};
use crate::rpc::raft as proto;

const SLOT_BYTES: usize = 4096;
const MAGIC: u32 = 0xd041_f100;
/// Magic and checksum; then number and length.
const CHECKED_FROM: usize = 8;
const HEAD_BYTES: usize = CHECKED_FROM + 12;

/// How much of the log's end may be missing here.
const LATE: Duration = Duration::from_secs(1);

/// What a node has promised.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Promise {
    pub vote: Option<VoteOf<Types>>,
    /// The last entry of the log.
    pub last: Option<LogIdOf<Types>>,
}

/// The floor of one node.
pub struct Floor {
    file: Arc<dyn File>,
    promise: Promise,
    /// The number of the slot that is written next; even ones go first.
    number: u64,
    written: Option<Instant>,
}

impl Floor {
    /// Reads the floor, or lays an empty one. Blocks: for the start of a node.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Open::Create)?;
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        let newest = bytes.chunks(SLOT_BYTES).filter_map(parse).max_by_key(|(number, _)| *number);
        let (number, promise) = match newest {
            Some((number, promise)) => (number + 1, promise),
            None => {
                // Nobody has been promised anything before the name is there to stay.
                disk.sync_folder(path.parent().unwrap_or(Path::new(".")))?;
                (0, Promise::default())
            }
        };
        Ok(Self { file, promise, number, written: None })
    }

    /// Fails if the store has less than was promised.
    pub(super) fn check(&self, store: Promise) -> io::Result<()> {
        if store.vote >= self.promise.vote && store.last >= self.promise.last {
            return Ok(());
        }
        let shown = |promise: Promise| {
            let vote = promise.vote.map_or("no vote".to_owned(), |vote| format!("vote {vote}"));
            let last = promise.last.map_or("no entry".to_owned(), |last| format!("last entry {last}"));
            format!("{vote}, {last}")
        };
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "it is older than it was: it has {}, and this node has promised {} to its quorum. A node that has \
                 forgotten its promises must not vote again: put the newer data back, or start it on an empty data \
                 directory as a new node",
                shown(store),
                shown(self.promise)
            ),
        ))
    }

    /// Before the store cuts its log: afterwards it will end here.
    pub(super) fn lower(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        if self.promise.last <= last {
            return Ok(());
        }
        self.write(Promise { last, ..self.promise })
    }

    /// After the store has synced this much.
    pub(super) fn raise(&mut self, promise: Promise) -> io::Result<()> {
        let is_late = || self.written.is_none_or(|written| written.elapsed() >= LATE);
        if promise.vote != self.promise.vote || promise.last != self.promise.last && is_late() {
            self.write(promise)?;
        }
        Ok(())
    }

    fn write(&mut self, promise: Promise) -> io::Result<()> {
        let slot = slot(self.number, promise);
        self.file.write_at(&[IoSlice::new(&slot)], (self.number % 2) * SLOT_BYTES as u64)?;
        self.file.sync_data()?;
        self.number += 1;
        self.promise = promise;
        self.written = Some(Instant::now());
        Ok(())
    }
}

fn slot(number: u64, promise: Promise) -> Vec<u8> {
    let floor = proto::Floor {
        vote: promise.vote.as_ref().map(codec::vote_out),
        last: promise.last.as_ref().map(codec::log_id_out),
    };
    let floor = floor.encode_to_vec();
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.put_u32(MAGIC);
    slot.put_u32(0);
    slot.put_u64(number);
    slot.put_u32(u32::try_from(floor.len()).expect("a vote and a log id are some dozen bytes"));
    slot.put_slice(&floor);
    slot.resize(SLOT_BYTES, 0);
    let checksum = crc32c::crc32c(&slot[CHECKED_FROM..]);
    slot[4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    slot
}

/// The number of a slot and what it says; nothing, if it was never written or not to its end.
fn parse(slot: &[u8]) -> Option<(u64, Promise)> {
    if slot.len() < SLOT_BYTES {
        return None;
    }
    let (mut head, rest) = slot.split_at(HEAD_BYTES);
    let (magic, checksum) = (head.get_u32(), head.get_u32());
    if magic != MAGIC || checksum != crc32c::crc32c(&slot[CHECKED_FROM..]) {
        return None;
    }
    let (number, length) = (head.get_u64(), head.get_u32());
    let floor = proto::Floor::decode(rest.get(..length as usize)?).ok()?;
    Some((number, Promise { vote: floor.vote.map(codec::vote_in), last: floor.last.map(codec::log_id_in) }))
}

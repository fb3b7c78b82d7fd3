//! A sparse index beside a segment: fixed-size entries in ascending order. Most lie in the file, the last in memory.
//!
//! Invariants: an entry once stored is changed only by a truncation; the file may be longer than what is stored (a
//! store that failed), never shorter.
//!
//! Absent on purpose: a copy of the file in memory. A look-up is some reads of cached pages, and an index of a
//! gigabyte of log would take five megabytes for ever.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::LogError;
use super::folder::{Folder, Kind};
use super::reader::Wait;
use crate::base::disk::{File, Open};
use crate::base::ids::Offset;

/// A look-up bisects down to so many bytes and reads them at once.
const BLOCK_BYTES: usize = 4096;

/// What an index is made of. Offsets are stored relative to the segment's.
pub(super) trait Entry: Copy {
    const SIZE: usize;
    const KIND: Kind;

    fn encode(&self, base: Offset, out: &mut Vec<u8>);

    /// Reads an entry from exactly `SIZE` bytes.
    fn decode(base: Offset, bytes: &[u8]) -> Self;

    /// The last offset of the batch that is meant.
    fn offset(&self) -> Offset;
}

/// An index of one segment.
pub(super) struct Index<E> {
    base: Offset,
    stored: u32,
    recent: Vec<E>,
    last: Option<E>,
    file: Option<Arc<dyn File>>,
}

/// Where the greatest entry of a kind is to be found: known, or to be looked up in the file without the log.
pub(super) enum Floor<E> {
    Known(Option<E>),
    Stored(Stored),
}

/// The part of an index that lies in its file.
pub(super) struct Stored {
    base: Offset,
    count: u32,
    file: Arc<dyn File>,
}

impl<E: Entry> Index<E> {
    /// An index without entries; a file that is there will be overwritten.
    pub(super) fn empty(base: Offset) -> Self {
        Self { base, stored: 0, recent: Vec::new(), last: None, file: None }
    }

    /// The index as the file has it; a torn last entry is no entry.
    pub(super) fn load(folder: &Folder, base: Offset) -> Result<Self, LogError> {
        let mut index = Self::empty(base);
        let path = folder.file(base, E::KIND);
        let file = match folder.disk.open(&path, Open::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(index),
            Err(error) => return Err(LogError::io(path)(error)),
        };
        let read = || {
            let count = file.len()? / E::SIZE as u64;
            let stored = Stored { base, count: count as u32, file: Arc::clone(&file) };
            let last = if count > 0 { stored.block(stored.count - 1, 1, Wait::Yes)?.pop() } else { None };
            Ok((stored.count, last))
        };
        (index.stored, index.last) = read().map_err(LogError::io(path))?;
        index.file = Some(file);
        Ok(index)
    }

    pub(super) fn last(&self) -> Option<&E> {
        self.last.as_ref()
    }

    /// How many bytes all the entries take in a file.
    pub(super) fn bytes(&self) -> usize {
        (self.stored as usize + self.recent.len()) * E::SIZE
    }

    pub(super) fn push(&mut self, entry: E) {
        self.recent.push(entry);
        self.last = Some(entry);
    }

    /// Writes to the file what is not there yet.
    pub(super) fn store(&mut self, folder: &Folder) -> Result<(), LogError> {
        if self.recent.is_empty() && self.stored > 0 {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.recent.len() * E::SIZE);
        for entry in &self.recent {
            entry.encode(self.base, &mut bytes);
        }
        let file = self.open(folder)?;
        let write = || {
            if self.stored == 0 {
                file.set_len(0)?;
            }
            file.write_at(&[IoSlice::new(&bytes)], self.stored as u64 * E::SIZE as u64)
        };
        write().map_err(LogError::io(folder.file(self.base, E::KIND)))?;
        self.stored += self.recent.len() as u32;
        self.recent.clear();
        Ok(())
    }

    /// Where to find the greatest entry that `before` is true of; it must be true of a beginning of the entries.
    pub(super) fn floor(&mut self, folder: &Folder, before: impl Fn(&E) -> bool) -> Result<Floor<E>, LogError> {
        let known = self.recent.partition_point(&before);
        if let Some(entry) = self.recent.get(..known).and_then(<[E]>::last) {
            return Ok(Floor::Known(Some(*entry)));
        }
        if self.stored == 0 {
            return Ok(Floor::Known(None));
        }
        Ok(Floor::Stored(Stored { base: self.base, count: self.stored, file: self.open(folder)? }))
    }

    /// Forgets the entries from this offset on.
    pub(super) fn truncate(&mut self, folder: &Folder, end: Offset) -> Result<(), LogError> {
        self.recent.truncate(self.recent.partition_point(|entry| entry.offset() < end));
        self.last = self.recent.last().copied();
        if self.last.is_some() || self.stored == 0 {
            return Ok(());
        }
        let stored = Stored { base: self.base, count: self.stored, file: self.open(folder)? };
        let cut = || {
            let (count, last) = stored.search(Wait::Yes, |entry: &E| entry.offset() < end)?;
            stored.file.set_len(u64::from(count) * E::SIZE as u64)?;
            Ok((count, last))
        };
        (self.stored, self.last) = cut().map_err(LogError::io(folder.file(self.base, E::KIND)))?;
        Ok(())
    }

    /// Gives back descriptor and memory; only what is not stored is kept.
    pub(super) fn release(&mut self) {
        self.file = None;
        self.recent.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.recent.capacity() * size_of::<E>() + self.file.as_ref().map_or(0, size_of_val)
    }

    pub(super) fn open(&mut self, folder: &Folder) -> Result<Arc<dyn File>, LogError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = folder.open(self.base, E::KIND, Open::Create)?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

impl<E: Entry> Floor<E> {
    /// The entry, if it is known without reading: then there is one, or there is none.
    pub(super) fn known(&self) -> Option<Option<E>> {
        match self {
            Self::Known(entry) => Some(*entry),
            Self::Stored(_) => None,
        }
    }

    pub(super) fn find(&self, wait: Wait, before: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        match self {
            Self::Known(entry) => Ok(*entry),
            Self::Stored(stored) => stored.search(wait, before).map(|(_, entry)| entry),
        }
    }
}

impl Stored {
    /// How many entries `before` is true of, and the last of them.
    fn search<E: Entry>(&self, wait: Wait, before: impl Fn(&E) -> bool) -> io::Result<(u32, Option<E>)> {
        let (mut low, mut high) = (0, self.count);
        while (high - low) as usize * E::SIZE > BLOCK_BYTES {
            let middle = low + (high - low) / 2;
            match self.block(middle, 1, wait)?.first() {
                Some(entry) if before(entry) => low = middle,
                _ => high = middle,
            }
        }
        let block: Vec<E> = self.block(low, high - low, wait)?;
        let known = block.partition_point(before);
        Ok((low + known as u32, block.get(..known).and_then(<[E]>::last).copied()))
    }

    fn block<E: Entry>(&self, first: u32, count: u32, wait: Wait) -> io::Result<Vec<E>> {
        let mut bytes = vec![0; count as usize * E::SIZE];
        let read = wait.read(&*self.file, &mut bytes, u64::from(first) * E::SIZE as u64)?;
        if read < bytes.len() {
            return Err(wait.short("the index is shorter than it was"));
        }
        Ok(bytes.chunks_exact(E::SIZE).map(|bytes| E::decode(self.base, bytes)).collect())
    }
}

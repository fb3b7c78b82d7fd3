//! Walks over the batches of a segment's file, as recovery needs it: in order, through a bounded buffer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::disk::File;
use crate::record::{Batch, BatchHeader, EndTxnMarker, HEADER_LEN};

const BUFFER_BYTES: usize = 256 << 10;
/// What the checksum covers begins here in a batch.
const CHECKED_FROM: u64 = 21;

pub(super) struct Scan {
    file: Arc<dyn File>,
    end: u64,
    position: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// What is wrong with the bytes at a position.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Defect {
    #[error("the file ends inside a batch")]
    Torn,
    #[error("{0}")]
    Damaged(String),
}

impl Scan {
    /// A walk from the batch at `position`, over a file of `end` bytes.
    pub(super) fn new(file: Arc<dyn File>, position: u64, end: u64) -> Self {
        Self { file, end, position, buffer: Vec::new(), buffer_at: 0 }
    }

    /// Where the walk is.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The header of the batch here; `None` at the end of the file.
    pub(super) fn header(&mut self) -> io::Result<Option<Result<BatchHeader, Defect>>> {
        let rest = self.end - self.position;
        if rest == 0 {
            return Ok(None);
        }
        if rest < HEADER_LEN as u64 {
            return Ok(Some(Err(Defect::Torn)));
        }
        let head = self.window(self.position, HEADER_LEN)?;
        Ok(Some(match BatchHeader::parse(head) {
            Ok(header) if header.size() as u64 > rest => Err(Defect::Torn),
            Ok(header) => Ok(header),
            Err(error) => Err(Defect::Damaged(error.to_string())),
        }))
    }

    /// Whether the checksum of the batch here holds.
    pub(super) fn verify(&mut self, header: &BatchHeader) -> io::Result<Result<(), Defect>> {
        let end = self.position + header.size() as u64;
        let mut at = self.position + CHECKED_FROM;
        let mut computed = 0;
        while at < end {
            let chunk = self.window(at, (end - at).min(BUFFER_BYTES as u64) as usize)?;
            computed = crc32c::crc32c_append(computed, chunk);
            at += chunk.len() as u64;
        }
        let stored = header.crc;
        Ok(match computed == stored {
            true => Ok(()),
            false => {
                Err(Defect::Damaged(format!("the checksum is {stored:#010x}, that of the bytes {computed:#010x}")))
            }
        })
    }

    /// How a transaction ended, if the batch here says so.
    pub(super) fn marker(&mut self, header: &BatchHeader) -> io::Result<Option<EndTxnMarker>> {
        if !header.attributes.is_control() || header.size() > BUFFER_BYTES {
            return Ok(None);
        }
        let mut bytes = Bytes::copy_from_slice(self.window(self.position, header.size())?);
        Ok(Batch::split_from(&mut bytes).ok().and_then(|batch| EndTxnMarker::of(&batch)))
    }

    /// The batch here, whole.
    pub(super) fn bytes(&mut self, header: &BatchHeader) -> io::Result<Bytes> {
        let (at, size) = (self.position, header.size());
        if size <= BUFFER_BYTES {
            return Ok(Bytes::copy_from_slice(self.window(at, size)?));
        }
        let mut bytes = vec![0; size];
        if self.file.read_at(&mut bytes, at)? < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(bytes))
    }

    /// Steps over the batch here.
    pub(super) fn skip(&mut self, header: &BatchHeader) {
        self.position += header.size() as u64;
    }

    /// Exactly these bytes, at most a buffer full of them.
    fn window(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let held = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if at < held.start || at + len as u64 > held.end {
            self.buffer.resize((self.end - at).min(BUFFER_BYTES as u64) as usize, 0);
            let read = self.file.read_at(&mut self.buffer, at)?;
            self.buffer.truncate(read);
            self.buffer_at = at;
        }
        let from = (at - self.buffer_at) as usize;
        self.buffer.get(from..from + len).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

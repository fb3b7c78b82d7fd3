//! Reads: whole batches from an offset on, from cached pages or, on a worker, from the device.
//!
//! Who looks at batches, or frames them anew, reads them. Who only sends them on is told where they lie, so that they
//! need not come to this process at all: then no more is read than indexes and a few headers, to find both ends.
//!
//! Invariants: an answer holds whole batches only, as they lie on the disk, without those from the bound on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::index::Floor;
use super::offset_index::OffsetEntry;
use super::{Log, LogError};
use crate::base::disk::{File, FileRange};
use crate::base::ids::Offset;
use crate::record::{BatchHeader, HEADER_LEN};

/// Headers are looked for in windows of this size: an index interval and a header.
const WINDOW_BYTES: usize = 4096 + HEADER_LEN;

/// Up to here it costs less to copy batches than to have the system send them from the file: one call less.
const COPY_BYTES_MAX: usize = if cfg!(test) { 256 } else { 32 * 1024 };

/// How far headers are walked for the sake of a larger answer, where the index has no entry near its end.
const WALK_BYTES_MAX: u64 = if cfg!(test) { 512 } else { 64 * 1024 };

/// What is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    pub from: Offset,
    /// Batches that reach this offset are not for the reader: the high watermark, the last stable or log end offset.
    pub until: Offset,
    pub bytes_max: usize,
    /// Give one batch, if there is one, though it alone exceeds `bytes_max`: or a reader could never get past it.
    pub at_least_one: bool,
}

impl ReadRequest {
    /// All that follows.
    pub(super) fn all(from: Offset) -> Self {
        Self { from, until: Offset(i64::MAX), bytes_max: usize::MAX, at_least_one: true }
    }
}

/// Batches, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    pub parts: Vec<Bytes>,
    pub size: usize,
    /// Where to read on. If that is past `from` though nothing was read, what lay there was compacted away.
    pub next: Offset,
}

impl Slice {
    pub fn empty(next: Offset) -> Self {
        Self { parts: Vec::new(), size: 0, next }
    }

    /// Whether there may be something for this reader behind what was compacted away here.
    pub fn is_emptied(&self, request: &ReadRequest) -> bool {
        self.size == 0 && self.next > request.from && self.next < request.until
    }
}

/// A read that has been begun: under the log's mutex it is only found out where the batches are.
pub enum Reading {
    /// In the tail cache. Nothing was copied.
    Here(Slice),
    /// In a file.
    Stored(ColdRead),
}

/// The answer to a read.
pub enum Read {
    Ready(Slice),
    /// The pages are not in memory: a worker must run this.
    Cold(ColdRead),
}

/// The answer to who sends it on.
pub enum Located {
    /// A few bytes.
    Here(Slice),
    /// Many bytes, perhaps not in memory.
    Stored(FileRange),
    /// What says where they are is not in memory: a worker must run this.
    Cold(ColdRead),
}

impl Located {
    /// How many bytes are known to be there.
    pub fn size(&self) -> usize {
        match self {
            Self::Here(slice) => slice.size,
            Self::Stored(range) => range.length,
            Self::Cold(_) => 0,
        }
    }
}

impl Reading {
    /// Finds out, without waiting for the device, where the batches lie; without the log's mutex.
    pub fn located(self) -> Result<Located, LogError> {
        match self {
            Self::Here(slice) => Ok(Located::Here(slice)),
            Self::Stored(stored) => match stored.source.locate_all(&stored.request, Wait::No)? {
                Ok(located) => Ok(located),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Located::Cold(stored)),
                Err(error) => Err(LogError::io(&stored.source.path)(error)),
            },
        }
    }

    /// Reads what can be read without waiting for the device; without the log's mutex.
    pub fn cached(self) -> Result<Read, LogError> {
        match self {
            Self::Here(slice) => Ok(Read::Ready(slice)),
            Self::Stored(stored) => match stored.source.read(&stored.request, Wait::No)? {
                Ok(slice) => Ok(Read::Ready(slice)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Cold(stored)),
                Err(error) => Err(LogError::io(&stored.source.path)(error)),
            },
        }
    }
}

/// A read that waits for the device. It holds what it needs of the log, and nothing of its mutex.
///
/// The log may be truncated meanwhile: who reads beyond what is committed must then ask again whether it is there.
pub struct ColdRead {
    source: Source,
    request: ReadRequest,
}

impl ColdRead {
    pub fn run(self) -> Result<Slice, LogError> {
        self.source.read(&self.request, Wait::Yes)?.map_err(LogError::io(&self.source.path))
    }

    /// Finds out where the batches lie.
    pub fn locate(self) -> Result<Located, LogError> {
        self.source.locate_all(&self.request, Wait::Yes)?.map_err(LogError::io(&self.source.path))
    }
}

impl Log {
    /// Finds out where to read: in memory, or in a file. Reads nothing yet.
    pub fn read(&mut self, request: &ReadRequest) -> Result<Reading, LogError> {
        self.check()?;
        self.check_range(request.from)?;
        if request.from >= request.until || request.from >= self.log_end {
            return Ok(Reading::Here(Slice::empty(request.from)));
        }
        if let Some(slice) = self.tail.read(request) {
            return Ok(Reading::Here(slice));
        }
        let source = self.source(request)?;
        Ok(Reading::Stored(ColdRead { source, request: *request }))
    }

    /// The same for who sends on what is found: memory is given only if that is all, and not much.
    pub fn locate(&mut self, request: &ReadRequest) -> Result<Reading, LogError> {
        let few = ReadRequest { bytes_max: request.bytes_max.min(COPY_BYTES_MAX), ..*request };
        match self.read(&few)? {
            Reading::Here(slice) if few == *request || slice.next >= request.until.min(self.log_end) => {
                Ok(Reading::Here(slice))
            }
            _ => Ok(Reading::Stored(ColdRead { source: self.source(request)?, request: *request })),
        }
    }
}

/// Whether a read may wait for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    No,
    Yes,
}

impl Wait {
    pub(super) fn read(self, file: &dyn File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::No => file.read_at_cached(buffer, position),
            Self::Yes => file.read_at(buffer, position),
        }
    }

    /// What a read that ended too early means: more may come from the device, or the file is not what it was.
    pub(super) fn short(self, what: &'static str) -> io::Error {
        match self {
            Self::No => io::ErrorKind::WouldBlock.into(),
            Self::Yes => io::Error::new(io::ErrorKind::UnexpectedEof, what),
        }
    }
}

/// One segment as it was when the read began.
pub(super) struct Source {
    pub path: PathBuf,
    pub file: Arc<dyn File>,
    /// The file's length, and the offset that follows it.
    pub size: u64,
    pub next: Offset,
    /// The last index entry at or before the offset that is read from.
    pub floor: Floor<OffsetEntry>,
    /// An index entry behind that, before which an answer could end; if it is known, no other need be looked for.
    pub ceiling: Floor<OffsetEntry>,
}

impl Source {
    /// The outer error is the log's, the inner one that of the disk, `WouldBlock` among them.
    pub(super) fn read(&self, request: &ReadRequest, wait: Wait) -> Result<io::Result<Slice>, LogError> {
        let (position, first) = match self.locate(request.from, wait)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(Slice::empty(self.next))),
            Err(error) => return Ok(Err(error)),
        };
        let too_large = first.size() > request.bytes_max && !request.at_least_one;
        if first.last_offset() >= request.until || too_large {
            return Ok(Ok(Slice::empty(request.from)));
        }
        let wanted = (request.bytes_max.max(first.size()) as u64).min(self.size - position) as usize;
        let mut buffer = vec![0; wanted];
        let read = match wait.read(&*self.file, &mut buffer, position) {
            Ok(read) if read < first.size() => return Ok(Err(wait.short("the log is shorter than it was"))),
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let (size, next) = whole_batches(&buffer[..read], request.until);
        buffer.truncate(size);
        Ok(Ok(Slice { parts: vec![Bytes::from(buffer)], size, next: next.unwrap_or(request.from) }))
    }

    /// Where the batches lie that a reader may have: few are read at once. Errors as for `read`.
    fn locate_all(&self, request: &ReadRequest, wait: Wait) -> Result<io::Result<Located>, LogError> {
        let (position, first) = match self.locate(request.from, wait)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(Located::Here(Slice::empty(self.next)))),
            Err(error) => return Ok(Err(error)),
        };
        let too_large = first.size() > request.bytes_max && !request.at_least_one;
        if first.last_offset() >= request.until || too_large {
            return Ok(Ok(Located::Here(Slice::empty(request.from))));
        }
        let limit = position.saturating_add(request.bytes_max.max(first.size()) as u64).min(self.size);
        let end = match self.end(position, limit, request.until, wait)? {
            Ok(end) => end,
            Err(error) => return Ok(Err(error)),
        };
        let length = (end - position) as usize;
        if length > COPY_BYTES_MAX {
            return Ok(Ok(Located::Stored(FileRange { file: Arc::clone(&self.file), position, length })));
        }
        let few = ReadRequest { bytes_max: length, ..*request };
        Ok(self.read(&few, wait)?.map(Located::Here))
    }

    /// Where the last batch ends that begins at this position or later, ends before the limit and is below the bound.
    /// There is one; perhaps there are more than are found.
    fn end(&self, first: u64, limit: u64, until: Offset, wait: Wait) -> Result<io::Result<u64>, LogError> {
        if limit == self.size && until >= self.next {
            return Ok(Ok(self.size));
        }
        let before = |entry: &OffsetEntry| entry.last_offset < until && u64::from(entry.position) <= limit;
        let position = match self.ceiling.find(wait, before) {
            Ok(entry) => entry.filter(before).map_or(first, |entry| first.max(u64::from(entry.position))),
            Err(error) => return Ok(Err(error)),
        };
        let is_beyond =
            |at: u64, header: &BatchHeader| header.last_offset() >= until || at + header.size() as u64 > limit;
        let walked = self.walk(position, limit.min(position + WALK_BYTES_MAX), wait, is_beyond)?;
        Ok(walked.map(|(end, _)| end))
    }

    /// The first batch that ends at or after this offset, and where it lies.
    pub(super) fn locate(&self, from: Offset, wait: Wait) -> Result<io::Result<Option<(u64, BatchHeader)>>, LogError> {
        let position = match self.floor.find(wait, |entry| entry.last_offset <= from) {
            Ok(entry) => entry.map_or(0, |entry| u64::from(entry.position)),
            Err(error) => return Ok(Err(error)),
        };
        let walked = self.walk(position, self.size, wait, |_, header| header.last_offset() >= from)?;
        Ok(walked.map(|(position, found)| found.map(|header| (position, header))))
    }

    /// Goes from header to header until one `is_wanted`, or at least up to `to`: where that is, and the one wanted.
    fn walk(
        &self,
        from: u64,
        to: u64,
        wait: Wait,
        is_wanted: impl Fn(u64, &BatchHeader) -> bool,
    ) -> Result<io::Result<(u64, Option<BatchHeader>)>, LogError> {
        let (mut window, mut position, mut before) = ([0; WINDOW_BYTES], from, None);
        while position < to {
            let read = match self.page(&mut window, position, wait) {
                Ok(read) => read,
                Err(error) => return Ok(Err(error)),
            };
            let mut at = 0;
            while at + HEADER_LEN <= read {
                let header = BatchHeader::parse(&window[at..read]).map_err(|error| self.corrupt(position, error))?;
                if header.last_offset() >= self.next || !goes_on(before, &header) {
                    return Err(self.corrupt(position, "a batch with offsets that its segment cannot have"));
                }
                if is_wanted(position, &header) {
                    return Ok(Ok((position, Some(header))));
                }
                before = Some(header.next_offset());
                at += header.size();
                position += header.size() as u64;
            }
        }
        Ok(Ok((position, None)))
    }

    /// Reads what lies at a position, one header at least.
    fn page(&self, window: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        match wait.read(&*self.file, window, position)? {
            read if read < HEADER_LEN => Err(wait.short("the log is shorter than it was")),
            read => Ok(read),
        }
    }

    pub(super) fn corrupt(&self, position: u64, what: impl ToString) -> LogError {
        LogError::Corrupt { path: self.path.clone(), position, what: what.to_string() }
    }
}

/// Whether a batch comes behind the one before it and ends where it begins or later: anything else is damage.
fn goes_on(from: Option<Offset>, header: &BatchHeader) -> bool {
    from.is_none_or(|from| header.base_offset >= from) && header.last_offset() >= header.base_offset
}

/// How many bytes at the front are whole batches below the bound, and what offset follows them.
fn whole_batches(bytes: &[u8], until: Offset) -> (usize, Option<Offset>) {
    let (mut size, mut next) = (0, None);
    while let Ok(header) = BatchHeader::parse(&bytes[size..]) {
        if header.last_offset() >= until || size + header.size() > bytes.len() || !goes_on(next, &header) {
            break;
        }
        size += header.size();
        next = Some(header.next_offset());
    }
    (size, next)
}

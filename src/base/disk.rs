//! The disk: files and folders, over the real file system or a simulated one that can lose what was not synced.
//!
//! Calls block, on purpose: an append is one `pwritev` into the page cache, cheaper than any hand-over (3 µs against
//! 18). What may really wait for the device (`sync_data`, cold reads) belongs on a worker; see `executor`.
//!
//! Invariants every implementation keeps, and every caller may rely on:
//! - a completed write survives the death of the process, but only `sync_data` makes it survive the machine's;
//! - a created, renamed or removed name survives the machine only after `sync_dir` of its folder;
//! - a failed `sync_data` says nothing about what is on the disk: the file must be given up, never synced again.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ids::Uuid;

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file, or makes one, as `how` says.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;

    /// The entries of a folder in the order of their names.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a folder and all that lead to it; one that is there already is fine.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// Moves a file or folder, in one step, over a file that may be there already.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable: what was created, renamed or removed there.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes this process the only one that holds the lock of this name, until what is returned is dropped or the
    /// process dies; `WouldBlock` if another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// How much room the file system below `path` has.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Which run of the machine this is. As long as it is the same, everything that was written can still be read;
    /// when it has changed, what was not synced may be gone.
    fn boot(&self) -> io::Result<BootId>;
}

/// A lock that is held.
pub trait Lock: Send + Sync {}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made empty if it does not exist.
    Create,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// An open file. All calls name their position: there is no cursor to share.
pub trait File: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Like `read_at`, but answers `WouldBlock` instead of waiting for the device.
    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all the slices one after another. On an error a part may have been written.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Makes everything written so far, and the file's length, durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it by zeros, to `length`.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Reserves room for `length` bytes without changing the file's length.
    fn reserve(&self, length: u64) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// What the operating system knows the file by, so that it can send from it by itself; nothing if it is simulated.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A part of a file that is kept open, also when its name is gone.
#[derive(Clone)]
pub struct FileRange {
    pub file: Arc<dyn File>,
    pub position: u64,
    pub length: usize,
}

/// Pages this far from each other are looked at to tell whether a range is in memory: what was written or read in one
/// go comes and goes in pieces about as large.
const PROBE_STRIDE: usize = 128 * 1024;

impl FileRange {
    /// The beginning of the range, at most this long.
    pub fn first(&self, length: usize) -> Self {
        Self { length: self.length.min(length), ..self.clone() }
    }

    /// Forgets the beginning of the range.
    pub fn advance(&mut self, by: usize) {
        assert!(by <= self.length, "the caller has gone past the end of a range");
        self.position += by as u64;
        self.length -= by;
    }

    /// Whether all of it seems to be in memory. Some pages are looked at, the first and the last among them: if others
    /// are missing, whoever reads on waits for the device a little.
    pub fn is_cached(&self) -> io::Result<bool> {
        let places = (0..self.length).step_by(PROBE_STRIDE).chain(self.length.checked_sub(1));
        for place in places {
            match self.file.read_at_cached(&mut [0], self.position + place as u64) {
                Ok(1) => {}
                Ok(_) => return Ok(false), // its end: a read that waits says what has become of the file
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Has the device bring all of it to memory. Waits for it, and fails if the file ends before the range does.
    pub fn load(&self) -> io::Result<()> {
        let mut buffer = vec![0; self.length.min(PROBE_STRIDE)];
        let mut rest = self.clone();
        while rest.length > 0 {
            let wanted = rest.length.min(buffer.len());
            if self.file.read_at(&mut buffer[..wanted], rest.position)? < wanted {
                return Err(cut_short());
            }
            rest.advance(wanted);
        }
        Ok(())
    }
}

/// Says that a range is not there any more: its file was cut.
pub fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a file was cut while it was being sent")
}

/// The same bytes of the same open file.
impl PartialEq for FileRange {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && (self.position, self.length) == (other.position, other.length)
    }
}

impl Eq for FileRange {}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes from {} on", self.length, self.position)
    }
}

/// A name in a folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    pub name: PathBuf,
    pub is_folder: bool,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub free: u64,
    pub total: u64,
}

/// Names one run of a machine: the life of its page cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootId(pub Uuid);

impl dyn Disk {
    /// Reads a whole file, or says that there is none.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// Replaces a small file so that after any crash it holds either the old bytes or the new ones, whole.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().expect("a file to replace has a folder");
        let fresh = path.with_extension("tmp");
        let file = self.open(&fresh, Open::Create)?;
        file.set_len(0)?;
        file.write_at(&[IoSlice::new(bytes)], 0)?;
        file.sync_data()?;
        self.rename(&fresh, path)?;
        self.sync_folder(folder)
    }
}

//! The folder of one partition: the names in it, and the small file that says whose it is.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogError;
use crate::base::disk::{Disk, File, Open};
use crate::base::ids::{Offset, TopicId};

const METADATA: &str = "partition.metadata";
const EPOCHS: &str = "leader-epoch-checkpoint";

/// What a file of a segment holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Log,
    OffsetIndex,
    TimeIndex,
    Snapshot,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::Snapshot];
    pub(super) const SEGMENT: [Self; 3] = [Self::Log, Self::OffsetIndex, Self::TimeIndex];

    fn suffix(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::OffsetIndex => "index",
            Self::TimeIndex => "timeindex",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What the names of files end with that compaction is writing, and of those that are about to be a segment.
pub(super) const CLEANED: &str = ".cleaned";
pub(super) const SWAP: &str = ".swap";

/// A partition's folder on a disk.
#[derive(Clone)]
pub(super) struct Folder {
    pub disk: Arc<dyn Disk>,
    pub path: Arc<Path>,
    /// What the names of segments' files end with here.
    suffix: &'static str,
}

/// The offsets that files in a folder are named by, in ascending order.
#[derive(Default)]
pub(super) struct Names {
    pub logs: Vec<Offset>,
    pub offset_indexes: Vec<Offset>,
    pub time_indexes: Vec<Offset>,
    pub snapshots: Vec<Offset>,
}

impl Folder {
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self { disk, path: path.into(), suffix: "" }
    }

    /// The same folder with other names in it.
    pub(super) fn with_suffix(&self, suffix: &'static str) -> Self {
        Self { suffix, ..self.clone() }
    }

    pub(super) fn file(&self, base: Offset, kind: Kind) -> PathBuf {
        self.path.join(format!("{:020}.{}{}", base.0, kind.suffix(), self.suffix))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), LogError> {
        self.disk.rename(from, to).map_err(LogError::io(from))
    }

    /// The files of cleaned segments that are about to take their place.
    pub(super) fn staged(&self) -> Result<Vec<(Offset, Kind)>, LogError> {
        let mut staged = Vec::new();
        for entry in self.disk.list(&self.path).map_err(LogError::io(&self.path))? {
            let Some(name) = entry.name.to_str().and_then(|name| name.strip_suffix(SWAP)) else { continue };
            let Some((base, suffix)) = parse_name(name) else { continue };
            staged.extend(Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix).map(|kind| (base, kind)));
        }
        Ok(staged)
    }

    pub(super) fn open(&self, base: Offset, kind: Kind, how: Open) -> Result<Arc<dyn File>, LogError> {
        let path = self.file(base, kind);
        self.disk.open(&path, how).map_err(LogError::io(path))
    }

    /// Removes a file that may be gone already.
    pub(super) fn remove(&self, base: Offset, kind: Kind) -> Result<(), LogError> {
        let path = self.file(base, kind);
        remove_if_there(&*self.disk, &path).map_err(LogError::io(path))
    }

    /// Renames the file to what `remove_leftovers` will remove; answers with its new name, if it was there.
    pub(super) fn retire(&self, base: Offset, kind: Kind) -> Result<Option<PathBuf>, LogError> {
        let path = self.file(base, kind);
        let mut retired = path.clone().into_os_string();
        retired.push(".deleted");
        let retired = PathBuf::from(retired);
        match self.disk.rename(&path, &retired) {
            Ok(()) => Ok(Some(retired)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::io(path)(error)),
        }
    }

    /// Makes names durable that were created, renamed or removed.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.disk.sync_folder(&self.path).map_err(LogError::io(&self.path))
    }

    /// What is in the folder; leftovers of deletions and replacements that a crash cut short are removed.
    pub(super) fn names(&self) -> Result<Names, LogError> {
        let mut names = Names::default();
        for entry in self.disk.list(&self.path).map_err(LogError::io(&self.path))? {
            let Some(name) = entry.name.to_str() else { continue };
            if name.ends_with(".deleted") || name.ends_with(".tmp") || name.ends_with(CLEANED) {
                let path = self.path.join(name);
                remove_if_there(&*self.disk, &path).map_err(LogError::io(path))?;
                continue;
            }
            let Some((base, suffix)) = parse_name(name) else { continue };
            match Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix) {
                Some(Kind::Log) => names.logs.push(base),
                Some(Kind::OffsetIndex) => names.offset_indexes.push(base),
                Some(Kind::TimeIndex) => names.time_indexes.push(base),
                Some(Kind::Snapshot) => names.snapshots.push(base),
                None => {}
            }
        }
        for list in [&mut names.logs, &mut names.offset_indexes, &mut names.time_indexes, &mut names.snapshots] {
            list.sort_unstable();
        }
        Ok(names)
    }

    /// Replaces a file in one step, for the process; sync the file and the folder to make that so for the machine.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<Arc<dyn File>, LogError> {
        let write = || {
            let fresh = path.with_extension("tmp");
            let file = self.disk.open(&fresh, Open::Create)?;
            file.set_len(0)?;
            file.write_at(&[IoSlice::new(bytes)], 0)?;
            self.disk.rename(&fresh, path)?;
            Ok(file)
        };
        write().map_err(LogError::io(path))
    }

    pub(super) fn epochs(&self) -> PathBuf {
        self.path.join(EPOCHS)
    }

    /// Makes the folder of a new partition; `root` makes it durable.
    ///
    /// What lies in a folder that is nobody's was never durable, or it would be known whose it is: a crash of the
    /// machine has left it, and it must not come back behind what is written next.
    pub(super) fn create(&self, topic: TopicId) -> Result<(), LogError> {
        let create = || {
            match self.disk.list(&self.path) {
                Ok(left) if !left.is_empty() => self.disk.remove_folder(&self.path)?,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.disk.create_folder(&self.path)?;
            let file = self.disk.open(&self.path.join(METADATA), Open::CreateNew)?;
            file.write_at(&[IoSlice::new(format!("version: 0\ntopic_id: {topic}\n").as_bytes())], 0)
        };
        create().map_err(LogError::io(&self.path))
    }

    /// Makes durable that there is this folder, and whose it is.
    pub(super) fn root(&self) -> Result<(), LogError> {
        let root = || {
            self.disk.open(&self.path.join(METADATA), Open::Write)?.sync_data()?;
            self.disk.sync_folder(&self.path)?;
            self.disk.sync_folder(self.path.parent().expect("a partition's folder lies in a log dir"))
        };
        root().map_err(LogError::io(&self.path))
    }
}

/// The topic that a partition's folder belongs to; none if a crash came before that was written, whole.
pub(super) fn topic_id(disk: &dyn Disk, folder: &Path) -> Result<Option<TopicId>, LogError> {
    let path = folder.join(METADATA);
    let Some(bytes) = disk.read(&path).map_err(LogError::io(&path))? else { return Ok(None) };
    if bytes.last() != Some(&b'\n') || bytes.contains(&0) {
        return Ok(None); // a crash came between its length and its bytes, or between those
    }
    let text = String::from_utf8_lossy(&bytes);
    for (line, text) in text.lines().enumerate() {
        let malformed = |what| LogError::Malformed { path: path.clone(), line: line + 1, what };
        match text.split_once(':').map(|(key, value)| (key, value.trim())) {
            Some(("version", "0")) => {}
            Some(("version", _)) => return Err(malformed("only version 0 is known")),
            Some(("topic_id", id)) => return id.parse().map(Some).map_err(|_| malformed("this is not a topic id")),
            _ => return Err(malformed("expected version and topic_id")),
        }
    }
    Ok(None)
}

fn parse_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Offset(digits.parse().ok()?), suffix))
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

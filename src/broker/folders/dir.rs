//! One log dir: what its checkpoints say of the partitions in it, and whether it can be used at all.
//!
//! Invariants: a dir that failed is neither read nor written again in this run; what a checkpoint says is durable when
//! the call that wrote it returns, whoever noted it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::base::ids::{DirectoryId, Offset, PartitionIndex};
use crate::base::world::World;
use crate::log::{DirMeta, LogDir, LogError, Offsets, PartitionOffsets};

pub(super) struct Dir {
    pub files: LogDir,
    /// Its own identity: a disk that was replaced has another one. None of a dir that could not be opened.
    pub id: Option<DirectoryId>,
    /// The last run left its mark here when it had closed everything.
    pub was_clean: bool,
    /// The checkpoints do not say what is in `marks`.
    is_behind: AtomicBool,
    writing: Mutex<()>,
    /// What the checkpoints said, or were told last, of each partition here.
    marks: Mutex<BTreeMap<Name, Marks>>,
    /// Why it is not used any more.
    failed: OnceLock<Arc<str>>,
}

/// A partition, as its folder is called.
type Name = (String, PartitionIndex);

/// A partition's line in each of the checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub high_watermark: Offset,
    pub recovery_point: Offset,
    pub log_start: Offset,
    pub cleaned_to: Offset,
}

impl Dir {
    /// Opens a log dir of the node that `meta` names, or makes it: then it gets an id of its own.
    pub fn open(world: &World, path: &Path, meta: &DirMeta) -> Result<Self, LogError> {
        let dir = LogDir::open(Arc::clone(&world.disk), path)?;
        let id = match dir.meta()? {
            None => {
                let directory = DirectoryId(world.entropy.uuid());
                dir.write_meta(&DirMeta { directory, ..meta.clone() })?;
                directory
            }
            Some(found) if found.cluster == meta.cluster && found.node == meta.node => found.directory,
            Some(_) => {
                let what = "this log dir belongs to another node or cluster";
                return Err(LogError::Malformed { path: path.join("meta.properties"), line: 1, what });
            }
        };
        let was_clean = dir.take_clean_stop()?.is_some();
        let marks = marks_of(&dir)?;
        Ok(Self { id: Some(id), was_clean, ..Self::of(dir, marks) })
    }

    /// A log dir that could not be opened.
    pub fn failed(world: &World, path: &Path, why: &LogError) -> Self {
        let dir = Self::of(LogDir::at(Arc::clone(&world.disk), path), BTreeMap::new());
        dir.fail(&why.to_string());
        dir
    }

    fn of(files: LogDir, marks: BTreeMap<Name, Marks>) -> Self {
        Self {
            files,
            id: None,
            was_clean: false,
            is_behind: AtomicBool::new(false),
            writing: Mutex::new(()),
            marks: Mutex::new(marks),
            failed: OnceLock::new(),
        }
    }

    /// Uses it no more in this run. False if it was so before; what was said of it first stays.
    pub fn fail(&self, why: &str) -> bool {
        self.failed.set(why.into()).is_ok()
    }

    pub fn why_failed(&self) -> Option<&Arc<str>> {
        self.failed.get()
    }

    pub fn partition_count(&self) -> usize {
        self.marks().len()
    }

    pub fn marks_of(&self, name: &str, index: PartitionIndex) -> Option<Marks> {
        self.marks().get(&(name.to_owned(), index)).copied()
    }

    /// Notes that a partition is here. That alone is nothing to write a checkpoint for.
    pub fn note(&self, name: &str, index: PartitionIndex) {
        self.marks().entry((name.to_owned(), index)).or_default();
    }

    /// Changes what the checkpoints are to say of a partition.
    pub fn remark(&self, name: &str, index: PartitionIndex, change: impl FnOnce(&mut Marks)) {
        let mut all = self.marks();
        let known = all.get(&(name.to_owned(), index)).copied();
        let mut marks = known.unwrap_or_default();
        change(&mut marks);
        if known != Some(marks) {
            all.insert((name.to_owned(), index), marks);
            self.is_behind.store(true, Ordering::Relaxed);
        }
    }

    /// Has the checkpoints say nothing more of a partition.
    pub fn forget(&self, name: &str, index: PartitionIndex) {
        if self.marks().remove(&(name.to_owned(), index)).is_some() {
            self.is_behind.store(true, Ordering::Relaxed);
        }
    }

    /// When this returns, what was noted before is durable, whoever wrote it.
    pub fn write_if_behind(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cause) = self.failed.get() {
            return Err(LogError::Failed { folder: self.files.path().into(), cause: Arc::clone(cause) });
        }
        if !self.is_behind.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let written = self.write();
        self.is_behind.fetch_or(written.is_err(), Ordering::Relaxed);
        written
    }

    fn write(&self) -> Result<(), LogError> {
        let marks = self.marks().clone();
        let column = |of: fn(&Marks) -> Offset| {
            PartitionOffsets(marks.iter().map(|(key, marks)| (key.clone(), of(marks))).collect())
        };
        self.files.write_offsets(Offsets::HighWatermark, &column(|marks| marks.high_watermark))?;
        self.files.write_offsets(Offsets::RecoveryPoint, &column(|marks| marks.recovery_point))?;
        self.files.write_offsets(Offsets::LogStart, &column(|marks| marks.log_start))?;
        self.files.write_offsets(Offsets::Cleaned, &column(|marks| marks.cleaned_to))
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<Name, Marks>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn marks_of(dir: &LogDir) -> Result<BTreeMap<Name, Marks>, LogError> {
    let mut all: BTreeMap<Name, Marks> = BTreeMap::new();
    for (key, offset) in dir.offsets(Offsets::HighWatermark)?.0 {
        all.entry(key).or_default().high_watermark = offset;
    }
    for (key, offset) in dir.offsets(Offsets::RecoveryPoint)?.0 {
        all.entry(key).or_default().recovery_point = offset;
    }
    for (key, offset) in dir.offsets(Offsets::LogStart)?.0 {
        all.entry(key).or_default().log_start = offset;
    }
    for (key, offset) in dir.offsets(Offsets::Cleaned)?.0 {
        all.entry(key).or_default().cleaned_to = offset;
    }
    Ok(all)
}

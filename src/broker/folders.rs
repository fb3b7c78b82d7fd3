//! The log dirs of this node: where partitions lie, and the checkpoints that say how far they can be trusted.
//!
//! Invariants: a folder is used only for the topic whose id is in it; a checkpoint never says more than is durable; the
//! mark of a clean stop is there only while nothing is open.
//!
//! Calls wait for the disk: for workers, and for the start of a node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use super::partition::{Partition, ProducersFound, Surroundings};
use super::{PartitionError, TopicSettings};
use crate::base::disk::Space;
use crate::base::ids::{BrokerEpoch, Offset, PartitionIndex, TopicId};
use crate::base::world::World;
use crate::log::{After, DirMeta, Known, Log, LogDir, LogError, Offsets, PartitionOffsets};

/// All log dirs of a node.
pub struct Folders {
    world: World,
    dirs: Vec<Dir>,
    after: After,
}

/// A log dir as it is found.
pub struct DirReport {
    pub path: PathBuf,
    /// Nothing if the disk does not answer.
    pub space: Option<Space>,
    pub partitions: Vec<Arc<Partition>>,
}

struct Dir {
    dir: LogDir,
    /// The checkpoints do not say what is in `marks`.
    is_behind: AtomicBool,
    writing: Mutex<()>,
    /// What the checkpoints said, or were told last, of each partition here.
    marks: Mutex<BTreeMap<(String, PartitionIndex), Marks>>,
}

/// A partition's line in each of the checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Marks {
    high_watermark: Offset,
    recovery_point: Offset,
    log_start: Offset,
    cleaned_to: Offset,
}

impl Folders {
    /// Opens the log dirs, or makes them. `after` says how the last run ended, unless a dir knows that it was clean.
    pub fn open(world: &World, paths: &[PathBuf], meta: &DirMeta, crashed: After) -> Result<Self, LogError> {
        let mut dirs = Vec::new();
        let mut was_clean = true;
        for path in paths {
            let dir = LogDir::open(Arc::clone(&world.disk), path)?;
            match dir.meta()? {
                None => dir.write_meta(meta)?,
                Some(found) if found.cluster == meta.cluster && found.node == meta.node => {}
                Some(_) => {
                    let what = "this log dir belongs to another node or cluster";
                    return Err(LogError::Malformed { path: path.join("meta.properties"), line: 1, what });
                }
            }
            was_clean &= dir.take_clean_stop()?.is_some();
            let marks = Mutex::new(marks_of(&dir)?);
            dirs.push(Dir { dir, is_behind: AtomicBool::new(false), writing: Mutex::new(()), marks });
        }
        let after = if was_clean { After::CleanStop } else { crashed };
        Ok(Self { world: world.clone(), dirs, after })
    }

    /// Opens a partition's log, or makes an empty one.
    pub fn open_partition(
        &self,
        around: &Arc<Surroundings>,
        (topic, name, index): (TopicId, Arc<str>, PartitionIndex),
        settings: TopicSettings,
    ) -> Result<Arc<Partition>, PartitionError> {
        let (dir, is_there) = self.dir_for(topic, &name, index)?;
        let path = dir.dir.folder(&name, index);
        let now = self.world.clock.now();
        let disk = &self.world.disk;
        let mut found = ProducersFound::new(around.now());
        let (log, high_watermark) = match is_there {
            true => {
                let marks = dir.marks().get(&(name.to_string(), index)).copied().unwrap_or_default();
                let known =
                    Known { after: self.after, recovery_point: marks.recovery_point, log_start: marks.log_start };
                let mut opened = Log::open(Arc::clone(disk), &path, settings.log, known, &mut found, now)?;
                opened.log.set_cleaned_to(marks.cleaned_to);
                if let Some(cut) = &opened.cut {
                    let (end, bytes, why) = (cut.end, cut.bytes, &cut.why);
                    let partition = path.display();
                    info!(event = "log.cut", %partition, %end, bytes, why, "an unfinished end was cut");
                }
                (opened.log, marks.high_watermark)
            }
            false => {
                // Or a crash would have an older partition of this name vouch for records of this one.
                if dir.marks().remove(&(name.to_string(), index)).is_some() {
                    dir.is_behind.store(true, Ordering::Relaxed);
                }
                dir.write_if_behind()?;
                (Log::create(Arc::clone(disk), &path, topic, settings.log, now)?, Offset(0))
            }
        };
        Ok(Partition::new(Arc::clone(around), (topic, name, index), log, found.producers, high_watermark, settings))
    }

    /// The dir that has the partition; for a new one, the dir with the fewest, and that it is not there. A folder of
    /// the same name that belongs to an older topic is moved out of the way and removed.
    fn dir_for(&self, topic: TopicId, name: &str, index: PartitionIndex) -> Result<(&Dir, bool), PartitionError> {
        for dir in &self.dirs {
            let path = dir.dir.folder(name, index);
            match Log::topic_id(&*self.world.disk, &path)? {
                Some(found) if found == topic => return Ok((dir, true)),
                Some(found) => self.remove_folder(dir, name, index, found)?,
                None => {}
            }
        }
        let fewest = self.dirs.iter().min_by_key(|dir| dir.marks().len());
        Ok((fewest.expect("a node has a log dir at least"), false))
    }

    /// Removes what a deleted topic left.
    pub fn remove_partition(&self, topic: TopicId, name: &str, index: PartitionIndex) -> Result<(), PartitionError> {
        for dir in &self.dirs {
            if Log::topic_id(&*self.world.disk, &dir.dir.folder(name, index))? == Some(topic) {
                self.remove_folder(dir, name, index, topic)?;
            }
        }
        Ok(())
    }

    /// First the name goes, durably, then the files: a crash in between leaves nothing that looks like a partition.
    fn remove_folder(
        &self,
        dir: &Dir,
        name: &str,
        index: PartitionIndex,
        topic: TopicId,
    ) -> Result<(), PartitionError> {
        let path = dir.dir.folder(name, index);
        let doomed = dir.dir.path().join(format!("{name}-{index}.{topic}-delete"));
        let failed = |error: std::io::Error| PartitionError::Storage(format!("{}: {error}", path.display()));
        self.world.disk.rename(&path, &doomed).map_err(failed)?;
        dir.dir.sync()?;
        dir.marks().remove(&(name.to_owned(), index));
        dir.is_behind.store(true, Ordering::Relaxed);
        self.world.disk.remove_folder(&doomed).map_err(failed)
    }

    /// Writes the checkpoints of these partitions, and of all others as they were.
    pub fn checkpoint<'a>(&self, partitions: impl Iterator<Item = &'a Arc<Partition>>) -> Result<(), LogError> {
        for partition in partitions {
            let [high_watermark, recovery_point, log_start, cleaned_to] = partition.checkpoint();
            let key = (partition.name.to_string(), partition.index);
            let dir = self.dir_of(partition);
            let marks = Marks { high_watermark, recovery_point, log_start, cleaned_to };
            if dir.marks().insert(key, marks) != Some(marks) {
                dir.is_behind.store(true, Ordering::Relaxed);
            }
        }
        self.dirs.iter().try_for_each(Dir::write_if_behind)
    }

    /// The log dirs, with what of these partitions lies in each.
    pub fn report(&self, partitions: &[Arc<Partition>]) -> Vec<DirReport> {
        let report = |dir: &Dir| DirReport {
            path: dir.dir.path().to_path_buf(),
            space: self.world.disk.space(dir.dir.path()).ok(),
            partitions: partitions
                .iter()
                .filter(|partition| std::ptr::eq(self.dir_of(partition), dir))
                .cloned()
                .collect(),
        };
        self.dirs.iter().map(report).collect()
    }

    /// Says, durably, that a partition is trusted no further than this: before its log is cut there.
    pub fn lower_recovery_point(&self, partition: &Partition, to: Offset) -> Result<(), LogError> {
        self.remark(partition, |marks| marks.recovery_point = marks.recovery_point.min(to))
    }

    /// Says, durably, that nothing of a partition before this is of any use: before its log is emptied to begin here.
    pub fn forget_before(&self, partition: &Partition, start: Offset) -> Result<(), LogError> {
        self.remark(partition, |marks| (marks.recovery_point, marks.log_start) = (Offset(0), start))
    }

    fn remark(&self, partition: &Partition, change: impl FnOnce(&mut Marks)) -> Result<(), LogError> {
        let dir = self.dir_of(partition);
        let key = (partition.name.to_string(), partition.index);
        {
            let mut all = dir.marks();
            let marks = all.entry(key).or_default();
            let before = *marks;
            change(marks);
            if *marks != before {
                dir.is_behind.store(true, Ordering::Relaxed);
            }
        }
        dir.write_if_behind()
    }

    fn dir_of(&self, partition: &Partition) -> &Dir {
        let has = |dir: &&Dir| partition.folder.parent() == Some(dir.dir.path());
        self.dirs.iter().find(has).expect("a partition lies in one of the log dirs it was opened from")
    }

    /// The logs are closed and flushed: the next start may trust them.
    pub fn mark_clean_stop(&self, epoch: BrokerEpoch) {
        for dir in &self.dirs {
            if let Err(error) = dir.dir.mark_clean_stop(epoch) {
                warn!(event = "log.mark_failed", %error, "the next start will recover this log dir");
            }
        }
    }
}

impl Dir {
    fn marks(&self) -> MutexGuard<'_, BTreeMap<(String, PartitionIndex), Marks>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When this returns, what was noted before is durable, whoever wrote it.
    fn write_if_behind(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.dir.write_offsets(Offsets::HighWatermark, &column(|marks| marks.high_watermark))?;
        self.dir.write_offsets(Offsets::RecoveryPoint, &column(|marks| marks.recovery_point))?;
        self.dir.write_offsets(Offsets::LogStart, &column(|marks| marks.log_start))?;
        self.dir.write_offsets(Offsets::Cleaned, &column(|marks| marks.cleaned_to))
    }
}

fn marks_of(dir: &LogDir) -> Result<BTreeMap<(String, PartitionIndex), Marks>, LogError> {
    let mut all: BTreeMap<(String, PartitionIndex), Marks> = BTreeMap::new();
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

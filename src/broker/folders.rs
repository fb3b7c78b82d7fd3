//! The log dirs of this node: where partitions lie, and the checkpoints that say how far they can be trusted.
//!
//! A log dir whose disk fails, at the start or later, is used no more; this node goes on with the others.
//!
//! Invariants: a folder is used only for the topic whose id is in it; a checkpoint never says more than is durable; the
//! mark of a clean stop is there only while nothing is open; a partition has one log, in one dir.
//!
//! Calls wait for the disk: for workers, and for the start of a node.

mod dir;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{error, info, warn};

use super::partition::{Partition, ProducersFound, Surroundings};
use super::{PartitionError, TopicSettings};
use crate::base::disk::Space;
use crate::base::ids::{BrokerEpoch, DirectoryId, Offset, PartitionIndex, TopicId};
use crate::base::world::World;
use crate::log::{After, DirMeta, Known, Log, LogError};
use dir::{Dir, Marks};

/// All log dirs of a node.
pub struct Folders {
    world: World,
    dirs: Vec<Dir>,
    after: After,
    /// What this node had at its start has been looked for.
    is_settled: AtomicBool,
}

/// A log dir as it is found.
pub struct DirReport {
    pub path: PathBuf,
    /// Nothing if the dir failed or its disk does not answer.
    pub space: Option<Space>,
    pub partitions: Vec<Arc<Partition>>,
}

impl Folders {
    /// Opens the log dirs, or makes them; one at least must be readable. `after` says how the last run ended, unless
    /// every dir knows that it was clean. `meta` says whose they are; each dir has an id of its own.
    pub fn open(world: &World, paths: &[PathBuf], meta: &DirMeta, crashed: After) -> Result<Self, LogError> {
        let mut dirs = Vec::new();
        let mut first_failure = None;
        for path in paths {
            match Dir::open(world, path, meta) {
                Ok(dir) => dirs.push(dir),
                Err(error @ (LogError::Io { .. } | LogError::NoSpace { .. })) => {
                    let dir = path.display();
                    error!(event = "log_dir.not_opened", %dir, %error, "this node does without it; mend it, restart");
                    dirs.push(Dir::failed(world, path, &error));
                    first_failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let after = if dirs.iter().all(|dir| dir.was_clean) { After::CleanStop } else { crashed };
        let folders = Self { world: world.clone(), dirs, after, is_settled: AtomicBool::new(false) };
        match first_failure {
            Some(error) if folders.all_failed() => Err(error),
            _ => Ok(folders),
        }
    }

    /// The disks that this node has: a partition may be on any of them.
    pub fn ids(&self) -> impl Iterator<Item = DirectoryId> {
        self.dirs.iter().filter_map(|dir| dir.id)
    }

    /// Whether a log dir could not be opened or has failed since.
    pub fn any_failed(&self) -> bool {
        self.dirs.iter().any(|dir| dir.why_failed().is_some())
    }

    /// Uses a log dir no more. False if it was so before.
    pub fn fail(&self, path: &Path, why: &str) -> bool {
        self.dirs.iter().filter(|dir| dir.files.path() == path).any(|dir| dir.fail(why))
    }

    pub fn all_failed(&self) -> bool {
        self.usable().next().is_none()
    }

    /// Why the log dir of a partition is not used any more, if so.
    pub fn why_failed(&self, partition: &Partition) -> Option<&Arc<str>> {
        self.dir_of(partition).why_failed()
    }

    /// Everything that this node had when it started has been looked for. What is not found from now on is new.
    pub fn settle(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Opens a partition's log, or makes an empty one.
    pub fn open_partition(
        &self,
        around: &Arc<Surroundings>,
        (topic, name, index): (TopicId, Arc<str>, PartitionIndex),
        settings: TopicSettings,
    ) -> Result<Arc<Partition>, PartitionError> {
        let (dir, is_there) = self.dir_for(topic, &name, index)?;
        let path = dir.files.folder(&name, index);
        let now = self.world.clock.now();
        let disk = &self.world.disk;
        let mut found = ProducersFound::new(around.now());
        let (log, high_watermark) = match is_there {
            true => {
                let marks = dir.marks_of(&name, index).unwrap_or_default();
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
                self.remove_leftovers(dir, &name, index)?;
                // Or a crash would have an older partition of this name vouch for records of this one.
                dir.forget(&name, index);
                dir.write_if_behind()?;
                (Log::create(Arc::clone(disk), &path, topic, settings.log, now)?, Offset(0))
            }
        };
        dir.note(&name, index);
        Ok(Partition::new(Arc::clone(around), (topic, name, index), log, found.producers, high_watermark, settings))
    }

    /// The dir that has the partition; for a new one, the dir with the fewest, and that it is not there. A folder of
    /// the same name that belongs to an older topic is moved out of the way and removed.
    fn dir_for(&self, topic: TopicId, name: &str, index: PartitionIndex) -> Result<(&Dir, bool), PartitionError> {
        for dir in self.usable() {
            let path = dir.files.folder(name, index);
            match Log::topic_id(&*self.world.disk, &path)? {
                Some(found) if found == topic => return Ok((dir, true)),
                Some(found) => self.remove_folder(dir, name, index, found)?,
                None => {}
            }
        }
        self.look_among_failed(name, index)?;
        let fewest = self.usable().min_by_key(|dir| dir.partition_count());
        let no_dir = || PartitionError::Storage("no log dir can be written".to_owned());
        Ok((fewest.ok_or_else(no_dir)?, false))
    }

    /// Before a partition is made in a dir: what is left in others of one whose id a crash of the machine took.
    fn remove_leftovers(&self, chosen: &Dir, name: &str, index: PartitionIndex) -> Result<(), PartitionError> {
        for dir in self.usable().filter(|dir| !std::ptr::eq(*dir, chosen)) {
            let path = dir.files.folder(name, index);
            match self.world.disk.remove_folder(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PartitionError::Storage(format!("{}: {error}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn usable(&self) -> impl Iterator<Item = &Dir> {
        self.dirs.iter().filter(|dir| dir.why_failed().is_none())
    }

    /// A partition that may be in a dir that failed is not made anew elsewhere: what it had is to come back with that
    /// dir, and two logs of one partition would be one too many.
    fn look_among_failed(&self, name: &str, index: PartitionIndex) -> Result<(), PartitionError> {
        let mut failed = self.dirs.iter().filter_map(|dir| Some((dir, dir.why_failed()?)));
        let is_settled = self.is_settled.load(Ordering::Relaxed);
        let Some((dir, why)) = failed.find(|(dir, _)| !is_settled || dir.marks_of(name, index).is_some()) else {
            return Ok(());
        };
        dir.note(name, index);
        Err(PartitionError::Storage(format!("it is in {}, which failed: {why}", dir.files.path().display())))
    }

    /// Removes what a deleted topic left.
    pub fn remove_partition(&self, topic: TopicId, name: &str, index: PartitionIndex) -> Result<(), PartitionError> {
        for dir in &self.dirs {
            if dir.why_failed().is_some() {
                dir.forget(name, index); // its folder is met again when the dir is
            } else if Log::topic_id(&*self.world.disk, &dir.files.folder(name, index))? == Some(topic) {
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
        let path = dir.files.folder(name, index);
        let doomed = dir.files.path().join(format!("{name}-{index}.{topic}-delete"));
        let failed = |error: io::Error| PartitionError::Storage(format!("{}: {error}", path.display()));
        self.world.disk.rename(&path, &doomed).map_err(failed)?;
        dir.files.sync()?;
        dir.forget(name, index);
        self.world.disk.remove_folder(&doomed).map_err(failed)
    }

    /// Writes the checkpoints of these partitions, and of all others as they were. Says where that failed.
    pub fn checkpoint<'a>(&self, partitions: impl Iterator<Item = &'a Arc<Partition>>) -> Vec<(&Path, LogError)> {
        for partition in partitions {
            // Asked only now that nobody else changes the marks: what it answered before a truncation was prepared
            // must not be noted after that.
            self.dir_of(partition).remark(&partition.name, partition.index, |marks| {
                let [high_watermark, recovery_point, log_start, cleaned_to] = partition.checkpoint();
                *marks = Marks { high_watermark, recovery_point, log_start, cleaned_to };
            });
        }
        self.usable().filter_map(|dir| Some((dir.files.path(), dir.write_if_behind().err()?))).collect()
    }

    /// The log dirs, with what of these partitions lies in each.
    pub fn report(&self, partitions: &[Arc<Partition>]) -> Vec<DirReport> {
        let report = |dir: &Dir| DirReport {
            path: dir.files.path().to_path_buf(),
            space: self.world.disk.space(dir.files.path()).ok().filter(|_| dir.why_failed().is_none()),
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
        dir.remark(&partition.name, partition.index, change);
        dir.write_if_behind()
    }

    fn dir_of(&self, partition: &Partition) -> &Dir {
        let has = |dir: &&Dir| partition.log_dir() == dir.files.path();
        self.dirs.iter().find(has).expect("a partition lies in one of the log dirs it was opened from")
    }

    /// The logs are closed and flushed: the next start may trust them.
    pub fn mark_clean_stop(&self, epoch: BrokerEpoch) {
        for dir in self.usable() {
            if let Err(error) = dir.files.mark_clean_stop(epoch) {
                warn!(event = "log.mark_failed", %error, "the next start will recover this log dir");
            }
        }
    }
}

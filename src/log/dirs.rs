//! A log dir: the folder that holds partitions, and the files that speak of them all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogError;
use super::checkpoint::PartitionOffsets;
use crate::base::disk::Disk;
use crate::base::ids::{BrokerEpoch, DirectoryId, NodeId, PartitionIndex, Uuid};

const META: &str = "meta.properties";
/// What the name of a folder ends with that waits for its removal.
const DISCARDED: &str = "-delete";
const CLEAN_STOP: &str = ".kafka_cleanshutdown";

/// Whose directory this is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirMeta {
    /// As text: a cluster that was founded elsewhere may have any.
    pub cluster: String,
    pub node: NodeId,
    pub directory: DirectoryId,
}

/// A checkpoint of one offset for every partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offsets {
    RecoveryPoint,
    HighWatermark,
    LogStart,
    Cleaned,
}

impl Offsets {
    fn file(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::Cleaned => "cleaner-offset-checkpoint",
        }
    }
}

/// The folder of a partition, as a log dir names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionFolder {
    pub path: PathBuf,
    pub topic: String,
    pub partition: PartitionIndex,
}

/// A log dir.
#[derive(Clone)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl LogDir {
    /// Opens the folder, which is made if it is not there.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, LogError> {
        disk.create_folder(path).map_err(LogError::io(path))?;
        Ok(Self::at(disk, path))
    }

    /// The folder, whether it is there or not.
    pub fn at(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self { disk, path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a partition's log belongs.
    pub fn folder(&self, topic: &str, partition: PartitionIndex) -> PathBuf {
        self.path.join(format!("{topic}-{partition}"))
    }

    /// The partitions that are here, by name. Folders that wait for their removal have none, and are not among them.
    pub fn partitions(&self) -> Result<Vec<PartitionFolder>, LogError> {
        let entries = self.disk.list(&self.path).map_err(LogError::io(&self.path))?;
        let folders = entries.iter().filter(|entry| entry.is_folder);
        Ok(folders.filter_map(|entry| self.parse(entry.name.to_str()?)).collect())
    }

    /// Takes a partition away by renaming its folder, which is quick; to remove it is for later. The tag tells it from
    /// other partitions of its name.
    pub fn discard(&self, topic: &str, partition: PartitionIndex, tag: Uuid) -> Result<PathBuf, LogError> {
        let tag = u128::from_be_bytes(tag.0);
        let (from, to) =
            (self.folder(topic, partition), self.path.join(format!("{topic}-{partition}.{tag:032x}{DISCARDED}")));
        self.disk.rename(&from, &to).map_err(LogError::io(from))?;
        Ok(to)
    }

    /// The folders that wait for their removal.
    pub fn discarded(&self) -> Result<Vec<PathBuf>, LogError> {
        let entries = self.disk.list(&self.path).map_err(LogError::io(&self.path))?;
        let names = entries.iter().filter(|entry| entry.is_folder).map(|entry| &entry.name);
        let names = names.filter(|name| name.to_str().is_some_and(|name| name.ends_with(DISCARDED)));
        Ok(names.map(|name| self.path.join(name)).collect())
    }

    fn parse(&self, name: &str) -> Option<PartitionFolder> {
        let (topic, digits) = name.rsplit_once('-')?;
        let partition: u32 = digits.parse().ok()?;
        let partition = PartitionIndex(i32::try_from(partition).ok()?);
        let folder = PartitionFolder { path: self.folder(topic, partition), topic: topic.into(), partition };
        (!topic.is_empty() && folder.path == self.path.join(name)).then_some(folder)
    }

    /// Makes the names of partitions durable that were created or removed here.
    pub fn sync(&self) -> Result<(), LogError> {
        self.disk.sync_folder(&self.path).map_err(LogError::io(&self.path))
    }

    /// Whose directory this is; none if it is new.
    pub fn meta(&self) -> Result<Option<DirMeta>, LogError> {
        let path = self.path.join(META);
        let Some(bytes) = self.read(META)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let find = |key: &str| {
            let pairs = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            pairs.filter_map(|line| line.split_once('=')).find(|(k, _)| k.trim() == key).map(|(_, value)| value.trim())
        };
        let malformed = |what| LogError::Malformed { path: path.clone(), line: 1, what };
        if find("version") != Some("1") {
            return Err(malformed("only version 1 is known"));
        }
        let node =
            find("node.id").and_then(|id| id.parse().ok()).ok_or_else(|| malformed("expected a number node.id"))?;
        let directory = find("directory.id")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| malformed("expected an id directory.id"))?;
        let cluster = find("cluster.id").ok_or_else(|| malformed("expected cluster.id"))?;
        Ok(Some(DirMeta { cluster: cluster.into(), node: NodeId(node), directory }))
    }

    pub fn write_meta(&self, meta: &DirMeta) -> Result<(), LogError> {
        let DirMeta { cluster, node, directory } = meta;
        self.write(META, &format!("version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={directory}\n"))
    }

    /// What a checkpoint says; nothing if there is none.
    pub fn offsets(&self, which: Offsets) -> Result<PartitionOffsets, LogError> {
        match self.read(which.file())? {
            Some(bytes) => PartitionOffsets::parse(&self.path.join(which.file()), &bytes),
            None => Ok(PartitionOffsets::default()),
        }
    }

    /// Replaces a checkpoint, durably.
    pub fn write_offsets(&self, which: Offsets, offsets: &PartitionOffsets) -> Result<(), LogError> {
        self.write(which.file(), &offsets.encode())
    }

    /// Says that every log here was closed and flushed, in the broker's run of this epoch.
    pub fn mark_clean_stop(&self, epoch: BrokerEpoch) -> Result<(), LogError> {
        self.write(CLEAN_STOP, &format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}"))
    }

    /// Whether the last run stopped cleanly, and its epoch. The mark is gone when this returns.
    pub fn take_clean_stop(&self) -> Result<Option<BrokerEpoch>, LogError> {
        let Some(bytes) = self.read(CLEAN_STOP)? else { return Ok(None) };
        let path = self.path.join(CLEAN_STOP);
        self.disk.remove_file(&path).map_err(LogError::io(path))?;
        self.sync()?;
        let mark = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
        Ok(mark.and_then(|mark| mark.get("brokerEpoch")?.as_i64()).map(BrokerEpoch))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        let path = self.path.join(name);
        self.disk.read(&path).map_err(LogError::io(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), LogError> {
        let path = self.path.join(name);
        self.disk.replace(&path, text.as_bytes()).map_err(LogError::io(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Offset;
    use crate::log::memory_disk::MemoryDisk;

    fn dir() -> LogDir {
        LogDir::open(Arc::new(MemoryDisk::default()), Path::new("/log")).expect("a memory disk")
    }

    #[test]
    fn a_directory_knows_whose_it_is() {
        let dir = dir();
        assert_eq!(dir.meta().expect("no file"), None);
        let meta = DirMeta { cluster: "lab".into(), node: NodeId(3), directory: DirectoryId(Uuid([5; 16])) };
        dir.write_meta(&meta).expect("room");
        assert_eq!(dir.meta().expect("own text"), Some(meta));

        dir.write(META, "#made by another\nversion=2\n").expect("room");
        assert!(matches!(dir.meta(), Err(LogError::Malformed { .. })));
    }

    #[test]
    fn partitions_are_found_by_their_folders() {
        let dir = dir();
        for name in ["orders-0", "a-b-12", "orders-x", "orders-01", "-3", "plain"] {
            dir.disk.create_folder(&dir.path.join(name)).expect("room");
        }
        let names = |dir: &LogDir| -> Vec<(String, i32)> {
            dir.partitions().expect("listed").into_iter().map(|found| (found.topic, found.partition.0)).collect()
        };
        assert_eq!(names(&dir), [("a-b".into(), 12), ("orders".into(), 0)]);
    }

    #[test]
    fn a_discarded_partition_is_none_and_waits_for_its_removal() {
        let dir = dir();
        dir.disk.create_folder(&dir.folder("orders", PartitionIndex(7))).expect("room");
        let path = dir.discard("orders", PartitionIndex(7), Uuid([0xab; 16])).expect("it is there");
        assert_eq!(path, Path::new("/log/orders-7.abababababababababababababababab-delete"));
        assert_eq!(dir.partitions().expect("listed"), []);
        assert_eq!(dir.discarded().expect("listed"), [path]);
    }

    #[test]
    fn the_mark_of_a_clean_stop_is_good_for_one_start() {
        let dir = dir();
        dir.mark_clean_stop(BrokerEpoch(41)).expect("room");
        assert_eq!(dir.take_clean_stop().expect("read"), Some(BrokerEpoch(41)));
        assert_eq!(dir.take_clean_stop().expect("read"), None);
    }

    #[test]
    fn checkpoints_are_kept_apart() {
        let dir = dir();
        let offsets = PartitionOffsets([(("orders".into(), PartitionIndex(0)), Offset(7))].into_iter().collect());
        dir.write_offsets(Offsets::HighWatermark, &offsets).expect("room");
        assert_eq!(dir.offsets(Offsets::HighWatermark).expect("own text"), offsets);
        assert_eq!(dir.offsets(Offsets::LogStart).expect("none"), PartitionOffsets::default());
    }
}

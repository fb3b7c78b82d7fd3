//! The log dirs of a node: where partitions are made, and what becomes of them when a dir cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dohle::base::ids::{
    BrokerEpoch, DirectoryId, LeaderEpoch, MetadataIndex, NodeId, Offset, PartitionEpoch, PartitionIndex, TopicId, Uuid,
};
use dohle::broker::{Duty, Folders, Partition, PartitionError, Partitions, Surroundings};
use dohle::config::Resolved;
use dohle::log::{After, DirMeta, LogError};
use dohle::metadata::partitions::{Partition as Assigned, PartitionState, ReplicaSet};
use dohle::metadata::{Fact, Image};
use dohle::replica::isr::{Replica, Standing};
use dohle::replica::leader::{Acks, Assignment};
use tempfile::TempDir;

use super::cluster::{batch, settings};
use crate::world::Machine;
use crate::world::dice::Dice;
use crate::world::trace::Trace;

const NAME: &str = "orders";
const TOPIC: TopicId = TopicId(Uuid([7; 16]));

struct Disks {
    folder: TempDir,
    around: Arc<Surroundings>,
}

impl Disks {
    fn new() -> Self {
        let around = Arc::new(Surroundings::new(NodeId(1), dohle::host::world()));
        Self { folder: TempDir::new().unwrap(), around }
    }

    fn path(&self, dir: &str) -> PathBuf {
        self.folder.path().join(dir)
    }

    /// As a node does that starts.
    fn start(&self) -> Result<Folders, LogError> {
        let directory = DirectoryId(Uuid([1; 16]));
        let meta = DirMeta { cluster: "lab".into(), node: NodeId(1), directory };
        Folders::open(&dohle::host::world(), &[self.path("a"), self.path("b")], &meta, After::ProcessCrash)
    }

    fn open(&self, folders: &Folders, index: i32) -> Result<Arc<Partition>, PartitionError> {
        folders.open_partition(&self.around, (TOPIC, NAME.into(), PartitionIndex(index)), settings())
    }

    /// In which of the dirs a partition has a folder.
    fn homes(&self, index: i32) -> Vec<&'static str> {
        let has = |dir: &&str| self.path(dir).join(format!("{NAME}-{index}")).exists();
        ["a", "b"].into_iter().filter(has).collect()
    }

    /// As if nothing could be read there, whoever asks.
    fn break_disk(&self, dir: &str) {
        std::fs::rename(self.path(dir), self.path("away")).unwrap();
        std::fs::write(self.path(dir), "this is no folder").unwrap();
    }

    fn mend_disk(&self, dir: &str) {
        std::fs::remove_file(self.path(dir)).unwrap();
        std::fs::rename(self.path("away"), self.path(dir)).unwrap();
    }
}

#[test]
fn new_partitions_are_spread_over_the_dirs_and_found_there_again() {
    let disks = Disks::new();
    let folders = disks.start().unwrap();
    (0..6).for_each(|index| drop(disks.open(&folders, index).unwrap()));
    let homes: Vec<_> = (0..6).map(|index| disks.homes(index)).collect();
    assert_eq!(homes.iter().filter(|home| home[..] == ["a"]).count(), 3, "{homes:?}");
    let ids: Vec<_> = folders.ids().collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "each disk has an id of its own: {ids:?}");

    let again = disks.start().unwrap();
    (0..6).for_each(|index| drop(disks.open(&again, index).unwrap()));
    assert_eq!((0..6).map(|index| disks.homes(index)).collect::<Vec<_>>(), homes);
    assert_eq!(again.ids().collect::<Vec<_>>(), ids);
}

#[test]
fn what_a_crash_left_of_a_partition_goes_before_it_is_made_anew_elsewhere() {
    let disks = Disks::new();
    let folders = disks.start().unwrap();
    let left = disks.path("b").join(format!("{NAME}-0"));
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("partition.metadata"), [0; 40]).unwrap(); // its length came to the disk, its bytes did not
    drop(disks.open(&folders, 0).unwrap());
    assert_eq!(disks.homes(0), ["a"]);
}

#[test]
fn what_may_be_in_a_dir_that_cannot_be_read_is_made_nowhere_else() {
    let disks = Disks::new();
    let folders = disks.start().unwrap();
    (0..2).for_each(|index| drop(disks.open(&folders, index).unwrap()));
    assert_eq!((disks.homes(0), disks.homes(1)), (vec!["a"], vec!["b"]));
    disks.break_disk("b");

    let folders = disks.start().unwrap();
    assert!(folders.any_failed() && folders.ids().count() == 1);
    assert!(disks.open(&folders, 0).is_ok());
    assert!(is_refused_for(&disks.path("b"), disks.open(&folders, 1)));
    folders.settle();
    assert!(is_refused_for(&disks.path("b"), disks.open(&folders, 1)), "it is remembered");
    assert!(disks.open(&folders, 2).is_ok(), "what was never looked for before is new");

    disks.mend_disk("b");
    let folders = disks.start().unwrap();
    assert!(!folders.any_failed());
    (0..3).for_each(|index| drop(disks.open(&folders, index).unwrap()));
    assert_eq!([0, 1, 2].map(|index| disks.homes(index)), [vec!["a"], vec!["b"], vec!["a"]]);
}

#[test]
fn a_dir_that_fails_is_used_no_more() {
    let disks = Disks::new();
    let folders = disks.start().unwrap();
    folders.settle();
    let partition = disks.open(&folders, 0).unwrap();
    assert!(folders.fail(&disks.path("a"), "its disk is gone") && !folders.all_failed());
    assert!(!folders.fail(&disks.path("a"), "once more"), "that is known");
    assert!(folders.why_failed(&partition).is_some());
    assert!(is_refused_for(&disks.path("a"), disks.open(&folders, 0)));
    drop(disks.open(&folders, 1).unwrap());
    assert_eq!(disks.homes(1), ["b"]);
    assert!(folders.fail(&disks.path("b"), "its disk is gone, too") && folders.all_failed());
    assert!(disks.open(&folders, 2).is_err());
}

/// As a checkpoint that is written between the preparation of a truncation and the truncation itself would.
#[test]
fn a_checkpoint_does_not_vouch_for_what_is_about_to_be_cut() {
    let disks = Disks::new();
    let folders = disks.start().unwrap();
    folders.settle();
    let partition = disks.open(&folders, 0).unwrap();
    partition.take_up(&Duty::Lead(alone())).unwrap();
    (0..3).for_each(|_| drop(partition.produce(vec![batch(0, 1, 10)], Acks::Leader).unwrap()));
    let flush = partition.begin_flush().unwrap();
    flush.run().unwrap();
    partition.flushed(&flush);
    let late = partition.begin_flush().unwrap();
    let checkpoint = || {
        assert!(folders.checkpoint([&partition].into_iter()).is_empty());
        let file = std::fs::read_to_string(disks.path("a").join("recovery-point-offset-checkpoint")).unwrap();
        file.lines().last().unwrap().to_owned()
    };
    assert_eq!(checkpoint(), "orders 0 3");

    let safe = partition.prepare_truncation(Offset(1)).unwrap();
    folders.lower_recovery_point(&partition, safe).unwrap();
    assert_eq!(checkpoint(), "orders 0 1");
    partition.flushed(&late);
    assert_eq!(checkpoint(), "orders 0 1", "a flush that had begun before has nothing to say");
    partition.prepare_start_over();
    folders.forget_before(&partition, Offset(7)).unwrap();
    assert_eq!(checkpoint(), "orders 0 0");
}

#[test]
fn without_any_dir_there_is_nothing_to_start_with() {
    let disks = Disks::new();
    ["a", "b"].iter().for_each(|dir| std::fs::write(disks.path(dir), "this is no folder").unwrap());
    assert!(matches!(disks.start(), Err(LogError::Io { path, .. }) if path == disks.path("a")));
}

/// On a simulated disk, whose room is whatever a test says.
#[test]
fn a_replica_for_which_there_is_no_room_is_made_when_there_is() {
    let machine = Machine::new("machine", &Dice::new(1), &Trace::default());
    let world = machine.boot_process();
    let around = Arc::new(Surroundings::new(NodeId(1), world.clone()));
    let meta = DirMeta { cluster: "lab".into(), node: NodeId(1), directory: DirectoryId(Uuid([1; 16])) };
    let folders = Folders::open(&world, &["/log".into()], &meta, After::ProcessCrash).unwrap();
    let partitions = Partitions::new(around, Arc::new(folders), Resolved::default());
    let (image, key) = (led_by_node_1(), (TOPIC, PartitionIndex(0)));

    machine.disk.limit(0);
    assert_eq!(partitions.take_up(&image, &[key]), 0);
    assert_eq!(partitions.why_offline(TOPIC, key.1).as_deref(), Some("the disk of this partition is full"));
    assert_eq!((partitions.lost(), partitions.wanting_room()), (vec![], vec![key]), "others need not lead it");

    machine.disk.limit(u64::MAX);
    assert_eq!(partitions.take_up(&image, &partitions.wanting_room()), 1, "it leads");
    assert_eq!((partitions.lost(), partitions.wanting_room()), (vec![], vec![]));
}

/// Leads a partition without followers.
pub fn alone() -> Assignment {
    let standing = Standing { broker_epoch: BrokerEpoch(1), active: true };
    Assignment {
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        replicas: vec![Replica { id: NodeId(1), in_isr: true, adding: false, standing }],
    }
}

/// One topic with one replica, here.
fn led_by_node_1() -> Image {
    let state = PartitionState { isr: ReplicaSet::first(1), leader: Some(NodeId(1)), ..Default::default() };
    let partitions = vec![Assigned { replicas: [NodeId(1)].into(), state }];
    let mut image = Image::default();
    for fact in [
        Fact::TopicCreated { topic: TOPIC, name: NAME.into() },
        Fact::PartitionsCreated { topic: TOPIC, first: PartitionIndex(0), partitions },
    ] {
        image.apply(MetadataIndex(1), &fact);
    }
    image
}

fn is_refused_for(dir: &Path, opened: Result<Arc<Partition>, PartitionError>) -> bool {
    matches!(opened, Err(PartitionError::Storage(why)) if why.contains(&format!("it is in {}", dir.display())))
}

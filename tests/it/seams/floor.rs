//! A metadata store that comes back older than it was is found out, and one that does not is believed.

use std::io::IoSlice;
use std::path::Path;

use dohle::base::World;
use dohle::base::disk::Open;
use dohle::quorum::{RaftId, RaftLog, Types};
use openraft::Vote;
use openraft::storage::RaftLogStorage;
use openraft::storage::RaftLogStorageExt;
use openraft::testing::{blank_ent, log_id};
use openraft::type_config::TypeConfigExt;

use super::machine;
use super::raft_log::opened;

const FOLDER: &str = "/raft";
const SLOT_BYTES: u64 = 4096;

fn open(world: &World) -> std::io::Result<RaftLog> {
    opened(world, Path::new(FOLDER)).map(|(log, _)| log)
}

/// Why the node does not start.
fn refusal(world: &World) -> String {
    open(world).err().expect("the store is older than it was").to_string()
}

async fn vote(log: &mut RaftLog, term: u64) {
    log.save_vote(&Vote::new(term, RaftId(1))).await.unwrap();
}

/// Puts an empty store in the place of the one that was there, as somebody does who restores an old copy.
fn lose_the_store(world: &World) {
    let hard_state = world.disk.read(&Path::new(FOLDER).join("hard_state")).unwrap().unwrap();
    world.disk.remove_folder(Path::new(FOLDER)).unwrap();
    world.disk.create_folder(Path::new(FOLDER)).unwrap();
    let file = world.disk.open(&Path::new(FOLDER).join("hard_state"), Open::Create).unwrap();
    file.write_at(&[IoSlice::new(&hard_state)], 0).unwrap();
}

#[test]
fn a_node_that_forgot_its_vote_does_not_start() {
    Types::run(async {
        let world = machine(1).boot_process();
        let mut log = open(&world).unwrap();
        vote(&mut log, 3).await;
        drop(log);
        drop(open(&world).expect("all is there"));
        lose_the_store(&world);
        let refusal = refusal(&world);
        assert!(refusal.contains("it has no vote, no entry, and this node has promised"), "{refusal}");
    });
}

#[test]
fn a_node_that_forgot_entries_does_not_start() {
    Types::run(async {
        let world = machine(1).boot_process();
        let mut log = open(&world).unwrap();
        log.blocking_append([blank_ent::<Types>(1, RaftId(1), 0)]).await.unwrap();
        drop(log);
        lose_the_store(&world);
        assert!(refusal(&world).contains("it is older than it was"));
    });
}

#[test]
fn a_log_that_was_cut_for_a_new_leader_is_not_older_than_it_was() {
    Types::run(async {
        let world = machine(1).boot_process();
        let mut log = open(&world).unwrap();
        log.blocking_append((0..5).map(|index| blank_ent::<Types>(1, RaftId(1), index))).await.unwrap();
        vote(&mut log, 2).await; // takes the end of the log along
        log.truncate_after(Some(log_id::<Types>(1, RaftId(1), 1))).await.unwrap(); // and then the power fails
        drop(log);
        drop(open(&world).expect("what is gone was taken back before"));
    });
}

#[test]
fn a_slot_that_was_not_written_to_its_end_leaves_the_other() {
    Types::run(async {
        let world = machine(1).boot_process();
        let mut log = open(&world).unwrap();
        vote(&mut log, 1).await;
        vote(&mut log, 2).await;
        drop(log);
        let file = world.disk.open(&Path::new(FOLDER).join("hard_state"), Open::Write).unwrap();
        file.write_at(&[IoSlice::new(b"torn")], SLOT_BYTES + 100).unwrap();
        drop(open(&world).expect("the store has more than the older slot says"));
        lose_the_store(&world);
        assert!(refusal(&world).contains("it is older than it was"), "the older slot still counts");
    });
}

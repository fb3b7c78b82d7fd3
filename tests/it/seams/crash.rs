//! What a simulated disk may lose, and must not lose, in a crash.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::Path;

use dohle::base::disk::{Disk, Open};

use super::machine;
use crate::world::disk::{Call, SimDisk};

const FILE: &str = "/folder/file";
const PAGE: usize = 4096;

/// A disk with a synced folder.
fn prepared(seed: u64) -> (crate::world::Machine, SimDisk) {
    let machine = machine(seed);
    let disk = machine.disk.handle_of_next_process();
    disk.create_folder(Path::new("/folder")).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    (machine, disk)
}

fn as_disk(disk: &SimDisk) -> &dyn Disk {
    disk
}

/// What is found after the machine has crashed and come back.
fn after_machine_crash(machine: &crate::world::Machine) -> SimDisk {
    machine.disk.crash_machine();
    machine.disk.handle_of_next_process()
}

#[test]
fn a_process_crash_loses_nothing_that_was_written() {
    let (machine, disk) = prepared(1);
    let boot = disk.boot().unwrap();
    let file = disk.open(Path::new(FILE), Open::Create).unwrap();
    file.write_at(&[IoSlice::new(b"written")], 0).unwrap();
    let next = machine.disk.handle_of_next_process();
    assert_eq!(as_disk(&next).read(Path::new(FILE)).unwrap().unwrap(), b"written");
    assert_eq!(next.boot().unwrap(), boot);
}

#[test]
fn a_dead_process_touches_nothing() {
    let (machine, disk) = prepared(1);
    let file = disk.open(Path::new(FILE), Open::Create).unwrap();
    let next = machine.disk.handle_of_next_process();
    assert!(file.write_at(&[IoSlice::new(b"late")], 0).is_err());
    assert!(disk.remove_file(Path::new(FILE)).is_err());
    assert_eq!(as_disk(&next).read(Path::new(FILE)).unwrap().unwrap(), b"");
}

#[test]
fn a_machine_crash_keeps_what_was_synced_and_is_another_boot() {
    for seed in 0..200 {
        let (machine, disk) = prepared(seed);
        let boot = disk.boot().unwrap();
        let file = disk.open(Path::new(FILE), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(&[1; 3 * PAGE])], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_folder(Path::new("/folder")).unwrap();
        file.write_at(&[IoSlice::new(&[2; PAGE])], 3 * PAGE as u64).unwrap();
        let next = after_machine_crash(&machine);
        let found = as_disk(&next).read(Path::new(FILE)).unwrap().unwrap();
        assert_eq!(found[..3 * PAGE], [1; 3 * PAGE], "seed {seed}");
        assert_ne!(next.boot().unwrap(), boot);
    }
}

#[test]
fn unsynced_pages_survive_one_by_one() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (machine, disk) = prepared(seed);
        let file = disk.open(Path::new(FILE), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(&[1; 2 * PAGE])], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_folder(Path::new("/folder")).unwrap();
        file.write_at(&[IoSlice::new(&[2; 2 * PAGE])], 0).unwrap();
        let found = as_disk(&after_machine_crash(&machine)).read(Path::new(FILE)).unwrap().unwrap();
        outcomes.insert((found[0], found[2 * PAGE - 1]));
    }
    assert_eq!(outcomes, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]), "old, torn both ways, and new");
}

#[test]
fn an_unsynced_length_may_be_any_between_the_old_and_the_new() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let (machine, disk) = prepared(seed);
        let file = disk.open(Path::new(FILE), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(&[1; 100])], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_folder(Path::new("/folder")).unwrap();
        file.write_at(&[IoSlice::new(&[1; 100])], 100).unwrap();
        let found = as_disk(&after_machine_crash(&machine)).read(Path::new(FILE)).unwrap().unwrap();
        assert!(found.len() >= 100 && found[..100] == [1; 100], "seed {seed} lost synced bytes");
        lengths.insert(found.len());
    }
    assert!(lengths.contains(&100) && lengths.contains(&200) && lengths.len() > 2, "{lengths:?}");
}

#[test]
fn a_name_is_durable_only_after_its_folder_was_synced() {
    let mut found = BTreeSet::new();
    for seed in 0..100 {
        let (machine, disk) = prepared(seed);
        let file = disk.open(Path::new(FILE), Open::Create).unwrap();
        file.sync_data().unwrap();
        let next = after_machine_crash(&machine);
        found.insert(as_disk(&next).read(Path::new(FILE)).unwrap().is_some());
    }
    assert_eq!(found, BTreeSet::from([false, true]), "a synced file without a synced name may be there or not");
}

#[test]
fn a_replaced_file_is_old_or_new_and_whole_after_any_crash() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let (machine, disk) = prepared(seed);
        let path = Path::new(FILE);
        as_disk(&disk).replace(path, b"old").unwrap();
        if seed % 2 == 0 {
            machine.disk.break_next(Call::Sync);
        }
        let replaced = as_disk(&disk).replace(path, b"newer");
        let now = as_disk(&after_machine_crash(&machine)).read(path).unwrap().unwrap();
        assert!(replaced.is_err() || now == b"newer", "seed {seed}: a replaced file came back old");
        found.insert(now);
    }
    assert_eq!(found, BTreeSet::from([b"old".to_vec(), b"newer".to_vec()]));
}

#[test]
fn room_runs_out_and_a_part_may_have_been_written() {
    let (machine, disk) = prepared(1);
    machine.disk.limit(10);
    let file = disk.open(Path::new(FILE), Open::Create).unwrap();
    file.write_at(&[IoSlice::new(b"12345678")], 0).unwrap();
    let error = file.write_at(&[IoSlice::new(b"abcd")], 8).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 10);
    file.write_at(&[IoSlice::new(b"over")], 0).unwrap();
    assert_eq!(disk.space(Path::new("/")).unwrap().free, 0);
    machine.disk.limit(20);
    file.write_at(&[IoSlice::new(b"abcd")], 8).unwrap();
}

#[test]
fn a_call_that_was_told_to_fail_fails_once() {
    let (machine, disk) = prepared(1);
    let file = disk.open(Path::new(FILE), Open::Create).unwrap();
    for call in [Call::Read, Call::Write, Call::Sync] {
        machine.disk.break_next(call);
        let act = || match call {
            Call::Read => file.read_at(&mut [0; 1], 0).map(drop),
            Call::Write => file.write_at(&[IoSlice::new(b"x")], 0),
            Call::Sync => file.sync_data(),
        };
        assert!(act().is_err(), "{call:?}");
        act().unwrap();
    }
}

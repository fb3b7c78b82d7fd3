//! What every disk does.

use std::io::{ErrorKind, IoSlice};
use std::path::PathBuf;

use dohle::base::disk::{Entry, Open};

use super::on_each_disk;

#[test]
fn what_is_written_in_slices_is_read_as_one() {
    on_each_disk(|disk, folder| {
        let file = disk.open(&folder.join("file"), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(b""), IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")], 0).unwrap();
        file.write_at(&[IoSlice::new(b"six")], 10).unwrap();
        file.write_at(&[], 3).unwrap();
        let mut buffer = [7; 16];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 13);
        assert_eq!(&buffer[..13], b"one two\0\0\0six");
        assert_eq!(file.read_at(&mut buffer, 13).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 99).unwrap(), 0);
        assert_eq!(file.len().unwrap(), 13);
    });
}

#[test]
fn a_cached_read_gives_the_bytes_or_says_that_it_would_wait() {
    on_each_disk(|disk, folder| {
        let file = disk.open(&folder.join("file"), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(&[5; 9000])], 0).unwrap();
        for _ in 0..50 {
            let mut buffer = [0; 9000];
            match file.read_at_cached(&mut buffer, 0) {
                Ok(read) => assert_eq!((read, buffer), (9000, [5; 9000])),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    });
}

#[test]
fn a_file_is_cut_and_extended_by_zeros() {
    on_each_disk(|disk, folder| {
        let file = disk.open(&folder.join("file"), Open::CreateNew).unwrap();
        file.write_at(&[IoSlice::new(b"abcdef")], 0).unwrap();
        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        file.reserve(1 << 20).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.read(&folder.join("file")).unwrap().unwrap(), b"ab\0\0");
    });
}

#[test]
fn opening_says_what_is_not_there_and_what_is_there_already() {
    on_each_disk(|disk, folder| {
        let path = folder.join("file");
        let kind = |how| disk.open(&path, how).err().map(|error| error.kind());
        assert_eq!(kind(Open::Read), Some(ErrorKind::NotFound));
        assert_eq!(kind(Open::Write), Some(ErrorKind::NotFound));
        assert_eq!(kind(Open::CreateNew), None);
        assert_eq!(kind(Open::CreateNew), Some(ErrorKind::AlreadyExists));
        assert_eq!(kind(Open::Create), None);
        assert_eq!(disk.open(&folder.join("no/file"), Open::Create).err().unwrap().kind(), ErrorKind::NotFound);
        let reader = disk.open(&path, Open::Read).unwrap();
        assert!(reader.write_at(&[IoSlice::new(b"x")], 0).is_err());
    });
}

#[test]
fn folders_list_their_names_in_order_and_move_with_what_is_in_them() {
    on_each_disk(|disk, folder| {
        disk.create_folder(&folder.join("b/deep")).unwrap();
        disk.create_folder(&folder.join("b/deep")).unwrap();
        disk.open(&folder.join("b/deep/file"), Open::Create).unwrap();
        disk.open(&folder.join("a"), Open::Create).unwrap();
        let entry = |name: &str, is_folder| Entry { name: PathBuf::from(name), is_folder };
        assert_eq!(disk.list(folder).unwrap(), [entry("a", false), entry("b", true)]);
        disk.rename(&folder.join("b"), &folder.join("c")).unwrap();
        assert_eq!(disk.list(&folder.join("c/deep")).unwrap(), [entry("file", false)]);
        assert_eq!(disk.list(&folder.join("b")).err().unwrap().kind(), ErrorKind::NotFound);
        disk.remove_folder(&folder.join("c")).unwrap();
        disk.remove_file(&folder.join("a")).unwrap();
        disk.sync_folder(folder).unwrap();
        assert_eq!(disk.list(folder).unwrap(), []);
    });
}

#[test]
fn replacing_a_file_leaves_the_new_bytes_and_nothing_beside_them() {
    on_each_disk(|disk, folder| {
        let path = folder.join("state.toml");
        disk.replace(&path, b"a long first version").unwrap();
        disk.replace(&path, b"second").unwrap();
        assert_eq!(disk.read(&path).unwrap().unwrap(), b"second");
        assert_eq!(disk.list(folder).unwrap().len(), 1);
        assert_eq!(disk.read(&folder.join("other")).unwrap(), None);
    });
}

#[test]
fn the_machine_says_its_room_and_which_boot_this_is() {
    on_each_disk(|disk, folder| {
        let space = disk.space(folder).unwrap();
        assert!(space.free > 0 && space.free <= space.total, "{space:?}");
        assert_eq!(disk.boot().unwrap(), disk.boot().unwrap());
        assert!(!disk.boot().unwrap().0.is_zero());
    });
}

#[test]
fn a_lock_is_held_by_one_and_let_go_when_it_is_dropped() {
    let folder = tempfile::TempDir::new().unwrap();
    let (disk, path) = (dohle::host::world().disk, folder.path().join(".lock"));
    let held = disk.lock(&path).unwrap();
    assert_eq!(disk.lock(&path).err().unwrap().kind(), ErrorKind::WouldBlock);
    drop(held);
    disk.lock(&path).unwrap();
}

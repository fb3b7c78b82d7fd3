//! What every metadata store does.

use std::path::Path;

use dohle::base::store::{Batch, Store, Table};

use super::{machine, on_each_store};

fn put(store: &dyn Store, pairs: &[(&str, &str)]) {
    let mut batch = Batch::default();
    pairs.iter().for_each(|(key, value)| batch.put(Table::Log, *key, *value));
    store.write(batch).unwrap();
}

fn all(store: &dyn Store, table: Table) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let found = store.scan(table, &b""[..]..=&b"zzz"[..], 100).unwrap();
    found.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_batch_is_applied_in_its_own_order_and_tables_do_not_mix() {
    on_each_store(|stores, folder| {
        let store = stores.open(folder).unwrap();
        put(&*store, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        let mut batch = Batch::default();
        batch.delete_range(Table::Log, "b", "d");
        batch.put(Table::Log, "b", "new");
        batch.delete(Table::Log, "a");
        batch.put(Table::Hard, "b", "hard");
        store.write(batch).unwrap();
        assert_eq!(all(&*store, Table::Log), pairs(&[("b", "new"), ("d", "4")]));
        assert_eq!(all(&*store, Table::Hard), pairs(&[("b", "hard")]));
        assert_eq!(store.read(Table::Hard, b"b").unwrap().unwrap(), b"hard");
        assert_eq!(store.read(Table::Image, b"b").unwrap(), None);
    });
}

#[test]
fn scans_respect_both_ends_and_the_limit_and_last_is_the_greatest_key() {
    on_each_store(|stores, folder| {
        let store = stores.open(folder).unwrap();
        assert_eq!(store.last(Table::Log).unwrap(), None);
        put(&*store, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        let keys = |from: &str, until: &str, most| {
            let found = store.scan(Table::Log, from.as_bytes()..=until.as_bytes(), most).unwrap();
            found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<String>()
        };
        assert_eq!(keys("b", "c", 9), "bc");
        assert_eq!(keys("a", "z", 3), "abc");
        assert_eq!(keys("bb", "cc", 9), "c");
        assert_eq!(keys("x", "z", 9), "");
        assert_eq!(store.last(Table::Log).unwrap().unwrap(), (b"d".to_vec(), b"4".to_vec()));
    });
}

#[test]
fn what_was_written_is_there_when_the_store_is_opened_again() {
    on_each_store(|stores, folder| {
        let store = stores.open(folder).unwrap();
        put(&*store, &[("a", "1")]);
        store.sync().unwrap();
        put(&*store, &[("b", "2")]);
        drop(store);
        assert_eq!(all(&*stores.open(folder).unwrap(), Table::Log), pairs(&[("a", "1"), ("b", "2")]));
    });
}

#[test]
fn after_a_machine_crash_a_prefix_of_the_batches_is_left_and_all_that_were_synced() {
    for seed in 0..100 {
        let machine = machine(seed);
        let store = machine.boot_process().stores.open(Path::new("/store")).unwrap();
        for number in 0..40 {
            put(&*store, &[(&format!("{number:02}"), "first half"), (&format!("{number:02}+"), &"x".repeat(700))]);
            if number == 20 {
                store.sync().unwrap();
            }
        }
        machine.disk.crash_machine();
        let left = all(&*machine.boot_process().stores.open(Path::new("/store")).unwrap(), Table::Log);
        assert!(left.len().is_multiple_of(2) && left.len() >= 42, "seed {seed}: {} rows are left", left.len());
        let expected = (0..left.len() / 2).flat_map(|number| [format!("{number:02}"), format!("{number:02}+")]);
        assert!(left.iter().map(|(key, _)| key.clone()).eq(expected), "seed {seed}: not a prefix");
    }
}

//! Stories of leader epochs: begun, ended, cut.

use super::*;

fn start(epoch: i32, start: i64) -> EpochStart {
    EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) }
}

fn epochs(entries: &[(i32, i64)]) -> Epochs {
    let mut epochs = Epochs::default();
    for (epoch, offset) in entries {
        epochs.begin(LeaderEpoch(*epoch), Offset(*offset));
    }
    epochs
}

fn end(epoch: i32, end: i64) -> Option<EpochEnd> {
    Some(EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) })
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let epochs = epochs(&[(2, 10), (4, 30), (5, 30), (8, 50)]);
    let of = |epoch| epochs.end_of(LeaderEpoch(epoch), Offset(70));
    assert_eq!(of(2), end(2, 30));
    assert_eq!(of(3), end(2, 30), "unknown: the last before it");
    assert_eq!(of(4), end(4, 30), "it wrote nothing");
    assert_eq!(of(5), end(5, 50));
    assert_eq!(of(7), end(5, 50));
    assert_eq!(of(8), end(8, 70), "the last one ends with the log");
    assert_eq!(of(9), None, "later than all that is here");
    assert_eq!(of(1), end(1, 10), "older than all: what it wrote is deleted, up to the first that is known");
}

#[test]
fn a_record_belongs_to_the_last_epoch_that_began_at_or_before_it() {
    let epochs = epochs(&[(2, 10), (4, 30), (5, 30)]);
    let at = |offset| epochs.at(Offset(offset)).map(|epoch| epoch.0);
    assert_eq!([at(9), at(10), at(29), at(30), at(99)], [None, Some(2), Some(2), Some(5), Some(5)]);
}

#[test]
fn an_epoch_begins_once_and_never_goes_back() {
    let mut epochs = epochs(&[(2, 10)]);
    epochs.begin(LeaderEpoch(2), Offset(20));
    epochs.begin(LeaderEpoch(1), Offset(20));
    assert_eq!(epochs.entries(), [start(2, 10)]);
}

#[test]
fn a_truncation_forgets_the_epochs_that_began_there_or_later() {
    let mut epochs = epochs(&[(2, 10), (4, 30), (5, 50)]);
    epochs.truncate_end(Offset(50));
    assert_eq!(epochs.entries(), [start(2, 10), start(4, 30)]);
    epochs.truncate_end(Offset(11));
    assert_eq!(epochs.entries(), [start(2, 10)]);
}

#[test]
fn a_new_log_start_cuts_into_the_epoch_that_it_falls_in() {
    let mut epochs = epochs(&[(2, 10), (4, 30), (5, 50)]);
    epochs.truncate_start(Offset(5));
    assert_eq!(epochs.entries().len(), 3);
    epochs.truncate_start(Offset(40));
    assert_eq!(epochs.entries(), [start(4, 40), start(5, 50)]);
    epochs.truncate_start(Offset(50));
    assert_eq!(epochs.entries(), [start(5, 50)]);
}

fn rebuilt(stored: &[(i32, i64)], from: i64, batches: &[(i32, i64)], end: i64) -> Vec<EpochStart> {
    let mut rebuild = EpochsRebuild::new(epochs(stored).entries);
    rebuild.walk_from(Offset(from));
    for (epoch, base) in batches {
        rebuild.batch(LeaderEpoch(*epoch), Offset(*base));
    }
    rebuild.finish(Offset(end)).entries
}

#[test]
fn a_rebuild_believes_batches_more_than_the_file() {
    let walked = [(3, 40), (3, 45), (5, 50)];
    let right = [start(1, 0), start(3, 40), start(5, 50)];
    assert_eq!(rebuilt(&[(1, 0), (3, 40), (5, 50)], 40, &walked, 60), right, "the file is right");
    assert_eq!(rebuilt(&[(1, 0), (3, 40)], 40, &walked, 60), right, "the file is too old");
    assert_eq!(rebuilt(&[(1, 0), (2, 42), (9, 55)], 40, &walked, 60), right, "the file is of a log that was cut");
    assert_eq!(rebuilt(&[(1, 0), (4, 42)], 40, &walked, 60), right, "no epoch begins inside a batch");
    assert_eq!(rebuilt(&[], 40, &walked, 60), right[1..], "there is no file");
}

#[test]
fn a_rebuild_keeps_epochs_that_wrote_nothing() {
    let stored = [(1, 0), (2, 50), (3, 50), (4, 60)];
    let right = [start(1, 0), start(2, 50), start(3, 50), start(4, 60)];
    assert_eq!(rebuilt(&stored, 40, &[(1, 40), (3, 50)], 60), right);
    assert_eq!(rebuilt(&stored, 40, &[(1, 40), (3, 50)], 55), right[..3], "but not beyond the end of the log");
}

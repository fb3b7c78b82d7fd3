//! What goes by age, what by size, and what stays.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::base::ids::{LeaderEpoch, TopicId, Uuid};
use crate::log::LogOptions;
use crate::log::memory_disk::MemoryDisk;
use crate::record::{Batch, BatchBuilder};

const DAY: i64 = 24 * 3_600_000;

fn batch_at(timestamp: i64) -> Batch {
    BatchBuilder::new().record(WallMillis(timestamp), None, Some(&[0; 100]), &[]).build()
}

/// A log of one batch, so one record, per segment; the newest is one day old, the one before it two, and so on.
fn log_of_days(days: i64) -> (Log, WallMillis) {
    let disk = Arc::new(MemoryDisk::default());
    let options = LogOptions { segment_bytes: 100, ..LogOptions::default() };
    let topic = TopicId(Uuid([1; 16]));
    let mut log = Log::create(disk, Path::new("/log/topic-0"), topic, options, WallMillis(0)).expect("an empty disk");
    let now = WallMillis(1_000 * DAY);
    for age in (1..=days).rev() {
        log.append(&mut [batch_at(now.0 - age * DAY)], LeaderEpoch(0), now).expect("room");
    }
    (log, now)
}

#[test]
fn segments_go_by_their_largest_timestamp() {
    let (mut log, now) = log_of_days(5);
    let kept_for = |log: &Log, days| {
        let retention = Retention { ms: Some(days * DAY), bytes: None };
        log.kept_from(&retention, log.log_end(), now).expect("sound").0
    };
    // A record that is exactly as old as it may be stays.
    assert_eq!([7, 5, 4, 3, 1].map(|days| kept_for(&log, days)), [0, 0, 1, 2, 4]);
    assert_eq!(kept_for(&log, 0), 5, "the active segment, too");
    let retention = Retention { ms: Some(7 * DAY), bytes: None };
    assert_eq!(log.expires_at(&retention), Some(WallMillis(now.0 + 2 * DAY + 1)));

    // One record of the future keeps its segment, and with it all that follow.
    log.append(&mut [batch_at(now.0 + DAY)], LeaderEpoch(0), now).expect("room");
    log.append(&mut [batch_at(now.0 - 9 * DAY)], LeaderEpoch(0), now).expect("room");
    assert_eq!(kept_for(&log, 0), 5);
}

#[test]
fn segments_go_as_long_as_what_is_left_is_large_enough() {
    let (log, now) = log_of_days(5);
    let one = log.size() / 5;
    let kept_within = |bytes| {
        let retention = Retention { ms: None, bytes: Some(bytes) };
        log.kept_from(&retention, log.log_end(), now).expect("sound").0
    };
    assert_eq!([5 * one, 4 * one + 1, 4 * one, 2 * one + 1, 2 * one].map(kept_within), [0, 0, 1, 2, 3]);
    assert_eq!(log.kept_from(&Retention::default(), log.log_end(), now).expect("sound"), Offset(0), "kept forever");
    assert_eq!(log.expires_at(&Retention { ms: None, bytes: Some(0) }), None);
}

#[test]
fn what_is_not_committed_is_kept() {
    let (log, now) = log_of_days(5);
    let retention = Retention { ms: Some(0), bytes: Some(0) };
    let kept = |bound| log.kept_from(&retention, Offset(bound), now).expect("sound").0;
    assert_eq!([0, 1, 3, 4].map(kept), [0, 1, 3, 4]);
}

#[test]
fn a_log_that_is_not_allowed_to_keep_anything_goes_on_where_it_ended() {
    let (mut log, now) = log_of_days(3);
    log.roll(now).expect("room");
    log.advance_log_start(Offset(3)).expect("within the log");
    assert!(log.has_dead_segments());
    log.retire_segments(Offset(3)).expect("sound").run().expect("they are there");
    assert!(!log.has_dead_segments());
    assert_eq!((log.log_start(), log.log_end(), log.size()), (Offset(3), Offset(3), 0));
    log.append(&mut [batch_at(now.0)], LeaderEpoch(0), now).expect("room");
    assert_eq!(log.log_end(), Offset(4));
}

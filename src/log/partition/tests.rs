//! Stories of one log: what append, read, truncation and recovery do.

use std::path::Path;

use super::*;
use crate::base::disk::{File, Open};
use crate::base::ids::{ProducerEpoch, ProducerId, Uuid};
use crate::log::memory_disk::{MemoryDisk, Random};
use crate::log::segment::Segment;
use crate::log::{
    After, Cut, Known, Opened, ProducerEntry, Read, ReadRequest, Reading, Slice, TimestampSearch, Visitor,
};
use crate::record::{BatchBuilder, BatchHeader, EndTxnMarker, HEADER_LEN, TxnOutcome};

const FOLDER: &str = "/log/orders-0";
const EPOCH: LeaderEpoch = LeaderEpoch(0);
const NOW: WallMillis = WallMillis(1_700_000_000_000);

#[derive(Default)]
struct Heard {
    producers: Vec<ProducerEntry>,
    batches: Vec<Offset>,
    markers: Vec<EndTxnMarker>,
}

impl Visitor for Heard {
    fn producers(&mut self, _at: Offset, producers: Vec<ProducerEntry>) {
        self.producers = producers;
    }

    fn batch(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>) {
        self.batches.push(header.base_offset);
        self.markers.extend(marker);
    }
}

fn create(disk: &MemoryDisk, options: LogOptions) -> Log {
    let log = Log::create(Arc::new(disk.clone()), Path::new(FOLDER), TopicId(Uuid([7; 16])), options, NOW);
    disk.sync_folder(Path::new("/log")).expect("a memory disk");
    log.expect("an empty disk")
}

fn open(disk: &MemoryDisk, after: After, recovery_point: i64) -> Result<(Log, Option<Cut>, Heard), LogError> {
    let known = Known { after, recovery_point: Offset(recovery_point), log_start: Offset(0) };
    let mut heard = Heard::default();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = Log::open(disk, Path::new(FOLDER), LogOptions::default(), known, &mut heard, NOW);
    opened.map(|Opened { log, cut }| (log, cut, heard))
}

/// A batch of one record, of so many bytes in all.
fn batch(size: usize) -> Batch {
    batch_at(NOW, size)
}

fn batch_at(timestamp: WallMillis, size: usize) -> Batch {
    let with = |len| BatchBuilder::new().record(timestamp, None, Some(&vec![b'v'; len]), &[]).build();
    let mut lens = (0..size - HEADER_LEN).rev().take(16);
    lens.find_map(|len| Some(with(len)).filter(|batch| batch.size() == size)).expect("a size that a batch can have")
}

fn append(log: &mut Log, batch: Batch) -> Appended {
    log.append(&mut [batch], EPOCH, NOW).expect("the disk is sound")
}

fn read(log: &mut Log, from: i64, bytes_max: usize, at_least_one: bool) -> Slice {
    let request = ReadRequest { from: Offset(from), until: log.log_end(), bytes_max, at_least_one };
    match log.read(&request).and_then(Reading::cached).expect("within the log") {
        Read::Ready(slice) => slice,
        Read::Cold(cold) => cold.run().expect("the disk is sound"),
    }
}

fn file(disk: &MemoryDisk, name: &str) -> Arc<dyn File> {
    disk.open(&Path::new(FOLDER).join(name), Open::Write).expect("it is there")
}

fn contents(disk: &MemoryDisk, name: &str) -> Option<Vec<u8>> {
    let disk: &dyn Disk = disk;
    disk.read(&Path::new(FOLDER).join(name)).expect("a memory disk")
}

#[test]
fn files_are_laid_out_as_kafka_lays_them_out() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    for at in 0..4 {
        append(&mut log, batch_at(WallMillis(1000 + at), 3000));
    }
    let end = log.size();
    log.close().expect("a sound disk").run().expect("a sound disk");

    let whole = contents(&disk, "00000000000000000000.log").expect("written");
    assert_eq!(whole.len() as u64, end);
    let third = (end / 2) as u32;
    // After the second batch 6000 bytes lie since the last entry, more than 4096: the third gets one.
    let index = [&2_i32.to_be_bytes()[..], &third.to_be_bytes()].concat();
    assert_eq!(contents(&disk, "00000000000000000000.index"), Some(index));
    // Beside it the largest timestamp so far; the last one when the log was closed.
    let times = [&1002_i64.to_be_bytes()[..], &2_i32.to_be_bytes(), &1003_i64.to_be_bytes(), &3_i32.to_be_bytes()];
    assert_eq!(contents(&disk, "00000000000000000000.timeindex"), Some(times.concat()));
    assert_eq!(contents(&disk, "leader-epoch-checkpoint").as_deref(), Some(&b"0\n1\n0 0\n"[..]));
    let metadata = b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw\n";
    assert_eq!(contents(&disk, "partition.metadata").as_deref(), Some(&metadata[..]));
    assert_eq!(Log::topic_id(&disk, Path::new(FOLDER)).expect("own text"), Some(TopicId(Uuid([7; 16]))));
}

/// What is missing there was committed and replaced: who has read it must not miss what would get its offset.
#[test]
fn a_log_that_is_cut_in_a_gap_goes_on_behind_it() {
    for (target, bytes_left) in [(13, 200), (12, 161), (6, 161), (5, 100), (4, 61), (1, 61)] {
        for after in [After::CleanStop, After::ProcessCrash, After::MachineCrash] {
            let disk = MemoryDisk::default();
            let mut log = create(&disk, LogOptions::default());
            for base in [4, 12] {
                let mut copied = batch(100);
                copied.assign(Offset(base), EPOCH);
                log.append_as_follower(&[copied], NOW).expect("sound");
            }
            log.truncate_to(Offset(target)).expect("within");
            let shape = |log: &Log| (log.log_start(), log.log_end(), log.size());
            let expected = (Offset(0), Offset(target), bytes_left);
            assert_eq!(shape(&log), expected);
            let (mut log, cut, _) = open(&disk, after, target).expect("it is sound");
            assert_eq!((shape(&log), cut), (expected, None), "{after:?}");
            assert_eq!(append(&mut log, batch(100)).base, Offset(target));
            let all = read(&mut log, 0, 1 << 20, true);
            assert_eq!((all.size as u64, all.next), (bytes_left + 100, Offset(target + 1)));
        }
    }
}

#[test]
fn a_read_gives_whole_batches_and_one_at_least_if_asked() {
    let disk = MemoryDisk::default();
    for tail_bytes in [0, 1 << 20] {
        let mut log = create(&disk, LogOptions { tail_bytes, ..LogOptions::default() });
        let size = (0..4).map(|_| append(&mut log, batch(200)).bytes as usize).max().expect("four");
        assert_eq!(read(&mut log, 0, 2 * size + size / 2, false).size, 2 * size);
        assert_eq!(read(&mut log, 1, 2 * size, false).next, Offset(3));
        assert_eq!(read(&mut log, 0, size - 1, false), Slice { parts: vec![], size: 0, next: Offset(0) });
        assert_eq!(read(&mut log, 0, size - 1, true).size, size);
        assert_eq!(read(&mut log, 4, size, true).size, 0, "at the end there is nothing yet");

        let up_to_two = ReadRequest { from: Offset(0), until: Offset(2), bytes_max: 9999, at_least_one: true };
        assert!(
            matches!(log.read(&up_to_two).and_then(Reading::cached), Ok(Read::Ready(slice)) if slice.next == Offset(2))
        );
        let beyond = ReadRequest { from: Offset(5), until: Offset(9), bytes_max: 9999, at_least_one: true };
        assert!(matches!(log.read(&beyond), Err(LogError::OffsetOutOfRange { .. })));
    }
}

#[test]
fn a_read_of_what_is_not_in_memory_needs_nothing_of_the_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions { tail_bytes: 0, ..LogOptions::default() });
    let sent = append(&mut log, batch(500));
    disk.chill(true);
    let request = ReadRequest { from: Offset(0), until: Offset(1), bytes_max: 9999, at_least_one: true };
    let Ok(Read::Cold(cold)) = log.read(&request).and_then(Reading::cached) else { panic!("no page is in memory") };
    drop(log);
    assert_eq!(cold.run().expect("a sound disk").size as u64, sent.bytes);
}

#[test]
fn a_new_partition_is_durable_with_its_first_flush_and_an_empty_one_has_nothing_to_sync() {
    let disk = MemoryDisk::default();
    let path = Path::new(FOLDER);
    let named = |disk: &MemoryDisk| Log::topic_id(disk, path).expect("own text");
    let mut log = Log::create(Arc::new(disk.clone()), path, TopicId(Uuid([7; 16])), LogOptions::default(), NOW)
        .expect("an empty disk");
    log.begin_epoch(LeaderEpoch(0)).expect("the first");
    assert!(log.begin_flush().expect("a sound disk").is_empty());
    assert!(named(&disk).is_some() && contents(&disk, "leader-epoch-checkpoint").is_none());

    append(&mut log, batch(500));
    disk.lose_power(&mut Random::new(1));
    assert_eq!(named(&disk), None, "it was not synced");
    let log = Log::create(Arc::new(disk.clone()), path, TopicId(Uuid([8; 16])), LogOptions::default(), NOW);
    let mut log = log.expect("what was left is gone");
    assert_eq!(contents(&disk, "00000000000000000000.log"), None, "what was never durable does not come back");

    append(&mut log, batch(500));
    let flush = log.begin_flush().expect("a sound disk");
    flush.run().expect("a sound disk");
    log.finish_flush(&flush);
    disk.lose_power(&mut Random::new(2));
    assert_eq!(named(&disk), Some(TopicId(Uuid([8; 16]))));
}

#[test]
fn a_follower_takes_only_what_continues_its_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let at = |base, epoch| {
        let mut batch = batch(100);
        batch.assign(Offset(base), LeaderEpoch(epoch));
        batch
    };
    log.append_as_follower(&[at(0, 3), at(1, 3), at(2, 5)], NOW).expect("it continues an empty log");
    assert!(matches!(log.append_as_follower(&[at(2, 5)], NOW), Err(LogError::NotNext { .. })), "once more");
    assert!(matches!(log.append_as_follower(&[at(3, 4)], NOW), Err(LogError::EpochGoesBack { .. })));
    assert!(matches!(log.append(&mut [batch(100)], LeaderEpoch(4), NOW), Err(LogError::EpochGoesBack { .. })));
    assert_eq!(log.log_end(), Offset(3), "what was refused left nothing");
    log.append_as_follower(&[at(7, 5), at(9, 5)], NOW).expect("its leader has compacted what lay between");
    assert_eq!(log.log_end(), Offset(10));
    let (log, cut, _) = open(&disk, After::MachineCrash, 0).expect("a gap inside a segment is no damage");
    assert_eq!((log.log_end(), cut), (Offset(10), None));
    assert_eq!(log.epochs().iter().map(|e| (e.epoch.0, e.start.0)).collect::<Vec<_>>(), [(3, 0), (5, 2)]);
}

#[test]
fn a_segment_rolls_by_size_and_by_the_time_that_its_records_span() {
    let disk = MemoryDisk::default();
    let options = LogOptions { segment_bytes: 1000, segment_ms: 60_000, ..LogOptions::default() };
    let mut log = create(&disk, options);
    let later = |ms| WallMillis(NOW.0 + ms);
    assert!(!append(&mut log, batch_at(later(0), 400)).rolled);
    assert!(!append(&mut log, batch_at(later(60_000), 400)).rolled);
    assert!(append(&mut log, batch_at(later(60_000), 400)).rolled, "1200 bytes");
    assert!(append(&mut log, batch_at(later(120_001), 100)).rolled, "more than a minute after the segment's first");
    assert!(append(&mut log, batch_at(NOW, 5000)).rolled);
    assert_eq!(
        log.segments().map(|(base, ..)| base.0).collect::<Vec<_>>(),
        [0, 2, 3, 4],
        "however large, it is stored"
    );
}

#[test]
fn a_recovery_looks_for_producers_in_a_bounded_part_of_the_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let due = |log: &mut Log| append(log, batch(500)).snapshot_due;
    assert_eq!([(); 4].map(|()| due(&mut log)), [false, false, false, true]);
    log.write_snapshot(&[]).expect("sound");
    assert_eq!([(); 3].map(|()| due(&mut log)), [false; 3]);
    let (mut log, _, heard) = open(&disk, After::ProcessCrash, 0).expect("sound");
    assert_eq!(heard.batches, [4, 5, 6].map(Offset), "of those before, the snapshot says what is known");
    assert!(due(&mut log), "what is not covered is counted on");
}

#[test]
fn a_full_disk_undoes_the_append_and_nothing_else() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    append(&mut log, batch(500));
    disk.limit(Some(700));
    let refused = log.append(&mut [batch(500), batch(500)], EPOCH, NOW).expect_err("there is no room for both");
    assert!(refused.is_retriable(), "{refused}");
    assert_eq!(log.size(), file(&disk, "00000000000000000000.log").len().expect("a memory disk"));

    disk.limit(None);
    assert_eq!(append(&mut log, batch(500)).base, Offset(1), "when there is room again it goes on");
}

#[test]
fn after_a_failed_write_the_log_takes_no_more_calls() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    append(&mut log, batch(500));
    disk.die_after(Some(100));
    assert!(matches!(log.append(&mut [batch(500)], EPOCH, NOW), Err(LogError::Io { .. })));
    disk.die_after(None);

    let request = ReadRequest { from: Offset(0), until: Offset(1), bytes_max: 1, at_least_one: true };
    assert!(matches!(log.append(&mut [batch(500)], EPOCH, NOW), Err(LogError::Failed { .. })));
    assert!(matches!(log.read(&request), Err(LogError::Failed { .. })));
    assert!(matches!(log.begin_flush(), Err(LogError::Failed { .. })));
    assert!(matches!(log.truncate_to(Offset(0)), Err(LogError::Failed { .. })));

    let (log, cut, _) = open(&disk, After::ProcessCrash, 0).expect("a torn write is no damage");
    assert_eq!((log.log_end(), cut.map(|cut| cut.bytes)), (Offset(1), Some(100)));
}

#[test]
fn what_a_crash_cannot_explain_is_reported_and_kept() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let first = append(&mut log, batch(500)).bytes;
    append(&mut log, batch(500));
    let flush = log.begin_flush().expect("a sound disk");
    flush.run().expect("a sound disk");
    log.finish_flush(&flush);
    append(&mut log, batch(500));
    drop(log);
    let path = Path::new(FOLDER).join("00000000000000000000.log");

    disk.damage(&path, 2 * first as usize + 300);
    let (_, cut, _) = open(&disk, After::ProcessCrash, 2).err().map_or_else(
        || panic!("the death of a process changes no byte"),
        |error| {
            assert!(matches!(error, LogError::Corrupt { position, .. } if position == 2 * first), "{error}");
            open(&disk, After::MachineCrash, 2).expect("that of the machine does, beyond the recovery point")
        },
    );
    assert_eq!(cut.map(|cut| (cut.end, cut.position)), Some((Offset(2), 2 * first)));

    disk.damage(&path, first as usize + 300);
    let error = open(&disk, After::MachineCrash, 2).err().expect("it was durable");
    assert!(matches!(error, LogError::Corrupt { position, .. } if position == first), "{error}");
    let there = contents(&disk, "00000000000000000000.log").expect("it is there");
    assert_eq!(there.len() as u64, 2 * first, "nothing is cut below the recovery point");

    file(&disk, "00000000000000000000.log").set_len(first).expect("a memory disk");
    let error = open(&disk, After::ProcessCrash, 2).err().expect("a durable batch is missing");
    assert!(error.to_string().contains("ends at 1, but was durable up to 2"), "{error}");
}

#[test]
fn a_hole_at_the_recovery_point_is_reported() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions { segment_bytes: 300, ..LogOptions::default() });
    for _ in 0..4 {
        log.append(&mut [batch(100), batch(100)], EPOCH, NOW).expect("a sound disk");
    }
    log.close().expect("a sound disk").run().expect("a sound disk");
    disk.remove_file(&Path::new(FOLDER).join("00000000000000000002.log")).expect("it is there");
    let error = open(&disk, After::MachineCrash, 3).err().expect("half of what is missing was durable");
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    let (log, cut, _) = open(&disk, After::MachineCrash, 2).expect("nothing of it was durable");
    assert_eq!((log.log_end(), cut.map(|cut| cut.bytes)), (Offset(2), Some(400)));
}

#[test]
fn a_batch_of_an_older_epoch_is_no_part_of_the_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let first = log.append(&mut [batch(100)], LeaderEpoch(3), NOW).expect("a sound disk").bytes;
    let mut stale = batch(100);
    stale.assign(Offset(1), LeaderEpoch(2));
    let slices = stale.parts().map(|part| std::io::IoSlice::new(part));
    file(&disk, "00000000000000000000.log").write_at(&slices, first).expect("a memory disk");
    let (log, cut, _) = open(&disk, After::MachineCrash, 0).expect("it may be cut");
    assert_eq!((log.log_end(), cut.map(|cut| cut.position)), (Offset(1), Some(first)));
}

#[test]
fn indexes_that_make_no_sense_are_made_again() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    for _ in 0..4 {
        append(&mut log, batch(3000));
    }
    log.close().expect("a sound disk").run().expect("a sound disk");
    let sound = contents(&disk, "00000000000000000000.index");
    for zeros in [8, 13, 8000] {
        // As Kafka leaves them when it is killed: longer than what is in them.
        file(&disk, "00000000000000000000.index").set_len(0).expect("a memory disk");
        file(&disk, "00000000000000000000.index").set_len(zeros).expect("a memory disk");
        let (mut log, ..) = open(&disk, After::ProcessCrash, 4).expect("only an index is damaged");
        log.close().expect("a sound disk").run().expect("a sound disk");
        assert_eq!(contents(&disk, "00000000000000000000.index"), sound);
    }

    disk.remove_file(&Path::new(FOLDER).join("00000000000000000000.log")).expect("it is there");
    open(&disk, After::MachineCrash, 0).expect("nothing of it was durable");
    assert_eq!(contents(&disk, "00000000000000000000.index"), None, "an index without a log would serve the next one");
}

#[test]
fn a_flush_from_before_a_truncation_says_nothing_about_what_came_after() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    append(&mut log, batch(100));
    append(&mut log, batch(100));
    let flush = log.begin_flush().expect("a sound disk");
    flush.run().expect("a sound disk");
    log.truncate_to(Offset(1)).expect("a sound disk");
    append(&mut log, batch(100));
    log.finish_flush(&flush);
    assert_eq!(log.recovery_point(), Offset(0));
}

#[test]
fn an_open_log_tells_what_it_knows_of_producers() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let producer = ProducerEntry {
        id: ProducerId(5),
        epoch: ProducerEpoch(1),
        last_sequence: 9,
        last_offset: Offset(1),
        offset_delta: 0,
        timestamp: NOW,
        coordinator_epoch: 2,
        txn_start: Some(Offset(1)),
    };
    append(&mut log, batch(100));
    append(&mut log, batch(100));
    log.write_snapshot(&[producer]).expect("a sound disk");
    let marker = EndTxnMarker { outcome: TxnOutcome::Abort, coordinator_epoch: 2 };
    append(&mut log, batch(100));
    append(&mut log, marker.batch(ProducerId(5), ProducerEpoch(1), NOW));
    drop(log);

    let (_, _, heard) = open(&disk, After::ProcessCrash, 0).expect("sound");
    assert_eq!((&heard.producers[..], &heard.batches[..]), (&[producer][..], &[Offset(2), Offset(3)][..]));
    assert_eq!(heard.markers, [marker]);

    disk.damage(&Path::new(FOLDER).join("00000000000000000002.snapshot"), 20);
    let (_, _, heard) = open(&disk, After::ProcessCrash, 0).expect("a snapshot only saves work");
    assert_eq!((heard.producers.len(), heard.batches.len()), (0, 4));
}

#[test]
fn a_truncation_finds_a_snapshot_from_the_segment_that_it_cuts() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions { segment_bytes: 900, ..LogOptions::default() });
    for _ in 0..16 {
        append(&mut log, batch(200));
        log.write_snapshot(&[]).expect("a sound disk");
    }
    let snapshots: Vec<i64> = log.snapshots.iter().map(|at| at.0).collect();
    assert_eq!(snapshots, [1, 4, 8, 12, 15, 16], "the first of each segment, and the last two");
}

#[test]
fn retired_segments_go_with_all_their_files() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions { segment_bytes: 300, ..LogOptions::default() });
    for _ in 0..6 {
        append(&mut log, batch(200));
        log.write_snapshot(&[]).expect("a sound disk");
    }
    let retired = log.retire_segments(Offset(3)).expect("a sound disk");
    assert_eq!((log.log_start(), log.segments().count()), (Offset(3), 3));
    drop(retired); // the process dies before it is run
    let (log, ..) = open(&disk, After::ProcessCrash, 0).expect("sound");
    assert_eq!(log.log_start(), Offset(3));
    for entry in disk.list(Path::new(FOLDER)).expect("a memory disk") {
        let name = entry.name.to_str().expect("text").to_string();
        let old = ["0000.", "0001.", "0002.", ".deleted"].iter().any(|part| name.contains(part));
        assert!(!old, "{name} was left behind");
    }
}

#[test]
fn a_time_leads_to_its_record_also_inside_a_compressed_batch() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    let two = BatchBuilder::new().record(WallMillis(10), None, None, &[]).record(WallMillis(20), None, None, &[]);
    append(&mut log, two.build());
    let gzip = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames/batches/librdkafka-gzip.batch"));
    let gzip = Batch::split_from(&mut bytes::Bytes::from_static(gzip)).expect("recorded");
    let times: Vec<i64> = gzip.opened(1 << 20).expect("sound").map(|it| it.expect("sound").timestamp.0).collect();
    append(&mut log, gzip);
    let mut offset = |time| {
        let found = log.search_timestamp(WallMillis(time)).and_then(TimestampSearch::run).expect("sound");
        found.map(|found| found.offset.0)
    };
    assert_eq!([offset(0), offset(10), offset(11), offset(20)], [Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!([offset(21), offset(i64::MAX)], [Some(2), None]);
    for time in &times {
        let first = times.iter().position(|other| other >= time).expect("it is one of them");
        assert_eq!(offset(*time), Some(2 + first as i64));
    }
}

#[test]
fn an_idle_partition_costs_little() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk, LogOptions::default());
    for _ in 0..1000 {
        append(&mut log, batch(3000));
    }
    let flush = log.begin_flush().expect("a sound disk");
    flush.run().expect("a sound disk");
    log.finish_flush(&flush);
    log.release().expect("a sound disk");
    assert_eq!((log.tail_bytes(), log.segments.iter().map(Segment::kept_bytes).sum::<usize>()), (0, 0));
    assert!(size_of::<Log>() + size_of::<Segment>() < 1024);
    assert_eq!(read(&mut log, 500, 9000, true).next, Offset(503), "and it is there again when it is needed");
}

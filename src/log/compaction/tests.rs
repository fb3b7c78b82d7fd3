//! What stays of a log, and that no crash can take more.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::base::ids::{LeaderEpoch, TopicId, Uuid};
use crate::log::compaction::offset_map::SLOT_BYTES;
use crate::log::memory_disk::{MemoryDisk, Random};
use crate::log::{After, Known, LogOptions, Opened, ProducerEntry, Read, ReadRequest, Reading, Retired, Visitor};
use crate::record::compression::Compression;
use crate::record::{Batch, BatchBuilder, BatchHeader, Codec, EndTxnMarker, TxnOutcome};

const FOLDER: &str = "/log/topic-0";
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 700,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_interval_bytes: 200,
    index_bytes_max: 1 << 20,
    tail_bytes: 0,
};
const RULES: CompactionRules =
    CompactionRules { dirty_millionths_min: 0, lag_ms_min: 0, lag_ms_max: i64::MAX, delete_retention_ms: 1_000 };

struct Nobody;

impl Visitor for Nobody {
    fn producers(&mut self, _at: Offset, _producers: Vec<ProducerEntry>) {}

    fn batch(&mut self, _header: &BatchHeader, _marker: Option<EndTxnMarker>) {}
}

/// A log with a clock, and a wish for how it is compacted.
struct Shelf {
    disk: MemoryDisk,
    log: Log,
    now: WallMillis,
    key_bytes_max: usize,
    producers: BTreeMap<ProducerId, LastBatch>,
}

/// A record as it is read back: offset, key, value.
type Found = (i64, String, Option<String>);

impl Shelf {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let (arc, topic) = (Arc::new(disk.clone()), TopicId(Uuid([1; 16])));
        let log = Log::create(arc, Path::new(FOLDER), topic, OPTIONS, WallMillis(0)).expect("an empty disk");
        let (now, producers) = (WallMillis(1_000_000), BTreeMap::new());
        Self { disk, log, now, key_bytes_max: 1 << 20, producers }
    }

    fn append(&mut self, batch: Batch) -> Offset {
        let appended = self.log.append(&mut [batch], LeaderEpoch(0), self.now).expect("room");
        appended.base
    }

    fn put(&mut self, key: &str, value: Option<&str>) -> Offset {
        self.append(self.record(BatchBuilder::new(), key, value).build())
    }

    fn record(&self, builder: BatchBuilder, key: &str, value: Option<&str>) -> BatchBuilder {
        builder.record(self.now, Some(key.as_bytes()), value.map(str::as_bytes), &[])
    }

    /// Closes the active segment, and makes all durable.
    fn close_segment(&mut self) {
        self.log.roll(self.now).expect("room");
        let flush = self.log.begin_flush().expect("sound");
        flush.run().expect("sound");
        self.log.finish_flush(&flush);
    }

    fn brief(&self) -> Brief {
        let (now, key_bytes_max) = (self.now, self.key_bytes_max);
        Brief { now, key_bytes_max, rules: RULES, producers: self.producers.clone() }
    }

    fn compact(&mut self) -> Result<(), LogError> {
        self.compact_below(self.log.log_end())
    }

    fn compact_below(&mut self, bound: Offset) -> Result<(), LogError> {
        let dirt = self.log.dirt(&RULES, bound, self.now)?;
        let mut compaction = self.log.begin_compaction(&dirt, self.brief())?;
        loop {
            match compaction.step()? {
                Step::More { .. } => {}
                Step::Swap(mut cleaned) => {
                    if self.log.stage_swap(&mut cleaned)? {
                        cleaned.sync()?;
                        self.log.finish_swap(*cleaned).and_then(Retired::run)?;
                    }
                }
                Step::Done { cleaned_to } => {
                    self.log.set_cleaned_to(cleaned_to);
                    return Ok(());
                }
            }
        }
    }

    fn batches(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut from = self.log.log_start();
        while from < self.log.log_end() {
            let request = ReadRequest { from, until: self.log.log_end(), bytes_max: 1 << 20, at_least_one: true };
            let Read::Ready(slice) = self.log.read(&request).and_then(Reading::cached).expect("sound") else {
                panic!("nothing is cold")
            };
            assert!(slice.next > from, "a reader must get on from {from}");
            from = slice.next;
            let mut bytes = bytes::Bytes::from(slice.parts.concat());
            while !bytes.is_empty() {
                let batch = Batch::split_from(&mut bytes).expect("whole batches");
                batch.verify().expect("sound");
                batches.push(batch);
            }
        }
        assert!(batches.is_sorted_by(|a, b| a.header().next_offset() <= b.header().base_offset), "offsets ascend");
        batches
    }

    /// All records there are, but for ends of transactions.
    fn records(&mut self) -> Vec<Found> {
        let data = |batch: &Batch| !batch.header().attributes.is_control();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let batches = self.batches();
        let records =
            batches.iter().filter(|batch| data(batch)).flat_map(|batch| batch.opened(1 << 20).expect("sound"));
        records
            .map(|record| record.expect("sound"))
            .map(|record| (record.offset.0, text(&record.key.expect("a key")), record.value.map(|value| text(&value))))
            .collect()
    }

    /// What a reader of the whole log ends up with.
    fn view(&mut self) -> BTreeMap<String, String> {
        let mut view = BTreeMap::new();
        for (_, key, value) in self.records() {
            match value {
                Some(value) => view.insert(key, value),
                None => view.remove(&key),
            };
        }
        view
    }

    fn reopen(&mut self, after: After) {
        let known = Known { after, recovery_point: self.log.recovery_point(), log_start: self.log.log_start() };
        let disk = Arc::new(self.disk.clone());
        let opened = Log::open(disk, Path::new(FOLDER), OPTIONS, known, &mut Nobody, self.now);
        let Opened { log, cut } = opened.unwrap_or_else(|error| panic!("{after:?}: {error}"));
        assert_eq!(cut, None);
        let (end, cleaned_to) = (self.log.log_end(), self.log.cleaned_to());
        self.log = log;
        self.log.set_cleaned_to(cleaned_to);
        assert_eq!(self.log.log_end(), end);
    }
}

fn found(offset: i64, key: &str, value: Option<&str>) -> Found {
    (offset, key.to_owned(), value.map(str::to_owned))
}

#[test]
fn the_last_record_of_each_key_stays_where_it_was() {
    let mut shelf = Shelf::new();
    for number in 0..100 {
        shelf.put(&format!("k{}", number % 10), Some(&number.to_string()));
    }
    shelf.close_segment();
    let before = shelf.log.size();
    shelf.compact().expect("sound");
    let expected: Vec<Found> = (90..100).map(|n| found(n, &format!("k{}", n % 10), Some(&n.to_string()))).collect();
    assert_eq!(shelf.records(), expected);
    assert!(shelf.log.size() < before / 3 + before / 6, "{} of {before} bytes are left", shelf.log.size());
    assert_eq!((shelf.log.log_start(), shelf.log.log_end()), (Offset(0), Offset(100)));
    for after in [After::CleanStop, After::ProcessCrash, After::MachineCrash] {
        shelf.reopen(after);
        assert_eq!(shelf.records(), expected, "{after:?}");
    }
    let dirt = shelf.log.dirt(&RULES, Offset(100), shelf.now).expect("sound");
    assert_eq!((dirt.dirty_bytes, dirt.is_worth_it(&RULES)), (0, false), "nothing is left to do");
}

#[test]
fn what_is_active_young_uncommitted_or_not_durable_is_left_alone() {
    let mut shelf = Shelf::new();
    for number in 0..20 {
        shelf.put("k", Some(&number.to_string()));
    }
    let dirt = |shelf: &mut Shelf, rules: &CompactionRules, bound| {
        shelf.log.dirt(rules, Offset(bound), shelf.now).expect("sound").until.0
    };
    assert_eq!(dirt(&mut shelf, &RULES, 20), 0, "not durable");
    shelf.close_segment();
    for _ in 20..30 {
        shelf.put("k", Some("x"));
    }
    let bases: Vec<i64> = shelf.log.segments().map(|(base, ..)| base.0).collect();
    assert_eq!(dirt(&mut shelf, &RULES, 30), 20, "beyond it, nothing has been flushed: {bases:?}");
    assert_eq!(dirt(&mut shelf, &RULES, bases[2]), bases[2]);
    assert_eq!(dirt(&mut shelf, &RULES, bases[2] - 1), bases[1], "whole segments only");
    let patient = CompactionRules { lag_ms_min: 50, ..RULES };
    assert_eq!(dirt(&mut shelf, &patient, 30), 0);
    shelf.now = WallMillis(shelf.now.0 + 50);
    assert_eq!(dirt(&mut shelf, &patient, 30), 20);
}

#[test]
fn a_log_is_compacted_when_it_is_dirty_enough_or_has_waited_too_long() {
    let mut shelf = Shelf::new();
    for number in 0..40 {
        shelf.put(&format!("{number}"), Some("x"));
    }
    shelf.close_segment();
    shelf.compact().expect("sound");
    for _ in 0..10 {
        shelf.put("k", Some("x"));
    }
    shelf.close_segment();
    let lazy = CompactionRules { dirty_millionths_min: 500_000, lag_ms_max: 1_000, ..RULES };
    let dirt = shelf.log.dirt(&lazy, shelf.log.log_end(), shelf.now).expect("sound");
    assert!((150_000..250_000).contains(&dirt.millionths()), "ten of fifty: {dirt:?}");
    assert!(!dirt.is_worth_it(&lazy) && dirt.is_worth_it(&RULES));
    shelf.now = WallMillis(shelf.now.0 + 1_001);
    assert!(shelf.log.dirt(&lazy, shelf.log.log_end(), shelf.now).expect("sound").is_worth_it(&lazy));
}

#[test]
fn a_segment_of_which_a_part_may_yet_be_cut_is_left_alone() {
    let mut shelf = Shelf::new();
    shelf.put("k", Some("replaced"));
    shelf.put("k", Some("the last one below the bound"));
    let bound = shelf.log.log_end();
    shelf.log.set_cleaned_to(bound); // as after a restart
    shelf.put("k", Some("not committed"));
    shelf.close_segment();
    shelf.put("end", Some("active"));
    let before = shelf.records();
    let dirt = shelf.log.dirt(&RULES, bound, shelf.now).expect("sound");
    assert_eq!((dirt.from, dirt.until, dirt.dirty_bytes), (bound, bound, 0));
    shelf.compact_below(bound).expect("sound");
    assert_eq!((shelf.records(), shelf.log.cleaned_to()), (before, bound));
    shelf.log.truncate_to(bound).expect("above what is committed");
    for after in [After::CleanStop, After::ProcessCrash, After::MachineCrash] {
        shelf.reopen(after);
    }
}

#[test]
fn the_mark_of_a_deleted_key_goes_when_its_horizon_has_passed() {
    let mut shelf = Shelf::new();
    shelf.put("a", Some("1"));
    shelf.put("b", Some("1"));
    shelf.put("a", None);
    shelf.put("end", Some("1"));
    shelf.close_segment();
    shelf.compact().expect("sound");
    let marked = [found(1, "b", Some("1")), found(2, "a", None), found(3, "end", Some("1"))];
    assert_eq!(shelf.records(), marked);
    let horizons: Vec<_> = shelf.batches().iter().map(|batch| batch.header().delete_horizon()).collect();
    assert_eq!(horizons, [None, Some(WallMillis(1_001_000)), None]);

    shelf.now = WallMillis(1_000_999);
    let again = |shelf: &mut Shelf| {
        shelf.put("end", Some("2"));
        shelf.close_segment();
        shelf.compact().expect("sound");
        shelf.records().into_iter().filter(|(_, key, _)| key != "end").collect::<Vec<_>>()
    };
    assert_eq!(again(&mut shelf), marked[..2], "not yet");
    shelf.now = WallMillis(1_001_000);
    assert_eq!(again(&mut shelf), marked[..1]);
}

#[test]
fn the_last_batch_of_a_producer_stays_as_a_shell() {
    let mut shelf = Shelf::new();
    let of = |shelf: &Shelf, producer, sequence| {
        let builder = BatchBuilder::idempotent(ProducerId(producer), ProducerEpoch(0), sequence);
        shelf.record(builder, "a", Some("old")).build()
    };
    let now = std::mem::replace(&mut shelf.now, WallMillis(2_000_000));
    for (producer, sequence) in [(7, 0), (7, 1), (8, 0)] {
        shelf.append(of(&shelf, producer, sequence));
    }
    shelf.now = now;
    shelf.put("a", Some("new"));
    shelf.close_segment();
    // Producer 8 has been idle for so long that nobody remembers it.
    shelf.producers.insert(ProducerId(7), LastBatch { epoch: ProducerEpoch(0), last_offset: Some(Offset(1)) });
    shelf.compact().expect("sound");
    assert_eq!(shelf.records(), [found(3, "a", Some("new"))]);
    let shells: Vec<_> = shelf.batches().iter().map(|batch| *batch.header()).filter(|it| it.has_producer()).collect();
    let [shell] = &shells[..] else { panic!("{shells:?}") };
    assert_eq!((shell.base_offset, shell.count, shell.base_sequence), (Offset(1), 0, 1));
    assert_eq!(shelf.log.segments().next().and_then(|(.., newest)| newest), Some(now), "a shell has none");

    shelf.producers.insert(ProducerId(7), LastBatch { epoch: ProducerEpoch(0), last_offset: Some(Offset(4)) });
    shelf.append(of(&shelf, 7, 2));
    shelf.put("a", Some("newest"));
    shelf.close_segment();
    shelf.compact().expect("sound");
    let shells = shelf.batches().iter().filter(|batch| batch.header().has_producer()).count();
    assert_eq!((shells, shelf.records()), (1, vec![found(5, "a", Some("newest"))]));
}

#[test]
fn what_was_aborted_shadows_nothing_and_goes() {
    let mut shelf = Shelf::new();
    let within = |shelf: &Shelf, producer, key, value| {
        let builder = BatchBuilder::transactional(ProducerId(producer), ProducerEpoch(0), 0);
        shelf.record(builder, key, Some(value)).build()
    };
    let end = |producer, outcome| {
        let marker = EndTxnMarker { outcome, coordinator_epoch: 0 };
        marker.batch(ProducerId(producer), ProducerEpoch(0), WallMillis(1_000_000))
    };
    shelf.put("a", Some("kept"));
    shelf.put("b", Some("replaced"));
    shelf.append(within(&shelf, 1, "a", "aborted"));
    shelf.append(within(&shelf, 2, "b", "committed"));
    shelf.append(end(1, TxnOutcome::Abort));
    shelf.append(end(2, TxnOutcome::Commit));
    shelf.append(within(&shelf, 1, "a", "aborted, too"));
    shelf.append(end(1, TxnOutcome::Abort));
    let expected = [found(0, "a", Some("kept")), found(3, "b", Some("committed"))];
    let mut markers = Vec::new();
    for round in 0..4 {
        shelf.put("end", Some(&round.to_string()));
        shelf.close_segment();
        shelf.compact().expect("sound");
        let records: Vec<_> = shelf.records().into_iter().filter(|(_, key, _)| key != "end").collect();
        assert_eq!(records, expected, "round {round}");
        let is_end = |batch: &&Batch| batch.header().attributes.is_control();
        let ends = shelf.batches();
        let horizons = ends.iter().filter(is_end).map(|batch| batch.header().delete_horizon().map(|at| at.0));
        markers.push(horizons.collect::<Vec<_>>());
        shelf.now = WallMillis(shelf.now.0 + 500);
    }
    // While records of a transaction are met its end stays; then it gets its time, at 1,000,500; then it goes. What was
    // committed is still there, and so is its end.
    let given = Some(1_001_500);
    assert_eq!(markers, [vec![None; 3], vec![given, None, given], vec![given, None, given], vec![None]]);
}

#[test]
fn with_little_memory_it_takes_several_passes() {
    let mut shelf = Shelf::new();
    for number in 0..200 {
        shelf.put(&format!("k{}", number % 50), Some(&number.to_string()));
    }
    shelf.close_segment();
    let expected = shelf.view();
    shelf.key_bytes_max = 22 * SLOT_BYTES;
    let mut passes = 0;
    while shelf.log.cleaned_to() < Offset(200) {
        let before = shelf.log.cleaned_to();
        shelf.compact().expect("sound");
        assert!(shelf.log.cleaned_to() > before, "a pass must get on from {before}");
        assert_eq!(shelf.view(), expected);
        passes += 1;
    }
    assert!(passes >= 10, "{passes} passes");
    assert_eq!(shelf.records().len(), 50);
}

#[test]
fn batches_stay_packed_as_they_were() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut shelf = Shelf::new();
        for _ in 0..3 {
            let mut builder = BatchBuilder::new();
            for number in 0..20 {
                builder = shelf.record(builder, &format!("k{number}"), Some(&"text ".repeat(20)));
            }
            shelf.append(builder.build().repacked(Compression::of(codec), 1 << 20).expect("sound"));
        }
        shelf.put("k3", None);
        shelf.close_segment();
        shelf.compact().expect("sound");
        assert_eq!(shelf.records().len(), 20, "{codec:?}");
        let batches = shelf.batches();
        let full: Vec<_> = batches.iter().map(Batch::header).filter(|header| header.count > 1).collect();
        assert_eq!(full.len(), 1);
        assert_eq!((full[0].attributes.codec(), full[0].count), (Ok(codec), 19));
    }
}

#[test]
fn damage_is_not_given_a_new_checksum() {
    let mut shelf = Shelf::new();
    for number in 0..20 {
        shelf.put("k", Some(&number.to_string()));
    }
    shelf.close_segment();
    let path = Path::new(FOLDER).join("00000000000000000000.log");
    shelf.disk.damage(&path, 65);
    assert!(matches!(shelf.compact(), Err(LogError::Corrupt { .. })));
    assert!(shelf.log.check().is_ok(), "the log goes on as it is");
}

#[test]
fn a_log_that_changes_meanwhile_wins() {
    let filled = || {
        let mut shelf = Shelf::new();
        for number in 0..30 {
            shelf.put("k", Some(&number.to_string()));
        }
        shelf.close_segment();
        shelf
    };
    let staged = |shelf: &mut Shelf| {
        let dirt = shelf.log.dirt(&RULES, Offset(30), shelf.now).expect("sound");
        let mut compaction = shelf.log.begin_compaction(&dirt, shelf.brief()).expect("sound");
        let mut cleaned = loop {
            if let Step::Swap(cleaned) = compaction.step().expect("sound") {
                break cleaned;
            }
        };
        assert!(shelf.log.stage_swap(&mut cleaned).expect("sound"));
        cleaned
    };
    // Old segments are deleted.
    let mut shelf = filled();
    let cleaned = staged(&mut shelf);
    shelf.log.advance_log_start(Offset(10)).expect("within");
    shelf.log.retire_segments(Offset(10)).expect("sound").run().expect("sound");
    let left = shelf.records();
    assert!(shelf.log.finish_swap(*cleaned).expect("sound").is_empty());
    assert_eq!(shelf.records(), left);
    shelf.reopen(After::ProcessCrash);
    assert_eq!(shelf.records(), left);

    // An unclean leader has the log cut; the process dies before the swap is looked at again.
    let mut shelf = filled();
    let cleaned = staged(&mut shelf);
    shelf.log.truncate_to(Offset(2)).expect("within");
    drop(cleaned);
    shelf.reopen(After::ProcessCrash);
    assert_eq!(shelf.records(), [found(0, "k", Some("0")), found(1, "k", Some("1"))]);
}

/// Every call to the disk that a pass makes is the last of its process, in three ways.
#[test]
fn a_crash_at_any_point_loses_nothing_that_stays() {
    let prepared = || {
        let mut shelf = Shelf::new();
        for number in 0..40 {
            shelf.put(&format!("k{}", number % 4), Some(&number.to_string()));
        }
        shelf.put("k1", None);
        shelf.close_segment();
        shelf.put("k2", Some("young"));
        shelf
    };
    let mut whole = prepared();
    let (all, view, before) = (whole.records(), whole.view(), whole.disk.calls());
    whole.compact().expect("sound");
    let (calls, expected) = (whole.disk.calls() - before, whole.records());
    assert!(calls > 20 && expected.len() == 5, "{calls} calls, {expected:?}");
    for call in 0..calls {
        for (tearing, power_goes) in [(false, false), (true, false), (false, true), (true, true)] {
            for seed in 0..if power_goes { 10 } else { 1 } {
                let mut shelf = prepared();
                shelf.disk.die_at(Some(call), tearing);
                shelf.compact().expect_err("the process died");
                shelf.disk.die_at(None, false);
                if power_goes {
                    shelf.disk.lose_power(&mut Random::new(seed * 1_000 + call as u64));
                    // What was appended last was not durable, and is not what this is about.
                    let known = Known { after: After::MachineCrash, recovery_point: Offset(41), log_start: Offset(0) };
                    let disk = Arc::new(shelf.disk.clone());
                    let opened = Log::open(disk, Path::new(FOLDER), OPTIONS, known, &mut Nobody, shelf.now);
                    shelf.log = opened.unwrap_or_else(|error| panic!("call {call}, seed {seed}: {error}")).log;
                    assert!(shelf.log.log_end() >= Offset(41));
                    if shelf.log.log_end() == Offset(41) {
                        shelf.put("k2", Some("young"));
                    }
                } else {
                    shelf.reopen(After::ProcessCrash);
                }
                let place = format!("call {call} of {calls}, tearing {tearing}, power {power_goes}, seed {seed}");
                assert_eq!(shelf.view(), view, "{place}");
                assert!(shelf.records().iter().all(|record| all.contains(record)), "{place}");
                if shelf.log.recovery_point() < Offset(41) {
                    let flush = shelf.log.begin_flush().expect("sound");
                    flush.run().expect("sound");
                    shelf.log.finish_flush(&flush);
                }
                shelf.log.set_cleaned_to(Offset(0));
                shelf.compact().unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(shelf.records(), expected, "{place}");
            }
        }
    }
}

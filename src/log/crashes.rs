//! Crashes at every call that a log makes to its disk: whatever the log was doing, what was promised is there.
//!
//! A run is a list of random doings from a seed: appends, flushes, truncations, deletions, compactions, restarts. It is
//! done once to count its calls to the disk, and then again for calls all along it, each time with a crash there:
//!
//! - *clean*: the process dies between two calls;
//! - *torn*: it dies half-way through a write;
//! - *power*: the machine dies, and of what was not synced anything may be there or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::memory_disk::{MemoryDisk, Random};
use super::{
    After, Brief, CompactionRules, Known, Log, LogError, LogOptions, Opened, ProducerEntry, ReadRequest, Retired, Step,
    Visitor,
};
use crate::base::clock::WallMillis;
use crate::base::disk::Disk;
use crate::base::ids::{LeaderEpoch, Offset, TopicId, Uuid};
use crate::log::{Read, Reading};
use crate::record::{Batch, BatchBuilder, BatchHeader, EndTxnMarker};

const TOPIC: TopicId = TopicId(Uuid([1; 16]));
const FOLDER: &str = "/log/topic-0";
const STEPS: usize = 30;
const SEEDS: u64 = 24;
/// As many points of each run are crashed at as there are calls, or so many.
const POINTS_PER_SEED: usize = 200;

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 900,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_interval_bytes: 150,
    index_bytes_max: 1 << 20,
    tail_bytes: 300,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Crash {
    Clean,
    Torn,
    Power,
}

struct Nobody;

impl Visitor for Nobody {
    fn producers(&mut self, _at: Offset, _producers: Vec<ProducerEntry>) {}

    fn batch(&mut self, _header: &BatchHeader, _marker: Option<EndTxnMarker>) {}
}

/// A record: its key and value.
type Said = (u8, Option<u32>);

pub(super) struct Run {
    pub disk: MemoryDisk,
    random: Random,
    pub log: Log,
    /// Every record by its offset, as it was appended last, acknowledged or about to be.
    history: BTreeMap<i64, Said>,
    /// Where each batch ends, by its first offset.
    ends: BTreeMap<i64, Offset>,
    /// The log ends here, or at least here while a truncation is under way, and at most there.
    end: Offset,
    end_max: Offset,
    /// What the log dir's checkpoints say.
    known: Known,
    cleaned_to: Offset,
    epoch: i32,
    value: u32,
}

impl Run {
    pub fn new(seed: u64) -> Self {
        let disk = MemoryDisk::default();
        let log = Log::create(Arc::new(disk.clone()), Path::new(FOLDER), TOPIC, OPTIONS, WallMillis(0))
            .expect("an empty disk");
        let known = Known { after: After::ProcessCrash, recovery_point: Offset(0), log_start: Offset(0) };
        let (random, history, ends) = (Random::new(seed), BTreeMap::new(), BTreeMap::new());
        let (end, end_max, cleaned_to) = (Offset(0), Offset(0), Offset(0));
        Self { disk, random, log, history, ends, end, end_max, known, cleaned_to, epoch: 0, value: 0 }
    }

    /// The doings of a run; whether one fails is decided by the disk.
    pub fn step(&mut self) -> Result<(), LogError> {
        match self.random.below(100) {
            0..50 => self.append(),
            50..64 => self.flush(),
            64..72 => self.compact(),
            72..78 => self.truncate(),
            78..84 => self.delete(),
            84..86 => self.log.write_snapshot(&[]),
            86..88 => self.start_over(),
            88..92 => self.log.release(),
            92..95 => self.log.roll(WallMillis(0)),
            95..98 => self.restart(),
            _ => {
                self.epoch += 1;
                self.log.begin_epoch(LeaderEpoch(self.epoch))
            }
        }
    }

    fn append(&mut self) -> Result<(), LogError> {
        // The leader of a compacted log has nothing to send for some offsets.
        let as_follower = self.random.one_in(3);
        let mut batches = Vec::new();
        for _ in 0..=self.random.below(3) {
            if as_follower && self.random.one_in(3) {
                self.end_max = self.end_max.plus(1 + self.random.below(4) as i64);
            }
            let base = self.end_max;
            let mut builder = BatchBuilder::new();
            for _ in 0..=self.random.below(2) {
                self.value += 1;
                let said = (self.random.below(12) as u8, (!self.random.one_in(8)).then_some(self.value));
                let value = said.1.map(u32::to_be_bytes);
                builder.push(WallMillis(1_000), Some(&[said.0]), value.as_ref().map(|value| &value[..]), &[]);
                self.history.insert(self.end_max.0, said);
                self.end_max = self.end_max.plus(1);
            }
            let mut batch = builder.build();
            batch.assign(base, LeaderEpoch(self.epoch));
            self.ends.insert(base.0, self.end_max);
            batches.push(batch);
        }
        match as_follower {
            true => self.log.append_as_follower(&batches, WallMillis(0))?,
            false => self.log.append(&mut batches, LeaderEpoch(self.epoch), WallMillis(0))?,
        };
        self.end = self.end_max;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let flush = self.log.begin_flush()?;
        flush.run()?;
        self.log.finish_flush(&flush);
        self.known.recovery_point = self.log.recovery_point();
        Ok(())
    }

    fn compact(&mut self) -> Result<(), LogError> {
        let rules =
            CompactionRules { dirty_millionths_min: 0, lag_ms_min: 0, lag_ms_max: i64::MAX, delete_retention_ms: 0 };
        self.known.recovery_point = self.log.recovery_point();
        let dirt = self.log.dirt(&rules, self.log.log_end(), WallMillis(2_000))?;
        let brief = Brief { now: WallMillis(2_000), key_bytes_max: 1 << 12, rules, producers: BTreeMap::new() };
        // What is compacted is committed, so nothing will be cut there.
        self.cleaned_to = self.cleaned_to.max(dirt.until);
        let mut pass = self.log.begin_compaction(&dirt, brief)?;
        loop {
            match pass.step()? {
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

    fn truncate(&mut self) -> Result<(), LogError> {
        let low = self.cleaned_to.max(self.log.log_start());
        let offset = low.plus(self.random.below((self.end.0 - low.0) as usize + 1) as i64);
        // A batch goes as a whole.
        let cut_through = self.ends.range(..offset.0).next_back().filter(|(_, end)| **end > offset);
        let end = cut_through.map_or(offset, |(base, _)| Offset(*base));
        if end < low {
            return Ok(());
        }
        let safe = self.log.prepare_truncation(offset)?;
        self.known.recovery_point = self.known.recovery_point.min(safe);
        self.end = safe; // until the truncation is done
        self.log.truncate_to(offset)?;
        self.forget_from(end);
        Ok(())
    }

    /// The leader begins behind all there is.
    fn start_over(&mut self) -> Result<(), LogError> {
        let at = self.end.plus(self.random.below(5) as i64);
        (self.known.recovery_point, self.known.log_start) = (Offset(0), at);
        (self.end, self.end_max) = (at, at); // a crash in the middle leaves nothing else
        self.cleaned_to = at;
        self.log.truncate_fully_and_start_at(at, WallMillis(0))
    }

    fn forget_from(&mut self, end: Offset) {
        (self.end, self.end_max) = (end, end);
        self.history.split_off(&end.0);
        self.ends.split_off(&end.0);
    }

    fn delete(&mut self) -> Result<(), LogError> {
        let start = self.log.log_start();
        let to = start.plus(self.random.below((self.end.0 - start.0) as usize + 1) as i64);
        self.log.advance_log_start(to)?;
        self.known.log_start = to;
        self.log.retire_segments(to)?.run()
    }

    fn restart(&mut self) -> Result<(), LogError> {
        self.log.close()?.run()?;
        self.known.recovery_point = self.end;
        self.open(After::CleanStop).map(drop)
    }

    /// Opens it again; says whether something was cut off.
    pub fn open(&mut self, after: After) -> Result<bool, LogError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        if Log::topic_id(&*disk, Path::new(FOLDER))?.is_none() {
            // Nobody knows any more whose folder this is: a broker makes the partition anew.
            self.log = Log::create(disk, Path::new(FOLDER), TOPIC, OPTIONS, WallMillis(0))?;
            (self.known.log_start, self.cleaned_to) = (Offset(0), Offset(0));
            return Ok(false);
        }
        let known = Known { after, ..self.known };
        let Opened { log, cut } = Log::open(disk, Path::new(FOLDER), OPTIONS, known, &mut Nobody, WallMillis(0))?;
        self.log = log;
        self.epoch = self.epoch.max(self.log.epochs().last().map_or(0, |last| last.epoch.0));
        Ok(cut.is_some())
    }

    /// All records in the log.
    fn records(&mut self) -> BTreeMap<i64, Said> {
        let mut records = BTreeMap::new();
        let mut from = self.log.log_start();
        while from < self.log.log_end() {
            let request = ReadRequest { from, until: self.log.log_end(), bytes_max: 1 << 20, at_least_one: true };
            let read = self.log.read(&request).and_then(Reading::cached).expect("within the log");
            let Read::Ready(slice) = read else { panic!("nothing is cold") };
            assert!(slice.next > from, "a reader must get on from {from}");
            let mut bytes = bytes::Bytes::from(slice.parts.concat());
            while !bytes.is_empty() {
                let batch = Batch::split_from(&mut bytes).expect("whole batches");
                batch.verify().expect("sound");
                for record in batch.records().expect("not compressed") {
                    let record = record.expect("sound");
                    let value = record.value.map(|value| u32::from_be_bytes(value[..].try_into().expect("four bytes")));
                    records.insert(record.offset.0, (record.key.expect("a key")[0], value));
                }
            }
            from = slice.next;
        }
        records.retain(|offset, _| *offset >= self.log.log_start().0);
        records
    }

    /// Says what is wrong with the log, given how it could end.
    fn check(&mut self, floor: Offset) -> Result<(), String> {
        let (start, end) = (self.log.log_start(), self.log.log_end());
        if end < floor || end > self.end_max {
            return Err(format!("the log ends at {end}, not between {floor} and {}", self.end_max));
        }
        if start < self.known.log_start.min(end) {
            return Err(format!("the log starts at {start}, before {}", self.known.log_start));
        }
        let records = self.records();
        if let Some((offset, said)) = records.iter().find(|(offset, said)| self.history.get(offset) != Some(said)) {
            return Err(format!("at {offset} is {said:?}, and should be {:?}", self.history.get(offset)));
        }
        let expected = view(self.history.range(start.0..end.0.max(start.0)));
        let found = view(records.range(..));
        if found != expected {
            return Err(format!("between {start} and {end} a reader finds {found:?}, not {expected:?}"));
        }
        Ok(())
    }
}

/// What a reader of all records ends up with.
fn view<'a>(records: impl Iterator<Item = (&'a i64, &'a Said)>) -> BTreeMap<u8, u32> {
    let mut view = BTreeMap::new();
    for (_, (key, value)) in records {
        match value {
            Some(value) => view.insert(*key, *value),
            None => view.remove(key),
        };
    }
    view
}

/// How many calls a run makes to its disk.
fn calls(seed: u64) -> usize {
    let mut run = Run::new(seed);
    let before = run.disk.calls();
    for _ in 0..STEPS {
        run.step().expect("a sound disk");
        let end = run.end;
        run.check(end).unwrap_or_else(|wrong| panic!("seed {seed}, without a crash: {wrong}"));
    }
    run.disk.calls() - before
}

/// Does a run with a crash; says what is wrong after it.
fn crashed(seed: u64, call: usize, crash: Crash) -> Result<bool, String> {
    let mut run = Run::new(seed);
    run.disk.die_at(Some(call), crash == Crash::Torn);
    let died = (0..STEPS).any(|_| run.step().is_err());
    run.disk.die_at(None, false);
    let (after, floor) = match crash {
        Crash::Clean | Crash::Torn => (After::ProcessCrash, run.end),
        Crash::Power => {
            run.disk.lose_power(&mut Random::new(seed ^ (call as u64) << 20));
            // Of a log that has just begun anew, there is nothing to lose.
            let durable = Some(run.known.recovery_point).filter(|point| *point > run.known.log_start);
            (After::MachineCrash, durable.unwrap_or_default().min(run.end))
        }
    };
    let cut = run.open(after).map_err(|error| format!("it cannot be opened: {error}"))?;
    run.check(floor)?;
    // And it is a log like any other.
    run.forget_from(run.log.log_end());
    run.known.recovery_point = run.log.recovery_point();
    for _ in 0..5 {
        run.step().map_err(|error| format!("after the crash: {error}"))?;
        run.check(run.end).map_err(|wrong| format!("after the crash: {wrong}"))?;
    }
    Ok(died && cut)
}

#[test]
fn what_was_promised_survives_a_crash_at_any_call() {
    let (mut points, mut cuts) = (0, 0);
    for seed in 1..=SEEDS {
        let calls = calls(seed);
        let stride = calls.div_ceil(POINTS_PER_SEED).max(1);
        for call in (0..calls).step_by(stride) {
            for crash in [Crash::Clean, Crash::Torn, Crash::Power] {
                let outcome = crashed(seed, call, crash);
                let cut = outcome.unwrap_or_else(|wrong| panic!("seed {seed}, call {call}, {crash:?}: {wrong}"));
                cuts += usize::from(cut);
            }
            points += 1;
        }
    }
    assert!(points >= 2_000 && cuts > 50, "{points} points and {cuts} cuts are too few to tell");
}

//! The log against a model that is a list: thousands of random runs of appends, reads, truncations and crashes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::memory_disk::{MemoryDisk, Random};
use super::{
    After, Cut, EpochEnd, Known, Located, Log, LogError, LogOptions, Opened, ProducerEntry, Read, ReadRequest, Reading,
    Slice, TimestampSearch, Visitor,
};
use crate::base::clock::WallMillis;
use crate::base::disk::Disk;
use crate::base::ids::{LeaderEpoch, Offset, TopicId, Uuid};
use crate::record::{Batch, BatchBuilder, BatchHeader, EndTxnMarker};

const FOLDER: &str = "/log/topic-0";

/// Small enough that a run of some hundred batches rolls, indexes, and leaves the tail cache behind.
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 3000,
    segment_ms: 1_000_000,
    segment_jitter_ms: 0,
    index_interval_bytes: 200,
    index_bytes_max: 1 << 20,
    tail_bytes: 700,
};

/// What the visitor of an open log was told.
#[derive(Default)]
struct Heard {
    from: Offset,
    batches: Vec<(Offset, Offset)>,
}

impl Visitor for Heard {
    fn producers(&mut self, at: Offset, _producers: Vec<ProducerEntry>) {
        self.from = at;
    }

    fn batch(&mut self, header: &BatchHeader, _marker: Option<EndTxnMarker>) {
        self.batches.push((header.base_offset, header.next_offset()));
    }
}

struct Model {
    disk: MemoryDisk,
    random: Random,
    log: Log,
    /// The batches as they must lie on the disk, by base offset.
    batches: BTreeMap<i64, Batch>,
    start: Offset,
    end: Offset,
    epoch: LeaderEpoch,
    now: i64,
    /// What the log dir's checkpoints say.
    recovery_point: Offset,
    log_start: Offset,
    seen: BTreeMap<&'static str, usize>,
}

fn bytes(batch: &Batch) -> Vec<u8> {
    batch.parts().map(|part| &part[..]).concat()
}

impl Model {
    fn new(seed: u64) -> Self {
        let disk = MemoryDisk::default();
        let log = Log::create(Arc::new(disk.clone()), Path::new(FOLDER), topic(), OPTIONS, WallMillis(0));
        let log = log.expect("an empty disk");
        log.folder.root().expect("a sound disk"); // or there would be none after a crash
        Self {
            disk,
            random: Random::new(seed),
            log,
            batches: BTreeMap::new(),
            start: Offset(0),
            end: Offset(0),
            epoch: LeaderEpoch(0),
            now: 1_700_000_000_000,
            recovery_point: Offset(0),
            log_start: Offset(0),
            seen: BTreeMap::new(),
        }
    }

    fn batch(&mut self) -> Batch {
        let mut builder = BatchBuilder::new();
        for _ in 0..=self.random.below(4) {
            self.now += self.random.below(2000) as i64;
            let timestamp = WallMillis(self.now - self.random.below(5000) as i64);
            let value = vec![self.random.below(256) as u8; self.random.below(200)];
            builder.push(timestamp, None, Some(&value), &[]);
        }
        builder.build()
    }

    fn append(&mut self) {
        let mut batches: Vec<Batch> = (0..=self.random.below(3)).map(|_| self.batch()).collect();
        if self.random.one_in(8) {
            self.epoch = LeaderEpoch(self.epoch.0 + 1 + self.random.below(2) as i32);
            self.log.begin_epoch(self.epoch).expect("a later epoch");
        }
        let now = WallMillis(self.now);
        let appended = if self.random.one_in(2) {
            self.log.append(&mut batches, self.epoch, now)
        } else {
            let mut next = self.end;
            for batch in &mut batches {
                if self.random.one_in(8) {
                    self.epoch = self.epoch.next();
                }
                if self.random.one_in(6) {
                    next = next.plus(1 + self.random.below(5) as i64); // what its leader has compacted
                }
                batch.assign(next, self.epoch);
                next = batch.header().next_offset();
            }
            self.log.append_as_follower(&batches, now)
        };
        let appended = appended.expect("the disk has room");
        assert_eq!(appended.base, self.end);
        *self.seen.entry("roll").or_default() += usize::from(appended.rolled);
        self.keep(batches);
        assert_eq!(appended.last.plus(1), self.end);
    }

    fn keep(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            self.end = batch.header().next_offset();
            self.batches.insert(batch.header().base_offset.0, batch);
        }
    }

    fn offset(&mut self) -> Offset {
        self.start.plus(self.random.below((self.end.0 - self.start.0) as usize + 1) as i64)
    }

    fn truncate(&mut self) {
        let offset = self.offset();
        let safe = self.log.prepare_truncation(offset).expect("within the log");
        self.recovery_point = self.recovery_point.min(safe);
        self.log.truncate_to(offset).expect("within the log");
        let cut_through = |batch: &Batch| batch.header().base_offset < offset && offset < batch.header().next_offset();
        let end = self.batches.values().find(|batch| cut_through(batch)).map_or(offset, |it| it.header().base_offset);
        assert_eq!(self.log.log_end(), end);
        assert!(safe <= end, "{safe} is not there any more");
        self.batches.retain(|_, batch| batch.header().next_offset() <= offset);
        (self.start, self.end) = (self.start.min(end), end);
        self.keep_shell();
        self.log_start = self.log_start.min(end);
    }

    /// Where the log ends in a gap, the last of the offsets that are missing there has a batch without records.
    fn keep_shell(&mut self) {
        let last = self.batches.values().last().map(|batch| batch.header().next_offset());
        let first = self.log.segments().next().expect("one at least").0;
        if last.unwrap_or(first) == self.end {
            return;
        }
        let mut shell = BatchBuilder::new().record(WallMillis(-1), None, None, &[]).build().emptied();
        let at = self.end.plus(-1);
        let before = self.batches.values().last().map_or(LeaderEpoch(0), |batch| batch.header().leader_epoch);
        shell.assign(at, self.log.epoch_at(at).unwrap_or(before));
        self.batches.insert(at.0, shell);
        *self.seen.entry("gap").or_default() += 1;
    }

    fn start_over(&mut self) {
        let at = Offset(self.end.0 + self.random.below(100) as i64);
        (self.recovery_point, self.log_start) = (Offset(0), at);
        self.log.truncate_fully_and_start_at(at, WallMillis(self.now)).expect("a sound disk");
        self.batches.clear();
        (self.start, self.end) = (at, at);
    }

    fn advance_start(&mut self) {
        let to = self.offset();
        self.log.advance_log_start(to).expect("within the log");
        self.start = to;
        self.log_start = to;
        let before = self.log.segments().count();
        self.log.retire_segments(to).expect("a sound disk").run().expect("they are there");
        *self.seen.entry("retire").or_default() += before - self.log.segments().count();
        let first = self.log.segments().next().expect("one at least").0;
        assert!(first <= to);
        self.batches.retain(|base, _| *base >= first.0);
    }

    fn flush(&mut self) {
        let flush = self.log.begin_flush().expect("a sound disk");
        flush.run().expect("a sound disk");
        if self.random.one_in(3) {
            self.append(); // what is appended meanwhile is not flushed
        }
        self.log.finish_flush(&flush);
        assert_eq!(self.log.recovery_point(), flush.end());
        if self.random.one_in(2) {
            self.recovery_point = self.log.recovery_point();
        }
    }

    fn read(&mut self) {
        let from = self.offset();
        let request = ReadRequest {
            from,
            until: Offset(from.0 + self.random.below((self.end.0 - from.0) as usize + 1) as i64),
            bytes_max: self.random.below(1500),
            at_least_one: self.random.one_in(2),
        };
        self.disk.chill(self.random.one_in(2));
        let (kind, slice) = match self.log.read(&request).and_then(Reading::cached).expect("within the log") {
            Read::Ready(slice) => ("ready", slice),
            Read::Cold(cold) => ("cold", cold.run().expect("a sound disk")),
        };
        let (place, located) = self.locate(&request);
        self.disk.chill(false);
        *self.seen.entry(kind).or_default() += 1;
        *self.seen.entry(place).or_default() += 1;

        // What the list says: whole batches from the one with the first offset on, while they fit.
        let mut wanted = Slice { parts: Vec::new(), size: 0, next: from };
        let (mut all, mut ends) = (Vec::new(), vec![0]);
        for batch in self.batches.values().filter(|batch| batch.header().next_offset() > from) {
            let fits = wanted.size + batch.size() <= request.bytes_max || (wanted.size == 0 && request.at_least_one);
            if batch.header().next_offset() > request.until || !fits {
                break;
            }
            all.extend(bytes(batch));
            ends.push(all.len());
            wanted.size += batch.size();
            wanted.next = batch.header().next_offset();
        }
        assert_eq!(slice.parts.concat()[..], all[..slice.size], "not the batches that were appended");
        // A read ends with its segment, or where the tail cache begins; but it gives something if there is anything.
        assert!(slice.next <= wanted.next && (slice.size > 0) == (wanted.size > 0), "{slice:?} for {request:?}");
        if slice.size == wanted.size {
            assert_eq!(slice.next, wanted.next);
        }
        assert!(all.starts_with(&located) && ends.contains(&located.len()), "not whole batches for {request:?}");
        assert_eq!(located.is_empty(), wanted.size == 0, "nothing is located for {request:?}, or too much");
    }

    /// What is found by who only sends it on, and where.
    fn locate(&mut self, request: &ReadRequest) -> (&'static str, Vec<u8>) {
        let mut located = self.log.locate(request).and_then(Reading::located).expect("within the log");
        if let Located::Cold(cold) = located {
            located = cold.locate().expect("a sound disk");
        }
        match located {
            Located::Here(slice) => ("copied", slice.parts.concat()),
            Located::Stored(range) => {
                let mut bytes = vec![0; range.length];
                assert_eq!(range.file.read_at(&mut bytes, range.position).expect("a sound disk"), range.length);
                ("in place", bytes)
            }
            Located::Cold(_) => unreachable!("it was looked for on the disk"),
        }
    }

    fn search(&mut self) {
        let target = WallMillis(self.now - self.random.below(300_000) as i64);
        let found = self.log.search_timestamp(target).and_then(TimestampSearch::run).expect("a sound disk");
        let mut records = self.batches.values().flat_map(|batch| batch.records().expect("not compressed"));
        let wanted = records.find_map(|record| {
            let record = record.expect("whole");
            (record.timestamp >= target && record.offset >= self.start).then_some((record.offset, record.timestamp))
        });
        assert_eq!(found.map(|found| (found.offset, found.timestamp)), wanted, "searched {target:?}");
        if let Some(found) = found {
            assert_eq!(Some(found.leader_epoch), self.log.epoch_at(found.offset));
        }
    }

    fn snapshot(&mut self) {
        self.log.write_snapshot(&[]).expect("a sound disk");
    }

    fn reopen(&mut self, after: After) -> Option<Cut> {
        let known = Known { after, recovery_point: self.recovery_point, log_start: self.log_start };
        let mut heard = Heard::default();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let Opened { log, cut } =
            Log::open(disk, Path::new(FOLDER), OPTIONS, known, &mut heard, WallMillis(self.now)).expect("it was sound");
        self.log = log;
        let first = self.log.segments().next().expect("one at least").0;
        assert!(first <= self.start, "records that can be read are gone");
        self.batches.retain(|base, _| *base >= first.0);
        let offsets = heard.batches.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        assert!(offsets, "the visitor must hear of every batch, in order: {:?}", heard.batches);
        assert!(heard.batches.first().is_none_or(|first| first.1 > heard.from));
        assert_eq!(heard.batches.last().map_or(self.log.log_end().min(heard.from), |last| last.1), self.log.log_end());
        cut
    }

    fn stop(&mut self) {
        let replacement = Log::empty(self.log.folder.clone(), OPTIONS, Offset(0), WallMillis(0));
        let flush = std::mem::replace(&mut self.log, replacement).close().expect("a sound disk");
        flush.run().expect("a sound disk");
        self.recovery_point = self.end;
        if self.random.one_in(2) {
            self.disk.lose_power(&mut self.random); // a clean stop needs no power
        }
        assert_eq!(self.reopen(After::CleanStop), None);
    }

    /// The process dies, perhaps in the middle of a write. All that was acknowledged is there.
    fn kill(&mut self) {
        if self.random.one_in(2) {
            let mut batches = vec![self.batch(), self.batch()];
            self.disk.die_after(Some(self.random.below(300)));
            match self.log.append(&mut batches, self.epoch, WallMillis(self.now)) {
                Ok(_) => self.keep(batches),
                Err(LogError::Failed { .. }) => panic!("it was sound"),
                Err(_) => {
                    let again = self.log.append(&mut batches, self.epoch, WallMillis(self.now));
                    assert!(matches!(again, Err(LogError::Failed { .. })), "a failed log takes no more calls");
                    *self.seen.entry("torn").or_default() += 1;
                    self.disk.die_after(None);
                    self.keep_what_was_written(&batches);
                }
            }
            self.disk.die_after(None);
        }
        self.reopen(After::ProcessCrash);
    }

    /// Of a torn append, whole batches may be found again. They were not acknowledged, but they do no harm.
    fn keep_what_was_written(&mut self, batches: &[Batch]) {
        self.reopen(After::ProcessCrash);
        let end = self.log.log_end();
        self.keep(batches.iter().filter(|batch| batch.header().next_offset() <= end).cloned().collect());
    }

    fn lose_power(&mut self) {
        self.disk.lose_power(&mut self.random);
        let cut = self.reopen(After::MachineCrash);
        *self.seen.entry("cut").or_default() += usize::from(cut.is_some());
        let end = self.log.log_end();
        assert!(end >= self.recovery_point, "durable records are lost");
        let unflushed = self.end.0 - end.0;
        *self.seen.entry("lost").or_default() += usize::from(unflushed > 0);
        if end < self.end {
            self.batches.retain(|_, batch| batch.header().next_offset() <= end);
            (self.end, self.start) = (end, self.start.min(end));
        }
        self.epoch = self.log.epochs().last().map_or(self.epoch, |last| self.epoch.max(last.epoch));
    }

    fn fill_disk(&mut self) {
        let mut batches = vec![self.batch(), self.batch()];
        self.disk.limit(Some(self.random.below(200)));
        let (epochs, size) = (self.log.epochs().to_vec(), self.log.size());
        match self.log.append(&mut batches, self.epoch, WallMillis(self.now)) {
            Ok(_) => self.keep(batches),
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                assert_eq!((self.log.log_end(), self.log.size()), (self.end, size));
                assert!(self.log.epochs().starts_with(&epochs));
                *self.seen.entry("full").or_default() += 1;
            }
        }
        self.disk.limit(None);
    }

    fn check(&mut self) {
        assert_eq!((self.log.log_start(), self.log.log_end()), (self.start, self.end));
        for batch in self.batches.values() {
            let header = batch.header();
            if header.base_offset >= self.start {
                assert_eq!(
                    self.log.epoch_at(header.base_offset),
                    Some(header.leader_epoch),
                    "at {}",
                    header.base_offset
                );
            }
        }
        let last = self.batches.values().last().map(|batch| batch.header().leader_epoch);
        if let Some(epoch) = last.filter(|epoch| self.log.epochs().last().is_some_and(|last| last.epoch == *epoch)) {
            assert_eq!(self.log.epoch_end(epoch), Some(EpochEnd { epoch, end: self.end }));
        }
        for pair in self.log.epochs().windows(2) {
            assert!(pair[0].epoch < pair[1].epoch && pair[0].start <= pair[1].start, "{pair:?}");
        }
        if self.batches.is_empty() {
            return; // a deleted segment may have come back, with nothing in it that may be read
        }
        let with_records = self.batches.values().map(Batch::header).filter(|header| header.count > 0);
        let largest = with_records.map(|header| header.max_timestamp).max();
        assert_eq!(self.log.max_timestamp(), largest, "the time index lost the largest timestamp");
    }

    fn step(&mut self) {
        let (what, step): (_, fn(&mut Self)) = match self.random.below(100) {
            0..40 => ("append", Self::append),
            40..60 => ("read", Self::read),
            60..66 => ("search", Self::search),
            66..72 => ("flush", Self::flush),
            72..76 => ("truncate", Self::truncate),
            76..77 => ("start over", Self::start_over),
            77..80 => ("advance start", Self::advance_start),
            80..83 => ("snapshot", Self::snapshot),
            83..86 => ("release", |model| model.log.release().expect("a sound disk")),
            86..88 => ("roll", |model| model.log.roll(WallMillis(model.now)).expect("a sound disk")),
            88..91 => ("stop", Self::stop),
            91..94 => ("kill", Self::kill),
            94..97 => ("lose power", Self::lose_power),
            _ => ("fill disk", Self::fill_disk),
        };
        if std::env::var_os("DOHLE_SEED").is_some() {
            eprintln!("{}..{}, durable to {}: {what}", self.start, self.end, self.recovery_point);
        }
        step(self);
        self.check();
    }
}

fn topic() -> TopicId {
    TopicId(Uuid([7; 16]))
}

#[test]
fn the_log_does_what_a_list_does() {
    let seeds: Vec<u64> = match std::env::var("DOHLE_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..=300).collect(),
    };
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut model = Model::new(seed);
            for _ in 0..300 {
                model.step();
            }
            model.seen
        });
        match std::panic::catch_unwind(run) {
            Ok(counts) => counts.into_iter().for_each(|(what, count)| *seen.entry(what).or_default() += count),
            Err(panic) => {
                eprintln!("DOHLE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    for what in ["ready", "cold", "copied", "in place", "roll", "retire", "gap", "torn", "cut", "lost", "full"] {
        assert!(seen.get(what).is_some_and(|count: &usize| *count > 0), "no run came to {what}: {seen:?}");
    }
}

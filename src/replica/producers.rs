//! Idempotent producers: which batch of which producer is already in the log.
//!
//! ```text
//!   producer 7, epoch 2        seq 0..4   5..9   10..10  11..19  20..20     next: 21
//!   at offset                  100        107    112     113     140
//!                              └──────────── the last five batches ────────────┘
//! ```
//!
//! A batch that is one of the last five is a duplicate: it is not appended, and answered as the original was, once the
//! high watermark has passed the original (R14). Five, because a producer has at most five requests in flight. Leader
//! and followers record every batch they append, so that the next leader knows what the last one knew.
//!
//! Invariants: what is recorded is what the log holds; a producer with a batch above the high watermark is never
//! forgotten.
//!
//! Rebuilt at start in this order: `import` the snapshot's rows, then `record` every batch of the log after it.
//!
//! Absent on purpose: transactions beyond what a snapshot must carry; the clients' other checks (the doors').

use std::collections::BTreeMap;

use crate::base::ids::{Offset, ProducerEpoch, ProducerId};
use crate::base::time::Millis;

/// How many batches of a producer are remembered: as many as Kafka's clients have in flight at most.
const WINDOW: usize = 5;

/// When a partition is full of producers, this part of them is forgotten at once.
const EVICTED_PART: usize = 16;

/// A record's number within its producer's epoch; after `i32::MAX` comes 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequence(pub i32);

impl Sequence {
    pub fn plus(self, count: i32) -> Self {
        Self(self.0.wrapping_add(count) & i32::MAX)
    }
}

/// Who sent a batch, and its place among the sender's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub first_sequence: Sequence,
}

/// A batch's header, as far as it is judged here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchInfo {
    /// Not looked at by `check`: the batch has no offset yet.
    pub base_offset: Offset,
    pub last_offset_delta: i32,
    /// `None` for producers without idempotence.
    pub stamp: Option<Stamp>,
    pub max_timestamp: i64,
    pub is_control: bool,
    pub is_transactional: bool,
}

/// What is to be done with batches that are judged together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Append,
    /// All are in the log already. Answer with these once the high watermark is past `last_offset`.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        timestamp: i64,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrderSequence {
        expected: Sequence,
    },
    /// INVALID_PRODUCER_EPOCH: a later incarnation has written here.
    InvalidProducerEpoch {
        current: ProducerEpoch,
    },
    /// The partition knows as many producers as it may and has to remember every one of them; to be retried.
    TooManyProducers,
}

/// One row of a producer snapshot, in the columns of Kafka's.
///
/// Kafka writes one row per producer and so remembers one batch after a restart. Here a producer has a row for each
/// batch of its window, oldest first: whoever keeps one row per producer, as Kafka does, ends up with the newest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerRow {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// -1 with a `last_offset` of -1: no batch in this epoch yet.
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: i64,
    pub coordinator_epoch: i32,
    /// -1: none is open.
    pub current_txn_first_offset: Offset,
}

/// Whether a truncation could be followed from memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Rollback {
    Done,
    /// The truncated batches had pushed out what came before them: import and record again.
    RebuildNeeded,
}

/// The producers of one partition.
#[derive(Debug)]
pub struct Producers {
    known: BTreeMap<ProducerId, Producer>,
    count_max: usize,
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    window: Window,
    /// The first batch seen when nothing was known of this producer.
    since: Offset,
    last_marker: Option<Offset>,
    coordinator_epoch: i32,
    current_txn_first_offset: Option<Offset>,
    /// R14: idle time is counted from here, not from the records' own timestamps, which may be of any year.
    appended_at: Millis,
}

impl Producers {
    pub fn new(count_max: usize) -> Self {
        Self { known: BTreeMap::new(), count_max }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Judges batches together, of one request or of several: nothing is recorded before all of them may be appended.
    pub fn check(&self, batches: &[BatchInfo], high_watermark: Offset) -> Verdict {
        let mut first_duplicate = None;
        let mut last = Verdict::Append;
        for (place, batch) in batches.iter().enumerate() {
            let Some(stamp) = batch.stamp else { continue };
            let verdict = self.judge(&batches[..place], &stamp, batch.last_offset_delta, high_watermark);
            match (verdict, first_duplicate) {
                (Verdict::Duplicate { base_offset, .. }, None) if place == 0 => first_duplicate = Some(base_offset),
                // Some are in the log and some are not, and no single answer fits: each is to be judged by itself.
                (Verdict::Duplicate { .. }, None) | (Verdict::Append, Some(_)) => {
                    return Verdict::OutOfOrderSequence { expected: stamp.first_sequence };
                }
                (Verdict::Duplicate { .. }, Some(_)) | (Verdict::Append, None) => {}
                (refusal, _) => return refusal,
            }
            last = verdict;
        }
        match (last, first_duplicate) {
            (Verdict::Duplicate { last_offset, timestamp, .. }, Some(base_offset)) => {
                Verdict::Duplicate { base_offset, last_offset, timestamp }
            }
            _ => last,
        }
    }

    /// A batch was appended, here or by the leader that sent it: it was judged there.
    pub fn record(&mut self, batch: &BatchInfo, high_watermark: Offset, now: Millis) {
        let Some(stamp) = batch.stamp else { return };
        if self.known.len() >= self.count_max && !self.known.contains_key(&stamp.id) {
            self.evict(high_watermark);
        }
        let fresh = || Producer::new(stamp.epoch, batch.base_offset, now);
        let producer = self.known.entry(stamp.id).or_insert_with(fresh);
        producer.appended_at = now;
        producer.enter(stamp.epoch);
        if batch.is_control {
            producer.current_txn_first_offset = None;
            producer.last_marker = Some(batch.base_offset);
            return;
        }
        producer.window.push(Mark::of(batch, stamp.first_sequence));
        if batch.is_transactional {
            producer.current_txn_first_offset.get_or_insert(batch.base_offset);
        }
    }

    /// The log was cut to end at `end`: so is what is known of it.
    pub fn truncate_to(&mut self, end: Offset) -> Rollback {
        self.known.retain(|_, producer| producer.since < end);
        let mut rollback = Rollback::Done;
        for producer in self.known.values_mut() {
            let cut = producer.window.truncate_to(end);
            let marker_cut = producer.last_marker.is_some_and(|at| at >= end);
            if marker_cut || (cut && producer.window.is_empty()) {
                rollback = Rollback::RebuildNeeded;
            }
            producer.current_txn_first_offset = producer.current_txn_first_offset.filter(|first| *first < end);
        }
        rollback
    }

    /// Forgets who has not written for `idle_ms`; never a producer whose retry may still be under way.
    pub fn expire(&mut self, now: Millis, idle_ms: u64, high_watermark: Offset) {
        self.known.retain(|_, producer| {
            producer.must_be_kept(high_watermark) || now.ms_since(producer.appended_at) < idle_ms
        });
    }

    /// Where the oldest transaction began that has not ended.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.known.values().filter_map(|producer| producer.current_txn_first_offset).min()
    }

    /// The rows of a snapshot, in ascending order of producer.
    pub fn export(&self) -> Vec<ProducerRow> {
        self.known.iter().flat_map(|(id, producer)| producer.rows(*id)).collect()
    }

    /// Takes up a snapshot. Its batches count as appended now: how long ago it was no clock here can tell.
    pub fn import(&mut self, rows: impl IntoIterator<Item = ProducerRow>, now: Millis) {
        for row in rows {
            // Where this producer began is unknown: no truncation may take the snapshot's first batch for it.
            let fresh = || Producer::new(row.producer_epoch, Offset(-1), now);
            let producer = self.known.entry(row.producer_id).or_insert_with(fresh);
            producer.enter(row.producer_epoch);
            producer.coordinator_epoch = row.coordinator_epoch;
            producer.current_txn_first_offset = Some(row.current_txn_first_offset).filter(|first| first.0 >= 0);
            if row.last_offset.0 >= 0 {
                producer.window.push(Mark {
                    last_sequence: Sequence(row.last_sequence),
                    last_offset: row.last_offset,
                    offset_delta: row.offset_delta,
                    timestamp: row.timestamp,
                });
            }
        }
    }

    fn judge(&self, earlier: &[BatchInfo], stamp: &Stamp, last_offset_delta: i32, high_watermark: Offset) -> Verdict {
        let before = earlier.iter().rev().find_map(|batch| {
            let same = batch.stamp.filter(|other| other.id == stamp.id)?;
            Some((same.epoch, Some(same.first_sequence.plus(batch.last_offset_delta))))
        });
        let known = self.known.get(&stamp.id);
        let state = before.or_else(|| known.map(|producer| (producer.epoch, producer.window.last_sequence())));
        let Some((epoch, last_sequence)) = state else {
            return self.admit(earlier.len(), high_watermark);
        };
        if stamp.epoch < epoch {
            return Verdict::InvalidProducerEpoch { current: epoch };
        }
        if let Some(original) = known.and_then(|producer| producer.original(stamp, last_offset_delta)) {
            return original;
        }
        // A new epoch starts at 0 (KIP-360); so does one of which only a transaction marker was written.
        let within = if stamp.epoch == epoch { last_sequence } else { None };
        let expected = within.map_or(Sequence(0), |last| last.plus(1));
        match stamp.first_sequence == expected {
            true => Verdict::Append,
            false => Verdict::OutOfOrderSequence { expected },
        }
    }

    /// A producer of which nothing is known may begin with any sequence, as in Kafka: its state may have expired, or
    /// its records been deleted, while it was alive.
    /// As if all earlier ones were new.
    fn admit(&self, earlier: usize, high_watermark: Offset) -> Verdict {
        let fits = |producers: usize| producers + earlier < self.count_max;
        let kept = || self.known.values().filter(|producer| producer.must_be_kept(high_watermark)).count();
        match fits(self.known.len()) || fits(kept()) {
            true => Verdict::Append,
            false => Verdict::TooManyProducers,
        }
    }

    /// Makes room by forgetting some of those that are idle longest. A follower whose producers must all be kept goes
    /// over the bound: its leader, whose high watermark is ahead, holds to it.
    fn evict(&mut self, high_watermark: Offset) {
        let idle = self.known.iter().filter(|(_, producer)| !producer.must_be_kept(high_watermark));
        let mut idle: Vec<_> = idle.map(|(id, producer)| (producer.appended_at, *id)).collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(self.count_max.div_ceil(EVICTED_PART)) {
            self.known.remove(&id);
        }
    }
}

impl Producer {
    fn new(epoch: ProducerEpoch, since: Offset, now: Millis) -> Self {
        Self {
            epoch,
            window: Window::default(),
            since,
            last_marker: None,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
            appended_at: now,
        }
    }

    /// A new epoch counts its sequences anew.
    fn enter(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.window = Window::default();
        }
    }

    fn original(&self, stamp: &Stamp, last_offset_delta: i32) -> Option<Verdict> {
        if stamp.epoch != self.epoch {
            return None;
        }
        let last_sequence = stamp.first_sequence.plus(last_offset_delta);
        let same = |mark: &&Mark| mark.last_sequence == last_sequence && mark.offset_delta == last_offset_delta;
        self.window.marks().iter().find(same).map(|mark| Verdict::Duplicate {
            base_offset: mark.base_offset(),
            last_offset: mark.last_offset,
            timestamp: mark.timestamp,
        })
    }

    /// Whether its retry may be under way: its last batch is not committed, or its transaction is open.
    fn must_be_kept(&self, high_watermark: Offset) -> bool {
        let in_flight = self.window.last().is_some_and(|mark| mark.last_offset >= high_watermark);
        in_flight || self.current_txn_first_offset.is_some()
    }

    fn rows(&self, id: ProducerId) -> impl Iterator<Item = ProducerRow> {
        let none = Mark { last_sequence: Sequence(-1), last_offset: Offset(-1), offset_delta: 0, timestamp: -1 };
        let marks = if self.window.is_empty() { vec![none] } else { self.window.marks().to_vec() };
        marks.into_iter().map(move |mark| ProducerRow {
            producer_id: id,
            producer_epoch: self.epoch,
            last_sequence: mark.last_sequence.0,
            last_offset: mark.last_offset,
            offset_delta: mark.offset_delta,
            timestamp: mark.timestamp,
            coordinator_epoch: self.coordinator_epoch,
            current_txn_first_offset: self.current_txn_first_offset.unwrap_or(Offset(-1)),
        })
    }
}

/// One batch of a producer.
#[derive(Clone, Copy, Debug)]
struct Mark {
    last_sequence: Sequence,
    last_offset: Offset,
    offset_delta: i32,
    timestamp: i64,
}

impl Mark {
    fn of(batch: &BatchInfo, first_sequence: Sequence) -> Self {
        Self {
            last_sequence: first_sequence.plus(batch.last_offset_delta),
            last_offset: batch.base_offset.plus(i64::from(batch.last_offset_delta)),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        }
    }

    fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// The last batches of a producer, oldest first. In place: a partition may have very many producers.
#[derive(Clone, Debug)]
struct Window {
    marks: [Mark; WINDOW],
    len: u8,
}

impl Default for Window {
    fn default() -> Self {
        let none = Mark { last_sequence: Sequence(-1), last_offset: Offset(-1), offset_delta: 0, timestamp: -1 };
        Self { marks: [none; WINDOW], len: 0 }
    }
}

impl Window {
    fn marks(&self) -> &[Mark] {
        &self.marks[..usize::from(self.len)]
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn last(&self) -> Option<&Mark> {
        self.marks().last()
    }

    fn last_sequence(&self) -> Option<Sequence> {
        self.last().map(|mark| mark.last_sequence)
    }

    fn push(&mut self, mark: Mark) {
        if usize::from(self.len) == WINDOW {
            self.marks.rotate_left(1);
            self.len -= 1;
        }
        self.marks[usize::from(self.len)] = mark;
        self.len += 1;
    }

    /// Whether anything was cut.
    fn truncate_to(&mut self, end: Offset) -> bool {
        let kept = self.marks().partition_point(|mark| mark.last_offset < end) as u8;
        let cut = kept < self.len;
        self.len = kept;
        cut
    }
}

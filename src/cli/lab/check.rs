//! What was acknowledged, what was found, and what is wrong between the two. Pure.
//!
//! Every record says which run and which of its producers sent it, to which partition, as which one in order, and when.
//! So whoever reads a partition can tell a record that is missing from one that was never sent, and one that came twice
//! from two. Two readings of the same partitions must agree: what was read once is committed, and stays where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, PartitionIndex};

/// One run of the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run(pub(super) u64);

/// What one producer of a run sends to one partition: its records have an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Lane {
    pub(super) partition: PartitionIndex,
    pub(super) producer: u32,
}

/// The place of a record in its lane, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Number(pub(super) u64);

/// What a record says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) run: Run,
    pub(super) lane: Lane,
    pub(super) number: Number,
    pub(super) sent: WallMillis,
}

impl Stamp {
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut words = text.strip_prefix("lab ")?.split(' ');
        let stamp = Self {
            run: Run(u64::from_str_radix(words.next()?, 16).ok()?),
            lane: Lane {
                producer: words.next()?.parse().ok()?,
                partition: PartitionIndex(words.next()?.parse().ok()?),
            },
            number: Number(words.next()?.parse().ok()?),
            sent: WallMillis(words.next()?.parse().ok()?),
        };
        words.next().is_none().then_some(stamp)
    }
}

/// The value of the record: text, so that any tool shows it.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lane { partition, producer } = self.lane;
        write!(f, "lab {:016x} {producer} {partition} {} {}", self.run.0, self.number.0, self.sent.0)
    }
}

/// What became of the records that were sent.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    run: Run,
    acked: BTreeMap<(Lane, Number), Offset>,
    sent: u64,
    given_up: u64,
}

impl Ledger {
    pub(super) fn new(run: Run) -> Self {
        Self { run, acked: BTreeMap::new(), sent: 0, given_up: 0 }
    }

    pub(super) fn run(&self) -> Run {
        self.run
    }

    pub(super) fn on_sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn on_acked(&mut self, lane: Lane, number: Number, at: Offset) {
        self.acked.insert((lane, number), at);
    }

    /// No acknowledgement came. The record may be there or not; either is right.
    pub(super) fn on_given_up(&mut self) {
        self.given_up += 1;
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked.len() as u64
    }

    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// The last offset of each partition that was acknowledged.
    pub(super) fn last_acked(&self) -> BTreeMap<PartitionIndex, Offset> {
        let mut last = BTreeMap::new();
        for ((lane, _), offset) in &self.acked {
            let highest = last.entry(lane.partition).or_insert(*offset);
            *highest = (*highest).max(*offset);
        }
        last
    }
}

/// What was found by reading partitions from their beginning.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    run: Run,
    found: BTreeMap<(Lane, Number), Offset>,
    highest: BTreeMap<Lane, Number>,
    next: BTreeMap<PartitionIndex, Offset>,
    records: u64,
    duplicated: u64,
    reordered: u64,
    /// Records that did not follow on the one read before.
    astray: u64,
    foreign: u64,
}

impl Reading {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            found: BTreeMap::new(),
            highest: BTreeMap::new(),
            next: BTreeMap::new(),
            records: 0,
            duplicated: 0,
            reordered: 0,
            astray: 0,
            foreign: 0,
        }
    }

    /// A record, in the order of its partition. Says which of the run it is, if it is one and new.
    pub(super) fn on_record(&mut self, at: PartitionIndex, offset: Offset, value: &[u8]) -> Option<(Lane, Number)> {
        self.records += 1;
        let expected = self.next.insert(at, offset.plus(1)).unwrap_or_default();
        self.astray += u64::from(offset != expected);
        let stamp = Stamp::parse(value).filter(|stamp| stamp.run == self.run && stamp.lane.partition == at);
        let Some(Stamp { lane, number, .. }) = stamp else {
            self.foreign += 1;
            return None;
        };
        if self.found.contains_key(&(lane, number)) {
            self.duplicated += 1;
            return None;
        }
        self.found.insert((lane, number), offset);
        match self.highest.get_mut(&lane) {
            Some(highest) if *highest > number => self.reordered += 1,
            Some(highest) => *highest = number,
            None => drop(self.highest.insert(lane, number)),
        }
        Some((lane, number))
    }

    /// Where a partition is read on.
    pub(super) fn next(&self, partition: PartitionIndex) -> Offset {
        self.next.get(&partition).copied().unwrap_or_default()
    }

    pub(super) fn duplicated(&self) -> u64 {
        self.duplicated
    }

    pub(super) fn reordered(&self) -> u64 {
        self.reordered
    }

    pub(super) fn has_found(&self, lane: Lane, number: Number) -> bool {
        self.found.contains_key(&(lane, number))
    }

    /// What is wrong, if this is all there is to be read, and another reader has read before.
    pub(super) fn against(&self, ledger: &Ledger, before: &Self) -> Findings {
        assert!(self.run == ledger.run && self.run == before.run, "what is compared is of one run");
        let mut lost = Vec::new();
        let mut displaced = 0;
        for ((lane, number), acked) in &ledger.acked {
            match self.found.get(&(*lane, *number)) {
                None => lost.push(Lost { partition: lane.partition.0, number: number.0, offset: acked.0 }),
                Some(found) if found != acked => displaced += 1,
                Some(_) => {}
            }
        }
        let moved = before.found.iter().filter(|(record, offset)| self.found.get(record) != Some(offset)).count();
        Findings {
            sent: ledger.sent,
            acked: ledger.acked(),
            given_up: ledger.given_up,
            found: self.records,
            lost: lost.len() as u64,
            duplicated: self.duplicated,
            reordered: self.reordered,
            displaced,
            inconsistent: moved as u64 + self.astray + before.astray,
            foreign: self.foreign,
            first_lost: lost.into_iter().take(LOST_SHOWN_MAX).collect(),
        }
    }
}

/// How many lost records a report names.
const LOST_SHOWN_MAX: usize = 5;

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Findings {
    pub(super) sent: u64,
    pub(super) acked: u64,
    /// Sent, but neither acknowledged nor known to be refused.
    pub(super) given_up: u64,
    /// Records in the topic.
    pub(super) found: u64,
    /// Acknowledged, but not found.
    pub(super) lost: u64,
    /// Found again.
    pub(super) duplicated: u64,
    /// Found behind a record that was sent later.
    pub(super) reordered: u64,
    /// Found at another offset than was acknowledged.
    pub(super) displaced: u64,
    /// Read at an offset where another reader found something else or nothing, or that does not follow on the last.
    pub(super) inconsistent: u64,
    /// Found, but nothing this run has sent to that partition.
    pub(super) foreign: u64,
    pub(super) first_lost: Vec<Lost>,
}

/// A record that was acknowledged and is gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Lost {
    pub(super) partition: i32,
    pub(super) number: u64,
    pub(super) offset: i64,
}

impl Findings {
    pub(super) fn is_clean(&self) -> bool {
        let Self { lost, duplicated, reordered, displaced, inconsistent, foreign, .. } = self;
        [lost, duplicated, reordered, displaced, inconsistent, foreign].into_iter().all(|wrong| *wrong == 0)
    }
}

/// A ledger and a reading of the same partitions while both grow.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) ledger: Ledger,
    pub(super) reading: Reading,
    /// Acknowledged, but not read yet.
    unread: BTreeSet<(PartitionIndex, Offset)>,
}

impl Live {
    pub(super) fn new(run: Run) -> Self {
        Self { ledger: Ledger::new(run), reading: Reading::new(run), unread: BTreeSet::new() }
    }

    pub(super) fn on_acked(&mut self, lane: Lane, number: Number, at: Offset) {
        self.ledger.on_acked(lane, number, at);
        if !self.reading.has_found(lane, number) {
            self.unread.insert((lane.partition, at));
        }
    }

    pub(super) fn on_record(&mut self, partition: PartitionIndex, offset: Offset, value: &[u8]) {
        if let Some(record) = self.reading.on_record(partition, offset, value)
            && let Some(acked) = self.ledger.acked.get(&record)
        {
            self.unread.remove(&(partition, *acked));
        }
    }

    /// Acknowledged, and not where the reader has passed by.
    pub(super) fn lost(&self) -> u64 {
        let is_passed = |(partition, offset): &&(PartitionIndex, Offset)| *offset < self.reading.next(*partition);
        self.unread.iter().filter(is_passed).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Run = Run(0xd0);
    const P: PartitionIndex = PartitionIndex(3);
    const LANE: Lane = Lane { partition: P, producer: 0 };

    fn value(run: Run, lane: Lane, number: u64) -> String {
        Stamp { run, lane, number: Number(number), sent: WallMillis(1_700_000_000_000) }.to_string()
    }

    /// Records 0 to 3 were acknowledged at offsets 0 to 3, and record 4 was given up.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(RUN);
        (0..5).for_each(|_| ledger.on_sent());
        (0..4).for_each(|number| ledger.on_acked(LANE, Number(number), Offset(number as i64)));
        ledger.on_given_up();
        ledger
    }

    /// Reads a partition that holds these numbers.
    fn reading(numbers: &[u64]) -> Reading {
        let mut reading = Reading::new(RUN);
        for (offset, number) in (0..).zip(numbers) {
            reading.on_record(P, Offset(offset), value(RUN, LANE, *number).as_bytes());
        }
        reading
    }

    fn findings(numbers: &[u64]) -> Findings {
        reading(numbers).against(&ledger(), &Reading::new(RUN))
    }

    #[test]
    fn a_stamp_survives_its_own_text_and_nothing_else_is_one() {
        let stamp = Stamp { run: RUN, lane: LANE, number: Number(7), sent: WallMillis(1_700_000_000_000) };
        let text = stamp.to_string();
        assert_eq!(Stamp::parse(text.as_bytes()), Some(stamp));
        for wrong in ["", "lab", &text[1..], &text[..text.len() - 14], &format!("{text} more")] {
            assert_eq!(Stamp::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_was_given_up_may_be_there_or_not() {
        assert!(findings(&[0, 1, 2, 3]).is_clean());
        assert!(findings(&[0, 1, 2, 3, 4]).is_clean());
    }

    #[test]
    fn a_missing_record_is_lost_and_moves_those_behind_it() {
        let found = findings(&[0, 2, 3]);
        assert_eq!((found.lost, found.displaced, found.duplicated, found.reordered), (1, 2, 0, 0));
        assert_eq!(found.first_lost, [Lost { partition: 3, number: 1, offset: 1 }]);
        assert!(!found.is_clean());
    }

    #[test]
    fn a_record_that_comes_twice_is_duplicated() {
        let found = findings(&[0, 1, 2, 3, 3]);
        assert_eq!((found.lost, found.duplicated, found.reordered, found.displaced), (0, 1, 0, 0));
        assert!(!found.is_clean());
    }

    #[test]
    fn a_record_behind_a_later_one_of_its_producer_is_reordered() {
        let found = findings(&[0, 2, 1, 3]);
        assert_eq!((found.lost, found.duplicated, found.reordered, found.displaced), (0, 0, 1, 2));
        assert!(!found.is_clean());
    }

    #[test]
    fn records_of_two_producers_have_no_order_among_each_other() {
        let other = Lane { producer: 1, ..LANE };
        let (mut reading, mut ledger) = (Reading::new(RUN), Ledger::new(RUN));
        for (offset, (lane, number)) in (0..).zip([(LANE, 0), (other, 0), (other, 1), (LANE, 1)]) {
            reading.on_record(P, Offset(offset), value(RUN, lane, number).as_bytes());
            ledger.on_acked(lane, Number(number), Offset(offset));
        }
        assert!(reading.against(&ledger, &Reading::new(RUN)).is_clean());
    }

    #[test]
    fn what_another_run_wrote_or_another_partition_holds_is_foreign() {
        let mut reading = Reading::new(RUN);
        let elsewhere = Lane { partition: PartitionIndex(4), ..LANE };
        for (offset, text) in
            (0..).zip([value(RUN, LANE, 0), value(Run(1), LANE, 1), value(RUN, elsewhere, 1), "not ours".to_owned()])
        {
            reading.on_record(P, Offset(offset), text.as_bytes());
        }
        assert_eq!(reading.against(&ledger(), &Reading::new(RUN)).foreign, 3);
    }

    #[test]
    fn two_readers_must_find_the_same_at_each_offset() {
        let inconsistent = |before: &[u64]| reading(&[0, 1, 2, 3]).against(&ledger(), &reading(before)).inconsistent;
        assert_eq!(inconsistent(&[0, 1]), 0, "the first one did not read to the end");
        assert_eq!(inconsistent(&[0, 1, 4]), 1, "record 4 was read at offset 2, and is gone");
        assert_eq!(inconsistent(&[0, 1, 3]), 1, "record 3 was read at offset 2, and is at 3");
    }

    #[test]
    fn offsets_follow_on_each_other() {
        for offsets in [[0, 2], [1, 2], [0, 0]] {
            let mut reading = Reading::new(RUN);
            for (number, offset) in (0..).zip(offsets) {
                reading.on_record(P, Offset(offset), value(RUN, LANE, number).as_bytes());
            }
            let found = reading.against(&Ledger::new(RUN), &Reading::new(RUN));
            assert_eq!((found.inconsistent, found.is_clean()), (1, false), "{offsets:?}");
        }
    }

    #[test]
    fn while_it_runs_a_record_is_lost_once_the_reader_has_passed_its_place() {
        let mut live = Live::new(RUN);
        live.on_record(P, Offset(0), value(RUN, LANE, 0).as_bytes()); // read before its acknowledgement came
        live.on_acked(LANE, Number(0), Offset(0));
        live.on_acked(LANE, Number(1), Offset(1));
        live.on_acked(LANE, Number(2), Offset(2));
        assert_eq!(live.lost(), 0, "not read yet");
        live.on_record(P, Offset(1), value(RUN, LANE, 1).as_bytes());
        assert_eq!(live.lost(), 0);
        live.on_record(P, Offset(3), value(RUN, LANE, 3).as_bytes());
        assert_eq!(live.lost(), 1, "offset 2 was passed");
    }
}

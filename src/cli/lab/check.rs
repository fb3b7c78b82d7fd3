//! What was acknowledged, what was found, and what is wrong between the two. Pure.
//!
//! Every record says which run sent it, to which partition, as which one in order, and when. So whoever reads a
//! partition can tell a record that is missing from one that was never sent, and one that came twice from two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::base::clock::WallMillis;
use crate::base::ids::{Offset, PartitionIndex};

/// One run of the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run(pub(super) u64);

/// The place of a record among those that a run sent to one partition, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Number(pub(super) u64);

/// What a record says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) run: Run,
    pub(super) partition: PartitionIndex,
    pub(super) number: Number,
    pub(super) sent: WallMillis,
}

impl Stamp {
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut words = text.strip_prefix("lab ")?.split(' ');
        let stamp = Self {
            run: Run(u64::from_str_radix(words.next()?, 16).ok()?),
            partition: PartitionIndex(words.next()?.parse().ok()?),
            number: Number(words.next()?.parse().ok()?),
            sent: WallMillis(words.next()?.parse().ok()?),
        };
        words.next().is_none().then_some(stamp)
    }
}

/// The value of the record: text, so that any tool shows it.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lab {:016x} {} {} {}", self.run.0, self.partition, self.number.0, self.sent.0)
    }
}

/// What became of the records that were sent.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    run: Run,
    acked: BTreeMap<(PartitionIndex, Number), Offset>,
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

    pub(super) fn on_acked(&mut self, partition: PartitionIndex, number: Number, at: Offset) {
        self.acked.insert((partition, number), at);
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

    /// The last offset of a partition that was acknowledged.
    pub(super) fn last_acked(&self, partition: PartitionIndex) -> Option<Offset> {
        let of_partition = self.acked.range((partition, Number(0))..=(partition, Number(u64::MAX)));
        of_partition.map(|(_, offset)| *offset).max()
    }
}

/// What was found by reading partitions from their beginning.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    run: Run,
    found: BTreeMap<(PartitionIndex, Number), Offset>,
    highest: BTreeMap<PartitionIndex, Number>,
    next: BTreeMap<PartitionIndex, Offset>,
    records: u64,
    duplicated: u64,
    reordered: u64,
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
            foreign: 0,
        }
    }

    /// A record, in the order of its partition. Says which of the run it is, if it is one and new.
    pub(super) fn on_record(&mut self, partition: PartitionIndex, offset: Offset, value: &[u8]) -> Option<Number> {
        self.records += 1;
        self.next.insert(partition, offset.plus(1));
        let stamp = Stamp::parse(value).filter(|stamp| stamp.run == self.run && stamp.partition == partition);
        let Some(Stamp { number, .. }) = stamp else {
            self.foreign += 1;
            return None;
        };
        if self.found.contains_key(&(partition, number)) {
            self.duplicated += 1;
            return None;
        }
        self.found.insert((partition, number), offset);
        match self.highest.get_mut(&partition) {
            Some(highest) if *highest > number => self.reordered += 1,
            Some(highest) => *highest = number,
            None => drop(self.highest.insert(partition, number)),
        }
        Some(number)
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

    pub(super) fn has_found(&self, partition: PartitionIndex, number: Number) -> bool {
        self.found.contains_key(&(partition, number))
    }

    /// What is wrong, if this is all there is to be read.
    pub(super) fn against(&self, ledger: &Ledger) -> Verdict {
        assert!(self.run == ledger.run, "a reading is held against the ledger of its own run");
        let mut lost = Vec::new();
        let mut displaced = 0;
        for ((partition, number), acked) in &ledger.acked {
            match self.found.get(&(*partition, *number)) {
                None => lost.push(Lost { partition: partition.0, number: number.0, offset: acked.0 }),
                Some(found) if found != acked => displaced += 1,
                Some(_) => {}
            }
        }
        Verdict {
            sent: ledger.sent,
            acked: ledger.acked(),
            given_up: ledger.given_up,
            found: self.records,
            lost: lost.len() as u64,
            duplicated: self.duplicated,
            reordered: self.reordered,
            displaced,
            foreign: self.foreign,
            first_lost: lost.into_iter().take(LOST_SHOWN_MAX).collect(),
        }
    }
}

/// How many lost records a report names.
const LOST_SHOWN_MAX: usize = 5;

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Verdict {
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

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.displaced == 0 && self.foreign == 0
    }
}

/// A ledger and a reading of the same partitions while both grow.
#[derive(Debug)]
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

    pub(super) fn on_acked(&mut self, partition: PartitionIndex, number: Number, at: Offset) {
        self.ledger.on_acked(partition, number, at);
        if !self.reading.has_found(partition, number) {
            self.unread.insert((partition, at));
        }
    }

    pub(super) fn on_record(&mut self, partition: PartitionIndex, offset: Offset, value: &[u8]) {
        if let Some(number) = self.reading.on_record(partition, offset, value)
            && let Some(acked) = self.ledger.acked.get(&(partition, number))
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

    fn value(run: Run, partition: PartitionIndex, number: u64) -> String {
        Stamp { run, partition, number: Number(number), sent: WallMillis(1_700_000_000_000) }.to_string()
    }

    /// Records 0 to 3 were acknowledged at offsets 0 to 3, and record 4 was given up.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(RUN);
        (0..5).for_each(|_| ledger.on_sent());
        (0..4).for_each(|number| ledger.on_acked(P, Number(number), Offset(number as i64)));
        ledger.on_given_up();
        ledger
    }

    /// Reads a partition that holds these numbers.
    fn verdict(numbers: &[u64]) -> Verdict {
        let mut reading = Reading::new(RUN);
        for (offset, number) in (0..).zip(numbers) {
            reading.on_record(P, Offset(offset), value(RUN, P, *number).as_bytes());
        }
        reading.against(&ledger())
    }

    #[test]
    fn a_stamp_survives_its_own_text_and_nothing_else_is_one() {
        let stamp = Stamp { run: RUN, partition: P, number: Number(7), sent: WallMillis(1_700_000_000_000) };
        let text = stamp.to_string();
        assert_eq!(Stamp::parse(text.as_bytes()), Some(stamp));
        for wrong in ["", "lab", &text[1..], &text[..text.len() - 14], &format!("{text} more")] {
            assert_eq!(Stamp::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_was_given_up_may_be_there_or_not() {
        assert!(verdict(&[0, 1, 2, 3]).is_clean());
        assert!(verdict(&[0, 1, 2, 3, 4]).is_clean());
    }

    #[test]
    fn a_missing_record_is_lost_and_moves_those_behind_it() {
        let verdict = verdict(&[0, 2, 3]);
        assert_eq!((verdict.lost, verdict.displaced, verdict.duplicated, verdict.reordered), (1, 2, 0, 0));
        assert_eq!(verdict.first_lost, [Lost { partition: 3, number: 1, offset: 1 }]);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_record_that_comes_twice_is_duplicated() {
        let verdict = verdict(&[0, 1, 2, 3, 3]);
        assert_eq!((verdict.lost, verdict.duplicated, verdict.reordered, verdict.displaced), (0, 1, 0, 0));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_record_behind_a_later_one_is_reordered() {
        let verdict = verdict(&[0, 2, 1, 3]);
        assert_eq!((verdict.lost, verdict.duplicated, verdict.reordered, verdict.displaced), (0, 0, 1, 2));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn what_another_run_wrote_or_another_partition_holds_is_foreign() {
        let mut reading = Reading::new(RUN);
        for (offset, text) in
            (0..).zip([value(RUN, P, 0), value(Run(1), P, 1), value(RUN, PartitionIndex(4), 1), "not ours".to_owned()])
        {
            reading.on_record(P, Offset(offset), text.as_bytes());
        }
        assert_eq!(reading.against(&ledger()).foreign, 3);
    }

    #[test]
    fn while_it_runs_a_record_is_lost_once_the_reader_has_passed_its_place() {
        let mut live = Live::new(RUN);
        live.on_record(P, Offset(0), value(RUN, P, 0).as_bytes()); // read before its acknowledgement came
        live.on_acked(P, Number(0), Offset(0));
        live.on_acked(P, Number(1), Offset(1));
        live.on_acked(P, Number(2), Offset(2));
        assert_eq!(live.lost(), 0, "not read yet");
        live.on_record(P, Offset(1), value(RUN, P, 1).as_bytes());
        assert_eq!(live.lost(), 0);
        live.on_record(P, Offset(3), value(RUN, P, 3).as_bytes());
        assert_eq!(live.lost(), 1, "offset 2 was passed");
    }
}

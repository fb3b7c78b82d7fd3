//! Judges a run: what a producer was told against what a consumer found. Pure: two lists in, faults out.
//!
//! The producer numbers its records upwards, so that a number is found once, and rises along every partition.

use std::collections::BTreeMap;

/// A numbered record, and where it was acked or found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    pub number: u64,
    pub partition: i32,
    pub offset: i64,
}

impl Record {
    /// The offset of an ack that names none. librdkafka may learn from what is said of the records behind it that a
    /// record was appended, after the answer that said where was lost.
    pub const UNTOLD: i64 = -1001;

    fn may_be(&self, found: &Self) -> bool {
        self == found || Self { offset: Self::UNTOLD, ..*found } == *self
    }
}

/// A broken promise.
#[derive(PartialEq, Eq, Debug)]
pub enum Fault {
    /// Acked and not found.
    Lost(Record),
    /// Found again, here.
    Duplicated(Record),
    /// Found after a record of its partition that was sent later.
    Reordered(Record),
    /// Acked at one place and found at another.
    Moved { acked: Record, found: Record },
}

/// What is wrong with a run; `found` in the order in which it was read.
pub fn faults(acked: &[Record], found: &[Record]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut places = BTreeMap::new();
    let mut highest = BTreeMap::new();
    for record in found {
        if places.insert(record.number, *record).is_some() {
            faults.push(Fault::Duplicated(*record));
        } else if highest.get(&record.partition).is_some_and(|before| *before > record.number) {
            faults.push(Fault::Reordered(*record));
        } else {
            highest.insert(record.partition, record.number);
        }
    }
    for acked in acked {
        match places.get(&acked.number) {
            None => faults.push(Fault::Lost(*acked)),
            Some(found) if !acked.may_be(found) => faults.push(Fault::Moved { acked: *acked, found: *found }),
            Some(_) => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn record(number: u64, partition: i32, offset: i64) -> Record {
        Record { number, partition, offset }
    }

    const GOOD: [Record; 4] = [record(0, 0, 0), record(1, 1, 0), record(2, 0, 1), record(3, 1, 1)];

    #[test]
    fn a_run_is_good_when_all_that_was_acked_is_found_in_its_place() {
        assert_eq!(faults(&GOOD, &GOOD), []);
        assert_eq!(faults(&GOOD[..2], &GOOD), [], "found without an ack is no fault: the ack may have been lost");
        let by_partition = [GOOD[1], GOOD[3], GOOD[0], GOOD[2]];
        assert_eq!(faults(&GOOD, &by_partition), [], "there is no order between partitions");
        assert_eq!(faults(&[record(2, 0, Record::UNTOLD)], &GOOD), [], "it was not told where");
    }

    #[test]
    fn every_fault_is_seen() {
        assert_eq!(faults(&GOOD, &GOOD[..3]), [Fault::Lost(GOOD[3])]);
        let again = record(2, 0, 2);
        let found = [GOOD[0], GOOD[1], GOOD[2], again, GOOD[3]];
        assert_eq!(faults(&GOOD, &found), [Fault::Duplicated(again), Fault::Moved { acked: GOOD[2], found: again }]);
        let found = [GOOD[2], GOOD[0], GOOD[1], GOOD[3]];
        assert_eq!(faults(&GOOD, &found), [Fault::Reordered(GOOD[0])]);
        let elsewhere = record(3, 1, 2);
        let found = [GOOD[0], GOOD[1], GOOD[2], elsewhere];
        assert_eq!(faults(&GOOD, &found), [Fault::Moved { acked: GOOD[3], found: elsewhere }]);
        let strange = record(2, 1, Record::UNTOLD);
        assert_eq!(faults(&[strange], &GOOD), [Fault::Moved { acked: strange, found: GOOD[2] }]);
    }
}

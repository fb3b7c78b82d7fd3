//! What clients were promised and what they saw, and the rules that hold for it at every moment.
//!
//! - an acknowledged record stays where it was acknowledged (I1), and a place never shows two records (I2);
//! - a record stands in one place only, however often it was sent (I4);
//! - a reader sees every place in order, none twice, none left out, and a writer's records in the order of writing
//!   (I3).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use dohle::base::ids::{Offset, PartitionIndex};

/// One record that a writer wrote: no two are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Written {
    pub writer: u16,
    pub partition: PartitionIndex,
    /// Counts the records of one writer.
    pub number: u32,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}:{}", self.writer, self.number)
    }
}

impl Written {
    /// The record's value, of this many bytes beyond what says which it is.
    pub fn value(self, padding: usize) -> Bytes {
        let mut value = self.writer.to_be_bytes().to_vec();
        value.extend((self.partition.0 as u16).to_be_bytes());
        value.extend(self.number.to_be_bytes());
        value.extend(std::iter::repeat_n(self.number as u8, padding));
        value.into()
    }

    /// The record a value is of, if it is one of ours and whole.
    pub fn of(value: &[u8]) -> Option<Self> {
        let (head, padding) = value.split_first_chunk::<8>()?;
        let [w0, w1, p0, p1, number @ ..] = *head;
        let number = u32::from_be_bytes(number);
        let written = Self {
            writer: u16::from_be_bytes([w0, w1]),
            partition: PartitionIndex(i32::from(u16::from_be_bytes([p0, p1]))),
            number,
        };
        padding.iter().all(|byte| *byte == number as u8).then_some(written)
    }
}

/// Where in the topic.
type Spot = (PartitionIndex, Offset);

/// Everything clients know.
#[derive(Default)]
pub struct History {
    acknowledged: BTreeMap<Written, Offset>,
    /// Acknowledged since the nodes were last looked at.
    pub fresh: Vec<Spot>,
    given_up: usize,
    pub outstanding: usize,
    /// What was seen at a place, by whoever saw it first.
    at: BTreeMap<Spot, Written>,
    place_of: BTreeMap<Written, Offset>,
    readers: BTreeMap<&'static str, Reader>,
}

/// What one reader has seen.
#[derive(Default)]
struct Reader {
    next: BTreeMap<PartitionIndex, Offset>,
    last: BTreeMap<(PartitionIndex, u16), u32>,
}

impl History {
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub fn given_up(&self) -> usize {
        self.given_up
    }

    pub fn on_acknowledged(&mut self, written: Written, offset: Offset) -> Result<(), String> {
        self.acknowledged.insert(written, offset);
        self.fresh.push((written.partition, offset));
        self.stands_at(written, offset).map_err(|why| format!("acknowledged: {why}"))
    }

    /// Whether it was written is not known; it may turn up, once.
    pub fn on_given_up(&mut self) {
        self.given_up += 1;
    }

    pub fn on_read(
        &mut self,
        reader: &'static str,
        partition: PartitionIndex,
        offset: Offset,
        value: &[u8],
    ) -> Result<(), String> {
        let Some(written) = Written::of(value) else {
            return Err(format!("{reader} read a value at {partition}:{offset} that nobody wrote"));
        };
        if written.partition != partition {
            return Err(format!("{reader} read {written} in partition {partition}, it was sent to another"));
        }
        let seen = self.readers.entry(reader).or_default();
        let next = seen.next.insert(partition, offset.plus(1)).unwrap_or_default();
        if next != offset {
            return Err(format!("{reader} read {partition}:{offset} after it had read up to {next}"));
        }
        let last = seen.last.insert((partition, written.writer), written.number);
        if last.is_some_and(|last| last >= written.number) {
            return Err(format!("{reader} read {written} at {partition}:{offset} after the writer's {last:?}"));
        }
        self.stands_at(written, offset).map_err(|why| format!("{reader}: {why}"))
    }

    /// How far a reader has read a partition.
    pub fn next(&self, reader: &str, partition: PartitionIndex) -> Offset {
        self.readers.get(reader).and_then(|seen| seen.next.get(&partition)).copied().unwrap_or_default()
    }

    fn stands_at(&mut self, written: Written, offset: Offset) -> Result<(), String> {
        let partition = written.partition;
        let there = *self.at.entry((partition, offset)).or_insert(written);
        if there != written {
            return Err(format!("{written} at {partition}:{offset}, where {there} was seen"));
        }
        let place = *self.place_of.entry(written).or_insert(offset);
        if place != offset {
            return Err(format!("{written} at {partition}:{offset} and at {place}"));
        }
        Ok(())
    }

    /// What is missing for a reader that has read everything.
    pub fn missing(&self, reader: &str) -> Vec<String> {
        let lost = |(written, offset): &(&Written, &Offset)| self.next(reader, written.partition) <= **offset;
        let lost: Vec<_> = self.acknowledged.iter().filter(lost).collect();
        let first = lost.first().map(|(written, offset)| {
            let partition = written.partition;
            format!("{} acknowledged records are gone, the first is {written} at {partition}:{offset}", lost.len())
        });
        first.into_iter().collect()
    }
}

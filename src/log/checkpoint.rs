//! Kafka's checkpoint files: a version, a count, and so many lines.
//!
//! ```text
//! 0
//! 2
//! orders 0 120
//! orders 1 96
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::LogError;
use super::epochs::EpochStart;
use crate::base::ids::{LeaderEpoch, Offset, PartitionIndex};

/// An offset for each partition of a log dir, by topic name.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PartitionOffsets(pub BTreeMap<(String, PartitionIndex), Offset>);

impl PartitionOffsets {
    pub(super) fn encode(&self) -> String {
        let mut text = head(self.0.len());
        for ((topic, partition), offset) in &self.0 {
            writeln!(text, "{topic} {partition} {offset}").expect("a string takes everything");
        }
        text
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LogError> {
        let mut offsets = BTreeMap::new();
        parse(path, bytes, |fields| {
            let [topic, partition, offset] = fields else { return None };
            let key = ((*topic).to_string(), PartitionIndex(partition.parse().ok()?));
            offsets.insert(key, Offset(offset.parse().ok()?));
            Some(())
        })?;
        Ok(Self(offsets))
    }
}

pub(super) fn encode_epochs(epochs: &[EpochStart]) -> String {
    let mut text = head(epochs.len());
    for entry in epochs {
        writeln!(text, "{} {}", entry.epoch, entry.start).expect("a string takes everything");
    }
    text
}

pub(super) fn parse_epochs(path: &Path, bytes: &[u8]) -> Result<Vec<EpochStart>, LogError> {
    let mut epochs = Vec::new();
    parse(path, bytes, |fields| {
        let [epoch, start] = fields else { return None };
        epochs.push(EpochStart { epoch: LeaderEpoch(epoch.parse().ok()?), start: Offset(start.parse().ok()?) });
        Some(())
    })?;
    Ok(epochs)
}

fn head(count: usize) -> String {
    format!("0\n{count}\n")
}

/// Reads all lines; a file that ends early is refused, or a crash could pass for an empty log.
fn parse(path: &Path, bytes: &[u8], mut take: impl FnMut(&[&str]) -> Option<()>) -> Result<(), LogError> {
    let malformed = |line, what| LogError::Malformed { path: path.into(), line, what };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed(1, "this is not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(malformed(1, "expected version 0"));
    }
    let count: usize =
        lines.next().and_then(|line| line.parse().ok()).ok_or_else(|| malformed(2, "expected a count"))?;
    let mut seen = 0;
    for line in lines {
        seen += 1;
        let fields: Vec<&str> = line.split_whitespace().collect();
        take(&fields).ok_or_else(|| malformed(seen + 2, "this is not an entry"))?;
    }
    if seen != count || !text.ends_with('\n') {
        return Err(malformed(seen + 2, "the file ends early"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_written_as_kafka_writes_them() {
        let key = |topic: &str, partition| (topic.to_string(), PartitionIndex(partition));
        let offsets =
            PartitionOffsets([(key("orders", 1), Offset(96)), (key("orders", 0), Offset(120))].into_iter().collect());
        assert_eq!(offsets.encode(), "0\n2\norders 0 120\norders 1 96\n");
        assert_eq!(PartitionOffsets::parse(Path::new("f"), offsets.encode().as_bytes()).expect("own text"), offsets);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("1\n0\n", 1),
            ("0\nx\n", 2),
            ("0\n2\n1 5\n", 3),
            ("0\n1\n1 5", 3),
            ("0\n1\n1 5\n2 6\n", 4),
            ("0\n1\n1 five\n", 3),
            ("0\n1\n1\n", 3),
        ] {
            match parse_epochs(Path::new("f"), text.as_bytes()) {
                Err(LogError::Malformed { line: at, .. }) => assert_eq!(at, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}

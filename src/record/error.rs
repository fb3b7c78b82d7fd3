//! What can be wrong with a batch.

use std::fmt;

/// Why a batch is refused. `record` counts from 0 within the batch.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the bytes end inside a batch: {needed} are needed, {there} are there")]
    Truncated { needed: usize, there: usize },
    #[error("the batch says that it is {0} bytes long, less than its own header")]
    Length(i32),
    #[error("the batch has the old message format {0}; send format 2, as every client since Kafka 0.11 does")]
    OldFormat(u8),
    #[error("there is no message format {0}")]
    UnknownFormat(u8),
    #[error("the checksum in the batch is {stored:#010x}, that of its bytes {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("there is no compression codec {0}")]
    UnknownCodec(u8),
    #[error("the batch has {bytes} bytes, at most {most} are allowed here (max.message.bytes)")]
    TooLarge { bytes: usize, most: usize },
    #[error("{0} bytes follow the batch; one batch for each partition is allowed")]
    MoreThanOneBatch(usize),
    #[error("the base offset is {0}; a client must send 0")]
    BaseOffset(i64),
    #[error("the batch says that it holds {0} records")]
    Count(i32),
    #[error("the last offset delta {last_offset_delta} does not fit a batch of {count} records")]
    OffsetRange { last_offset_delta: i32, count: i32 },
    #[error("clients may not write control batches")]
    ControlBatch,
    #[error("the batch has a producer id but the base sequence {0}")]
    Sequence(i32),
    #[error("the records are compressed")]
    Compressed,
    #[error("the records cannot be decompressed: {0}")]
    NotDecompressed(String),
    #[error("the records expand to more than {most} bytes")]
    Expands { most: usize },
    #[error("record {record} is malformed: {what}")]
    Malformed { record: i32, what: &'static str },
    #[error("record {record} has the offset delta {offset_delta}")]
    OffsetDelta { record: i32, offset_delta: i32 },
    /// Records that are well formed, and that their topic does not take. There is at least one.
    #[error("{}", Listed(.0))]
    Rejected(Vec<Rejected>),
    #[error("the batch has the timestamp {0}, too far from now (message.timestamp.before.max.ms and after)")]
    Timestamp(i64),
    #[error("the batch claims an append time, which is the broker's to set")]
    AppendTime,
}

/// A record that its topic does not take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("record {record} {why}")]
pub struct Rejected {
    pub record: i32,
    pub why: Rejection,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    #[error("has no key, and the topic is compacted")]
    NoKey,
    #[error("has the timestamp {0}, too far from now (message.timestamp.before.max.ms and after)")]
    Timestamp(i64),
}

/// The first, and how many more there are.
struct Listed<'a>(&'a [Rejected]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no record is to blame"),
            [first] => first.fmt(f),
            [first, more @ ..] => write!(f, "{first}, and {} more are refused", more.len()),
        }
    }
}

/// The sorts of refusal that a client can tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordErrorKind {
    /// Damaged on the way: sending it again may help.
    Corrupt,
    /// Sent as it is, and wrong.
    Invalid,
    InvalidTimestamp,
    TooLarge,
    UnsupportedFormat,
    UnsupportedCompression,
}

impl RecordError {
    pub fn kind(&self) -> RecordErrorKind {
        match self {
            Self::Truncated { .. } | Self::Length(_) | Self::UnknownFormat(_) | Self::Crc { .. } => {
                RecordErrorKind::Corrupt
            }
            Self::OldFormat(_) => RecordErrorKind::UnsupportedFormat,
            Self::UnknownCodec(_) | Self::Compressed => RecordErrorKind::UnsupportedCompression,
            Self::TooLarge { .. } | Self::Expands { .. } => RecordErrorKind::TooLarge,
            Self::Timestamp(_) | Self::AppendTime => RecordErrorKind::InvalidTimestamp,
            // As in Kafka one timestamp among them names them all.
            Self::Rejected(records) => match records.iter().any(|record| matches!(record.why, Rejection::Timestamp(_)))
            {
                true => RecordErrorKind::InvalidTimestamp,
                false => RecordErrorKind::Invalid,
            },
            Self::MoreThanOneBatch(_)
            | Self::BaseOffset(_)
            | Self::Count(_)
            | Self::OffsetRange { .. }
            | Self::ControlBatch
            | Self::Sequence(_)
            | Self::Malformed { .. }
            | Self::NotDecompressed(_)
            | Self::OffsetDelta { .. } => RecordErrorKind::Invalid,
        }
    }

    /// The records that are to blame and why, where it is not the batch.
    pub fn blamed(&self) -> Vec<(i32, String)> {
        match self {
            Self::Malformed { record, .. } | Self::OffsetDelta { record, .. } => vec![(*record, self.to_string())],
            Self::Rejected(records) => records.iter().map(|rejected| (rejected.record, rejected.to_string())).collect(),
            _ => Vec::new(),
        }
    }
}

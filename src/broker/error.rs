//! Why a partition does not do what a client asks.

use crate::base::ids::{LeaderEpoch, NodeId};
use crate::log::LogError;
use crate::record::{RecordError, RecordErrorKind};
use crate::replica::leader::{NotEnoughReplicas, OffsetNotAvailable};
use crate::wire::ErrorCode;

/// A refusal of one partition; each is one of Kafka's error codes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PartitionError {
    #[error("this broker does not lead the partition")]
    NotLeader { hint: Option<(NodeId, LeaderEpoch)> },
    #[error("the client's leader epoch is older than {current}")]
    FencedLeaderEpoch { current: LeaderEpoch },
    #[error("the client's leader epoch is later than {current}, the last one known here")]
    UnknownLeaderEpoch { current: LeaderEpoch },
    #[error("there is no such partition")]
    UnknownTopicOrPartition,
    #[error("there is no topic of this id")]
    UnknownTopicId,
    #[error("the offset is not in the log")]
    OffsetOutOfRange,
    #[error(transparent)]
    OffsetNotAvailable(#[from] OffsetNotAvailable),
    #[error(transparent)]
    NotEnoughReplicas(#[from] NotEnoughReplicas),
    #[error("written, but not by enough in-sync replicas in time")]
    RequestTimedOut,
    #[error("the sequence number does not follow the last one, {expected} was expected")]
    OutOfOrderSequence { expected: i32 },
    #[error("a later incarnation of the producer has written here")]
    InvalidProducerEpoch,
    #[error("the partition remembers as many producers as it may")]
    TooManyProducers,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the disk of this partition is full")]
    NoSpace,
    /// From the leader that an append was passed on to.
    #[error("{why}")]
    ByLeader { code: ErrorCode, why: String },
    #[error("the log of this partition failed: {0}")]
    Storage(String),
}

impl From<LogError> for PartitionError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::OffsetOutOfRange { .. } => Self::OffsetOutOfRange,
            LogError::NoSpace { .. } => Self::NoSpace,
            other => Self::Storage(other.to_string()),
        }
    }
}

impl PartitionError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId => ErrorCode::UnknownTopicId,
            Self::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
            Self::OffsetNotAvailable(_) => ErrorCode::OffsetNotAvailable,
            Self::NotEnoughReplicas(_) => ErrorCode::NotEnoughReplicas,
            Self::RequestTimedOut => ErrorCode::RequestTimedOut,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
            // Both pass by themselves, and a client retries them at once without looking for another leader.
            Self::TooManyProducers => ErrorCode::ThrottlingQuotaExceeded,
            Self::Record(error) => record_code(error),
            Self::ByLeader { code, .. } => *code,
            Self::NoSpace | Self::Storage(_) => ErrorCode::KafkaStorageError,
        }
    }
}

fn record_code(error: &RecordError) -> ErrorCode {
    match error.kind() {
        RecordErrorKind::Corrupt => ErrorCode::CorruptMessage,
        RecordErrorKind::Invalid => ErrorCode::InvalidRecord,
        RecordErrorKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
        RecordErrorKind::TooLarge => ErrorCode::MessageTooLarge,
        RecordErrorKind::UnsupportedFormat => ErrorCode::UnsupportedForMessageFormat,
        RecordErrorKind::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
    }
}

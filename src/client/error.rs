//! What can go wrong for a client, in a form that can be handed to every record it happened to.

use std::time::Duration;

use crate::base::ids::Offset;
use crate::record::RecordError;
use crate::wire::{ApiKey, ErrorCode};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: String, cause: String },
    #[error("the connection to {address} broke: {cause}")]
    Broken { address: String, cause: String },
    #[error("{address} did not answer within {} ms", .after.as_millis())]
    Silent { address: String, after: Duration },
    #[error("{address} answered what cannot be read: {cause}")]
    Malformed { address: String, cause: String },
    #[error("{address} speaks no version of {api} that we speak")]
    Version { address: String, api: ApiKey },
    #[error("too many requests wait to be sent to {address}")]
    Busy { address: String },
    #[error("the request cannot be written: {0}")]
    Encode(String),
    #[error("no address of a broker is known")]
    NoAddress,
    #[error("fewer than {count} brokers are up")]
    TooFewBrokers { count: usize },
    #[error("the leader of {0} is not known")]
    NoLeader(String),
    #[error("{what}: {code}, {message}")]
    Refused { what: String, code: ErrorCode, message: String },
    #[error("not done in time; what failed last: {last}")]
    Expired { last: Box<Self> },
    #[error("nothing came back in time")]
    Unanswered,
    #[error("too much waits to be delivered")]
    Full,
    #[error("what stands at {0} cannot be read: {1}")]
    Record(Offset, RecordError),
    #[error("the client has been closed")]
    Closed,
}

impl ClientError {
    /// A broker's refusal of `what`, in the broker's words or in Kafka's.
    pub(super) fn refused(what: impl ToString, code: ErrorCode, message: Option<&str>) -> Self {
        let message = message.unwrap_or_else(|| code.message()).to_owned();
        Self::Refused { what: what.to_string(), code, message }
    }

    /// Whether the same request may succeed later, or elsewhere.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.is_retriable(),
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Malformed { .. }
            | Self::Busy { .. }
            | Self::NoAddress
            | Self::TooFewBrokers { .. }
            | Self::NoLeader(_) => true,
            Self::Version { .. }
            | Self::Encode(_)
            | Self::Expired { .. }
            | Self::Unanswered
            | Self::Full
            | Self::Record(..)
            | Self::Closed => false,
        }
    }

    /// The broker's code, if a broker refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

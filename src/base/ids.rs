//! Names of things: newtypes for every id, epoch and offset, so that two of them can never be mixed up.
//!
//! Invariants: an id is compared and printed, never calculated with; only [`Offset`] and the epochs know `next`.

use std::fmt;
use std::str::FromStr;

/// Declares a number that means one thing only.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A member of the cluster, controller or broker or both; Kafka's `node.id` and `broker.id`.
    NodeId(i32)
}
number! {
    /// A partition's number within its topic.
    PartitionIndex(i32)
}
number! {
    /// A record's place in its partition.
    Offset(i64)
}
number! {
    /// Counts the leaders a partition has had; a batch carries the epoch of the leader that took it.
    LeaderEpoch(i32)
}
number! {
    /// Counts every change of a partition's leader, ISR or replicas; what compare-and-set is done on.
    PartitionEpoch(i32)
}
number! {
    /// One registration of a broker: the Raft index of the entry that registered it.
    BrokerEpoch(i64)
}
number! {
    /// One reign of an active controller: the Raft index of the entry that opened it.
    ControllerEpoch(i64)
}
number! {
    /// An idempotent or transactional producer.
    ProducerId(i64)
}
number! {
    /// Counts the incarnations of one producer; an older one is fenced.
    ProducerEpoch(i16)
}
number! {
    /// A place in the metadata log: the index of a Raft entry.
    MetadataIndex(u64)
}

impl Offset {
    /// The offset `count` records later.
    pub fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }
}

impl LeaderEpoch {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl PartitionEpoch {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// 128 random bits, written as Kafka writes them: URL-safe base64 without padding, 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// Declares a [`Uuid`] that names one kind of thing.
macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidUuid;

            fn from_str(text: &str) -> Result<Self, InvalidUuid> {
                text.parse().map(Self)
            }
        }
    };
}

uuid! {
    /// The cluster, chosen once when it is founded.
    ClusterId
}
uuid! {
    /// A topic; a name can be used again, its id never.
    TopicId
}
uuid! {
    /// A data directory: the identity of the disk. A wiped disk is a new directory.
    DirectoryId
}
uuid! {
    /// One run of a node's process.
    IncarnationId
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UUID_TEXT_LEN: usize = 22;

impl Uuid {
    /// Kafka's «no id here».
    pub const ZERO: Self = Self([0; 16]);

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0; UUID_TEXT_LEN];
        for (place, character) in text.iter_mut().enumerate() {
            // 22 characters hold 132 bits: the last one carries two bits of the id and four zero bits.
            let shift = 122 - 6 * place as i32;
            let six = if shift >= 0 { bits >> shift } else { bits << -shift } & 0x3f;
            *character = BASE64[six as usize];
        }
        f.write_str(std::str::from_utf8(&text).expect("the base64 alphabet is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with a text that should be a [`Uuid`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected 22 characters of A-Z a-z 0-9 - _ as Kafka prints them")]
pub struct InvalidUuid {
    text: String,
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        let invalid = || InvalidUuid { text: text.chars().take(64).collect() };
        if text.len() != UUID_TEXT_LEN {
            return Err(invalid());
        }
        let mut bits: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let six = BASE64.iter().position(|known| *known == byte).ok_or_else(invalid)? as u128;
            let shift = 122 - 6 * place as i32;
            if shift >= 0 {
                bits |= six << shift;
            } else if six & 0xf == 0 {
                bits |= six >> -shift;
            } else {
                return Err(invalid()); // two texts would name one id
            }
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_kafka_writes_it() {
        let id = Uuid([0x4d, 0x6b, 0x55, 0x33, 0x4f, 0x45, 0x56, 0x42, 0x4e, 0x54, 0x63, 0x77, 0x4e, 0x54, 0x4a, 0x45]);
        assert_eq!(id.to_string(), "TWtVM09FVkJOVGN3TlRKRQ");
        assert_eq!("TWtVM09FVkJOVGN3TlRKRQ".parse(), Ok(id));
        assert_eq!(Uuid::ZERO.to_string(), "A".repeat(22));
    }

    #[test]
    fn text_that_names_no_uuid_is_refused() {
        for text in ["", "TWtVM09FVkJOVGN3TlRKRR", "TWtVM09FVkJOVGN3TlRK=Q", "TWtVM09FVkJOVGN3TlRKRQA", "ü"] {
            assert!(text.parse::<Uuid>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn every_uuid_survives_its_own_text() {
        for seed in 0..1000_u128 {
            let id = Uuid((seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes());
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}

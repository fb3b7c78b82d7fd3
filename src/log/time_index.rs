//! The time index: `<base>.timeindex`. Beside each entry of the offset index, the largest timestamp so far if it grew.

use bytes::Buf;

use super::folder::Kind;
use super::index::Entry;
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;

/// The largest timestamp up to and including a batch, which is the first that has it; by its last offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeEntry {
    pub timestamp: WallMillis,
    pub last_offset: Offset,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;
    const KIND: Kind = Kind::TimeIndex;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        out.extend(self.timestamp.0.to_be_bytes());
        out.extend(((self.last_offset.0 - base.0) as i32).to_be_bytes());
    }

    fn decode(base: Offset, mut bytes: &[u8]) -> Self {
        let timestamp = WallMillis(bytes.get_i64());
        Self { timestamp, last_offset: base.plus(i64::from(bytes.get_i32())) }
    }

    fn offset(&self) -> Offset {
        self.last_offset
    }
}

//! The offset index: `<base>.index`. Every 4 KiB of log, where a batch lies.

use bytes::Buf;

use super::folder::Kind;
use super::index::Entry;
use crate::base::ids::Offset;

/// Where a batch lies, by its last offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OffsetEntry {
    pub last_offset: Offset,
    pub position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;
    const KIND: Kind = Kind::OffsetIndex;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        out.extend(((self.last_offset.0 - base.0) as i32).to_be_bytes());
        out.extend(self.position.to_be_bytes());
    }

    fn decode(base: Offset, mut bytes: &[u8]) -> Self {
        Self { last_offset: base.plus(i64::from(bytes.get_i32())), position: bytes.get_u32() }
    }

    fn offset(&self) -> Offset {
        self.last_offset
    }
}

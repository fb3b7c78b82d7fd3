//! The last offset of every key, in a fixed amount of memory.
//!
//! ```text
//!   a slot: 128 bits of hash, offset + 1; all zeros: free.   24 bytes; nine slots of ten may be taken.
//! ```
//!
//! A key is known by its hash alone, as in Kafka: two keys of one hash would pass for one, and at 128 bits that does
//! not happen by chance. Memory that is not written to costs nothing: the table begins as zeros.

use std::hash::{DefaultHasher, Hasher};

use crate::base::ids::Offset;

/// What a slot takes.
pub(super) const SLOT_BYTES: usize = 24;

const WORDS: usize = SLOT_BYTES / size_of::<u64>();

pub(super) struct OffsetMap {
    words: Vec<u64>,
    len: usize,
    len_max: usize,
}

impl OffsetMap {
    /// A map that takes at most so much memory, and no more than so many keys need.
    pub(super) fn new(bytes_max: usize, keys: usize) -> Self {
        let needed = keys.saturating_add(keys / 2).saturating_add(1);
        let slots = (bytes_max / SLOT_BYTES).min(needed).max(2);
        Self { words: vec![0; slots * WORDS], len: 0, len_max: slots - slots.div_ceil(10) }
    }

    /// How many keys still fit.
    pub(super) fn room(&self) -> usize {
        self.len_max - self.len
    }

    /// Notes a key at an offset, unless a later one is known.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) {
        let hash = hash(key);
        let at = self.find(hash);
        let slot = &mut self.words[at..at + WORDS];
        if slot[2] == 0 {
            assert!(self.len < self.len_max, "whoever fills the map asks for room first");
            self.len += 1;
        }
        slot[0] = hash[0];
        slot[1] = hash[1];
        slot[2] = slot[2].max(offset.0 as u64 + 1);
    }

    /// The last offset of a key.
    pub(super) fn last(&self, key: &[u8]) -> Option<Offset> {
        let at = self.find(hash(key));
        self.words[at + 2].checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// Where the slot of a hash begins: its own, or the free one that it would get.
    fn find(&self, hash: [u64; 2]) -> usize {
        let slots = self.words.len() / WORDS;
        let mut slot = (hash[0] % slots as u64) as usize;
        loop {
            let at = slot * WORDS;
            let words = &self.words[at..at + WORDS];
            if words[2] == 0 || words[..2] == hash {
                return at;
            }
            slot = (slot + 1) % slots;
        }
    }
}

fn hash(key: &[u8]) -> [u64; 2] {
    [0, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(half);
        hasher.write(key);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_a_key_counts_whatever_the_order() {
        let mut map = OffsetMap::new(1 << 20, 1_000);
        for (key, offset) in [("a", 5), ("b", 0), ("a", 9), ("a", 7)] {
            map.put(key.as_bytes(), Offset(offset));
        }
        let last = |key: &str| map.last(key.as_bytes()).map(|offset| offset.0);
        assert_eq!([last("a"), last("b"), last("c")], [Some(9), Some(0), None]);
        assert_eq!(map.len, 2);
    }

    #[test]
    fn a_full_map_still_finds_every_key() {
        let mut map = OffsetMap::new(1_000 * SLOT_BYTES, usize::MAX);
        let mut keys = 0i64;
        while map.room() > 0 {
            map.put(&keys.to_be_bytes(), Offset(keys * 3));
            keys += 1;
        }
        assert_eq!(keys, 900);
        assert!((0..keys).all(|key| map.last(&key.to_be_bytes()) == Some(Offset(key * 3))));
        assert!((keys..2 * keys).all(|key| map.last(&key.to_be_bytes()).is_none()));
    }
}

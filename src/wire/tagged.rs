//! Tagged fields (KIP-482): what newer peers add to a structure without a new version.

use bytes::Bytes;

/// The tagged fields of a structure that our schema does not know, in the order of their tags.
///
/// Nearly always empty, which costs no memory but the pointer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TaggedFields(Box<[TaggedField]>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaggedField {
    pub tag: u32,
    pub bytes: Bytes,
}

impl TaggedFields {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, TaggedField> {
        self.0.iter()
    }
}

impl From<Vec<TaggedField>> for TaggedFields {
    /// Takes the fields as they are: the reader has checked that their tags ascend.
    fn from(fields: Vec<TaggedField>) -> Self {
        Self(fields.into_boxed_slice())
    }
}

/// The tags of the fields that our schema knows and that will be written.
#[derive(Clone, Copy, Default, Debug)]
pub struct KnownTags(u32);

impl KnownTags {
    pub fn add(&mut self, tag: u32) {
        self.0 |= 1 << tag; // the compiler of the schemas allows no tag above 31
    }

    pub fn contain(self, tag: u32) -> bool {
        tag < u32::BITS && self.0 & (1 << tag) != 0
    }

    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..u32::BITS).filter(move |tag| self.contain(*tag))
    }
}

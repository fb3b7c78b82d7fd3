//! Record batches on their way through: never looked into here.

use bytes::Bytes;

use crate::base::disk::FileRange;

/// Batches, one after the other. What has been received is in memory; what is sent may still lie in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Records {
    Memory(Bytes),
    Stored(FileRange),
}

impl Records {
    /// How many bytes there are, wherever they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Stored(range) => range.length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they must be here: whatever was received is, and requests that are sent are, too.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Stored(range) => unreachable!("only answers to fetches are taken from files, but for {range:?}"),
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::Memory(Bytes::new())
    }
}

impl<B: Into<Bytes>> From<B> for Records {
    fn from(bytes: B) -> Self {
        Self::Memory(bytes.into())
    }
}

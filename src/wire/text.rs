//! [`Text`]: a string that is a slice of the frame it came in.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

/// UTF-8 in shared memory: cloned by counting, read as a `str`.
///
/// As long as it lives, so does the frame around it. What is kept for longer than a request should be
/// [`detached`](Self::detached).
///
/// Without `unsafe` every look at the `str` proves again that it is UTF-8: a few nanoseconds for a name. Comparing does
/// not look.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// Text that is part of the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it was UTF-8 when it was made")
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that does not hold on to the frame.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    #[inline]
    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

/// So that a map with `Text` keys is asked with a `str`.
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state); // as `Borrow` demands
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    #[test]
    fn maps_with_text_keys_are_asked_with_a_str() {
        let hashed = HashMap::from([(Text::from("orders"), 1)]);
        let ordered = BTreeMap::from([(Text::from("orders"), 2)]);
        assert_eq!((hashed.get("orders"), ordered.get("orders")), (Some(&1), Some(&2)));
    }

    #[test]
    fn text_is_utf8_and_a_slice_of_its_frame() {
        assert!(Text::try_from(Bytes::from_static(b"\xff")).is_err());

        let frame = Bytes::from(vec![b'a'; 64]);
        let text = Text::try_from(frame.slice(8..16)).unwrap();
        assert_eq!(text, "aaaaaaaa");
        assert_eq!(text.as_bytes().as_ptr(), frame[8..].as_ptr());
        assert_ne!(text.detached().as_bytes().as_ptr(), frame[8..].as_ptr());
    }
}

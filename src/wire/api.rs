//! The table of APIs: keys, names, versions, and who in the cluster knows the answer.
//!
//! Its entries are the `api` lines of `proto/kafka/*.wire`; here stands what is made of them.

use std::fmt;

/// One API as its schema declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Api {
    pub key: ApiKey,
    pub name: &'static str,
    /// The versions we encode and decode.
    pub versions: Versions,
    /// The versions ApiVersions names; wider than `versions` only for Produce.
    pub advertised: Versions,
    /// The first version with compact lengths and tagged fields.
    pub flexible_from: Option<i16>,
    pub answered_by: AnsweredBy,
}

/// An unbroken range of versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

/// Who in the cluster knows the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnsweredBy {
    /// The broker that is asked: from its image of the metadata, or about itself.
    Broker,
    /// The leader of the partition; other brokers say NOT_LEADER_OR_FOLLOWER.
    Leader,
    /// The coordinator of the group, transaction or share partition; other brokers say NOT_COORDINATOR.
    Coordinator,
    /// The active controller, to which every broker forwards.
    Controller,
}

macro_rules! apis {
    ($(
        $(#[$doc:meta])*
        $name:ident = $key:literal, $first:literal..=$last:literal, $seen_first:literal..=$seen_last:literal,
        $flexible:expr, $answered_by:ident, $request:path;
    )*) => {
        /// The APIs we have messages for.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ApiKey {
            $($(#[$doc])* $name = $key,)*
        }

        impl ApiKey {
            /// In the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub const fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            #[inline]
            pub const fn entry(self) -> &'static Api {
                match self {
                    $(Self::$name => &Api {
                        key: Self::$name,
                        name: stringify!($name),
                        versions: Versions { first: $first, last: $last },
                        advertised: Versions { first: $seen_first, last: $seen_last },
                        flexible_from: $flexible,
                        answered_by: AnsweredBy::$answered_by,
                    },)*
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/kafka/apis.rs"));

impl ApiKey {
    pub const fn number(self) -> i16 {
        self as i16
    }

    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether this version has compact lengths and tagged fields, and the newer header.
    #[inline]
    pub const fn is_flexible(self, version: i16) -> bool {
        match self.entry().flexible_from {
            Some(from) => version >= from,
            None => false,
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Versions {
    #[inline]
    pub const fn contain(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.first..=self.last
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn produce_is_advertised_from_0_and_spoken_from_3() {
        let produce = ApiKey::Produce.entry();
        assert_eq!(produce.advertised, Versions { first: 0, last: 13 });
        assert_eq!(produce.versions, Versions { first: 3, last: 13 });
    }

    #[test]
    fn keys_find_their_entries_and_only_theirs() {
        for key in i16::MIN..=i16::MAX {
            assert!(ApiKey::from_number(key).is_none_or(|api| api.number() == key && api.entry().key == api));
        }
        assert!(ApiKey::ALL.iter().all(|api| ApiKey::from_number(api.number()) == Some(*api)));
        assert!(ApiKey::ALL.is_sorted());
    }
}

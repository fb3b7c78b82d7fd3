//! What a `.wire` file says, as values.

/// One API: a request and its response.
#[derive(Debug)]
pub struct Api {
    /// What it is, from the comment at the top of the file.
    pub doc: Vec<String>,
    pub line: usize,
    pub key: i16,
    pub name: String,
    pub versions: Versions,
    /// What ApiVersions says, where that is not `versions`.
    pub advertised: Versions,
    /// The first version with compact encodings and tagged fields.
    pub flexible_from: Option<i16>,
    pub answered_by: AnsweredBy,
    pub request: Vec<Field>,
    pub response: Vec<Field>,
    /// The structures of both, in the order in which they are named first.
    pub structs: Vec<Struct>,
}

/// Who in the cluster knows the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnsweredBy {
    Broker,
    Leader,
    Coordinator,
    Controller,
}

#[derive(Debug)]
pub struct Struct {
    pub line: usize,
    pub name: String,
    pub fields: Vec<Field>,
    /// Named first in the request.
    pub in_request: bool,
}

#[derive(Debug)]
pub struct Field {
    pub line: usize,
    pub doc: Vec<String>,
    pub name: String,
    pub kind: Kind,
    pub versions: Versions,
    pub nullable: Option<Versions>,
    pub tag: Option<u32>,
    /// As it is written; `None` is the type's own: zero, false, empty, null.
    pub default: Option<String>,
    pub must: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Error,
    Struct(String),
    Array(Box<Self>),
}

impl Kind {
    /// The kind of an array's elements, or the kind itself.
    pub fn element(&self) -> &Self {
        match self {
            Self::Array(element) => element,
            other => other,
        }
    }

    /// The structure that this is, or is an array of.
    pub fn structure(&self) -> Option<&str> {
        match self.element() {
            Self::Struct(name) => Some(name),
            _ => None,
        }
    }
}

/// The words for [`Kind`] that are no structure's name.
pub const KINDS: [(&str, Kind); 12] = [
    ("bool", Kind::Bool),
    ("int8", Kind::Int8),
    ("int16", Kind::Int16),
    ("uint16", Kind::Uint16),
    ("int32", Kind::Int32),
    ("int64", Kind::Int64),
    ("float64", Kind::Float64),
    ("uuid", Kind::Uuid),
    ("string", Kind::String),
    ("bytes", Kind::Bytes),
    ("records", Kind::Records),
    ("error", Kind::Error),
];

/// An unbroken range of versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    pub fn contain(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    pub fn cover(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    pub fn each(self) -> impl Iterator<Item = i16> {
        self.first..=self.last
    }
}

impl Api {
    /// The name of its file and of its Rust module: `DeleteRecords` lives in `delete_records`.
    pub fn module(&self) -> String {
        let mut module = String::new();
        for (place, character) in self.name.char_indices() {
            if character.is_ascii_uppercase() && place > 0 {
                module.push('_');
            }
            module.push(character.to_ascii_lowercase());
        }
        module
    }

    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }

    pub fn find(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|known| known.name == name)
    }

    /// The fewest bytes an element of this kind can be, in any of `versions`: what bounds an array's capacity.
    pub fn bytes_min(&self, kind: &Kind, versions: Versions) -> usize {
        versions.each().map(|version| self.bytes_min_in(kind, version)).min().unwrap_or(0)
    }

    fn bytes_min_in(&self, kind: &Kind, version: i16) -> usize {
        let compact = self.is_flexible(version);
        match kind {
            Kind::Bool | Kind::Int8 => 1,
            Kind::Int16 | Kind::Uint16 | Kind::Error => 2,
            Kind::Int32 => 4,
            Kind::Int64 | Kind::Float64 => 8,
            Kind::Uuid => 16,
            Kind::String => {
                if compact {
                    1
                } else {
                    2
                }
            }
            Kind::Bytes | Kind::Records | Kind::Array(_) => {
                if compact {
                    1
                } else {
                    4
                }
            }
            Kind::Struct(name) => {
                let fields = self.find(name).map_or(&[][..], |found| &found.fields);
                let present = fields.iter().filter(|field| field.tag.is_none() && field.versions.contain(version));
                present.map(|field| self.field_bytes_min(field, version)).sum::<usize>() + usize::from(compact)
            }
        }
    }

    fn field_bytes_min(&self, field: &Field, version: i16) -> usize {
        match field.kind {
            Kind::Struct(_) if field.nullable.is_some() => 1, // a byte says whether it is there
            _ => self.bytes_min_in(&field.kind, version),
        }
    }
}

//! The compiler of our message language: `.wire` files in, Rust out. `build.rs` runs it.
//!
//! A file describes one API of the Kafka protocol. Indentation nests; `#` begins a comment, and a comment beside or
//! above a field becomes its documentation:
//!
//! ```text
//! # DeleteRecords: move a partition's log start forward; the bytes go when their segment does.
//! api 21 DeleteRecords   versions 0-2   flexible 2+   answered by leader
//!
//! request
//!   topics             [Topic]
//!     name             string
//!     partitions       [Partition]
//!       partition      int32
//!       offset         int64        # -1: the high watermark
//!   timeout_ms         int32
//!
//! response
//!   ...
//! ```
//!
//! The `api` line: the key, Kafka's name, the versions we speak, the first version with compact encodings and tagged
//! fields (`none` if there is none), who in the cluster knows the answer, and `advertised 0-13` where ApiVersions names
//! a range of its own.
//!
//! A field: name, type, then in this order and as far as they apply
//! - the versions that have it: `3+`, `4-12`, `7`; without them, all that have the structure it is in;
//! - `nullable 7+` if it may be null in some versions only; a `?` behind the type says: in all of them;
//! - `tag 0` if it is a tagged field;
//! - `= value`, its default: what decoding finds where the version has no such field. Without it: zero, false,
//!   empty, null;
//! - `must` (requests only): a value other than the default may not be lost. See below.
//!
//! Types: `bool int8 int16 uint16 int32 int64 float64 uuid string bytes records error`, a structure's name, or one of
//! these in brackets for an array. A structure is spelled out, indented, where it is named first.
//!
//! Encoding to a version that has no such field drops what the field says: an answer to an old client cannot say
//! more than that client understands. Only where this would change what a request asks for is the field marked
//! `must`, and then encoding is refused, so that our own client cannot ask for something else by accident.
//!
//! Reading order: `schema.rs` (what a file says), `parse.rs`, `check.rs` (what no single line can know), `rust.rs`.
//!
//! Absent on purpose: arrays of arrays, maps, constants, imports, inheritance. The protocol needs none of them.

pub mod schema;

mod check;
mod parse;
mod rust;

use std::fmt;

use schema::Api;

/// A `.wire` file: where it is, for messages to people, and what is in it.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// Why a file cannot be compiled: where, what, and what would be allowed.
#[derive(Debug)]
pub struct Mistake {
    pub path: String,
    pub line: usize,
    pub says: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.says)
    }
}

impl std::error::Error for Mistake {}

/// One file of generated Rust.
pub struct Output {
    pub name: String,
    pub text: String,
}

/// Reads and checks the schemas, in the order of their keys.
pub fn read(sources: &[Source]) -> Result<Vec<Api>, Mistake> {
    let mut apis = Vec::new();
    for source in sources {
        let locate = |(line, says): (usize, String)| Mistake { path: source.path.clone(), line, says };
        let api = parse::api(&source.text).map_err(locate)?;
        check::api(&api, &source.path).map_err(locate)?;
        if let Some(twin) = apis.iter().find(|other: &&Api| other.key == api.key) {
            return Err(locate((api.line, format!("api key {} is {}'s already", api.key, twin.name))));
        }
        apis.push(api);
    }
    apis.sort_by_key(|api| api.key);
    Ok(apis)
}

/// All of the generated Rust: one file per API, `modules.rs` that gathers them, and `apis.rs`, the table.
pub fn write(apis: &[Api]) -> Vec<Output> {
    let mut outputs: Vec<Output> =
        apis.iter().map(|api| Output { name: format!("{}.rs", api.module()), text: rust::messages(api) }).collect();
    outputs.push(Output { name: "modules.rs".to_owned(), text: rust::modules(apis) });
    outputs.push(Output { name: "apis.rs".to_owned(), text: rust::table(apis) });
    outputs
}

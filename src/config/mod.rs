//! Configuration: Kafka's dotted keys are the vocabulary, wherever a setting comes from and whoever asks for it.
//!
//! A *key* is declared once, as a row of a table: its name, type, default, what is allowed, its scope and what it
//! means. Parsing, `DescribeConfigs`, the command line and the documentation all read that row. Keys that Kafka does
//! not have begin with `dohle.`, except the topic key `durability`.
//!
//! ```text
//! flag  >  environment  >  file  >  default          what a node is started with: resolved here
//! topic > per-broker > cluster-wide > what the node was started with > default      resolved where metadata is known
//! ```
//!
//! A key in a file has one of three outcomes: it is known and checked; it is *ignored*, and we say why (ZooKeeper, the
//! JVM, thread pools we do not have), though where Kafka still has the key its value is checked and shown; or it is
//! unknown, which is an error that names the nearest key. All problems of all sources are reported, not only the first.
//!
//! Invariants: a name is declared once per realm (server, topic, group); every default passes its own check; a
//! password is never shown.
//! Absent on purpose: reading files and variables (the caller hands over texts and pairs), settings that change while a
//! node runs (they are metadata), printing.
//!
//! Reading order: what a key is, the tables, how settings are written down and resolved, what a start needs, and how
//! all of it is shown to people.

pub mod key;

mod broker;
mod group;
mod ignored;
mod node;
mod topic;
mod unread;

pub mod table;

mod properties;
mod toml;

pub mod load;
pub mod problem;

pub mod listener;
pub mod start;

pub mod report;

pub use ignored::reason_to_ignore;
pub use key::{Key, Kind, Scope, Value};
pub use load::{File, Given, Resolved, Setting, load};
pub use problem::{Level, Origin, Problem};
pub use start::{NodeConfig, Roles, Seeds};

#[cfg(test)]
mod tests;

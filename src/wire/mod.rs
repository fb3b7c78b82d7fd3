//! Kafka's protocol as values: what clients send and what they are answered, byte by byte.
//!
//! A frame is a length, a header and a message. The header ([`header`]) says which of the APIs in the table ([`api`])
//! is meant and in which version. A message ([`messages`]) is one plain struct for all versions: a handler never asks
//! which version it serves, unless the behaviour differs.
//!
//! ```text
//! frame  --RequestHeader::decode-->  header, body  --Message::decode-->  ProduceRequest
//! frame  <--Frame::response-------  header, ProduceResponse
//! ```
//!
//! The structs come out of `proto/kafka/*.wire`, our own schema language; its compiler lives beside the schemas and
//! says what the language can. The generated code only knows the order of the fields. All judgement about bytes is
//! in [`reader`] and [`writer`]:
//!
//! - A reader trusts nothing: no length allocates, no input panics, and an error names message, field and place.
//! - Strings, bytes and records are slices of the frame they came in. Records leave as they came, never copied, or
//!   as a piece of a file.
//! - Tagged fields that we do not know survive, in order.
//!
//! Absent on purpose: what records look like inside (`record/`), who may ask what (`security/`), sockets (`server/`),
//! and the APIs by which Kafka's own brokers and controllers talk to each other: ours use `rpc/`.
//!
//! Reading order: the table, the errors, what a message is, its bytes, what stands around it.

pub mod api;
pub mod error;

pub mod message;
pub mod messages;

pub mod reader;
pub mod records;
pub mod tagged;
pub mod text;
pub mod writer;

pub mod frame;
pub mod header;

pub use api::ApiKey;
pub use error::ErrorCode;
pub use frame::Frame;
pub use header::RequestHeader;
pub use message::{Message, Request};
pub use reader::DecodeError;
pub use records::Records;
pub use text::Text;
pub use writer::{EncodeError, Writer};

use crate::base::ids::Uuid;

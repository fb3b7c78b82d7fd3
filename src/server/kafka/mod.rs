//! Kafka's protocol, served: connections, requests in order, one handler per API.
//!
//! ```text
//! listener.rs ──a reactor each──► connection.rs ──frame──► dispatch.rs ──► api/<name>.rs ──► Broker, Partition
//!                                      ▲                                        │
//!                                      └────────────── Answer ──────────────────┘
//! ```
//!
//! A handler is a function from a request to a response; it may ask the broker's image, a partition or the controller,
//! and keeps nothing. What it does at once happens in the order in which requests arrived on the connection; what it
//! waits for is a future that the connection polls. So no request costs a task, a channel or a lock held while waiting.
//! Only appends are put off until no more of them have come, to be made together (`appending.rs`).
//!
//! Reading order: how a port opens, what a connection does, who answers what; then the handlers.

pub mod listener;

mod answers;
mod connection;
mod hangup;
mod memory;
mod outgoing;
mod patience;
mod places;
mod received;

mod alterations;
mod appending;
mod client;
mod declined;
mod door;
mod hints;
mod operations;
mod partitions;
mod repeated;
mod resources;
mod values;

mod fetching;

mod api;
mod dispatch;

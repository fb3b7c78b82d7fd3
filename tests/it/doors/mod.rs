//! The doors for Kafka's clients, seen from the wire: what is answered, byte by byte, and what it costs to be asked.
//!
//! `wire.rs` is a client that says exactly what a test wants it to say. `golden.rs` compares with what Apache Kafka
//! answered, `admin.rs`, `configs.rs`, `listeners.rs`, `places.rs` and `sessions.rs` tell what no recording holds,
//! `bursts.rs` is about requests that come together, `limits.rs` about clients that mean no good, `damage.rs` about a
//! disk that went bad.

mod admin;
mod bursts;
mod configs;
mod damage;
mod golden;
mod limits;
mod listeners;
mod places;
mod sessions;
mod wire;

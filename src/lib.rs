//! Dohle: a Kafka-compatible broker cluster in one binary.

// Floor 0, ground: knows nothing of us.
pub mod base;

// Floor 1, formats: bytes <-> values, no state.
pub mod config;
pub mod rpc;

// Floor 3, minds: pure and deterministic.
pub mod replica;

// Floor 4, stores and sockets: IO, no judgement.
pub mod host;
mod net;

// Floor 5, bodies: tasks, each state with one owner.
pub mod quorum;

// Floor 6, doors: decode, authorise, ask one body, encode.
pub mod server;

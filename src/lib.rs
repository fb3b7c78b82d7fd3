//! Dohle: a Kafka-compatible broker cluster in one binary.

// Floor 0, ground: knows nothing of us.
pub mod base;

// Floor 1, formats: bytes <-> values, no state.
pub mod record;

// Floor 4, stores and sockets: IO, no judgement.
pub mod log;

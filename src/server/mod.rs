//! The doors: they decode, ask one body, and encode. No state of their own, no judgement.

pub mod grpc;
pub mod peer;

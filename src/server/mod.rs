//! The doors: they decode, ask one body, and encode. No state of their own, no judgement.

pub mod admin;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod peer;

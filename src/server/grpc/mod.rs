//! gRPC services: one file each, thin.

pub mod admin;
pub mod health;
pub mod raft;

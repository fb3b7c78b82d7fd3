//! gRPC services: one file each, thin.

pub mod raft;
pub mod replication;

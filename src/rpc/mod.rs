//! Messages and services between nodes, and between people and nodes: generated from `proto/*.proto`, nothing else.
//!
//! The `.proto` files hold the documentation; a field's meaning is read there.
#![allow(unused_qualifications, clippy::too_many_lines, reason = "generated code")]

/// The metadata log.
pub mod metadata {
    tonic::include_proto!("dohle.metadata.v1");
}

/// Raft between controllers.
pub mod raft {
    tonic::include_proto!("dohle.raft.v1");
}

/// Replication between brokers.
pub mod replication {
    tonic::include_proto!("dohle.replication.v1");
}

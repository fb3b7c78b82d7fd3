//! Messages and services between nodes, and between people and nodes: generated from `proto/*.proto`, nothing else.
//!
//! The `.proto` files hold the documentation; a field's meaning is read there.
#![allow(unused_qualifications, clippy::too_many_lines, reason = "generated code")]

/// The packages as protobuf nests them: generated code names its neighbours by that path.
mod dohle {
    pub mod controller {
        pub mod v1 {
            tonic::include_proto!("dohle.controller.v1");
        }
    }

    pub mod metadata {
        pub mod v1 {
            tonic::include_proto!("dohle.metadata.v1");
        }
    }
}

/// What nodes ask of controllers.
pub use dohle::controller::v1 as controller;
/// The metadata log.
pub use dohle::metadata::v1 as metadata;

/// Raft between controllers.
pub mod raft {
    tonic::include_proto!("dohle.raft.v1");
}

/// Replication between brokers.
pub mod replication {
    tonic::include_proto!("dohle.replication.v1");
}

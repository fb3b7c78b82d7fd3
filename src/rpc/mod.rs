//! Messages and services between nodes, and between people and nodes: generated from `proto/*.proto`, nothing else.
//!
//! The `.proto` files hold the documentation; a field's meaning is read there.
#![allow(unused_qualifications, clippy::large_enum_variant, clippy::too_many_lines, reason = "generated code")]

pub mod words;

/// The packages as protobuf nests them: generated code names its neighbours by that path.
mod dohle {
    pub mod admin {
        pub mod v1 {
            tonic::include_proto!("dohle.admin.v1");
        }
    }

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

/// What people and their tools ask nodes.
pub use self::dohle::admin::v1 as admin;
/// What nodes ask of controllers.
pub use self::dohle::controller::v1 as controller;
/// The metadata log.
pub use self::dohle::metadata::v1 as metadata;

/// Raft between controllers.
pub mod raft {
    tonic::include_proto!("dohle.raft.v1");
}

/// Replication between brokers.
pub mod replication {
    tonic::include_proto!("dohle.replication.v1");
}
/// The admin services as protobuf describes them, documentation included: what reflection tells.
pub const ADMIN_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.descriptors"));

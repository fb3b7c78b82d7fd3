//! gRPC services: one file each, thin.

use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::quorum::{Bootstrap, Controller, Late, Quorum};

pub mod controller;
pub mod raft;
pub mod replication;

/// What nodes ask of each other on the control lane. All of it answers from the first moment; who asks for what is not
/// there yet is told so.
pub fn control(bootstrap: Bootstrap, quorum: Late<Quorum>, controller: Late<Controller>) -> Router {
    Server::builder().add_service(raft::service(quorum)).add_service(controller::service(bootstrap, controller))
}

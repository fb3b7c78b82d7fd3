//! Raft between controllers: hands each request to the quorum.

use tonic::{Request, Response, Status};

use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::quorum::{Late, Quorum};
use crate::rpc::raft::raft_server::{Raft, RaftServer};
use crate::rpc::raft::{AppendReply, AppendRequest, InstallReply, InstallRequest, VoteReply, VoteRequest};
use crate::rpc::raft::{TransferReply, TransferRequest};

struct Door {
    quorum: Late<Quorum>,
}

/// The service, for the peer port.
pub fn service(quorum: impl Into<Late<Quorum>>) -> RaftServer<impl Raft> {
    RaftServer::new(Door { quorum: quorum.into() })
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

#[tonic::async_trait]
impl Raft for Door {
    async fn append(&self, request: Request<AppendRequest>) -> Result<Response<AppendReply>, Status> {
        self.quorum.here()?.on_append(request.into_inner()).await.map(Response::new)
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteReply>, Status> {
        self.quorum.here()?.on_vote(request.into_inner()).await.map(Response::new)
    }

    async fn pre_vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteReply>, Status> {
        self.quorum.here()?.on_pre_vote(request.into_inner()).await.map(Response::new)
    }

    async fn install(&self, request: Request<InstallRequest>) -> Result<Response<InstallReply>, Status> {
        self.quorum.here()?.on_install(request.into_inner()).await.map(Response::new)
    }

    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<TransferReply>, Status> {
        self.quorum.here()?.on_transfer(request.into_inner()).await.map(Response::new)
    }
}

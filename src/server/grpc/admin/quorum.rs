//! Quorum: its status, on controllers.

use tonic::{Request, Response, Status};

use super::{Door, show};
use crate::rpc::admin::quorum_server::Quorum;
use crate::rpc::admin::{QuorumStatus, QuorumStatusRequest};

#[tonic::async_trait]
impl Quorum for Door {
    async fn status(&self, _: Request<QuorumStatusRequest>) -> Result<Response<QuorumStatus>, Status> {
        Ok(Response::new(show::quorum(&self.quorum()?)))
    }
}

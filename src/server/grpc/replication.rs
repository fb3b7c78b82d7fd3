//! Replication between brokers: hands each connection to the broker that leads.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::broker::Leading;
use crate::quorum::Late;
use crate::rpc::replication::replication_server::{Replication, ReplicationServer};
use crate::rpc::replication::{FollowerFrame, LeaderFrame, PassOnReply, PassOnRequest};

struct Door {
    leading: Late<Arc<Leading>>,
}

/// The service, for the peer port.
pub fn service(leading: Late<Arc<Leading>>) -> ReplicationServer<impl Replication> {
    ReplicationServer::new(Door { leading })
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

#[tonic::async_trait]
impl Replication for Door {
    type ReplicateStream = Pin<Box<dyn Stream<Item = Result<LeaderFrame, Status>> + Send>>;

    async fn replicate(
        &self,
        request: Request<Streaming<FollowerFrame>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        Ok(Response::new(Box::pin(self.leading.here()?.serve(request.into_inner()).await?)))
    }

    async fn pass_on(&self, request: Request<PassOnRequest>) -> Result<Response<PassOnReply>, Status> {
        Ok(Response::new(self.leading.here()?.take_over(request.into_inner()).await?))
    }
}

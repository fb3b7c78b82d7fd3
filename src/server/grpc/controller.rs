//! What nodes ask of controllers: hands each request to the controller, or to the founding of the cluster.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::base::ids::MetadataIndex;
use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::controller::codec;
use crate::metadata::record::Origin;
use crate::quorum::{Answer, Bootstrap, Controller, Late, SubmitError};
use crate::rpc::controller as proto;
use proto::controller_server::ControllerServer;
use proto::submit_reply::Result as Outcome;

struct Door {
    bootstrap: Bootstrap,
    controller: Late<Controller>,
}

/// The service, for the peer port.
pub fn service(
    bootstrap: Bootstrap,
    controller: Late<Controller>,
) -> ControllerServer<impl proto::controller_server::Controller> {
    ControllerServer::new(Door { bootstrap, controller })
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl proto::controller_server::Controller for Door {
    type FeedStream = Frames<proto::FeedFrame>;
    type SessionStream = Frames<proto::SessionDown>;

    async fn submit(&self, request: Request<proto::SubmitRequest>) -> Result<Response<proto::SubmitReply>, Status> {
        let proto::SubmitRequest { cluster_id, origin, command } = request.into_inner();
        let controller = self.of_cluster(&cluster_id)?;
        let command = codec::decode_command(command).map_err(|why| Status::invalid_argument(why.to_string()))?;
        let origin = origin.unwrap_or_default();
        let origin = Origin { principal: origin.principal, api: origin.api, client_id: origin.client_id, facts: 0 };
        Ok(Response::new(submitted(controller.submit(command, origin).await)))
    }

    async fn describe(
        &self,
        request: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeReply>, Status> {
        use proto::describe_reply::Result as Described;
        let result = match self.of_cluster(&request.into_inner().cluster_id)?.describe() {
            Ok(state) => Described::State(state),
            Err(leader) => Described::NotActive(not_active(leader)),
        };
        Ok(Response::new(proto::DescribeReply { result: Some(result) }))
    }

    async fn feed(&self, request: Request<proto::FeedRequest>) -> Result<Response<Self::FeedStream>, Status> {
        let proto::FeedRequest { cluster_id, next_index } = request.into_inner();
        let frames = self.of_cluster(&cluster_id)?.feed(MetadataIndex(next_index));
        let frames = frames.map(|frame| frame.map_err(|error| Status::unavailable(error.to_string())));
        Ok(Response::new(Box::pin(frames)))
    }

    async fn session(
        &self,
        request: Request<Streaming<proto::SessionUp>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let answers = self.controller.here()?.session(request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn probe(&self, _: Request<proto::ProbeRequest>) -> Result<Response<proto::ProbeReply>, Status> {
        Ok(Response::new(self.bootstrap.on_probe()))
    }

    async fn prepare(&self, request: Request<proto::PrepareRequest>) -> Result<Response<proto::PrepareReply>, Status> {
        let refusal = self.bootstrap.on_prepare(request.into_inner()).await.err();
        Ok(Response::new(proto::PrepareReply { refusal }))
    }
}

impl Door {
    /// The controller, if it is of the cluster that the caller means.
    fn of_cluster(&self, cluster: &Bytes) -> Result<&Controller, Status> {
        let controller = self.controller.here()?;
        let ours = controller.cluster();
        if cluster.as_ref() == ours.0.0 {
            return Ok(controller);
        }
        Err(Status::failed_precondition(format!("this is cluster {ours}, the caller is of another")))
    }
}

fn submitted(answer: Result<Answer, SubmitError>) -> proto::SubmitReply {
    let (index, result) = match answer {
        Ok(Answer { reply, index }) => (index.0, codec::encode_reply(&reply)),
        Err(SubmitError::Refused { refused, index }) => (index.0, Outcome::Refused(codec::encode_refused(&refused))),
        Err(SubmitError::NotActive { leader }) => (0, Outcome::NotActive(not_active(leader))),
        Err(SubmitError::Unknown(message)) => (0, Outcome::Unknown(proto::Unknown { message })),
    };
    proto::SubmitReply { index, result: Some(result) }
}

fn not_active(leader: Option<String>) -> proto::NotActive {
    proto::NotActive { leader_address: leader.unwrap_or_default() }
}

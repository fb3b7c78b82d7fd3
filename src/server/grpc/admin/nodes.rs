//! Nodes: all of them, or one.

use tonic::{Request, Response, Status};

use super::{Door, show};
use crate::base::ids::NodeId;
use crate::rpc::admin::nodes_server::Nodes;
use crate::rpc::admin::{DescribeNodeRequest, ListNodesReply, ListNodesRequest, Node};

#[tonic::async_trait]
impl Nodes for Door {
    async fn list(&self, _: Request<ListNodesRequest>) -> Result<Response<ListNodesReply>, Status> {
        let image = self.image()?;
        Ok(Response::new(ListNodesReply { nodes: show::nodes(&image) }))
    }

    async fn describe(&self, request: Request<DescribeNodeRequest>) -> Result<Response<Node>, Status> {
        let id = NodeId(request.into_inner().node_id);
        let image = self.image()?;
        let node = image.nodes().get(id).ok_or_else(|| Status::not_found(format!("no node {id} is registered")))?;
        Ok(Response::new(show::node(&image, node)))
    }
}

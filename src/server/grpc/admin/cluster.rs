//! Cluster: its status.

use tonic::{Request, Response, Status};

use super::{Door, show};
use crate::broker::Broker;
use crate::rpc::admin::cluster_server::Cluster;
use crate::rpc::admin::{ClusterStatus, ClusterStatusRequest};

#[tonic::async_trait]
impl Cluster for Door {
    async fn status(&self, _: Request<ClusterStatusRequest>) -> Result<Response<ClusterStatus>, Status> {
        let broker = self.behind()?.bodies.broker.as_ref();
        let (answered_by, offline) = (broker.map(Broker::node), broker.map(Broker::offline).unwrap_or_default());
        let image = self.image()?;
        Ok(Response::new(show::cluster(&image, answered_by, offline)))
    }
}

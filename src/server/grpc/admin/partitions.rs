//! Partitions: all of them, one topic's, or those that are in trouble.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Door, show, topics};
use crate::base::ids::TopicId;
use crate::rpc::admin::partitions_server::Partitions;
use crate::rpc::admin::{ListPartitionsRequest, Partition};

#[tonic::async_trait]
impl Partitions for Door {
    type ListStream = BoxStream<'static, Result<Partition, Status>>;

    async fn list(&self, request: Request<ListPartitionsRequest>) -> Result<Response<Self::ListStream>, Status> {
        let request = request.into_inner();
        let condition = request.condition();
        let image = self.image()?;
        let meant: Vec<TopicId> = match &request.topic {
            Some(name) => vec![topics::named(&image, name)?.id],
            None => image.topics().iter_by_name().map(|topic| topic.id).collect(),
        };
        // One topic at a time becomes messages, when the reader is ready for it.
        let partitions = meant.into_iter().flat_map(move |id| {
            let image = Arc::clone(&image);
            image.topics().get(id).map_or_else(Vec::new, |topic| show::partitions_in(&image, topic, condition))
        });
        Ok(Response::new(stream::iter(partitions.map(Ok)).boxed()))
    }
}

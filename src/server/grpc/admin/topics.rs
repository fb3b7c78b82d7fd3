//! Topics: seen, created, deleted.
//!
//! Refusals carry Kafka's name and the controller's sentence; their kind becomes gRPC's.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Door, show};
use crate::base::ids::TopicId;
use crate::base::limits::COMMAND_PATIENCE_MS;
use crate::broker::SubmitError;
use crate::controller::{Command, CreateTopics, DeleteTopics, NewTopic, Refusal, Refused, Reply, TopicName};
use crate::metadata::Image;
use crate::metadata::record::Origin;
use crate::metadata::topics::Topic as KnownTopic;
use crate::rpc::admin::topics_server::Topics;
use crate::rpc::admin::{
    CreateTopicRequest, CreatedTopic, DeleteTopicRequest, DeletedTopic, DescribeTopicRequest, ListTopicsRequest, Topic,
    TopicSummary,
};

#[tonic::async_trait]
impl Topics for Door {
    type ListStream = BoxStream<'static, Result<TopicSummary, Status>>;

    async fn list(&self, request: Request<ListTopicsRequest>) -> Result<Response<Self::ListStream>, Status> {
        let with_internal = request.into_inner().include_internal;
        let image = self.image()?;
        let meant = image.topics().iter_by_name().filter(|topic| with_internal || !topic.is_internal());
        let meant: Vec<TopicId> = meant.map(|topic| topic.id).collect();
        let summaries = meant.into_iter().filter_map(move |id| Some(show::summary(&image, image.topics().get(id)?)));
        Ok(Response::new(stream::iter(summaries.map(Ok)).boxed()))
    }

    async fn describe(&self, request: Request<DescribeTopicRequest>) -> Result<Response<Topic>, Status> {
        let image = self.image()?;
        let topic = named(&image, &request.into_inner().name)?;
        Ok(Response::new(show::topic(&image, topic)))
    }

    async fn create(&self, request: Request<CreateTopicRequest>) -> Result<Response<CreatedTopic>, Status> {
        let origin = origin(&request, "Topics/Create");
        let reply = self.submit(&to_create(request.into_inner())?, &origin).await?;
        created(reply).map(Response::new)
    }

    async fn delete(&self, request: Request<DeleteTopicRequest>) -> Result<Response<DeletedTopic>, Status> {
        let origin = origin(&request, "Topics/Delete");
        let topics = vec![TopicName::Name(request.into_inner().name)];
        let reply = self.submit(&Command::DeleteTopics(DeleteTopics { topics }), &origin).await?;
        deleted(reply).map(Response::new)
    }
}

impl Door {
    async fn submit(&self, command: &Command, origin: &Origin) -> Result<Reply, Status> {
        let patience = Duration::from_millis(COMMAND_PATIENCE_MS);
        self.broker()?.submit(command, origin, patience).await.map_err(|error| match error {
            SubmitError::Refused(refused) => refusal(&refused),
            SubmitError::Unknown(_) => Status::unknown(error.to_string()),
            SubmitError::NoController(_) => Status::unavailable(error.to_string()),
        })
    }
}

/// The topic of this name, or the answer that there is none.
pub(super) fn named<'a>(image: &'a Image, name: &str) -> Result<&'a KnownTopic, Status> {
    image.topics().named(name).ok_or_else(|| Status::not_found(format!("there is no topic {name}")))
}

/// How the controller writes down who asked.
fn origin<T>(request: &Request<T>, api: &str) -> Origin {
    let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
    Origin {
        principal: "User:ANONYMOUS".to_owned(),
        api: format!("admin.{api}"),
        client_id: agent.unwrap_or_default().to_owned(),
        facts: 0, // the controller counts them
    }
}

pub(super) fn to_create(request: CreateTopicRequest) -> Result<Command, Status> {
    let too_many = |_| Status::invalid_argument("a replication factor this large has no meaning");
    let topic = NewTopic {
        name: request.name,
        partitions: request.partitions.unwrap_or(-1),
        replication_factor: request.replication_factor.unwrap_or(-1).try_into().map_err(too_many)?,
        assignments: Vec::new(),
        configs: request.configs.into_iter().collect(),
    };
    Ok(Command::CreateTopics(CreateTopics { topics: vec![topic], validate_only: request.validate_only }))
}

pub(super) fn created(reply: Reply) -> Result<CreatedTopic, Status> {
    let Reply::CreatedTopics(topics) = reply else { return Err(nonsense(&reply)) };
    let [topic] = <[_; 1]>::try_from(topics).map_err(|topics| nonsense(&Reply::CreatedTopics(topics)))?;
    let shape = topic.outcome.map_err(|refused| refusal(&refused))?;
    Ok(CreatedTopic {
        name: topic.name,
        topic_id: shape.id.to_string(),
        partitions: shape.partitions as u32,
        replication_factor: shape.replication_factor as u32,
    })
}

pub(super) fn deleted(reply: Reply) -> Result<DeletedTopic, Status> {
    let Reply::DeletedTopics(topics) = reply else { return Err(nonsense(&reply)) };
    let [topic] = <[_; 1]>::try_from(topics).map_err(|topics| nonsense(&Reply::DeletedTopics(topics)))?;
    topic.outcome.map_err(|refused| match refused.refusal {
        // Its name is no mistake: it is one of those that must stay.
        Refusal::InvalidTopic => Status::failed_precondition(refused.to_string()),
        _ => refusal(&refused),
    })?;
    Ok(DeletedTopic { name: topic.name.unwrap_or_default(), topic_id: topic.id.unwrap_or_default().to_string() })
}

/// A refusal as gRPC says it.
fn refusal(refused: &Refused) -> Status {
    let message = refused.to_string();
    match refused.refusal {
        Refusal::UnknownTopicOrPartition | Refusal::UnknownTopicId => Status::not_found(message),
        Refusal::TopicAlreadyExists => Status::already_exists(message),
        Refusal::InvalidTopic
        | Refusal::InvalidPartitions
        | Refusal::InvalidReplicationFactor
        | Refusal::InvalidReplicaAssignment
        | Refusal::InvalidConfig
        | Refusal::InvalidRequest => Status::invalid_argument(message),
        _ => Status::failed_precondition(message),
    }
}

/// The controller and this node do not understand each other.
fn nonsense(reply: &Reply) -> Status {
    Status::internal(format!("the controller answered something else: {reply:?}"))
}

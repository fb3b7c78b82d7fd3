//! DeleteTopics (20), versions 1-6. By name, from 6 on also by id. Any broker takes it; the active controller decides.
//!
//! Answers per topic: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; TOPIC_DELETION_DISABLED with
//! `delete.topic.enable=false`; INVALID_REQUEST to one that is named in neither way, in both, or again;
//! REQUEST_TIMED_OUT when no controller is active within `timeout_ms`.

use std::rc::Rc;

use crate::base::ids::TopicId;
use crate::controller::{Command, DeleteTopics, DeletedTopic, Reply, TopicName};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::{Declined, told};
use crate::server::kafka::repeated::repeated;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

pub async fn answer(asked: Rc<Asked>, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = |name| DeleteTopicState { name: Some(name), ..Default::default() };
    request.topics.extend(std::mem::take(&mut request.topic_names).into_iter().map(by_name)); // up to 5
    let name = |topic: &DeleteTopicState| (topic.name.clone(), topic.topic_id);
    let again = repeated(request.topics.iter().map(name));
    let named = |topic: &DeleteTopicState| match again.contains(&name(topic)) {
        true => Err(Declined::new(ErrorCode::InvalidRequest, "the request names the topic more than once")),
        false => named(topic),
    };
    let wanted: Vec<Result<TopicName, Declined>> = request.topics.iter().map(named).collect();
    let topics = wanted.iter().flatten().cloned().collect();
    let mut decided = delete(&asked, topics, request.timeout_ms).await.map(Vec::into_iter);
    let responses = request.topics.iter().zip(wanted).map(|(topic, wanted)| {
        let decided = wanted.and_then(|_| match &mut decided {
            Ok(decided) => Ok(decided.next().expect("the controller answers for every topic that it was asked for")),
            Err(declined) => Err(declined.clone()),
        });
        result(topic, decided)
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}

fn named(topic: &DeleteTopicState) -> Result<TopicName, Declined> {
    match &topic.name {
        Some(name) if topic.topic_id.is_zero() => Ok(TopicName::Name(name.to_string())),
        None if !topic.topic_id.is_zero() => Ok(TopicName::Id(TopicId(topic.topic_id))),
        _ => Err(Declined::new(ErrorCode::InvalidRequest, "name a topic either by its name or by its id")),
    }
}

async fn delete(asked: &Asked, topics: Vec<TopicName>, timeout_ms: i32) -> Result<Vec<DeletedTopic>, Declined> {
    if !asked.door().broker.settings().boolean("delete.topic.enable") {
        return Err(Declined::new(ErrorCode::TopicDeletionDisabled, "see delete.topic.enable"));
    }
    match asked.submit(&Command::DeleteTopics(DeleteTopics { topics }), timeout_ms).await? {
        Reply::DeletedTopics(deleted) => Ok(deleted),
        other => unreachable!("DeleteTopics is not answered by {other:?}"),
    }
}

fn result(topic: &DeleteTopicState, decided: Result<DeletedTopic, Declined>) -> DeletableTopicResult {
    let (name, id, outcome) = match decided {
        Ok(DeletedTopic { name, id, outcome }) => (name, id, outcome.map_err(|refused| Declined::from(&refused))),
        Err(declined) => (None, None, Err(declined)),
    };
    let (error_code, error_message) = told(outcome);
    DeletableTopicResult {
        name: name.map(Into::into).or_else(|| topic.name.clone()),
        topic_id: id.map_or(topic.topic_id, |id| id.0),
        error_code,
        error_message,
        ..Default::default()
    }
}

//! CreatePartitions (37), versions 0-3. Topics get more partitions, never fewer. Any broker takes it; the active
//! controller decides.
//!
//! Answers per topic: what the controller says (`controller/partitions.rs`), with a sentence; INVALID_REQUEST to a
//! topic that is named twice, of which nothing is done; REQUEST_TIMED_OUT when no controller is active within
//! `timeout_ms`.

use std::rc::Rc;

use crate::base::ids::NodeId;
use crate::controller::{Command, CreatePartitions, MorePartitions, Reply};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::{Declined, told};
use crate::server::kafka::repeated::repeated;
use crate::wire::ErrorCode;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

pub async fn answer(asked: Rc<Asked>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let again = repeated(request.topics.iter().map(|topic| &topic.name));
    let once: Vec<&CreatePartitionsTopic> =
        request.topics.iter().filter(|topic| !again.contains(&topic.name)).collect();
    let outcomes = create(&asked, &once, request.validate_only, request.timeout_ms).await;
    let named_again = || Declined::new(ErrorCode::InvalidRequest, "the request names the topic more than once");
    let refused = again.into_iter().map(|name| (name, Err(named_again())));
    let decided = once.iter().map(|topic| &topic.name).zip(outcomes);
    let results = refused.chain(decided).map(|(name, outcome)| {
        let (error_code, error_message) = told(outcome);
        CreatePartitionsTopicResult { name: name.clone(), error_code, error_message, ..Default::default() }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

async fn create(
    asked: &Asked,
    topics: &[&CreatePartitionsTopic],
    validate_only: bool,
    timeout_ms: i32,
) -> Vec<Result<(), Declined>> {
    if topics.is_empty() {
        return Vec::new();
    }
    let command = Command::CreatePartitions(CreatePartitions {
        topics: topics.iter().map(|topic| wanted(topic)).collect(),
        validate_only,
    });
    match asked.submit(&command, timeout_ms).await {
        Ok(Reply::GrownTopics(grown)) => {
            grown.into_iter().map(|grown| grown.outcome.map_err(|refused| Declined::from(&refused))).collect()
        }
        Ok(other) => unreachable!("CreatePartitions is not answered by {other:?}"),
        Err(declined) => vec![Err(declined); topics.len()],
    }
}

fn wanted(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic
        .assignments
        .as_ref()
        .map(|assignments| assignments.iter().map(|it| it.broker_ids.iter().copied().map(NodeId).collect()).collect());
    MorePartitions { name: topic.name.to_string(), count: topic.count, assignments }
}

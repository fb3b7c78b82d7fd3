//! ElectLeaders (43), versions 0-2. Partitions get their preferred leader back, or, from 1 on and if that is asked for,
//! any at all, though it may have lost records. Any broker takes it; the active controller decides.
//!
//! Of all partitions (null) only those are told that needed an election.
//!
//! Answers per partition: what the controller says (`controller/elections.rs`); for the whole request INVALID_REQUEST
//! to a kind of election that there is not, REQUEST_TIMED_OUT when no controller is active within `timeout_ms`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::ids::PartitionIndex;
use crate::controller::{Command, ElectLeaders, ElectedLeader, ElectionKind, Reply};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::{Declined, told};
use crate::wire::ErrorCode;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

pub async fn answer(asked: Rc<Asked>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    match elect(&asked, &request).await {
        Ok(elected) => ElectLeadersResponse { replica_election_results: by_topic(elected), ..Default::default() },
        Err(Declined { code, .. }) => ElectLeadersResponse { error_code: code, ..Default::default() },
    }
}

async fn elect(asked: &Asked, request: &ElectLeadersRequest) -> Result<Vec<ElectedLeader>, Declined> {
    let kind = match request.election_type {
        0 => ElectionKind::Preferred,
        1 => ElectionKind::Unclean,
        other => return Err(Declined::new(ErrorCode::InvalidRequest, format!("there is no election of type {other}"))),
    };
    let partitions = request.topic_partitions.as_ref().map(|topics| {
        let named = topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (&topic.topic, *index)));
        named.map(|(topic, index)| (topic.to_string(), PartitionIndex(index))).collect()
    });
    match asked.submit(&Command::ElectLeaders(ElectLeaders { kind, partitions }), request.timeout_ms).await? {
        Reply::ElectedLeaders(elected) => Ok(elected),
        other => unreachable!("ElectLeaders is not answered by {other:?}"),
    }
}

fn by_topic(elected: Vec<ElectedLeader>) -> Vec<ReplicaElectionResult> {
    let mut topics: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
    for ElectedLeader { topic, partition, outcome } in elected {
        let (error_code, error_message) = told(outcome.map_err(|refused| Declined::from(&refused)));
        topics.entry(topic).or_default().push(PartitionResult {
            partition_id: partition.0,
            error_code,
            error_message,
            ..Default::default()
        });
    }
    let result = |(topic, partition_result): (String, _)| ReplicaElectionResult {
        topic: topic.into(),
        partition_result,
        ..Default::default()
    };
    topics.into_iter().map(result).collect()
}

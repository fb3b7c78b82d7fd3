//! DescribeQuorum (55), versions 0-2. The controllers that vote, how far their logs reach and which of them is active.
//!
//! Any broker takes it; the active controller knows. Kafka calls its metadata log the partition `__cluster_metadata-0`,
//! and knows each place in it by the offset after it: so are Raft's indexes told here, and its term as the epoch. A
//! voter has caught up when it has all that the leader has; for one that has not, the time when it had is unknown.
//!
//! Answers: UNKNOWN_TOPIC_OR_PARTITION about any other partition; REQUEST_TIMED_OUT when no controller is active.
//! Absent on purpose: observers, that is brokers: what they have applied is in their sessions with the controller.

use std::rc::Rc;
use std::time::Duration;

use crate::base::clock::WallMillis;
use crate::base::ids::Uuid;
use crate::base::limits::KAFKA_QUORUM_PATIENCE_MS;
use crate::rpc::controller::{QuorumState, VoterState};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::Declined;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionResult, ReplicaState, TopicResult,
};
use crate::wire::{ErrorCode, Text};

const TOPIC: &str = "__cluster_metadata";

/// Of the listener that controllers are found at; Kafka's usual one.
const LISTENER: &str = "CONTROLLER";

pub async fn answer(asked: Rc<Asked>, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    if !is_about_metadata(&request) {
        return of_others(&request);
    }
    let broker = &asked.door().broker;
    match broker.describe_quorum(Duration::from_millis(KAFKA_QUORUM_PATIENCE_MS)).await {
        Ok(state) => described(&state, broker.world().clock.now()),
        Err(error) => {
            let Declined { code, message } = Declined::from(error);
            DescribeQuorumResponse { error_code: code, error_message: Some(message), ..Default::default() }
        }
    }
}

fn is_about_metadata(request: &DescribeQuorumRequest) -> bool {
    let [topic] = &request.topics[..] else { return false };
    let [partition] = &topic.partitions[..] else { return false };
    *topic.topic_name == *TOPIC && partition.partition_index == 0
}

/// As in Kafka whoever asks about another partition is not told about this one either.
fn of_others(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let unknown = |partition_index| PartitionResult {
        partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition,
        error_message: Some(ErrorCode::UnknownTopicOrPartition.message().into()),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| TopicResult {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(|partition| unknown(partition.partition_index)).collect(),
        ..Default::default()
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}

fn described(state: &QuorumState, now: WallMillis) -> DescribeQuorumResponse {
    let leader = state.voters.iter().find(|voter| node_id(voter) == state.leader);
    let end = leader.and_then(|leader| leader.last);
    let partition = PartitionResult {
        leader_id: state.leader,
        leader_epoch: i32::try_from(state.term).unwrap_or(i32::MAX),
        high_watermark: offset_after(Some(state.committed)),
        current_voters: state.voters.iter().map(|voter| voter_state(voter, end, now)).collect(),
        ..Default::default()
    };
    let topic = TopicResult { topic_name: Text::from_static(TOPIC), partitions: vec![partition], ..Default::default() };
    let nodes = state.voters.iter().map(node).collect();
    DescribeQuorumResponse { topics: vec![topic], nodes, ..Default::default() }
}

fn voter_state(voter: &VoterState, end: Option<u64>, now: WallMillis) -> ReplicaState {
    let directory = voter.member.as_ref().and_then(|member| <[u8; 16]>::try_from(&member.directory_id[..]).ok());
    let heard = voter.heard_ms_ago.map_or(-1, |ago| now.0.saturating_sub_unsigned(ago));
    ReplicaState {
        replica_id: node_id(voter),
        replica_directory_id: directory.map_or(Uuid::ZERO, Uuid),
        log_end_offset: offset_after(voter.last),
        last_fetch_timestamp: heard,
        last_caught_up_timestamp: if voter.last >= end { heard } else { -1 },
        ..Default::default()
    }
}

fn offset_after(index: Option<u64>) -> i64 {
    index.map_or(0, |index| i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1))
}

fn node(voter: &VoterState) -> Node {
    let address = voter.member.as_ref().and_then(|member| member.address.rsplit_once(':'));
    let listener = address.map(|(host, port)| Listener {
        name: Text::from_static(LISTENER),
        host: host.trim_matches(['[', ']']).into(),
        port: port.parse().unwrap_or(0),
        ..Default::default()
    });
    Node { node_id: node_id(voter), listeners: listener.into_iter().collect(), ..Default::default() }
}

fn node_id(voter: &VoterState) -> i32 {
    voter.member.as_ref().map_or(-1, |member| member.node_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::controller::Member;

    #[test]
    fn a_voter_that_lags_has_not_caught_up() {
        let voter = |node_id: i32, last, heard_ms_ago| VoterState {
            member: Some(Member {
                node_id,
                directory_id: vec![node_id as u8; 16].into(),
                address: format!("[::1]:{node_id}"),
            }),
            last,
            heard_ms_ago,
        };
        let voters = vec![voter(1, Some(9), Some(0)), voter(2, Some(9), Some(5)), voter(3, Some(7), Some(5))];
        let state =
            QuorumState { leader: 1, term: 4, committed: 9, voters: [voters, vec![voter(4, None, None)]].concat() };
        let response = described(&state, WallMillis(1_000));
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.leader_id, partition.leader_epoch, partition.high_watermark), (1, 4, 10));
        let told = |voter: &ReplicaState| {
            (voter.replica_id, voter.log_end_offset, voter.last_fetch_timestamp, voter.last_caught_up_timestamp)
        };
        let voters: Vec<_> = partition.current_voters.iter().map(told).collect();
        assert_eq!(voters, [(1, 10, 1_000, 1_000), (2, 10, 995, 995), (3, 8, 995, -1), (4, 0, -1, -1)]);
        let listener = &response.nodes[2].listeners[0];
        assert_eq!((&*listener.host, listener.port), ("::1", 3));
    }
}

//! ListPartitionReassignments (46), version 0. None is ever under way: nobody moves replicas yet.
//!
//! Kafka's tools ask before they show something else, and take it ill when nobody answers.

use crate::server::kafka::client::Asked;
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub fn answer(_: &Asked, _: ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse { error_message: Some("".into()), ..Default::default() }
}

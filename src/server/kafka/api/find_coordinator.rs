//! FindCoordinator (10), versions 0-6. One key up to 3, many from 4 on.
//!
//! Answers: COORDINATOR_NOT_AVAILABLE, which clients retry: nobody coordinates groups or transactions yet;
//! INVALID_REQUEST to a kind of key that there is not.

use crate::server::kafka::client::Asked;
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Text};

/// Groups, transactional ids, share partitions.
const KINDS: [i8; 3] = [0, 1, 2];

pub fn answer(asked: &Asked, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let is_kind = KINDS.contains(&request.key_type);
    let error_code = if is_kind { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::InvalidRequest };
    if asked.version() < 4 {
        return FindCoordinatorResponse {
            error_code,
            error_message: Some(error_code.message().into()),
            node_id: -1,
            port: -1,
            ..Default::default()
        };
    }
    let nowhere = |key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code,
        error_message: Some(Text::default()), // as Kafka: the code says it
        ..Default::default()
    };
    let coordinators = request.coordinator_keys.into_iter().map(nowhere).collect();
    FindCoordinatorResponse { coordinators, ..Default::default() }
}

//! InitProducerId (22), versions 0-5. An id for a new idempotent producer, with epoch 0; every broker gives them out.
//!
//! A producer that brings its id and epoch (3+, KIP-360) gets a new id too, as in Kafka: without a transactional id
//! nobody keeps its epochs, so a higher one could not be told from a lost one.
//!
//! Answers: INVALID_REQUEST to an empty transactional id and to an id without epoch or the reverse;
//! COORDINATOR_LOAD_IN_PROGRESS, which clients retry, while no controller gives us ids; COORDINATOR_NOT_AVAILABLE to
//! transactional producers: nobody coordinates them yet.

use std::rc::Rc;

use crate::server::kafka::client::Asked;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

const NONE: i64 = -1;

pub async fn answer(asked: Rc<Asked>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error_code| InitProducerIdResponse {
        error_code,
        producer_id: NONE,
        producer_epoch: NONE as i16,
        ..Default::default()
    };
    let has_id = request.producer_id != NONE;
    let has_epoch = i64::from(request.producer_epoch) != NONE;
    match &request.transactional_id {
        _ if has_id != has_epoch => refused(ErrorCode::InvalidRequest),
        Some(id) if id.is_empty() => refused(ErrorCode::InvalidRequest),
        Some(_) => refused(ErrorCode::CoordinatorNotAvailable),
        None => match asked.door().broker.producer_id().await {
            Ok(id) => InitProducerIdResponse { producer_id: id.0, ..Default::default() },
            Err(_) => refused(ErrorCode::CoordinatorLoadInProgress),
        },
    }
}

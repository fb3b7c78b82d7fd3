//! IncrementalAlterConfigs (44), versions 0-1. Sets, deletes, adds to and takes from single keys.
//!
//! Answers per resource: as in `alterations.rs`; INVALID_REQUEST to an operation that there is not, and to one without
//! the value it needs; INVALID_CONFIG to adding to what is no list. Nothing is done for a resource that has an error.

use std::rc::Rc;

use crate::controller::ConfigOperation;
use crate::server::kafka::alterations::{Alteration, alter, invalid, without_value};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::Declined;
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub async fn answer(asked: Rc<Asked>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let wanted = request.resources.into_iter().map(wanted).collect();
    let responses = alter(&asked, wanted, request.validate_only).await.map(|altered| AlterConfigsResourceResponse {
        error_code: altered.error_code,
        error_message: altered.error_message,
        resource_type: altered.resource_type,
        resource_name: altered.resource_name,
        ..Default::default()
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn wanted(resource: AlterConfigsResource) -> Alteration {
    Alteration {
        operations: resource.configs.iter().map(operation).collect(),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        replaces: false,
    }
}

fn operation(config: &AlterableConfig) -> Result<(String, ConfigOperation), Declined> {
    let value = || config.value.as_deref().map(str::to_owned).ok_or_else(|| without_value(&config.name));
    let operation = match config.config_operation {
        SET => ConfigOperation::Set(value()?),
        DELETE => ConfigOperation::Delete,
        APPEND => ConfigOperation::Append(value()?),
        SUBTRACT => ConfigOperation::Subtract(value()?),
        other => return Err(invalid(format!("there is no operation {other} on a configuration"))),
    };
    Ok((config.name.to_string(), operation))
}

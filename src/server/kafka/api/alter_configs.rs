//! AlterConfigs (33), versions 0-2. Replaces the whole configuration of a resource: what is not named is deleted.
//!
//! Java's clients have given it up for IncrementalAlterConfigs; librdkafka and others still send it.
//!
//! Answers per resource: as in `alterations.rs`; INVALID_REQUEST to a configuration without a value.

use std::rc::Rc;

use crate::controller::ConfigOperation;
use crate::server::kafka::alterations::{Alteration, alter, without_value};
use crate::server::kafka::client::Asked;
use crate::server::kafka::declined::Declined;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse, AlterableConfig,
};

pub async fn answer(asked: Rc<Asked>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let wanted = request.resources.into_iter().map(wanted).collect();
    let responses = alter(&asked, wanted, request.validate_only).await.map(|altered| AlterConfigsResourceResponse {
        error_code: altered.error_code,
        error_message: altered.error_message,
        resource_type: altered.resource_type,
        resource_name: altered.resource_name,
        ..Default::default()
    });
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn wanted(resource: AlterConfigsResource) -> Alteration {
    Alteration {
        operations: resource.configs.iter().map(operation).collect(),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        replaces: true,
    }
}

fn operation(config: &AlterableConfig) -> Result<(String, ConfigOperation), Declined> {
    let value = config.value.as_ref().ok_or_else(|| without_value(&config.name))?;
    Ok((config.name.to_string(), ConfigOperation::Set(value.to_string())))
}

//! ListConfigResources (74), versions 0-1. What can have configuration of its own: topics and brokers, and
//! the groups that have some.
//!
//! Version 0 asks for client metrics subscriptions only, of which there are none; from 1 on no type means all.
//! Answers: UNSUPPORTED_VERSION to a type that there is not.

use crate::metadata::Image;
use crate::metadata::configs::ConfigScope;
use crate::server::kafka::client::Asked;
use crate::server::kafka::resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::wire::{ErrorCode, Text};

const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub fn answer(asked: &Asked, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let types = match &request.resource_types[..] {
        _ if asked.version() == 0 => &[CLIENT_METRICS][..],
        [] => &TYPES,
        some => some,
    };
    if !types.iter().all(|wanted| TYPES.contains(wanted)) {
        return ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion, ..Default::default() };
    }
    let image = asked.image();
    let resources = types.iter().flat_map(|resource_type| {
        let resource =
            |name| ConfigResource { resource_name: name, resource_type: *resource_type, ..Default::default() };
        names(&image, *resource_type).into_iter().map(resource)
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}

fn names(image: &Image, resource_type: i8) -> Vec<Text> {
    match resource_type {
        TOPIC => image.topics().iter_by_name().map(|topic| Text::from(&*topic.name)).collect(),
        BROKER | BROKER_LOGGER => {
            image.nodes().iter().filter(|node| node.is_broker()).map(|node| node.id.to_string().into()).collect()
        }
        GROUP => image.configs().scopes().filter_map(|scope| group(&scope)).collect(),
        _ => Vec::new(),
    }
}

fn group(scope: &ConfigScope) -> Option<Text> {
    if let ConfigScope::Group(name) = scope { Some(Text::from(&**name)) } else { None }
}

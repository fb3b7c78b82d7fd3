//! DescribeCluster (60), versions 0-2. The cluster's id and its brokers, as this broker's image has them.
//!
//! Brokers are told by their endpoints of the listener asked on, as in Metadata; fenced ones only to who asks for them
//! (2+).
//!
//! Answers: MISMATCHED_ENDPOINT_TYPE to who asks for controllers, which are not behind this port;
//! UNSUPPORTED_ENDPOINT_TYPE to who asks for anything else.

use crate::metadata::nodes::Node;
use crate::server::kafka::client::Asked;
use crate::server::kafka::operations;
use crate::wire::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::{ErrorCode, Text};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub fn answer(asked: &Asked, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: match request.endpoint_type {
                CONTROLLERS => ErrorCode::MismatchedEndpointType,
                _ => ErrorCode::UnsupportedEndpointType,
            },
            error_message: Some(Text::from_static("clients reach brokers here, endpoint type 1")),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let image = asked.image();
    let nodes = image.nodes().iter().filter(|node| node.is_broker());
    let shown = nodes.filter(|node| request.include_fenced_brokers || !node.is_fenced());
    let asks_about_cluster = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        cluster_id: image.cluster().id.map(|id| id.to_string().into()).unwrap_or_default(),
        controller_id: asked.controller(&image, &asked.endpoints(image.nodes())),
        brokers: shown.filter_map(|node| broker(asked, node)).collect(),
        cluster_authorized_operations: if asks_about_cluster { operations::CLUSTER } else { operations::NOT_ASKED_FOR },
        ..Default::default()
    }
}

fn broker(asked: &Asked, node: &Node) -> Option<DescribeClusterBroker> {
    let endpoint = asked.endpoint(node)?;
    Some(DescribeClusterBroker {
        broker_id: endpoint.node.0,
        host: endpoint.host,
        port: endpoint.port,
        rack: endpoint.rack,
        is_fenced: node.is_fenced(),
        ..Default::default()
    })
}

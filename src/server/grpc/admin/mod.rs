//! The admin services: what people and tools ask a node. They are documented in `proto/admin.proto`.
//!
//! ```text
//!   image ──show──► messages ──► Cluster, Nodes, Topics, Partitions
//!   image, image ──changes──► events ──► History ──► Events
//!   Topics ──Command──► broker ──► the active controller
//! ```
//!
//! One [`Door`] serves them all, from the port's first moment on: before the node has found its cluster it answers
//! UNAVAILABLE. A node that is no broker shows everything and refuses commands; one that is no controller cannot tell
//! of the quorum. Both are UNIMPLEMENTED, with the addresses of nodes that can.
//!
//! Absent on purpose: who may ask (the port is for operators; it is not to be opened to clients).

mod changes;
mod show;

mod cluster;
mod events;
mod nodes;
mod partitions;
mod quorum;
mod topics;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use axum::Router;
use tokio::sync::watch;
use tonic::Status;
use tonic::service::Routes;

use super::health;
use crate::base::World;
use crate::base::ids::MetadataIndex;
use crate::broker::Broker;
use crate::metadata::Image;
use crate::metadata::nodes::Node;
use crate::quorum::{Member, Reign};
use crate::rpc::ADMIN_DESCRIPTORS;
use crate::rpc::admin as proto;
use crate::telemetry::Health;
use events::History;
use proto::cluster_server::ClusterServer;
use proto::events_server::EventsServer;
use proto::nodes_server::NodesServer;
use proto::partitions_server::PartitionsServer;
use proto::quorum_server::QuorumServer;
use proto::topics_server::TopicsServer;

/// What the services ask, once a node has it.
pub struct Bodies {
    /// The metadata that this node acts on; of a controller alone, what it has applied.
    pub images: watch::Receiver<Arc<Image>>,
    /// Absent on a node that is a controller only.
    pub broker: Option<Broker>,
    /// Absent on a node that is a broker only.
    pub quorum: Option<QuorumView>,
}

/// Looks at the quorum, now.
pub type QuorumView = Box<dyn Fn() -> QuorumSeen + Send + Sync>;

/// The quorum as one of its members sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumSeen {
    pub reign: Reign,
    pub voters: Vec<Member>,
    pub applied: MetadataIndex,
}

/// All admin services of a node. Clones are the same door.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceLock<Behind>>);

/// What is behind the door.
struct Behind {
    bodies: Bodies,
    history: Arc<History>,
}

impl Door {
    /// Opens the door to these bodies, and returns what has to run so that events are told.
    ///
    /// # Panics
    /// When it was opened before.
    pub fn open_to(&self, world: &World, bodies: Bodies) -> impl Future<Output = ()> + Send + use<> {
        let history = Arc::new(History::new());
        let recording = events::record(
            Arc::clone(&history),
            bodies.images.clone(),
            bodies.broker.clone(),
            Arc::clone(&world.clock),
        );
        let is_first = self.0.set(Behind { bodies, history }).is_ok();
        assert!(is_first, "a node finds its cluster once");
        recording
    }

    fn behind(&self) -> Result<&Behind, Status> {
        let starting = || Status::unavailable("this node is still starting; GET /readyz says what it waits for");
        self.0.get().ok_or_else(starting)
    }

    fn image(&self) -> Result<Arc<Image>, Status> {
        Ok(Arc::clone(&self.behind()?.bodies.images.borrow()))
    }

    fn broker(&self) -> Result<&Broker, Status> {
        let bodies = &self.behind()?.bodies;
        bodies.broker.as_ref().ok_or_else(|| {
            let brokers = admin_addresses(&bodies.images.borrow(), Node::is_broker);
            Status::unimplemented(format!("this node is no broker; ask one: {brokers}"))
        })
    }

    fn quorum(&self) -> Result<QuorumSeen, Status> {
        let bodies = &self.behind()?.bodies;
        bodies.quorum.as_ref().map(|look| look()).ok_or_else(|| {
            let controllers = admin_addresses(&bodies.images.borrow(), |node| node.registration.roles.controller);
            Status::unimplemented(format!("this node is no controller; ask one: {controllers}"))
        })
    }
}

/// Where those nodes that are meant can be asked.
fn admin_addresses(image: &Image, is_meant: impl Fn(&Node) -> bool) -> String {
    let nodes = image.nodes().iter().filter(|node| is_meant(node));
    let addresses: Vec<&str> = nodes.map(|node| node.registration.admin_address.as_str()).collect();
    if addresses.is_empty() { "none is registered".to_owned() } else { addresses.join(", ") }
}

/// The services as routes, with health and reflection.
pub fn routes(door: &Door, health: Health) -> Router {
    let services = Routes::new(ClusterServer::new(door.clone()))
        .add_service(NodesServer::new(door.clone()))
        .add_service(QuorumServer::new(door.clone()))
        .add_service(TopicsServer::new(door.clone()))
        .add_service(PartitionsServer::new(door.clone()))
        .add_service(EventsServer::new(door.clone()))
        .add_service(health::service(health, &SERVICES));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(ADMIN_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let readable = "descriptors that this program was built with can be read";
    // Tools that are not of today only know reflection under its older name.
    let services = services.add_service(reflection().build_v1().expect(readable));
    let services = services.add_service(reflection().build_v1alpha().expect(readable));
    // What is no service is answered in HTTP's own words, which gRPC clients understand too.
    services.into_axum_router().reset_fallback()
}

/// Whose health can be asked for.
const SERVICES: [&str; 6] = [
    proto::cluster_server::SERVICE_NAME,
    proto::nodes_server::SERVICE_NAME,
    proto::quorum_server::SERVICE_NAME,
    proto::topics_server::SERVICE_NAME,
    proto::partitions_server::SERVICE_NAME,
    proto::events_server::SERVICE_NAME,
];

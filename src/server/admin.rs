//! The admin port: gRPC for people and their tools, HTTP for probes, on one listener.
//!
//! It opens first of all, so that probes can say what a starting node waits for; the admin services have something to
//! tell once the node has found its cluster ([`AdminPort::attach`]).

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::time::sleep;
use tracing::warn;

use super::grpc::admin::Door;
use super::{grpc, http};
use crate::base::World;
use crate::base::executor::Task;
use crate::base::limits::ACCEPT_RETRY_MS;
use crate::base::network::Listener;
use crate::net::Served;
use crate::telemetry::Health;

pub use super::grpc::admin::{Bodies, QuorumSeen, QuorumView};

/// The open admin port; dropping it closes the port and its connections.
pub struct AdminPort {
    door: Door,
    _serving: Task,
    _recording: Option<Task>,
}

impl AdminPort {
    pub fn open(world: &World, listener: Box<dyn Listener>, health: Health) -> Self {
        let door = Door::default();
        let routes = grpc::admin::routes(&door, health.clone()).merge(http::health::routes(health));
        let serving = world.executor.spawn("admin.serve", Box::pin(serve(Accepting(listener), routes)));
        Self { door, _serving: serving, _recording: None }
    }

    /// Gives the admin services what they tell of; from now on events are remembered.
    ///
    /// # Panics
    /// When it was done before.
    pub fn attach(&mut self, world: &World, bodies: Bodies) {
        let recording = self.door.open_to(world, bodies);
        self._recording = Some(world.executor.spawn("admin.events", Box::pin(recording)));
    }
}

async fn serve(listener: Accepting, routes: Router) {
    if let Err(error) = axum::serve(listener, routes).await {
        warn!(event = "admin.server_failed", %error, "the admin port ended");
    }
}

/// A listener of the network seam, in the form axum accepts from.
struct Accepting(Box<dyn Listener>);

impl axum::serve::Listener for Accepting {
    type Io = Served;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Served, SocketAddr) {
        loop {
            match self.0.accept().await.and_then(|connection| Ok((connection.peer_addr()?, connection))) {
                Ok((from, connection)) => return (Served::new(connection), from),
                Err(error) => {
                    warn!(event = "admin.accept_failed", %error, "a connection could not be accepted");
                    sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

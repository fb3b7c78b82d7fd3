//! The admin port: HTTP for probes and people.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::time::sleep;
use tracing::warn;

use super::http;
use crate::base::World;
use crate::base::executor::Task;
use crate::base::limits::ACCEPT_RETRY_MS;
use crate::base::network::Listener;
use crate::net::Served;
use crate::telemetry::Health;

/// The open admin port; dropping it closes the port and its connections.
pub struct AdminPort {
    _serving: Task,
}

impl AdminPort {
    pub fn open(world: &World, listener: Box<dyn Listener>, health: Health) -> Self {
        let routes = http::health::routes(health);
        Self { _serving: world.executor.spawn("admin.serve", Box::pin(serve(Accepting(listener), routes))) }
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

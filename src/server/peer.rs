//! The peer port: accepts fellow nodes, reads which lane each connection is, and hands it to that lane's server.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::transport::server::Router;
use tracing::{debug, warn};

use crate::base::World;
use crate::base::executor::Task;
use crate::base::limits::{ACCEPT_RETRY_MS, PEER_GREETINGS_MAX};
use crate::base::network::{Connection, Listener};
use crate::net::{Incoming, Lane};

/// The open peer port; dropping it closes the port and its connections.
pub struct PeerPort {
    _accepting: Task,
    _control: Task,
}

impl PeerPort {
    /// Opens the port; `services` answer on the control lane.
    pub fn open(world: &World, listener: Box<dyn Listener>, services: Router) -> Self {
        let (control, incoming) = Incoming::queue();
        Self {
            _accepting: world.executor.spawn("peer.accept", Box::pin(accept(listener, control))),
            _control: world.executor.spawn("peer.control", Box::pin(serve(services, incoming))),
        }
    }
}

/// Accepts for ever. A slow stranger holds up nobody: greetings are awaited side by side, up to a limit.
async fn accept(mut listener: Box<dyn Listener>, control: mpsc::Sender<Connection>) {
    let mut greetings = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(greeted) = greetings.next(), if !greetings.is_empty() => match greeted {
                // A server that has gone is being stopped together with this task.
                Ok((Lane::Control, connection)) => drop(control.send(connection).await),
                Err(error) => debug!(event = "peer.stranger", %error, "a connection to the peer port opened no lane"),
            },
            accepted = listener.accept(), if greetings.len() < PEER_GREETINGS_MAX => match accepted {
                Ok(connection) => greetings.push(greet(connection)),
                Err(error) => {
                    warn!(event = "peer.accept_failed", %error, "a connection could not be accepted");
                    sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                }
            },
        }
    }
}

async fn greet(mut connection: Connection) -> io::Result<(Lane, Connection)> {
    Ok((Lane::of(&mut connection).await?, connection))
}

async fn serve(services: Router, incoming: Incoming) {
    if let Err(error) = services.serve_with_incoming(incoming).await {
        warn!(event = "peer.server_failed", %error, "the peer port's control lane ended");
    }
}

//! The peer port: accepts fellow nodes, reads which lane each connection is, and hands it to that lane's server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::transport::server::Router;
use tracing::{debug, warn};

use super::grpc;
use crate::base::World;
use crate::base::executor::Task;
use crate::base::limits::{ACCEPT_RETRY_MS, PEER_GREETINGS_MAX};
use crate::base::network::{Connection, Listener};
use crate::broker::Leading;
use crate::net::{Incoming, Lane};
use crate::quorum::Late;

/// What a node does for its fellows.
pub struct PeerServices {
    /// What answers on the control lane.
    pub control: Router,
    /// What leads partitions here, once the node's broker is there; without one, followers are told to come later.
    pub leading: Late<Arc<Leading>>,
}

/// The open peer port; dropping it closes the port and its connections.
pub struct PeerPort {
    _accepting: Task,
    _servers: Vec<Task>,
}

/// Where the connections of each lane go.
struct Lanes {
    control: mpsc::Sender<Connection>,
    live: mpsc::Sender<Connection>,
    catch_up: mpsc::Sender<Connection>,
}

impl PeerPort {
    pub fn open(world: &World, listener: Box<dyn Listener>, services: PeerServices) -> Self {
        let mut servers = Vec::new();
        let mut start = |router: Router| {
            let (accepted, incoming) = Incoming::queue();
            servers.push(world.executor.spawn("peer.serve", Box::pin(serve(router, incoming))));
            accepted
        };
        // Every lane is served on the runtime this is called on. To have replication on reactors, detach the
        // connections of its lanes from here and run these two servers there.
        let mut replication =
            |lane: Lane| start(lane.server().add_service(grpc::replication::service(services.leading.clone())));
        let (live, catch_up) = (replication(Lane::Live), replication(Lane::CatchUp));
        let lanes = Lanes { control: start(services.control), live, catch_up };
        Self { _accepting: world.executor.spawn("peer.accept", Box::pin(accept(listener, lanes))), _servers: servers }
    }
}

impl Lanes {
    async fn hand_over(&self, lane: Lane, connection: Connection) {
        let server = match lane {
            Lane::Control => &self.control,
            Lane::Live => &self.live,
            Lane::CatchUp => &self.catch_up,
        };
        // A server that has gone is being stopped together with this task.
        drop(server.send(connection).await);
    }
}

/// Accepts for ever. A slow stranger holds up nobody: greetings are awaited side by side, up to a limit.
async fn accept(mut listener: Box<dyn Listener>, lanes: Lanes) {
    let mut greetings = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(greeted) = greetings.next(), if !greetings.is_empty() => match greeted {
                Ok((lane, connection)) => lanes.hand_over(lane, connection).await,
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
        warn!(event = "peer.server_failed", %error, "a lane of the peer port ended");
    }
}

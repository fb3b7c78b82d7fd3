//! The peer port: accepts fellow nodes, reads which lane each connection is, and hands it to that lane's server.
//!
//! Control is served on the runtime of the port. Replication lives on the reactors, beside the Kafka connections whose
//! records it carries: a partition is touched there and nowhere else, and Raft never waits behind bulk.

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
use crate::base::executor::{Reactor, Task};
use crate::base::limits::{ACCEPT_RETRY_MS, PEER_GREETINGS_MAX};
use crate::base::network::{Connection, Detached, Listener};
use crate::broker::Leading;
use crate::net::{Incoming, Lane};
use crate::quorum::Late;

/// What a node does for its fellows.
pub struct PeerServices {
    /// What answers on the control lane.
    pub control: Router,
    /// What leads partitions here, once the node's broker is there; without one, followers are told to come later.
    pub leading: Late<Arc<Leading>>,
    /// Where replication is served; none on a node that is no broker.
    pub reactors: Vec<Arc<dyn Reactor>>,
}

/// The open peer port; dropping it closes the port. Connections end with the runtimes they are on.
pub struct PeerPort {
    _accepting: Task,
    _control: Task,
}

/// Where the connections of each lane go.
struct Lanes {
    control: mpsc::Sender<Connection>,
    leading: Late<Arc<Leading>>,
    reactors: Vec<Arc<dyn Reactor>>,
    turn: usize,
}

impl PeerPort {
    pub fn open(world: &World, listener: Box<dyn Listener>, services: PeerServices) -> Self {
        let PeerServices { control: router, leading, reactors } = services;
        let (control, incoming) = Incoming::queue();
        let lanes = Lanes { control, leading, reactors, turn: 0 };
        Self {
            _accepting: world.executor.spawn("peer.accept", Box::pin(accept(listener, lanes))),
            _control: world.executor.spawn("peer.serve", Box::pin(serve(router, incoming))),
        }
    }
}

impl Lanes {
    async fn hand_over(&mut self, lane: Lane, connection: Connection) {
        match lane {
            // A server that has gone is being stopped together with this task.
            Lane::Control => drop(self.control.send(connection).await),
            Lane::Live | Lane::CatchUp => self.replicate(lane, connection).await,
        }
    }

    /// Has the next reactor serve a lane.
    async fn replicate(&mut self, lane: Lane, connection: Connection) {
        self.turn = self.turn.wrapping_add(1);
        let Some(reactor) = self.reactors.get(self.turn % self.reactors.len().max(1)) else {
            return debug!(event = "peer.no_broker", "a follower was sent away: this node is no broker");
        };
        match connection.detach() {
            Ok(connection) => {
                let leading = self.leading.clone();
                reactor.run(Box::new(move || Box::pin(replicate(lane, connection, leading)))).await;
            }
            Err(error) => debug!(event = "peer.lane_lost", %error, "a connection ended at once"),
        }
    }
}

async fn replicate(lane: Lane, connection: Box<dyn Detached>, leading: Late<Arc<Leading>>) {
    let services = lane.server().add_service(grpc::replication::service(leading));
    match connection.attach() {
        Ok(connection) => serve(services, Incoming::one(connection)).await,
        Err(error) => debug!(event = "peer.lane_lost", %error, "a connection ended at once"),
    }
}

/// Accepts for ever. A slow stranger holds up nobody: greetings are awaited side by side, up to a limit.
async fn accept(mut listener: Box<dyn Listener>, mut lanes: Lanes) {
    let mut greetings = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(greeted) = greetings.next(), if !greetings.is_empty() => match greeted {
                Ok(Some((lane, connection))) => lanes.hand_over(lane, connection).await,
                Ok(None) => {} // somebody wanted to know whether this process runs
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

async fn greet(mut connection: Connection) -> io::Result<Option<(Lane, Connection)>> {
    Ok(Lane::of(&mut connection).await?.map(|lane| (lane, connection)))
}

async fn serve(services: Router, incoming: Incoming) {
    if let Err(error) = services.serve_with_incoming(incoming).await {
        warn!(event = "peer.server_failed", %error, "a lane of the peer port ended");
    }
}

//! A node, assembled: started in the order of the floors, stopped in the reverse order.
//!
//! ```text
//!   data directory ─► admin port ─► peer port ─► who am I ─► controller ─► broker
//!     locked           probes        others        found,      a reign,      clients
//!                      answer        find us       kept        metadata
//! ```
//!
//! Invariants: nothing is served before what it needs is there; whatever was started is stopped, also when the start
//! fails half-way (every part stops when it is dropped).

mod address;
mod control;
mod data;
mod identity;
pub mod session;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::base::World;
use crate::base::disk::Lock;
use crate::base::ids::{ClusterId, DirectoryId, IncarnationId, NodeId};
use crate::base::network::Listener;
use crate::broker::Broker;
use crate::config::NodeConfig;
use crate::config::listener::Address;
use crate::quorum::{Controller, Late, Member, QuorumError};
use crate::server::admin::{AdminPort, Bodies, QuorumSeen, QuorumView};
use crate::server::grpc;
use crate::server::peer::{PeerPort, PeerServices};
use crate::telemetry::{Condition, Health};
use control::{ControlPlane, METADATA_FOLDER, Start};
use data::DataPlane;
use identity::Identity;
pub use identity::IdentityError;
use session::RunBefore;

const LOCK_FILE: &str = ".lock";

/// A running node. Fields are dropped in the order they stand: the roof first, the ground last.
pub struct Node {
    health: Health,
    place: Place,
    admin_address: SocketAddr,
    config: NodeConfig,
    world: World,
    data: Option<DataPlane>,
    _admin: AdminPort,
    _peer: PeerPort,
    control: Option<ControlPlane>,
    _data_directory: Box<dyn Lock>,
}

/// Who a node is in its cluster: what its broker registers as.
#[derive(Clone, Debug)]
pub struct Place {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub directory: DirectoryId,
    /// Of this run.
    pub incarnation: IncarnationId,
    /// What is known of the run before.
    pub before: RunBefore,
    /// Where other nodes find this one.
    pub peer_address: String,
    /// The controllers, as this node last knew them; it may be one of them.
    pub controllers: Vec<Member>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the data directory {} cannot be used: {cause}", .path.display())]
    DataDirectory { path: PathBuf, cause: io::Error },
    #[error(
        "the data directory {} belongs to a node that is running; stop it, or choose another with --data-dir",
        .path.display()
    )]
    InUse { path: PathBuf },
    #[error("{what} cannot listen on {address}: {cause}")]
    Listen { what: &'static str, address: String, cause: io::Error },
    #[error("the log directories cannot be opened: {cause}")]
    LogDirs { cause: String },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("this node has no cluster yet and no way to one: name the peer address of a node of it with --seeds")]
    NoSeeds,
    #[error("the metadata in {} cannot be opened: {cause}", .path.display())]
    Metadata { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    #[error("the controller ended: {why}")]
    Ended { why: String },
    #[error(
        "this directory belongs to cluster {ours}, its metadata to {found}: was a folder copied from another node?"
    )]
    OtherCluster { ours: ClusterId, found: ClusterId },
    #[error("this directory holds a controller of its cluster: --roles has to name controller")]
    IsController,
    #[error(
        "the cluster exists, and this node is not one of its controllers: controllers cannot be added to a running \
         cluster yet, start it with --roles broker"
    )]
    NotController,
}

impl Node {
    /// Starts a node. A seed that is not there is waited for, however long that takes; dropping the future stops what
    /// was started.
    pub async fn start(world: &World, config: &NodeConfig) -> Result<Self, StartError> {
        let health = Health::default();
        let data_directory = lock_data_directory(world, &config.data_dir)?;
        health.set(Condition::DataDirectory, true);
        let (listener, admin_address) = listen(world, "the admin port", &config.admin_listen).await?;
        let mut admin = AdminPort::open(world, listener, health.clone());
        let known = Identity::read(&*world.disk, &config.data_dir, config.node_id)?;

        let (listener, peer_bound) = listen(world, "the peer port", &config.peer_listen).await?;
        let peer_address = address::of_peer_port(world, config, known.as_ref(), peer_bound.port()).await;
        let start = Start { world, config, health: &health, peer_address: &peer_address };
        let doors = start.doors(known.as_ref());
        let services = grpc::control(doors.bootstrap.clone(), doors.quorum.clone(), doors.controller.clone());
        let leading = Late::default();
        let reactors = if config.roles.broker { data::reactors(world) } else { Vec::new() };
        let services = PeerServices { control: services, leading: leading.clone(), reactors: reactors.clone() };
        let peer = PeerPort::open(world, listener, services);

        let mut identity = match known {
            Some(identity) => identity,
            None => start.find_cluster(&doors.bootstrap).await?,
        };
        check_roles(config, &identity)?;
        health.set(Condition::Cluster, true);
        let control = if identity.is_controller() {
            Some(start.controller(&mut identity, &doors).await?)
        } else {
            // Its metadata and its way to the quorum are the broker's.
            health.set(Condition::QuorumLeader, true);
            health.set(Condition::Metadata, true);
            None
        };
        let place = place(world, config, identity, peer_address)?;
        let data = if config.roles.broker {
            let data = DataPlane::start(world, config, &place, &admin_address.to_string(), &health, &reactors).await?;
            leading.bring(data.broker().leading());
            Some(data)
        } else {
            health.set(Condition::Broker, true);
            None
        };
        if let Some(bodies) = bodies(&place, data.as_ref(), control.as_ref()) {
            admin.attach(world, bodies);
        }
        health.set(Condition::Started, true);
        announce(config, &place, admin_address, peer_bound, data.as_ref().map_or("none", DataPlane::addresses));
        Ok(Self {
            health,
            place,
            admin_address,
            config: config.clone(),
            world: world.clone(),
            data,
            _admin: admin,
            _peer: peer,
            control,
            _data_directory: data_directory,
        })
    }

    /// Where the admin port really listens, when it was asked to take a free one.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The controller of this node, if it is one.
    pub fn controller(&self) -> Option<&Controller> {
        self.control.as_ref().map(|control| &control.controller)
    }

    /// The broker of this node, if it is one.
    pub fn broker(&self) -> Option<&Broker> {
        self.data.as_ref().map(DataPlane::broker)
    }

    /// Waits until the node cannot go on, and says why. Metadata that cannot be understood, a store that fails and a
    /// log dir that fails end it: going on without them would mean to contradict the others.
    pub async fn failed(&self) -> String {
        let control = async {
            match &self.control {
                Some(control) => control.quorum.ended().await,
                None => std::future::pending().await,
            }
        };
        let data = async {
            match &self.data {
                Some(data) => data.broker().failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = control => why,
            why = data => why,
        }
    }

    /// Stops everything, the roof first; but before that, others take over what this node leads, while it is still
    /// there to tell everybody who they are.
    pub async fn stop(self) {
        self.health.set(Condition::Started, false);
        if let Some(data) = &self.data {
            data.hand_over().await;
        }
        if let Some(control) = &self.control {
            control.quorum.hand_over().await;
        }
        if let Some(data) = self.data {
            data.stop(&self.world, &self.config, self.place.incarnation).await;
        }
        if let Some(control) = self.control {
            control.stop().await;
        }
        info!(event = "node.stopped", "the node has stopped");
    }
}

/// Whether the node does what its directory is for.
fn check_roles(config: &NodeConfig, identity: &Identity) -> Result<(), StartError> {
    match (identity.is_controller(), config.roles.controller) {
        (true, false) => Err(StartError::IsController),
        (false, true) if !config.roles.broker => Err(StartError::NotController),
        (false, true) => {
            warn!(event = "node.broker_only", "the cluster has its controllers already: this node is a broker only");
            Ok(())
        }
        (true, true) | (false, false) => Ok(()),
    }
}

fn place(world: &World, config: &NodeConfig, identity: Identity, peer_address: String) -> Result<Place, StartError> {
    let failed = |cause| StartError::DataDirectory { path: config.data_dir.clone(), cause };
    let mut controllers = identity.roster.controllers;
    for member in &mut controllers {
        if member.directory == identity.directory {
            member.address.clone_from(&peer_address);
        }
    }
    Ok(Place {
        cluster: identity.roster.cluster,
        node: identity.node,
        directory: identity.directory,
        incarnation: IncarnationId(world.entropy.uuid()),
        before: RunBefore::read(&*world.disk, &config.data_dir).map_err(failed)?,
        peer_address,
        controllers,
    })
}

/// What the admin services tell of, on this node.
fn bodies(place: &Place, data: Option<&DataPlane>, control: Option<&ControlPlane>) -> Option<Bodies> {
    let controller = control.map(|control| control.controller.clone());
    let broker = data.map(|data| data.broker().clone());
    let of_broker = broker.as_ref().map(Broker::images);
    let images = of_broker.or_else(|| controller.as_ref().map(Controller::images))?;
    let voters = place.controllers.clone();
    let quorum = controller.map(|controller| -> QuorumView {
        Box::new(move || QuorumSeen {
            reign: controller.reign(),
            voters: voters.clone(),
            applied: controller.image().applied(),
        })
    });
    Some(Bodies { images, broker, quorum })
}

fn announce(config: &NodeConfig, place: &Place, admin: SocketAddr, peer: SocketAddr, kafka: &str) {
    info!(
        event = "node.started",
        node = %place.node,
        cluster = %place.cluster,
        data_dir = %config.data_dir.display(),
        kafka,
        peer = %peer,
        others_dial = %place.peer_address,
        admin = %admin,
        "the node is up"
    );
}

fn lock_data_directory(world: &World, path: &Path) -> Result<Box<dyn Lock>, StartError> {
    let locked = world.disk.create_folder(path).and_then(|()| world.disk.lock(&path.join(LOCK_FILE)));
    locked.map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => StartError::InUse { path: path.to_owned() },
        _ => StartError::DataDirectory { path: path.to_owned(), cause },
    })
}

/// Opens a port, and says where it really is.
async fn listen(
    world: &World,
    what: &'static str,
    address: &Address,
) -> Result<(Box<dyn Listener>, SocketAddr), StartError> {
    let address = address.to_string();
    let failed = |cause| StartError::Listen { what, address: address.clone(), cause };
    let listener = world.network.listen(&address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

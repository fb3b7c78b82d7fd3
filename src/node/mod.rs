//! A node, assembled: started in the order of the floors, stopped in the reverse order.
//!
//! Invariants: nothing is served before what it needs is there; whatever was started is stopped, also when the start
//! fails half-way (every part stops when it is dropped).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing::info;

use crate::base::World;
use crate::base::disk::Lock;
use crate::base::network::Listener;
use crate::config::NodeConfig;
use crate::config::listener::Address;
use crate::server::admin::AdminPort;
use crate::telemetry::{Condition, Health};

const LOCK_FILE: &str = ".lock";

/// A running node. Fields are dropped in the order they stand: the roof first, the ground last.
pub struct Node {
    health: Health,
    admin_address: SocketAddr,
    _admin: AdminPort,
    _data_directory: Box<dyn Lock>,
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
}

impl Node {
    pub async fn start(world: &World, config: &NodeConfig) -> Result<Self, StartError> {
        let health = Health::default();
        let data_directory = lock_data_directory(world, &config.data_dir)?;
        health.set(Condition::DataDirectory, true);
        let listener = listen(world, "the admin port", &config.admin_listen).await?;
        let admin_address = bound_address(&*listener, &config.admin_listen)?;
        let admin = AdminPort::open(world, listener, health.clone());
        health.set(Condition::Started, true);
        info!(
            event = "node.started",
            data_dir = %config.data_dir.display(),
            admin = %admin_address,
            "the node is up"
        );
        Ok(Self { health, admin_address, _admin: admin, _data_directory: data_directory })
    }

    /// Where the admin port really listens, when it was asked to take a free one.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Stops everything, the roof first.
    pub async fn stop(self) {
        self.health.set(Condition::Started, false);
        info!(event = "node.stopped", "the node has stopped");
    }
}

fn lock_data_directory(world: &World, path: &Path) -> Result<Box<dyn Lock>, StartError> {
    let locked = world.disk.create_folder(path).and_then(|()| world.disk.lock(&path.join(LOCK_FILE)));
    locked.map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => StartError::InUse { path: path.to_owned() },
        _ => StartError::DataDirectory { path: path.to_owned(), cause },
    })
}

async fn listen(world: &World, what: &'static str, address: &Address) -> Result<Box<dyn Listener>, StartError> {
    let address = address.to_string();
    let opened = world.network.listen(&address).await;
    opened.map_err(|cause| StartError::Listen { what, address, cause })
}

fn bound_address(listener: &dyn Listener, asked: &Address) -> Result<SocketAddr, StartError> {
    let failed = |cause| StartError::Listen { what: "the admin port", address: asked.to_string(), cause };
    listener.local_addr().map_err(failed)
}

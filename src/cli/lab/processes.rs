//! The nodes of the lab: real server processes on free ports, with their data in a temporary folder.
//!
//! Invariants: whatever happens, no process outlives the lab (see `host/children.rs`), and the folder goes with it,
//! unless it is to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::LabError;
use super::card::{FOLDER_PREFIX, Lab, LabNode};
use crate::base::World;
use crate::base::disk::Disk;
use crate::base::ids::NodeId;
use crate::host::{self, Child, Ended};

const NODES: i32 = 3;

/// How often a node that is not ready is asked again.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// How long a node may take for the answer to a probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// What a node that ended by itself said last: as much as a person reads.
const LAST_WORDS_LINES: usize = 12;

pub(super) struct Nodes {
    world: World,
    nodes: BTreeMap<NodeId, Node>,
    // Behind the nodes, so that they are gone before it is removed.
    folder: Folder,
}

struct Node {
    kafka: String,
    peer: String,
    admin: String,
    child: Option<Child>,
}

impl Nodes {
    /// Starts all nodes; they may not be ready yet.
    pub(super) async fn start(world: &World) -> Result<Self, LabError> {
        let folder = Folder::create(world)?;
        let addresses = free_addresses(world, 3 * NODES as u16).await.map_err(failed("find free ports"))?;
        let node = |ports: &[String]| match ports {
            [kafka, peer, admin] => {
                Node { kafka: kafka.clone(), peer: peer.clone(), admin: admin.clone(), child: None }
            }
            _ => unreachable!("there are three for each node"),
        };
        let nodes = (1..=NODES).map(NodeId).zip(addresses.chunks(3).map(node)).collect();
        let mut nodes = Self { world: world.clone(), nodes, folder };
        for node in nodes.ids() {
            nodes.revive(node)?;
        }
        Ok(nodes)
    }

    pub(super) fn ids(&self) -> BTreeSet<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn is_running(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.child.is_some())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Where Kafka clients find the cluster.
    pub(super) fn bootstrap(&self) -> Vec<String> {
        self.nodes.values().map(|node| node.kafka.clone()).collect()
    }

    /// The same, but for one node.
    pub(super) fn bootstrap_without(&self, node: NodeId) -> Vec<String> {
        self.nodes.iter().filter(|(id, _)| **id != node).map(|(_, node)| node.kafka.clone()).collect()
    }

    /// Where the admin tool finds it.
    pub(super) fn admin(&self) -> Vec<String> {
        self.nodes.values().map(|node| node.admin.clone()).collect()
    }

    /// Kills a node as a power cut would.
    pub(super) async fn kill(&mut self, node: NodeId) -> Result<(), LabError> {
        let child = self.nodes.get_mut(&node).and_then(|node| node.child.take());
        match child {
            Some(mut child) => child.kill().await.map_err(failed("kill a node")),
            None => Ok(()),
        }
    }

    /// Stops a node as a supervisor does, and waits until it has.
    pub(super) async fn stop(&mut self, node: NodeId) -> Result<(), LabError> {
        let child = self.nodes.get_mut(&node).and_then(|node| node.child.take());
        match child {
            Some(mut child) => child.stop().await.map_err(failed("stop a node")),
            None => Ok(()),
        }
    }

    /// Halts a node where it is, or lets it go on.
    pub(super) fn pause(&self, node: NodeId, is_paused: bool) -> Result<(), LabError> {
        let Some(child) = self.nodes.get(&node).and_then(|node| node.child.as_ref()) else { return Ok(()) };
        let done = if is_paused { child.pause() } else { child.resume() };
        done.map_err(failed("pause a node"))
    }

    /// What all nodes have said so far.
    pub(super) fn said(&self) -> Vec<String> {
        let read = |node: &NodeId| self.world.disk.read(&self.log(*node)).ok().flatten().unwrap_or_default();
        self.nodes.keys().map(read).map(|said| String::from_utf8_lossy(&said).into_owned()).collect()
    }

    /// Starts a node on the data it has.
    pub(super) fn revive(&mut self, node: NodeId) -> Result<(), LabError> {
        let arguments = self.arguments(node);
        let log = self.log(node);
        if let Some(node) = self.nodes.get_mut(&node).filter(|node| node.child.is_none()) {
            node.child = Some(Child::start(&arguments, &log).map_err(failed("start a node"))?);
        }
        self.card().write(&self.world).map_err(failed("write down which processes the nodes are"))
    }

    /// Which processes the nodes are.
    fn card(&self) -> Lab {
        let process = |node: &Node| node.child.as_ref().and_then(Child::id);
        let card = |(id, node): (&NodeId, &Node)| {
            Some(LabNode { node: id.0, process: process(node)?, admin: node.admin.clone() })
        };
        Lab::ours(&self.folder.path, self.nodes.iter().filter_map(card).collect())
    }

    /// Starts the nodes again that were asked to stop by somebody else, and have; says which.
    pub(super) fn supervise(&mut self) -> Result<Option<NodeId>, LabError> {
        for node in self.ids() {
            if self.has_stopped(node)? {
                self.revive(node)?;
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Whether a node has ended in good order; fails if it has ended in any other way.
    fn has_stopped(&mut self, node: NodeId) -> Result<bool, LabError> {
        let Some(child) = self.nodes.get_mut(&node).and_then(|node| node.child.as_mut()) else { return Ok(false) };
        match child.ended().map_err(failed("look after a node"))? {
            Some(Ended { in_order: true, .. }) => {
                drop(self.nodes.get_mut(&node).and_then(|node| node.child.take()));
                Ok(true)
            }
            Some(Ended { how, .. }) => Err(LabError::Ended { node, how, log: self.last_words(node) }),
            None => Ok(false),
        }
    }

    /// Waits until every running node says that it is ready.
    pub(super) async fn ready(&mut self, patience: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + patience;
        for node in self.ids().into_iter().filter(|node| self.is_running(*node)).collect::<Vec<_>>() {
            loop {
                self.check_alive(node)?;
                let Some(said) = self.not_ready(node).await else { break };
                if Instant::now() >= deadline {
                    return Err(LabError::NotReady { node, patience, said, log: self.last_words(node) });
                }
                sleep(READY_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Fails if a node has ended that nobody has killed.
    pub(super) fn check_alive(&mut self, node: NodeId) -> Result<(), LabError> {
        let Some(child) = self.nodes.get_mut(&node).and_then(|node| node.child.as_mut()) else { return Ok(()) };
        match child.ended().map_err(failed("look after a node"))? {
            Some(Ended { how, .. }) => Err(LabError::Ended { node, how, log: self.last_words(node) }),
            None => Ok(()),
        }
    }

    /// Leaves the folder where it is when the lab ends.
    pub(super) fn keep_folder(&mut self) {
        self.folder.is_kept = true;
    }

    fn arguments(&self, id: NodeId) -> Vec<String> {
        let Some(node) = self.nodes.get(&id) else { return Vec::new() };
        let seeds: Vec<&str> = self.nodes.values().map(|node| node.peer.as_str()).collect();
        let data_dir = self.folder.path.join(format!("n{id}"));
        let flags = [
            ("--node-id", id.to_string()),
            ("--seeds", seeds.join(",")),
            ("--data-dir", data_dir.display().to_string()),
            ("--listen", node.kafka.clone()),
            ("--peer-listen", node.peer.clone()),
            ("--admin-listen", node.admin.clone()),
            ("--die-with", host::id().to_string()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        std::iter::once("server".to_owned()).chain(flags).collect()
    }

    fn log(&self, node: NodeId) -> PathBuf {
        self.folder.path.join(format!("n{node}.log"))
    }

    fn last_words(&self, node: NodeId) -> String {
        let said = self.world.disk.read(&self.log(node)).ok().flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join("\n")
    }

    /// What keeps a node from being ready, in its own words; nothing when it is.
    async fn not_ready(&self, node: NodeId) -> Option<String> {
        let admin = &self.nodes.get(&node)?.admin;
        match timeout(PROBE_PATIENCE, probe(&self.world, admin)).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => None,
            Ok(Ok(answer)) => Some(answer.lines().last().unwrap_or_default().to_owned()),
            Ok(Err(error)) => Some(format!("{admin}: {error}")),
            Err(_) => Some(format!("{admin} does not answer")),
        }
    }
}

/// What the admin port answers to `/readyz`.
async fn probe(world: &World, admin: &str) -> io::Result<String> {
    let mut connection = world.network.connect(admin).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Addresses that nobody listens at. They are below the ports that systems give to whoever dials, or a connection might
/// take one before its node does: one to a node that is down even connects to itself then.
async fn free_addresses(world: &World, count: u16) -> io::Result<Vec<String>> {
    let mut last = io::Error::other("none was tried");
    for _ in 0..PORTS_TRIED_MAX {
        let spread = u64::from(PORTS.end - PORTS.start - count);
        let first = PORTS.start + (world.entropy.number() % spread) as u16;
        match taken(world, first..first + count).await {
            Ok(addresses) => return Ok(addresses),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Ports that Linux gives to nobody by itself.
const PORTS: Range<u16> = 20_000..32_000;

/// How many places are looked at for ports in a row that are free.
const PORTS_TRIED_MAX: usize = 50;

/// Takes all of these at once, and gives them back.
async fn taken(world: &World, ports: Range<u16>) -> io::Result<Vec<String>> {
    let mut listeners = Vec::new();
    for port in ports {
        listeners.push(world.network.listen(&format!("127.0.0.1:{port}")).await?);
    }
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

pub(super) fn failed(what: &'static str) -> impl Fn(io::Error) -> LabError {
    move |cause| LabError::Outside { what, cause }
}

/// A temporary folder.
struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn create(world: &World) -> Result<Self, LabError> {
        let path = host::temporary_folder().join(format!("{FOLDER_PREFIX}{:016x}", world.entropy.number()));
        world.disk.create_folder(&path).map_err(failed("make a temporary folder"))?;
        Ok(Self { disk: world.disk.clone(), path, is_kept: false })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed stays where temporary things are.
            let _ = self.disk.remove_folder(&self.path);
        }
    }
}

//! Nodes: which ids are given out, which runs are registered, and what they may do.
//!
//! ```text
//!              registered           unfenced                 shutting down
//!   (nothing) ───────────► FENCED ───────────► ACTIVE ─────────────────────► SHUTTING DOWN
//!                            ▲  ▲                │                                 │
//!                            │  └────────────────┴─────────────────────────────────┘
//!                            └─ removed, when nothing is left on it       fenced
//! ```
//!
//! Invariants: an id that was given out stays given out, also when its node is removed; only an active node leads
//! or joins an ISR anew.

use super::hash::{Digest, Noun};
use super::record::FeatureLevel;
use crate::base::ids::{BrokerEpoch, DirectoryId, IncarnationId, NodeId};
use crate::config::Roles;
use crate::config::listener::Protocol;
use imbl::OrdMap;
use std::sync::Arc;

/// A registered node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub id: NodeId,
    /// Of this registration.
    pub epoch: BrokerEpoch,
    pub registration: Registration,
    pub state: NodeState,
    /// Leads only what nobody else can, and is given nothing new. Outlives registrations.
    pub draining: bool,
}

/// What a run of a node says about itself when it joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    pub incarnation: IncarnationId,
    pub directories: Vec<DirectoryId>,
    pub boot: Boot,
    pub roles: Roles,
    pub listeners: Vec<Listener>,
    /// host:port for other nodes.
    pub peer_address: String,
    /// host:port for people and their tools.
    pub admin_address: String,
    pub rack: Option<String>,
    pub version: String,
    pub feature_level_max: FeatureLevel,
}

/// How the run before this one ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// Everything was flushed.
    Clean,
    /// The process died; what it had written is still in the page cache.
    ProcessCrash,
    /// The page cache is gone, or nobody can prove that it is not.
    MachineCrash,
}

/// Where Kafka's clients reach a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub protocol: Protocol,
}

/// Where in its life a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeState {
    /// Leads nothing and is in no ISR.
    Fenced,
    Active,
    /// Serves what nobody else can, and takes nothing new.
    ShuttingDown,
}

impl Node {
    pub fn is_active(&self) -> bool {
        self.state == NodeState::Active
    }

    pub fn is_fenced(&self) -> bool {
        self.state == NodeState::Fenced
    }

    /// Whether replicas can be put here.
    pub fn is_broker(&self) -> bool {
        self.registration.roles.broker
    }

    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.registration.listeners.iter().find(|listener| listener.name == name)
    }

    pub(super) fn digest(&self) -> Digest {
        let state = (self.state as u32) << 1 | u32::from(self.draining);
        let digest = Digest::of(Noun::Node).pair(self.id.0 as u32, state).word(self.epoch.0 as u64);
        self.registration.digest(digest)
    }
}

#[cfg(test)]
impl Registration {
    /// What a node of this number might say of itself, for tests of whatever room.
    pub fn example(number: u8) -> Self {
        Self {
            incarnation: IncarnationId(crate::base::ids::Uuid([100 + number; 16])),
            directories: vec![DirectoryId(crate::base::ids::Uuid([number; 16]))],
            boot: Boot::Clean,
            roles: Roles { controller: number == 1, broker: true },
            listeners: vec![Listener {
                name: "PLAINTEXT".to_owned(),
                host: format!("node-{number}"),
                port: 9092,
                protocol: Protocol::Plaintext,
            }],
            peer_address: format!("node-{number}:9093"),
            admin_address: format!("node-{number}:9094"),
            rack: None,
            version: "0.1.0".to_owned(),
            feature_level_max: FeatureLevel(1),
        }
    }
}

impl Registration {
    fn digest(&self, digest: Digest) -> Digest {
        let roles = u32::from(self.roles.controller) << 1 | u32::from(self.roles.broker);
        let digest = digest.bytes(&self.incarnation.0.0).pair(self.boot as u32, roles);
        let digest = digest.pair(self.directories.len() as u32, self.listeners.len() as u32);
        let digest = self.directories.iter().fold(digest, |digest, directory| digest.bytes(&directory.0.0));
        let digest = self.listeners.iter().fold(digest, |digest, listener| {
            let digest = digest.bytes(listener.name.as_bytes()).bytes(listener.host.as_bytes());
            digest.pair(u32::from(listener.port), listener.protocol as u32)
        });
        let digest = digest.bytes(self.peer_address.as_bytes()).bytes(self.admin_address.as_bytes());
        let digest = self.rack.iter().fold(digest, |digest, rack| digest.bytes(rack.as_bytes()));
        digest.bytes(self.version.as_bytes()).word(u64::from(self.feature_level_max.0))
    }
}

/// All nodes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Nodes {
    /// Every id ever given out, and the directory it belongs to.
    ids: OrdMap<NodeId, DirectoryId>,
    registered: OrdMap<NodeId, Arc<Node>>,
}

impl Nodes {
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.registered.get(&id).map(Arc::as_ref)
    }

    /// The registered nodes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.registered.values().map(Arc::as_ref)
    }

    pub fn is_active(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(Node::is_active)
    }

    /// Every id ever given out, and the directory it belongs to.
    pub fn ids(&self) -> impl Iterator<Item = (NodeId, DirectoryId)> {
        self.ids.iter().map(|(node, directory)| (*node, *directory))
    }

    pub fn directory_of(&self, id: NodeId) -> Option<DirectoryId> {
        self.ids.get(&id).copied()
    }

    /// The id that was given to this directory.
    pub fn id_of(&self, directory: DirectoryId) -> Option<NodeId> {
        self.ids().find(|(_, owner)| *owner == directory).map(|(node, _)| node)
    }

    /// An id that nobody has had. The first node is 1.
    pub fn next_id(&self) -> NodeId {
        NodeId(self.ids.keys().next_back().map_or(1, |last| (last.0 + 1).max(1)))
    }

    pub(super) fn give_id(&mut self, node: NodeId, directory: DirectoryId) -> Option<DirectoryId> {
        self.ids.insert(node, directory)
    }

    pub(super) fn put(&mut self, node: Node) -> Option<Arc<Node>> {
        self.registered.insert(node.id, Arc::new(node))
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<Arc<Node>> {
        self.registered.remove(&id)
    }
}

/// The digest of an id that was given out.
pub(super) fn digest_of_id(node: NodeId, directory: DirectoryId) -> Digest {
    Digest::of(Noun::NodeId).word(node.0 as u64).bytes(&directory.0.0)
}

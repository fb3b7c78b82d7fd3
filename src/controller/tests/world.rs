//! A cluster's metadata without a cluster: commands go in, facts are written, read back and applied.

use super::promises::Promises;
use crate::base::clock::WallMillis;
use crate::base::ids::{
    BrokerEpoch, ClusterId, ControllerEpoch, DirectoryId, IncarnationId, MetadataIndex, NodeId, Uuid,
};
use crate::base::machine::Decision;
use crate::config::Roles;
use crate::controller::{Command, Defaults, Env, Fence, Found, Refused, Register, Reply, Unfence, decide};
use crate::metadata::configs::ConfigScope;
use crate::metadata::nodes::Registration;
use crate::metadata::record::{FeatureLevel, Header};
use crate::metadata::{Batch, Fact, Image, codec};

pub const CLUSTER: ClusterId = ClusterId(Uuid([0x4d; 16]));

/// An image and the place in the log where it stands.
pub struct World {
    pub image: Image,
    pub index: MetadataIndex,
    pub promises: Promises,
    commands: u128,
}

impl World {
    pub fn new() -> Self {
        Self { image: Image::default(), index: MetadataIndex(1), promises: Promises::default(), commands: 0 }
    }

    /// A founded cluster with these nodes, all active.
    pub fn of(nodes: i32) -> Self {
        let mut world = Self::new();
        world.must(Command::Found(Found { cluster: CLUSTER, founders: Vec::new(), configs: Vec::new() }));
        world.must(Command::Activate { node: NodeId(1) });
        for node in 1..=nodes {
            world.join(registration(node), None);
        }
        world
    }

    /// Registers and unfences a run of a node.
    pub fn join(&mut self, registration: Registration, previous_epoch: Option<BrokerEpoch>) {
        let node = node_of(&registration);
        self.must(Command::Register(Register { cluster: CLUSTER, node, previous_epoch, registration }));
        let (epoch, applied) = (self.epoch(node), self.index);
        self.must(Command::Unfence(Unfence { node, epoch, applied }));
    }

    pub fn fence(&mut self, node: i32) {
        let node = NodeId(node);
        let epoch = self.epoch(node);
        self.must(Command::Fence(Fence { node, epoch }));
    }

    /// The epoch of a node's registration; one that nobody has, if there is none.
    pub fn epoch(&self, node: NodeId) -> BrokerEpoch {
        self.image.nodes().get(node).map_or(BrokerEpoch(0), |node| node.epoch)
    }

    pub fn must(&mut self, command: Command) -> Reply {
        self.run(&command).1.unwrap_or_else(|refused| panic!("{command:?}: {refused}"))
    }

    /// Decides a command and lives with it: the facts become an entry, the entry becomes facts again, and what is
    /// promised must still hold.
    pub fn run(&mut self, command: &Command) -> (Vec<Fact>, Result<Reply, Refused>) {
        self.commands += 1;
        let at = MetadataIndex(self.index.0 + 1);
        let env = Env {
            index: at,
            seed: self.commands.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            defaults: Defaults { partitions: 1, replication_factor: 1 },
            check_config: &check_config,
            check_together: &|_, _| Ok(()),
            list_default: &list_default,
        };
        let Decision { facts, reply } = decide(&self.image, command, &env);
        if facts.is_empty() {
            return (facts, reply);
        }
        let entry = codec::encode(&Batch { header: self.header(), facts });
        let batch = codec::decode(at, entry).expect("an entry that was just written can be read");
        let before = self.image.clone();
        self.image.apply_batch(at, &batch).expect("the entry was decided on this image");
        self.index = at;
        self.promises.check(&before, &self.image, command);
        (batch.facts, reply)
    }

    fn header(&self) -> Header {
        Header {
            controller_epoch: ControllerEpoch(1),
            sequence: 0,
            wall: WallMillis(0),
            state_hash: self.image.hash(),
            feature_level: FeatureLevel::MAX,
            origins: Vec::new(),
        }
    }
}

/// A stand-in for the table of configurations: knows that numbers are numbers.
fn check_config(_: &ConfigScope, key: &str, value: &str) -> Result<(), String> {
    match key {
        "min.insync.replicas" | "retention.ms" if value.parse::<i64>().is_err() => {
            Err(format!("{key} is a number, not {value:?}"))
        }
        "min.insync.replicas"
        | "retention.ms"
        | "cleanup.policy"
        | "durability"
        | "unclean.leader.election.enable"
        | "log.cleaner.threads" => Ok(()),
        _ => Err(format!("there is no configuration {key}")),
    }
}

fn list_default(_: &ConfigScope, key: &str) -> Option<String> {
    (key == "cleanup.policy").then(|| "delete".to_owned())
}

/// The first run of a broker.
pub fn registration(node: i32) -> Registration {
    Registration {
        incarnation: IncarnationId(text_id(&format!("run-{node}"))),
        directories: vec![DirectoryId(text_id(&format!("disk-{node}")))],
        roles: Roles { controller: true, broker: true },
        feature_level_max: FeatureLevel::MAX,
        ..Registration::example(node as u8)
    }
}

/// Whose registration this is, by the address it gives.
fn node_of(registration: &Registration) -> NodeId {
    let digits = registration.peer_address.trim_start_matches("node-").split(':').next().expect("a port follows");
    NodeId(digits.parse().expect("test nodes are called by their number"))
}

/// An id that a person can recognise in a dump.
pub fn text_id(text: &str) -> Uuid {
    let mut bytes = [b'.'; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Uuid(bytes)
}

//! The controller's mind: who may join, who leads, what topics there are. Judges one command against the image and
//! answers with facts.
//!
//! ```text
//!   command ─► decide(&image, env) ─► facts ──Raft──► every image
//!                                └──► reply, once the facts are committed
//! ```
//!
//! The body that runs it (`quorum`) decides on a draft: the committed image with the facts of this batch applied, so
//! that every decision sees the one before. Nothing here knows the time, draws lots or talks to anybody: what is needed
//! of that comes with [`Env`].
//!
//! Rules named R7 to R12, as everywhere in this program:
//! - R7: nothing is committed while the ISR is below the effective min ISR, min(`min.insync.replicas`, replicas);
//! - R8, R10: a leader changes its ISR by compare-and-set on both epochs, and a member joins by its broker epoch;
//! - R11: a smaller or larger ISR leaves the leader epoch alone; another leader does not;
//! - R12: whoever is fenced leaves every ISR, into the ELR where the ISR falls below min ISR; the next leader is the
//!   first able replica of the ISR, else of the ELR, else nobody until the last known leader returns.
//!   A replica that is offline leaves both, since nobody knows what is left of it.
//!
//! Reading order: refusals and drafts, elections (the heart), then one noun after the other; `liveness` decides by
//! evidence and time when a node is to be fenced; `codec` is how brokers ask.
//!
//! Absent on purpose: who may ask (the doors ask `security`), and configuration keys (`config` brings a table).

mod draft;
mod refusal;

mod elections;
mod isr;

mod founding;
mod nodes;
mod offline;

mod configs;
mod partitions;
mod placement;
mod producer_ids;
mod topics;

pub mod liveness;

pub mod codec;

#[cfg(test)]
mod tests;

pub use configs::{AlterConfigs, AlteredConfig, ConfigAlteration, ConfigOperation, ConfigTarget};
pub use elections::{ElectLeaders, ElectedLeader, ElectionKind};
pub use founding::Found;
pub use isr::{AlterPartition, AlterPartitions, AlteredPartition, IsrMember};
pub use nodes::{Fence, Register, Unfence};
pub use offline::TakeOffline;
pub use partitions::{CreatePartitions, GrownTopic, MorePartitions};
pub use producer_ids::ProducerIdBlock;
pub use refusal::{Refusal, Refused};
pub use topics::{CreateTopics, CreatedTopic, DeleteTopics, DeletedTopic, NewTopic, TopicName, TopicShape};

use crate::base::ids::{BrokerEpoch, DirectoryId, MetadataIndex, NodeId};
use crate::base::machine::{Decision, Machine};
use crate::metadata::configs::ConfigScope;
use crate::metadata::{Fact, Image};
use draft::Draft;
use std::collections::BTreeMap;

/// What can be asked of the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// The first of all: makes the cluster.
    Found(Found),
    /// The first of a reign.
    Activate {
        node: NodeId,
    },

    /// A disk without a node id wants one; it gets the same one again.
    AllocateNodeId {
        directory: DirectoryId,
    },
    Register(Register),
    Unfence(Unfence),
    Fence(Fence),
    /// A node wants to stop: what others can lead is moved, then it may say goodbye.
    ShutDown {
        node: NodeId,
        epoch: BrokerEpoch,
    },
    Drain {
        node: NodeId,
        draining: bool,
    },
    Remove {
        node: NodeId,
    },
    TakeOffline(TakeOffline),

    CreateTopics(CreateTopics),
    DeleteTopics(DeleteTopics),
    CreatePartitions(CreatePartitions),
    AlterPartitions(AlterPartitions),
    ElectLeaders(ElectLeaders),

    AlterConfigs(AlterConfigs),
    AllocateProducerIds {
        node: NodeId,
        epoch: BrokerEpoch,
    },
}

/// The answer to a command that was not refused as a whole; one variant for each kind of command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is so; there is nothing to tell.
    Done,
    NodeId(NodeId),
    Registered {
        epoch: BrokerEpoch,
    },
    /// Whether the node may lead now; not before it has caught up with its own registration.
    Unfenced(bool),
    /// How many partitions the node still leads because nobody else can: they are offline while it is away.
    ShuttingDown {
        still_leads: usize,
    },
    CreatedTopics(Vec<CreatedTopic>),
    DeletedTopics(Vec<DeletedTopic>),
    GrownTopics(Vec<GrownTopic>),
    AlteredPartitions(Vec<AlteredPartition>),
    ElectedLeaders(Vec<ElectedLeader>),
    AlteredConfigs(Vec<AlteredConfig>),
    ProducerIds(ProducerIdBlock),
}

/// What a decision needs besides the image.
pub struct Env<'a> {
    /// The entry of the log that the facts are expected to become. Epochs are taken from it, and would still be unique
    /// and rising if the entry came later.
    pub index: MetadataIndex,
    /// Fresh chance, for this decision only: ids and starting points are drawn from it.
    pub seed: u128,
    pub defaults: Defaults,
    /// Says what is wrong with a value of a key.
    pub check_config: &'a dyn Fn(&ConfigScope, &str, &str) -> Result<(), String>,
    /// Says what is wrong with all values of a scope together.
    pub check_together: &'a dyn Fn(&ConfigScope, &BTreeMap<&str, &str>) -> Result<(), String>,
    /// What a list has in it while nobody has set it; nothing for a key that is no list.
    pub list_default: &'a dyn Fn(&ConfigScope, &str) -> Option<String>,
}

/// What a topic gets that does not ask for anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Defaults {
    /// `num.partitions`
    pub partitions: usize,
    /// `default.replication.factor`
    pub replication_factor: usize,
}

impl Machine for Image {
    type Request = Command;
    type Env<'a> = Env<'a>;
    type Fact = Fact;
    type Reply = Result<Reply, Refused>;
    type Position = MetadataIndex;

    fn decide(&self, request: &Command, env: &Env<'_>) -> Decision<Fact, Result<Reply, Refused>> {
        decide(self, request, env)
    }

    fn apply(&mut self, at: MetadataIndex, fact: &Fact) {
        Self::apply(self, at, fact);
    }
}

/// Judges one command. A command that is refused as a whole changes nothing.
pub fn decide(image: &Image, command: &Command, env: &Env<'_>) -> Decision<Fact, Result<Reply, Refused>> {
    let mut draft = Draft::new(image, env);
    match judge(&mut draft, command) {
        Ok(reply) => Decision { facts: draft.into_facts(), reply: Ok(reply) },
        Err(refused) => Decision { facts: Vec::new(), reply: Err(refused) },
    }
}

fn judge(draft: &mut Draft<'_>, command: &Command) -> Result<Reply, Refused> {
    if let Command::Found(request) = command {
        return founding::found(draft, request).map(|()| Reply::Done);
    }
    if draft.image().cluster().id.is_none() {
        return Err(Refusal::NotController.because("no cluster has been founded here"));
    }
    match command {
        Command::Found(_) => unreachable!("answered above"),
        Command::Activate { node } => {
            founding::activate(draft, *node);
            Ok(Reply::Done)
        }
        Command::AllocateNodeId { directory } => Ok(Reply::NodeId(nodes::allocate_id(draft, *directory))),
        Command::Register(request) => nodes::register(draft, request).map(|epoch| Reply::Registered { epoch }),
        Command::Unfence(request) => nodes::unfence(draft, request).map(Reply::Unfenced),
        Command::Fence(request) => nodes::fence(draft, request).map(|()| Reply::Done),
        Command::ShutDown { node, epoch } => {
            nodes::shut_down(draft, *node, *epoch).map(|still_leads| Reply::ShuttingDown { still_leads })
        }
        Command::Drain { node, draining } => nodes::drain(draft, *node, *draining).map(|()| Reply::Done),
        Command::Remove { node } => nodes::remove(draft, *node).map(|()| Reply::Done),
        Command::TakeOffline(request) => offline::take_offline(draft, request).map(|()| Reply::Done),
        Command::CreateTopics(request) => topics::create(draft, request).map(Reply::CreatedTopics),
        Command::DeleteTopics(request) => Ok(Reply::DeletedTopics(topics::delete(draft, request))),
        Command::CreatePartitions(request) => Ok(Reply::GrownTopics(partitions::create(draft, request))),
        Command::AlterPartitions(request) => isr::alter(draft, request).map(Reply::AlteredPartitions),
        Command::ElectLeaders(request) => Ok(Reply::ElectedLeaders(elections::elect(draft, request))),
        Command::AlterConfigs(request) => Ok(Reply::AlteredConfigs(configs::alter(draft, request))),
        Command::AllocateProducerIds { node, epoch } => {
            producer_ids::allocate(draft, *node, *epoch).map(Reply::ProducerIds)
        }
    }
}

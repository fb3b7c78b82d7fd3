//! Facts as protobuf: what `proto/metadata.proto` says, strictly.
//!
//! Partitions travel in columns (`columns.rs`): a change of one costs a few bytes.
//!
//! Invariants: what cannot be understood is refused with its position, never skipped: an unknown kind of fact, a
//! feature level above ours, an id of the wrong length, columns that do not fit each other.

use super::StateHash;
use super::columns;
use super::configs::ConfigScope;
use super::nodes::{Boot, Listener, Registration};
use super::record::{Batch, Fact, FeatureLevel, Header, Origin, Reign};
use crate::base::clock::WallMillis;
use crate::base::ids::{
    BrokerEpoch, ClusterId, ControllerEpoch, DirectoryId, IncarnationId, MetadataIndex, NodeId, PartitionIndex,
    ProducerId, TopicId, Uuid,
};
use crate::config::Roles;
use crate::config::listener::Protocol;
use crate::rpc::metadata as proto;
use bytes::Bytes;
use prost::Message;
use proto::fact::Fact as Kind;

/// What is wrong with an entry of the metadata log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error(
        "entry {at} of the metadata log needs feature level {level}, this program knows up to {max}: \
         start a newer version",
        max = FeatureLevel::MAX
    )]
    TooNew { at: MetadataIndex, level: FeatureLevel },
    #[error(
        "metadata has diverged before entry {at}: it was decided on state {expected}, here is {found}; \
         this node's copy is wrong or its program is, keep the data directory for inspection and let it rejoin empty"
    )]
    Diverged { at: MetadataIndex, expected: StateHash, found: StateHash },
    #[error("entry {at} of the metadata log cannot be read at fact {place}: {why}")]
    Malformed { at: MetadataIndex, place: usize, why: Malformed },
}

/// Why a fact cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is not protobuf of our kind")]
    Protobuf,
    #[error("it is of a kind this program does not know")]
    UnknownKind,
    #[error("{0} has a value this program does not know")]
    UnknownValue(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not 16 bytes long")]
    NotAnId(&'static str),
    #[error("{0} does not have one entry for each partition")]
    Column(&'static str),
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

/// A batch as it stands in the log.
pub fn encode(batch: &Batch) -> Bytes {
    let Header { controller_epoch, sequence, wall, state_hash, feature_level, origins } = &batch.header;
    let origins = origins.iter().map(|origin| proto::Origin {
        principal: origin.principal.clone(),
        api: origin.api.clone(),
        client_id: origin.client_id.clone(),
        facts: origin.facts,
    });
    let message = proto::Batch {
        controller_epoch: controller_epoch.0,
        sequence: *sequence,
        wall_millis: wall.0,
        state_hash: state_hash.0,
        feature_level: feature_level.0,
        origins: origins.collect(),
        facts: batch.facts.iter().map(encode_fact).collect(),
    };
    message.encode_to_vec().into()
}

/// Reads what [`encode`] wrote. `at` is only for the error.
pub fn decode(at: MetadataIndex, bytes: Bytes) -> Result<Batch, MetadataError> {
    let malformed = |_| MetadataError::Malformed { at, place: 0, why: Malformed::Protobuf };
    let message = proto::Batch::decode(bytes).map_err(malformed)?;
    let feature_level = FeatureLevel(message.feature_level);
    if feature_level > FeatureLevel::MAX {
        return Err(MetadataError::TooNew { at, level: feature_level });
    }
    let origins = message.origins.into_iter().map(|origin| Origin {
        principal: origin.principal,
        api: origin.api,
        client_id: origin.client_id,
        facts: origin.facts,
    });
    let header = Header {
        controller_epoch: ControllerEpoch(message.controller_epoch),
        sequence: message.sequence,
        wall: WallMillis(message.wall_millis),
        state_hash: StateHash(message.state_hash),
        feature_level,
        origins: origins.collect(),
    };
    Ok(Batch { header, facts: decode_facts(at, message.facts)? })
}

/// A part of an image's facts, as they are stored and sent.
pub fn encode_chunk(facts: &[Fact]) -> Bytes {
    proto::ImageChunk { facts: facts.iter().map(encode_fact).collect() }.encode_to_vec().into()
}

/// Reads what [`encode_chunk`] wrote. `at` is only for the error.
pub fn decode_chunk(at: MetadataIndex, bytes: Bytes) -> Result<Vec<Fact>, MetadataError> {
    let malformed = |_| MetadataError::Malformed { at, place: 0, why: Malformed::Protobuf };
    decode_facts(at, proto::ImageChunk::decode(bytes).map_err(malformed)?.facts)
}

fn decode_facts(at: MetadataIndex, facts: Vec<proto::Fact>) -> Result<Vec<Fact>, MetadataError> {
    let read = |(place, fact)| decode_fact(fact).map_err(|why| MetadataError::Malformed { at, place, why });
    facts.into_iter().enumerate().map(read).collect()
}

fn encode_fact(fact: &Fact) -> proto::Fact {
    let kind = match fact {
        Fact::ClusterFounded { cluster } => Kind::ClusterFounded(proto::ClusterFounded { cluster_id: id(cluster.0) }),
        Fact::FeatureLevelSet { level } => Kind::FeatureLevelSet(proto::FeatureLevelSet { level: level.0 }),
        Fact::ControllerActivated { node, epoch, reign } => Kind::ControllerActivated(proto::ControllerActivated {
            node_id: node.0,
            controller_epoch: epoch.0,
            reign: reign.0,
        }),
        Fact::NodeIdAllocated { node, directory } => {
            Kind::NodeIdAllocated(proto::NodeIdAllocated { node_id: node.0, directory_id: id(directory.0) })
        }
        Fact::NodeRegistered { node, epoch, registration } => {
            Kind::NodeRegistered(encode_registration(*node, *epoch, registration))
        }
        Fact::NodeFenced { node, epoch } => {
            Kind::NodeFenced(proto::NodeFenced { node_id: node.0, broker_epoch: epoch.0 })
        }
        Fact::NodeUnfenced { node, epoch } => {
            Kind::NodeUnfenced(proto::NodeUnfenced { node_id: node.0, broker_epoch: epoch.0 })
        }
        Fact::NodeShuttingDown { node, epoch } => {
            Kind::NodeShuttingDown(proto::NodeShuttingDown { node_id: node.0, broker_epoch: epoch.0 })
        }
        Fact::NodeDraining { node, draining } => {
            Kind::NodeDraining(proto::NodeDraining { node_id: node.0, draining: *draining })
        }
        Fact::NodeRemoved { node } => Kind::NodeRemoved(proto::NodeRemoved { node_id: node.0 }),
        Fact::TopicCreated { topic, name } => {
            Kind::TopicCreated(proto::TopicCreated { topic_id: id(topic.0), name: name.clone() })
        }
        Fact::TopicDeleted { topic } => Kind::TopicDeleted(proto::TopicDeleted { topic_id: id(topic.0) }),
        Fact::PartitionsCreated { topic, first, partitions } => {
            Kind::PartitionsCreated(columns::encode_created(id(topic.0), *first, partitions))
        }
        Fact::PartitionsChanged { topic, changes } => {
            Kind::PartitionsChanged(columns::encode_changed(id(topic.0), changes))
        }
        Fact::ConfigSet { scope, key, value } => Kind::ConfigSet(proto::ConfigSet {
            scope: Some(encode_scope(scope)),
            key: key.clone(),
            value: value.clone(),
        }),
        Fact::ConfigUnset { scope, key } => {
            Kind::ConfigUnset(proto::ConfigUnset { scope: Some(encode_scope(scope)), key: key.clone() })
        }
        Fact::ProducerIdsAllocated { node, epoch, next } => Kind::ProducerIdsAllocated(proto::ProducerIdsAllocated {
            node_id: node.0,
            broker_epoch: epoch.0,
            next: next.0,
        }),
    };
    proto::Fact { fact: Some(kind) }
}

fn decode_fact(fact: proto::Fact) -> Result<Fact, Malformed> {
    Ok(match fact.fact.ok_or(Malformed::UnknownKind)? {
        Kind::ClusterFounded(it) => Fact::ClusterFounded { cluster: ClusterId(uuid(&it.cluster_id, "cluster_id")?) },
        Kind::FeatureLevelSet(it) => Fact::FeatureLevelSet { level: FeatureLevel(it.level) },
        Kind::ControllerActivated(it) => Fact::ControllerActivated {
            node: NodeId(it.node_id),
            epoch: ControllerEpoch(it.controller_epoch),
            reign: Reign(it.reign),
        },
        Kind::NodeIdAllocated(it) => Fact::NodeIdAllocated {
            node: NodeId(it.node_id),
            directory: DirectoryId(uuid(&it.directory_id, "directory_id")?),
        },
        Kind::NodeRegistered(it) => Fact::NodeRegistered {
            node: NodeId(it.node_id),
            epoch: BrokerEpoch(it.broker_epoch),
            registration: Box::new(decode_registration(it)?),
        },
        Kind::NodeFenced(it) => Fact::NodeFenced { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) },
        Kind::NodeUnfenced(it) => Fact::NodeUnfenced { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) },
        Kind::NodeShuttingDown(it) => {
            Fact::NodeShuttingDown { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) }
        }
        Kind::NodeDraining(it) => Fact::NodeDraining { node: NodeId(it.node_id), draining: it.draining },
        Kind::NodeRemoved(it) => Fact::NodeRemoved { node: NodeId(it.node_id) },
        Kind::TopicCreated(it) => Fact::TopicCreated { topic: topic(&it.topic_id)?, name: it.name },
        Kind::TopicDeleted(it) => Fact::TopicDeleted { topic: topic(&it.topic_id)? },
        Kind::PartitionsCreated(it) => Fact::PartitionsCreated {
            topic: topic(&it.topic_id)?,
            first: PartitionIndex(it.first),
            partitions: columns::decode_created(it)?,
        },
        Kind::PartitionsChanged(it) => {
            Fact::PartitionsChanged { topic: topic(&it.topic_id)?, changes: columns::decode_changed(it)? }
        }
        Kind::ConfigSet(it) => Fact::ConfigSet { scope: decode_scope(it.scope)?, key: it.key, value: it.value },
        Kind::ConfigUnset(it) => Fact::ConfigUnset { scope: decode_scope(it.scope)?, key: it.key },
        Kind::ProducerIdsAllocated(it) => Fact::ProducerIdsAllocated {
            node: NodeId(it.node_id),
            epoch: BrokerEpoch(it.broker_epoch),
            next: ProducerId(it.next),
        },
    })
}

/// A registration as it stands in the log, and as a node asks for it.
pub fn encode_registration(node: NodeId, epoch: BrokerEpoch, it: &Registration) -> proto::NodeRegistered {
    let boot = match it.boot {
        Boot::Clean => proto::Boot::Clean,
        Boot::ProcessCrash => proto::Boot::ProcessCrash,
        Boot::MachineCrash => proto::Boot::MachineCrash,
    };
    let controller = it.roles.controller.then_some(proto::Role::Controller.into());
    let broker = it.roles.broker.then_some(proto::Role::Broker.into());
    proto::NodeRegistered {
        node_id: node.0,
        broker_epoch: epoch.0,
        incarnation_id: id(it.incarnation.0),
        directory_ids: it.directories.iter().map(|directory| id(directory.0)).collect(),
        boot: boot.into(),
        roles: [controller, broker].into_iter().flatten().collect(),
        listeners: it.listeners.iter().map(encode_listener).collect(),
        peer_address: it.peer_address.clone(),
        admin_address: it.admin_address.clone(),
        rack: it.rack.clone(),
        version: it.version.clone(),
        feature_level_max: it.feature_level_max.0,
    }
}

/// Reads what [`encode_registration`] wrote.
pub fn decode_registration(it: proto::NodeRegistered) -> Result<Registration, Malformed> {
    let boot = match it.boot() {
        proto::Boot::Unspecified => return Err(Malformed::UnknownValue("boot")),
        proto::Boot::Clean => Boot::Clean,
        proto::Boot::ProcessCrash => Boot::ProcessCrash,
        proto::Boot::MachineCrash => Boot::MachineCrash,
    };
    let mut roles = Roles { controller: false, broker: false };
    for role in &it.roles {
        match proto::Role::try_from(*role) {
            Ok(proto::Role::Controller) => roles.controller = true,
            Ok(proto::Role::Broker) => roles.broker = true,
            Ok(proto::Role::Unspecified) | Err(_) => return Err(Malformed::UnknownValue("roles")),
        }
    }
    let directory = |bytes: &Bytes| uuid(bytes, "directory_ids").map(DirectoryId);
    Ok(Registration {
        incarnation: IncarnationId(uuid(&it.incarnation_id, "incarnation_id")?),
        directories: it.directory_ids.iter().map(directory).collect::<Result<_, _>>()?,
        boot,
        roles,
        listeners: it.listeners.into_iter().map(decode_listener).collect::<Result<_, _>>()?,
        peer_address: it.peer_address,
        admin_address: it.admin_address,
        rack: it.rack,
        version: it.version,
        feature_level_max: FeatureLevel(it.feature_level_max),
    })
}

fn encode_listener(it: &Listener) -> proto::Listener {
    let protocol = match it.protocol {
        Protocol::Plaintext => proto::SecurityProtocol::Plaintext,
        Protocol::Ssl => proto::SecurityProtocol::Ssl,
        Protocol::SaslPlaintext => proto::SecurityProtocol::SaslPlaintext,
        Protocol::SaslSsl => proto::SecurityProtocol::SaslSsl,
    };
    proto::Listener {
        name: it.name.clone(),
        host: it.host.clone(),
        port: u32::from(it.port),
        protocol: protocol.into(),
    }
}

fn decode_listener(it: proto::Listener) -> Result<Listener, Malformed> {
    let protocol = match it.protocol() {
        proto::SecurityProtocol::Unspecified => return Err(Malformed::UnknownValue("listeners.protocol")),
        proto::SecurityProtocol::Plaintext => Protocol::Plaintext,
        proto::SecurityProtocol::Ssl => Protocol::Ssl,
        proto::SecurityProtocol::SaslPlaintext => Protocol::SaslPlaintext,
        proto::SecurityProtocol::SaslSsl => Protocol::SaslSsl,
    };
    let port = u16::try_from(it.port).map_err(|_| Malformed::OutOfRange("listeners.port"))?;
    Ok(Listener { name: it.name, host: it.host, port, protocol })
}

fn encode_scope(scope: &ConfigScope) -> proto::ConfigScope {
    use proto::config_scope::Scope;
    let scope = match scope {
        ConfigScope::Cluster => Scope::Cluster(proto::Everything {}),
        ConfigScope::Node(node) => Scope::NodeId(node.0),
        ConfigScope::Topic(topic) => Scope::TopicId(id(topic.0)),
        ConfigScope::Group(group) => Scope::Group(group.to_string()),
    };
    proto::ConfigScope { scope: Some(scope) }
}

fn decode_scope(scope: Option<proto::ConfigScope>) -> Result<ConfigScope, Malformed> {
    use proto::config_scope::Scope;
    Ok(match scope.and_then(|it| it.scope).ok_or(Malformed::Missing("scope"))? {
        Scope::Cluster(proto::Everything {}) => ConfigScope::Cluster,
        Scope::NodeId(node) => ConfigScope::Node(NodeId(node)),
        Scope::TopicId(bytes) => ConfigScope::Topic(topic(&bytes)?),
        Scope::Group(group) => ConfigScope::Group(group.into()),
    })
}

fn id(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn topic(bytes: &Bytes) -> Result<TopicId, Malformed> {
    uuid(bytes, "topic_id").map(TopicId)
}

fn uuid(bytes: &Bytes, field: &'static str) -> Result<Uuid, Malformed> {
    bytes.as_ref().try_into().map(Uuid).map_err(|_| Malformed::NotAnId(field))
}

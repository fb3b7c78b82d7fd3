//! Commands and replies as `proto/controller.proto` writes them, between brokers and controllers.
//!
//! Invariants: decoding is total; what cannot be understood is an error that says which part.
//! Absent on purpose: the commands that a controller gives only to itself (`Found`, `Activate`, `Fence`).

use super::{
    AlterConfigs, AlterPartition, AlterPartitions, AlteredConfig, AlteredPartition, Command, ConfigAlteration,
    ConfigOperation, ConfigTarget, CreatePartitions, CreateTopics, CreatedTopic, DeleteTopics, DeletedTopic,
    ElectLeaders, ElectedLeader, ElectionKind, GrownTopic, IsrMember, MorePartitions, NewTopic, ProducerIdBlock,
    Refusal, Refused, Register, Reply, TakeOffline, TopicName, TopicShape, Unfence,
};
use crate::base::ids::{
    BrokerEpoch, ClusterId, DirectoryId, LeaderEpoch, MetadataIndex, NodeId, PartitionEpoch, PartitionIndex,
    ProducerId, TopicId, Uuid,
};
use crate::metadata::codec::{Malformed, decode_registration, encode_registration};
use crate::metadata::partitions::{Partition, PartitionState, Recovery, ReplicaSet};
use crate::rpc::controller as proto;
use crate::rpc::metadata::Everything;
use bytes::Bytes;
use proto::submit_reply::Result as Kind;
use proto::submit_request::Command as Asked;

/// A command as a broker sends it; none if only a controller gives it, to itself.
pub fn encode_command(command: &Command) -> Option<Asked> {
    Some(match command {
        Command::Found(_) | Command::Activate { .. } | Command::Fence(_) => return None,
        Command::AllocateNodeId { directory } => {
            Asked::AllocateNodeId(proto::AllocateNodeId { directory_id: id(directory.0) })
        }
        Command::Register(it) => Asked::Register(proto::Register {
            cluster_id: id(it.cluster.0),
            previous_epoch: it.previous_epoch.map(|epoch| epoch.0),
            registration: Some(encode_registration(it.node, BrokerEpoch(0), &it.registration)),
        }),
        Command::Unfence(it) => {
            Asked::Unfence(proto::Unfence { node_id: it.node.0, broker_epoch: it.epoch.0, applied: it.applied.0 })
        }
        Command::ShutDown { node, epoch } => {
            Asked::ShutDown(proto::ShutDown { node_id: node.0, broker_epoch: epoch.0 })
        }
        Command::Drain { node, draining } => Asked::Drain(proto::Drain { node_id: node.0, draining: *draining }),
        Command::Remove { node } => Asked::Remove(proto::Remove { node_id: node.0 }),
        Command::TakeOffline(it) => Asked::TakeOffline(encode_take_offline(it)),
        Command::CreateTopics(it) => Asked::CreateTopics(proto::CreateTopics {
            topics: it.topics.iter().map(encode_new_topic).collect(),
            validate_only: it.validate_only,
        }),
        Command::DeleteTopics(it) => {
            Asked::DeleteTopics(proto::DeleteTopics { topics: it.topics.iter().map(encode_topic_name).collect() })
        }
        Command::CreatePartitions(it) => Asked::CreatePartitions(proto::CreatePartitions {
            topics: it.topics.iter().map(encode_more_partitions).collect(),
            validate_only: it.validate_only,
        }),
        Command::AlterPartitions(it) => Asked::AlterPartitions(proto::AlterPartitions {
            leader: it.leader.0,
            broker_epoch: it.epoch.0,
            partitions: it.partitions.iter().map(encode_alter_partition).collect(),
        }),
        Command::ElectLeaders(it) => Asked::ElectLeaders(encode_elect_leaders(it)),
        Command::AlterConfigs(it) => Asked::AlterConfigs(proto::AlterConfigs {
            resources: it.resources.iter().map(encode_config_alteration).collect(),
            validate_only: it.validate_only,
        }),
        Command::AllocateProducerIds { node, epoch } => {
            Asked::AllocateProducerIds(proto::AllocateProducerIds { node_id: node.0, broker_epoch: epoch.0 })
        }
    })
}

/// Reads what [`encode_command`] wrote.
pub fn decode_command(command: Option<Asked>) -> Result<Command, Malformed> {
    Ok(match command.ok_or(Malformed::UnknownKind)? {
        Asked::AllocateNodeId(it) => Command::AllocateNodeId { directory: directory(&it.directory_id)? },
        Asked::Register(it) => Command::Register(decode_register(it)?),
        Asked::Unfence(it) => Command::Unfence(Unfence {
            node: NodeId(it.node_id),
            epoch: BrokerEpoch(it.broker_epoch),
            applied: MetadataIndex(it.applied),
        }),
        Asked::ShutDown(it) => Command::ShutDown { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) },
        Asked::Drain(it) => Command::Drain { node: NodeId(it.node_id), draining: it.draining },
        Asked::Remove(it) => Command::Remove { node: NodeId(it.node_id) },
        Asked::TakeOffline(it) => Command::TakeOffline(decode_take_offline(it)?),
        Asked::CreateTopics(it) => {
            let topics = it.topics.into_iter().map(decode_new_topic).collect::<Result<_, _>>()?;
            Command::CreateTopics(CreateTopics { topics, validate_only: it.validate_only })
        }
        Asked::DeleteTopics(it) => {
            let topics = it.topics.into_iter().map(decode_topic_name).collect::<Result<_, _>>()?;
            Command::DeleteTopics(DeleteTopics { topics })
        }
        Asked::CreatePartitions(it) => {
            let topics = it.topics.into_iter().map(decode_more_partitions).collect();
            Command::CreatePartitions(CreatePartitions { topics, validate_only: it.validate_only })
        }
        Asked::AlterPartitions(it) => Command::AlterPartitions(AlterPartitions {
            leader: NodeId(it.leader),
            epoch: BrokerEpoch(it.broker_epoch),
            partitions: it.partitions.into_iter().map(decode_alter_partition).collect::<Result<_, _>>()?,
        }),
        Asked::ElectLeaders(it) => Command::ElectLeaders(decode_elect_leaders(it)?),
        Asked::AlterConfigs(it) => {
            let resources = it.resources.into_iter().map(decode_config_alteration).collect::<Result<_, _>>()?;
            Command::AlterConfigs(AlterConfigs { resources, validate_only: it.validate_only })
        }
        Asked::AllocateProducerIds(it) => {
            Command::AllocateProducerIds { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) }
        }
    })
}

/// A reply as the active controller sends it.
pub fn encode_reply(reply: &Reply) -> Kind {
    match reply {
        Reply::Done => Kind::Done(proto::Done {}),
        Reply::NodeId(node) => Kind::NodeId(node.0),
        Reply::Registered { epoch } => Kind::RegisteredEpoch(epoch.0),
        Reply::Unfenced(may_lead) => Kind::Unfenced(*may_lead),
        Reply::ShuttingDown { still_leads } => Kind::StillLeads(*still_leads as u64),
        Reply::CreatedTopics(topics) => {
            Kind::CreatedTopics(proto::CreatedTopics { topics: topics.iter().map(encode_created_topic).collect() })
        }
        Reply::DeletedTopics(topics) => {
            Kind::DeletedTopics(proto::DeletedTopics { topics: topics.iter().map(encode_deleted_topic).collect() })
        }
        Reply::GrownTopics(topics) => {
            let grown =
                |it: &GrownTopic| proto::GrownTopic { name: it.name.clone(), refused: encode_outcome(&it.outcome) };
            Kind::GrownTopics(proto::GrownTopics { topics: topics.iter().map(grown).collect() })
        }
        Reply::AlteredPartitions(partitions) => Kind::AlteredPartitions(proto::AlteredPartitions {
            partitions: partitions.iter().map(encode_altered_partition).collect(),
        }),
        Reply::ElectedLeaders(partitions) => {
            let elected = |it: &ElectedLeader| proto::ElectedLeader {
                partition: Some(proto::TopicPartition { topic: it.topic.clone(), partition: it.partition.0 }),
                refused: encode_outcome(&it.outcome),
            };
            Kind::ElectedLeaders(proto::ElectedLeaders { partitions: partitions.iter().map(elected).collect() })
        }
        Reply::AlteredConfigs(resources) => {
            let altered = |it: &AlteredConfig| proto::AlteredConfig {
                target: Some(encode_config_target(&it.target)),
                refused: encode_outcome(&it.outcome),
            };
            Kind::AlteredConfigs(proto::AlteredConfigs { resources: resources.iter().map(altered).collect() })
        }
        Reply::ProducerIds(block) => Kind::ProducerIds(proto::ProducerIds { first: block.first.0, len: block.len }),
    }
}

/// Reads what [`encode_reply`] wrote, or that the command was refused as a whole. That nobody decided is for the
/// caller to see first.
pub fn decode_reply(reply: Option<Kind>) -> Result<Result<Reply, Refused>, Malformed> {
    Ok(Ok(match reply.ok_or(Malformed::UnknownKind)? {
        Kind::Refused(refused) => return decode_refused(refused).map(Err),
        Kind::NotActive(_) | Kind::Unknown(_) => return Err(Malformed::UnknownKind),
        Kind::Done(proto::Done {}) => Reply::Done,
        Kind::NodeId(node) => Reply::NodeId(NodeId(node)),
        Kind::RegisteredEpoch(epoch) => Reply::Registered { epoch: BrokerEpoch(epoch) },
        Kind::Unfenced(may_lead) => Reply::Unfenced(may_lead),
        Kind::StillLeads(count) => {
            let still_leads = usize::try_from(count).map_err(|_| Malformed::OutOfRange("still_leads"))?;
            Reply::ShuttingDown { still_leads }
        }
        Kind::CreatedTopics(it) => {
            Reply::CreatedTopics(it.topics.into_iter().map(decode_created_topic).collect::<Result<_, _>>()?)
        }
        Kind::DeletedTopics(it) => {
            Reply::DeletedTopics(it.topics.into_iter().map(decode_deleted_topic).collect::<Result<_, _>>()?)
        }
        Kind::GrownTopics(it) => {
            let grown = |it: proto::GrownTopic| Ok(GrownTopic { name: it.name, outcome: decode_outcome(it.refused)? });
            Reply::GrownTopics(it.topics.into_iter().map(grown).collect::<Result<_, _>>()?)
        }
        Kind::AlteredPartitions(it) => {
            Reply::AlteredPartitions(it.partitions.into_iter().map(decode_altered_partition).collect::<Result<_, _>>()?)
        }
        Kind::ElectedLeaders(it) => {
            let elected = |it: proto::ElectedLeader| {
                let proto::TopicPartition { topic, partition } = it.partition.ok_or(Malformed::Missing("partition"))?;
                Ok(ElectedLeader { topic, partition: PartitionIndex(partition), outcome: decode_outcome(it.refused)? })
            };
            Reply::ElectedLeaders(it.partitions.into_iter().map(elected).collect::<Result<_, _>>()?)
        }
        Kind::AlteredConfigs(it) => {
            let altered = |it: proto::AlteredConfig| {
                let target = decode_config_target(it.target)?;
                Ok(AlteredConfig { target, outcome: decode_outcome(it.refused)? })
            };
            Reply::AlteredConfigs(it.resources.into_iter().map(altered).collect::<Result<_, _>>()?)
        }
        Kind::ProducerIds(it) => Reply::ProducerIds(ProducerIdBlock { first: ProducerId(it.first), len: it.len }),
    }))
}

pub fn encode_refused(refused: &Refused) -> proto::Refused {
    proto::Refused { code: i32::from(refused.refusal.code()), message: refused.message.clone() }
}

fn decode_refused(refused: proto::Refused) -> Result<Refused, Malformed> {
    let refusal = Refusal::of_code(refused.code).ok_or(Malformed::UnknownValue("refused.code"))?;
    Ok(Refused { refusal, message: refused.message })
}

fn encode_outcome(outcome: &Result<(), Refused>) -> Option<proto::Refused> {
    outcome.as_ref().err().map(encode_refused)
}

fn decode_outcome(refused: Option<proto::Refused>) -> Result<Result<(), Refused>, Malformed> {
    Ok(refused.map(decode_refused).transpose()?.map_or(Ok(()), Err))
}

fn decode_register(it: proto::Register) -> Result<Register, Malformed> {
    let registration = it.registration.ok_or(Malformed::Missing("registration"))?;
    Ok(Register {
        cluster: ClusterId(uuid(&it.cluster_id, "cluster_id")?),
        node: NodeId(registration.node_id),
        previous_epoch: it.previous_epoch.map(BrokerEpoch),
        registration: decode_registration(registration)?,
    })
}

fn encode_take_offline(it: &TakeOffline) -> proto::TakeOffline {
    let topic = |of: &[(TopicId, PartitionIndex)]| proto::OfflineReplicas {
        topic_id: id(of[0].0.0),
        partitions: of.iter().map(|(_, index)| index.0).collect(),
    };
    proto::TakeOffline {
        node_id: it.node.0,
        broker_epoch: it.epoch.0,
        topics: it.replicas.chunk_by(|one, next| one.0 == next.0).map(topic).collect(),
    }
}

fn decode_take_offline(it: proto::TakeOffline) -> Result<TakeOffline, Malformed> {
    let mut replicas = Vec::new();
    for of in it.topics {
        let topic = topic(&of.topic_id)?;
        replicas.extend(of.partitions.into_iter().map(|index| (topic, PartitionIndex(index))));
    }
    Ok(TakeOffline { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch), replicas })
}

fn encode_new_topic(it: &NewTopic) -> proto::NewTopic {
    let assignment = |(partition, replicas): &(PartitionIndex, Vec<NodeId>)| proto::Assignment {
        partition: partition.0,
        replicas: node_ids(replicas),
    };
    let setting = |(key, value): &(String, String)| proto::Setting { key: key.clone(), value: value.clone() };
    proto::NewTopic {
        name: it.name.clone(),
        partitions: it.partitions,
        replication_factor: i32::from(it.replication_factor),
        assignments: it.assignments.iter().map(assignment).collect(),
        configs: it.configs.iter().map(setting).collect(),
    }
}

fn decode_new_topic(it: proto::NewTopic) -> Result<NewTopic, Malformed> {
    let assignment = |it: proto::Assignment| (PartitionIndex(it.partition), nodes(it.replicas));
    let factor = i16::try_from(it.replication_factor).map_err(|_| Malformed::OutOfRange("replication_factor"))?;
    Ok(NewTopic {
        name: it.name,
        partitions: it.partitions,
        replication_factor: factor,
        assignments: it.assignments.into_iter().map(assignment).collect(),
        configs: it.configs.into_iter().map(|setting| (setting.key, setting.value)).collect(),
    })
}

fn encode_created_topic(it: &CreatedTopic) -> proto::CreatedTopic {
    use proto::created_topic::Outcome;
    let outcome = match &it.outcome {
        Ok(shape) => Outcome::Created(proto::TopicShape {
            topic_id: id(shape.id.0),
            partitions: shape.partitions as u32,
            replication_factor: shape.replication_factor as u32,
        }),
        Err(refused) => Outcome::Refused(encode_refused(refused)),
    };
    proto::CreatedTopic { name: it.name.clone(), outcome: Some(outcome) }
}

fn decode_created_topic(it: proto::CreatedTopic) -> Result<CreatedTopic, Malformed> {
    use proto::created_topic::Outcome;
    let outcome = match it.outcome.ok_or(Malformed::Missing("outcome"))? {
        Outcome::Created(shape) => Ok(TopicShape {
            id: topic(&shape.topic_id)?,
            partitions: shape.partitions as usize,
            replication_factor: shape.replication_factor as usize,
        }),
        Outcome::Refused(refused) => Err(decode_refused(refused)?),
    };
    Ok(CreatedTopic { name: it.name, outcome })
}

fn encode_topic_name(it: &TopicName) -> proto::TopicName {
    use proto::topic_name::Name;
    let name = match it {
        TopicName::Name(name) => Name::Text(name.clone()),
        TopicName::Id(topic) => Name::TopicId(id(topic.0)),
    };
    proto::TopicName { name: Some(name) }
}

fn decode_topic_name(it: proto::TopicName) -> Result<TopicName, Malformed> {
    use proto::topic_name::Name;
    Ok(match it.name.ok_or(Malformed::Missing("name"))? {
        Name::Text(name) => TopicName::Name(name),
        Name::TopicId(bytes) => TopicName::Id(topic(&bytes)?),
    })
}

fn encode_deleted_topic(it: &DeletedTopic) -> proto::DeletedTopic {
    proto::DeletedTopic {
        name: it.name.clone(),
        topic_id: it.id.map(|topic| id(topic.0)),
        refused: encode_outcome(&it.outcome),
    }
}

fn decode_deleted_topic(it: proto::DeletedTopic) -> Result<DeletedTopic, Malformed> {
    let id = it.topic_id.map(|bytes| topic(&bytes)).transpose()?;
    Ok(DeletedTopic { name: it.name, id, outcome: decode_outcome(it.refused)? })
}

fn encode_more_partitions(it: &MorePartitions) -> proto::MorePartitions {
    let list = |replicas: &Vec<NodeId>| proto::ReplicaList { replicas: node_ids(replicas) };
    let assignments = it.assignments.as_ref();
    proto::MorePartitions {
        name: it.name.clone(),
        count: it.count,
        assignments: assignments.map(|lists| proto::NewAssignments { partitions: lists.iter().map(list).collect() }),
    }
}

fn decode_more_partitions(it: proto::MorePartitions) -> MorePartitions {
    let lists = |it: proto::NewAssignments| it.partitions.into_iter().map(|list| nodes(list.replicas)).collect();
    MorePartitions { name: it.name, count: it.count, assignments: it.assignments.map(lists) }
}

fn encode_alter_partition(it: &AlterPartition) -> proto::AlterPartition {
    let member = |it: &IsrMember| proto::IsrMember { node_id: it.node.0, broker_epoch: it.epoch.0 };
    proto::AlterPartition {
        topic_id: id(it.topic.0),
        partition: it.partition.0,
        leader_epoch: it.leader_epoch.0,
        partition_epoch: it.partition_epoch.0,
        isr: it.isr.iter().map(member).collect(),
        recovering: it.recovery == Recovery::Recovering,
    }
}

fn decode_alter_partition(it: proto::AlterPartition) -> Result<AlterPartition, Malformed> {
    let member = |it: proto::IsrMember| IsrMember { node: NodeId(it.node_id), epoch: BrokerEpoch(it.broker_epoch) };
    Ok(AlterPartition {
        topic: topic(&it.topic_id)?,
        partition: PartitionIndex(it.partition),
        leader_epoch: LeaderEpoch(it.leader_epoch),
        partition_epoch: PartitionEpoch(it.partition_epoch),
        isr: it.isr.into_iter().map(member).collect(),
        recovery: recovery(it.recovering),
    })
}

fn encode_altered_partition(it: &AlteredPartition) -> proto::AlteredPartition {
    use proto::altered_partition::Outcome;
    let outcome = match &it.outcome {
        Ok(partition) => Outcome::Altered(encode_partition(partition)),
        Err(refused) => Outcome::Refused(encode_refused(refused)),
    };
    proto::AlteredPartition { topic_id: id(it.topic.0), partition: it.partition.0, outcome: Some(outcome) }
}

fn decode_altered_partition(it: proto::AlteredPartition) -> Result<AlteredPartition, Malformed> {
    use proto::altered_partition::Outcome;
    let outcome = match it.outcome.ok_or(Malformed::Missing("outcome"))? {
        Outcome::Altered(partition) => Ok(decode_partition(partition)),
        Outcome::Refused(refused) => Err(decode_refused(refused)?),
    };
    Ok(AlteredPartition { topic: topic(&it.topic_id)?, partition: PartitionIndex(it.partition), outcome })
}

fn encode_partition(it: &Partition) -> proto::Partition {
    let state = &it.state;
    proto::Partition {
        replicas: node_ids(&it.replicas),
        isr: state.isr.0,
        elr: state.elr.0,
        offline: state.offline.0,
        leader: state.leader.map(|node| node.0),
        last_known_leader: state.last_known_leader.map(|node| node.0),
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch.0,
        recovering: state.recovery == Recovery::Recovering,
    }
}

fn decode_partition(it: proto::Partition) -> Partition {
    let state = PartitionState {
        isr: ReplicaSet(it.isr),
        elr: ReplicaSet(it.elr),
        offline: ReplicaSet(it.offline),
        leader: it.leader.map(NodeId),
        last_known_leader: it.last_known_leader.map(NodeId),
        leader_epoch: LeaderEpoch(it.leader_epoch),
        partition_epoch: PartitionEpoch(it.partition_epoch),
        recovery: recovery(it.recovering),
    };
    Partition { replicas: nodes(it.replicas).into(), state }
}

fn encode_elect_leaders(it: &ElectLeaders) -> proto::ElectLeaders {
    let kind = match it.kind {
        ElectionKind::Preferred => proto::Election::Preferred,
        ElectionKind::Unclean => proto::Election::Unclean,
    };
    let place = |(topic, partition): &(String, PartitionIndex)| proto::TopicPartition {
        topic: topic.clone(),
        partition: partition.0,
    };
    let partitions = it.partitions.as_ref();
    proto::ElectLeaders {
        kind: kind.into(),
        partitions: partitions.map(|all| proto::ElectionPartitions { partitions: all.iter().map(place).collect() }),
    }
}

fn decode_elect_leaders(it: proto::ElectLeaders) -> Result<ElectLeaders, Malformed> {
    let kind = match it.kind() {
        proto::Election::Unspecified => return Err(Malformed::UnknownValue("kind")),
        proto::Election::Preferred => ElectionKind::Preferred,
        proto::Election::Unclean => ElectionKind::Unclean,
    };
    let places = |all: proto::ElectionPartitions| {
        all.partitions.into_iter().map(|it| (it.topic, PartitionIndex(it.partition))).collect()
    };
    Ok(ElectLeaders { kind, partitions: it.partitions.map(places) })
}

fn encode_config_alteration(it: &ConfigAlteration) -> proto::ConfigAlteration {
    use proto::config_operation::Operation;
    let operation = |(key, operation): &(String, ConfigOperation)| {
        let operation = match operation {
            ConfigOperation::Set(value) => Operation::Set(value.clone()),
            ConfigOperation::Delete => Operation::Delete(Everything {}),
            ConfigOperation::Append(more) => Operation::Append(more.clone()),
            ConfigOperation::Subtract(fewer) => Operation::Subtract(fewer.clone()),
        };
        proto::ConfigOperation { key: key.clone(), operation: Some(operation) }
    };
    proto::ConfigAlteration {
        target: Some(encode_config_target(&it.target)),
        operations: it.operations.iter().map(operation).collect(),
        replaces: it.replaces,
    }
}

fn decode_config_alteration(it: proto::ConfigAlteration) -> Result<ConfigAlteration, Malformed> {
    use proto::config_operation::Operation;
    let operation = |it: proto::ConfigOperation| {
        let operation = match it.operation.ok_or(Malformed::Missing("operation"))? {
            Operation::Set(value) => ConfigOperation::Set(value),
            Operation::Delete(Everything {}) => ConfigOperation::Delete,
            Operation::Append(more) => ConfigOperation::Append(more),
            Operation::Subtract(fewer) => ConfigOperation::Subtract(fewer),
        };
        Ok((it.key, operation))
    };
    Ok(ConfigAlteration {
        target: decode_config_target(it.target)?,
        operations: it.operations.into_iter().map(operation).collect::<Result<_, _>>()?,
        replaces: it.replaces,
    })
}

fn encode_config_target(it: &ConfigTarget) -> proto::ConfigTarget {
    use proto::config_target::Target;
    let target = match it {
        ConfigTarget::Cluster => Target::Cluster(Everything {}),
        ConfigTarget::Node(node) => Target::NodeId(node.0),
        ConfigTarget::Topic(name) => Target::Topic(name.clone()),
        ConfigTarget::Group(name) => Target::Group(name.clone()),
    };
    proto::ConfigTarget { target: Some(target) }
}

fn decode_config_target(it: Option<proto::ConfigTarget>) -> Result<ConfigTarget, Malformed> {
    use proto::config_target::Target;
    Ok(match it.and_then(|it| it.target).ok_or(Malformed::Missing("target"))? {
        Target::Cluster(Everything {}) => ConfigTarget::Cluster,
        Target::NodeId(node) => ConfigTarget::Node(NodeId(node)),
        Target::Topic(name) => ConfigTarget::Topic(name),
        Target::Group(name) => ConfigTarget::Group(name),
    })
}

fn recovery(is_recovering: bool) -> Recovery {
    if is_recovering { Recovery::Recovering } else { Recovery::Recovered }
}

fn node_ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn nodes(ids: Vec<i32>) -> Vec<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

fn id(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn directory(bytes: &Bytes) -> Result<DirectoryId, Malformed> {
    uuid(bytes, "directory_id").map(DirectoryId)
}

fn topic(bytes: &Bytes) -> Result<TopicId, Malformed> {
    uuid(bytes, "topic_id").map(TopicId)
}

fn uuid(bytes: &Bytes, field: &'static str) -> Result<Uuid, Malformed> {
    bytes.as_ref().try_into().map(Uuid).map_err(|_| Malformed::NotAnId(field))
}

#[cfg(test)]
mod tests;

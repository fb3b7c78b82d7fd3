//! Every kind of command and reply comes out as it went in, and damage is refused.

use super::*;
use crate::base::ids::IncarnationId;
use crate::config::Roles;
use crate::config::listener::Protocol;
use crate::controller::{Fence, Found};
use crate::metadata::nodes::{Boot, Listener, Registration};
use crate::metadata::record::FeatureLevel;

const TOPIC: TopicId = TopicId(Uuid([7; 16]));

fn registration() -> Registration {
    let listener =
        |name: &str, protocol| Listener { name: name.to_owned(), host: "h".to_owned(), port: 9092, protocol };
    Registration {
        incarnation: IncarnationId(Uuid([1; 16])),
        directories: vec![DirectoryId(Uuid([2; 16])), DirectoryId(Uuid([3; 16]))],
        boot: Boot::ProcessCrash,
        roles: Roles { controller: true, broker: true },
        listeners: vec![listener("PLAINTEXT", Protocol::Plaintext), listener("TLS", Protocol::SaslSsl)],
        peer_address: "h:9093".to_owned(),
        admin_address: "h:9094".to_owned(),
        rack: Some("r".to_owned()),
        version: "1".to_owned(),
        feature_level_max: FeatureLevel(1),
    }
}

fn commands() -> Vec<Command> {
    let (node, epoch) = (NodeId(3), BrokerEpoch(17));
    let new_topic = NewTopic {
        name: "a".to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![(PartitionIndex(0), vec![NodeId(1), NodeId(2)])],
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
    };
    let operations = [
        ConfigOperation::Set("1".to_owned()),
        ConfigOperation::Delete,
        ConfigOperation::Append("x".to_owned()),
        ConfigOperation::Subtract("y".to_owned()),
    ];
    let operations: Vec<_> = operations.into_iter().map(|operation| ("key".to_owned(), operation)).collect();
    let [topic, group] = [ConfigTarget::Topic("a".to_owned()), ConfigTarget::Group("g".to_owned())];
    let targets = [ConfigTarget::Cluster, ConfigTarget::Node(node), topic, group];
    let resources = targets.map(|target| ConfigAlteration { target, operations: operations.clone(), replaces: true });
    let more = |assignments| MorePartitions { name: "a".to_owned(), count: 5, assignments };
    let all = vec![(String::from("a"), PartitionIndex(2))];
    let other = TopicId(Uuid([8; 16]));
    let offline = [(TOPIC, 0), (TOPIC, 2), (other, 1)].map(|(topic, index)| (topic, PartitionIndex(index))).into();
    vec![
        Command::AllocateNodeId { directory: DirectoryId(Uuid([9; 16])) },
        Command::Register(Register {
            cluster: ClusterId(Uuid([4; 16])),
            node,
            previous_epoch: Some(BrokerEpoch(0)),
            registration: registration(),
        }),
        Command::Unfence(Unfence { node, epoch, applied: MetadataIndex(18) }),
        Command::ShutDown { node, epoch },
        Command::Drain { node, draining: true },
        Command::Remove { node },
        Command::TakeOffline(TakeOffline { node, epoch, replicas: offline }),
        Command::CreateTopics(CreateTopics { topics: vec![new_topic, NewTopic::default()], validate_only: true }),
        Command::DeleteTopics(DeleteTopics { topics: vec![TopicName::Name("a".to_owned()), TopicName::Id(TOPIC)] }),
        Command::CreatePartitions(CreatePartitions {
            topics: vec![more(None), more(Some(Vec::new())), more(Some(vec![vec![NodeId(1)], Vec::new()]))],
            validate_only: false,
        }),
        Command::AlterPartitions(AlterPartitions {
            leader: node,
            epoch,
            partitions: vec![AlterPartition {
                topic: TOPIC,
                partition: PartitionIndex(1),
                leader_epoch: LeaderEpoch(5),
                partition_epoch: PartitionEpoch(6),
                isr: vec![IsrMember { node, epoch }],
                recovery: Recovery::Recovering,
            }],
        }),
        Command::ElectLeaders(ElectLeaders { kind: ElectionKind::Preferred, partitions: None }),
        Command::ElectLeaders(ElectLeaders { kind: ElectionKind::Unclean, partitions: Some(all) }),
        Command::AlterConfigs(AlterConfigs { resources: resources.into(), validate_only: true }),
        Command::AllocateProducerIds { node, epoch },
    ]
}

fn replies() -> Vec<Result<Reply, Refused>> {
    let refused = Refused { refusal: Refusal::PolicyViolation, message: "no".to_owned() };
    let outcomes: [Result<(), Refused>; 2] = [Ok(()), Err(refused.clone())];
    let shape = TopicShape { id: TOPIC, partitions: 3, replication_factor: 2 };
    let state = PartitionState {
        isr: ReplicaSet(0b101),
        elr: ReplicaSet::EMPTY,
        offline: ReplicaSet(0b010),
        leader: Some(NodeId(0)),
        last_known_leader: Some(NodeId(2)),
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(9),
        recovery: Recovery::Recovering,
    };
    let partition = Partition { replicas: [NodeId(0), NodeId(1), NodeId(2)].into(), state };
    let altered = |outcome| AlteredPartition { topic: TOPIC, partition: PartitionIndex(1), outcome };
    let grown = |outcome| GrownTopic { name: "a".to_owned(), outcome };
    let elected = |outcome| ElectedLeader { topic: "a".to_owned(), partition: PartitionIndex(1), outcome };
    let configured = |outcome| AlteredConfig { target: ConfigTarget::Topic("a".to_owned()), outcome };
    vec![
        Ok(Reply::Done),
        Ok(Reply::NodeId(NodeId(0))),
        Ok(Reply::Registered { epoch: BrokerEpoch(8) }),
        Ok(Reply::Unfenced(false)),
        Ok(Reply::ShuttingDown { still_leads: 3 }),
        Ok(Reply::CreatedTopics(vec![
            CreatedTopic { name: "a".to_owned(), outcome: Ok(shape) },
            CreatedTopic { name: "b".to_owned(), outcome: Err(refused.clone()) },
        ])),
        Ok(Reply::DeletedTopics(vec![
            DeletedTopic { name: Some("a".to_owned()), id: Some(TOPIC), outcome: Ok(()) },
            DeletedTopic { name: None, id: None, outcome: Err(refused.clone()) },
        ])),
        Ok(Reply::GrownTopics(outcomes.clone().map(grown).into())),
        Ok(Reply::AlteredPartitions(vec![altered(Ok(partition)), altered(Err(refused.clone()))])),
        Ok(Reply::ElectedLeaders(outcomes.clone().map(elected).into())),
        Ok(Reply::AlteredConfigs(outcomes.map(configured).into())),
        Ok(Reply::ProducerIds(ProducerIdBlock { first: ProducerId(1000), len: 1000 })),
        Err(refused),
    ]
}

#[test]
fn every_command_that_a_broker_may_give_comes_out_as_it_went_in() {
    for command in commands() {
        let sent = encode_command(&command);
        assert!(sent.is_some(), "a broker may give {command:?}");
        assert_eq!(decode_command(sent), Ok(command));
    }
}

#[test]
fn what_only_a_controller_decides_cannot_be_sent() {
    let (node, epoch) = (NodeId(1), BrokerEpoch(2));
    let found = Found { cluster: ClusterId::default(), founders: Vec::new(), configs: Vec::new() };
    for own in [Command::Found(found), Command::Activate { node }, Command::Fence(Fence { node, epoch })] {
        assert_eq!(encode_command(&own), None, "{own:?}");
    }
}

#[test]
fn every_reply_comes_out_as_it_went_in() {
    for reply in replies() {
        let sent = reply.as_ref().map_or_else(|refused| Kind::Refused(encode_refused(refused)), encode_reply);
        assert_eq!(decode_reply(Some(sent)), Ok(reply));
    }
}

#[test]
fn what_a_newer_node_may_say_is_refused_with_its_place() {
    assert_eq!(decode_command(None), Err(Malformed::UnknownKind));
    assert_eq!(decode_reply(None), Err(Malformed::UnknownKind));
    let short = proto::AllocateNodeId { directory_id: Bytes::from_static(b"short") };
    assert_eq!(decode_command(Some(Asked::AllocateNodeId(short))), Err(Malformed::NotAnId("directory_id")));
    let later = proto::Refused { code: 30_000, message: String::new() };
    assert_eq!(decode_reply(Some(Kind::Refused(later))), Err(Malformed::UnknownValue("refused.code")));
}

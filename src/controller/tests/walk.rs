//! Random walks: whatever is asked of the controller, in whatever order, what is promised holds.

use super::world::{CLUSTER, World, registration, text_id};
use crate::base::ids::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicId,
};
use crate::controller::*;
use crate::metadata::nodes::Boot;
use crate::metadata::partitions::Partition;

const NODES: i32 = 6;
const STEPS: usize = 1_500;

/// A generator of small numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % limit as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

#[test]
fn every_promise_holds_on_random_walks() {
    let (mut elections, mut unclean, mut led, mut refused) = (0, 0, 0, 0);
    for seed in 0..12 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut world = World::of(NODES);
        let mut runs = 0;
        for _ in 0..STEPS {
            let command = command(&mut dice, &world, &mut runs);
            let (_, reply) = world.run(&command);
            refused += usize::from(reply.is_err());
            led += usize::from(matches!(command, Command::AlterPartitions(_)) && reply.is_ok());
        }
        elections += world.promises.elections;
        unclean += world.promises.unclean_elections;
    }
    println!("{elections} elections, {unclean} of them unclean, {led} ISR changes, {refused} commands refused");
    assert!(elections > 2_000 && unclean > 20 && led > 1_000, "the walks do not go where it is dangerous");
}

fn command(dice: &mut Dice, world: &World, runs: &mut usize) -> Command {
    let node = NodeId(1 + dice.below(NODES as usize) as i32);
    let epoch = world.epoch(node);
    match dice.below(100) {
        0..14 => Command::Fence(Fence { node, epoch }),
        14..28 => register(dice, world, node, runs),
        28..44 => Command::Unfence(Unfence { node, epoch, applied: world.index }),
        44..48 => Command::ShutDown { node, epoch },
        48..51 => Command::Drain { node, draining: dice.one_in(2) },
        51..52 => Command::Remove { node },
        52..56 => create(dice),
        56..57 => Command::DeleteTopics(DeleteTopics { topics: vec![TopicName::Name(name(dice))] }),
        57..58 => grow(dice),
        58..60 => elect(dice),
        60..64 => configure(dice),
        64..65 => Command::AllocateProducerIds { node, epoch },
        65..66 => Command::AllocateNodeId { directory: DirectoryId(text_id(&format!("disk-{}", dice.below(20)))) },
        66..67 => Command::Activate { node },
        67..71 => take_offline(dice, world, node),
        _ => alter(dice, world),
    }
}

/// Mostly a later run of the same disk, sometimes of another one.
fn register(dice: &mut Dice, world: &World, node: NodeId, runs: &mut usize) -> Command {
    *runs += 1;
    let mut registration = registration(node.0);
    registration.incarnation = IncarnationId(text_id(&format!("run-{runs}")));
    registration.boot = dice.of(&[Boot::Clean, Boot::ProcessCrash, Boot::MachineCrash]);
    if dice.one_in(12) {
        registration.directories = vec![DirectoryId(text_id(&format!("new-{runs}")))];
    }
    let stale = dice.one_in(20);
    let previous_epoch = Some(if stale { BrokerEpoch(0) } else { world.epoch(node) });
    Command::Register(Register { cluster: CLUSTER, node, previous_epoch, registration })
}

/// Some of the replicas of a node, and perhaps one that it does not have.
fn take_offline(dice: &mut Dice, world: &World, node: NodeId) -> Command {
    let hosted = world.image.topics().hosted_by(node).map(|(topic, index, _)| (topic.id, index));
    let mut replicas: Vec<_> = hosted.filter(|_| dice.one_in(2)).collect();
    replicas.push((TopicId(text_id("no-such-topic")), PartitionIndex(0)));
    Command::TakeOffline(TakeOffline { node, epoch: world.epoch(node), replicas })
}

fn name(dice: &mut Dice) -> String {
    ["orders", "payments", "clicks", "logs"][dice.below(4)].to_owned()
}

fn create(dice: &mut Dice) -> Command {
    let configs = match dice.below(3) {
        0 => vec![("min.insync.replicas".to_owned(), "2".to_owned())],
        1 => vec![("durability".to_owned(), "fsync".to_owned())],
        _ => vec![],
    };
    let (name, partitions) = (name(dice), 1 + dice.below(4) as i32);
    let topic =
        NewTopic { name, partitions, replication_factor: 1 + dice.below(4) as i16, assignments: vec![], configs };
    Command::CreateTopics(CreateTopics { topics: vec![topic], validate_only: false })
}

fn grow(dice: &mut Dice) -> Command {
    let topic = MorePartitions { name: name(dice), count: 2 + dice.below(5) as i32, assignments: None };
    Command::CreatePartitions(CreatePartitions { topics: vec![topic], validate_only: false })
}

fn elect(dice: &mut Dice) -> Command {
    let kind = if dice.one_in(3) { ElectionKind::Unclean } else { ElectionKind::Preferred };
    Command::ElectLeaders(ElectLeaders { kind, partitions: None })
}

fn configure(dice: &mut Dice) -> Command {
    let target = if dice.one_in(3) { ConfigTarget::Cluster } else { ConfigTarget::Topic(name(dice)) };
    let (key, values) = if dice.one_in(6) {
        ("unclean.leader.election.enable", ["true", "false", "false", "false"])
    } else {
        ("min.insync.replicas", ["1", "2", "3", "4"])
    };
    let operation =
        if dice.one_in(4) { ConfigOperation::Delete } else { ConfigOperation::Set(dice.of(&values).to_owned()) };
    let resource = ConfigAlteration { target, operations: vec![(key.to_owned(), operation)], replaces: false };
    Command::AlterConfigs(AlterConfigs { resources: vec![resource], validate_only: false })
}

/// A leader changes one of its ISRs; sometimes on old news, sometimes naming runs that are over.
fn alter(dice: &mut Dice, world: &World) -> Command {
    let partitions: Vec<(TopicId, PartitionIndex, &Partition)> = world
        .image
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions().map(|(index, partition)| (topic.id, index, partition)))
        .collect();
    if partitions.is_empty() {
        return create(dice);
    }
    let (topic, partition, it) = dice.of(&partitions);
    let leader = it.state.leader.unwrap_or(it.replicas[0]);
    let members = it.replicas.iter().filter(|node| **node == leader || dice.one_in(2));
    let isr = members.map(|node| IsrMember { node: *node, epoch: world.epoch(*node) });
    let isr: Vec<IsrMember> = isr.collect();
    let late = i32::from(dice.one_in(10));
    let recovery = if dice.one_in(4) { it.state.recovery } else { Default::default() };
    let wish = AlterPartition {
        topic,
        partition,
        leader_epoch: LeaderEpoch(it.state.leader_epoch.0 - i32::from(dice.one_in(20))),
        partition_epoch: PartitionEpoch(it.state.partition_epoch.0 - late),
        isr,
        recovery,
    };
    Command::AlterPartitions(AlterPartitions { leader, epoch: world.epoch(leader), partitions: vec![wish] })
}

#[test]
fn the_same_input_gives_the_same_decisions() {
    let run = |seed| {
        let (mut dice, mut world, mut runs) = (Dice(seed), World::of(NODES), 0);
        for _ in 0..300 {
            let command = command(&mut dice, &world, &mut runs);
            let _refused_or_not = world.run(&command);
        }
        (world.index, world.image.hash())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

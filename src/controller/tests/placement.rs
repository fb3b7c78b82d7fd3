//! Replicas are dealt out evenly, over racks, and so that a dead node's load is shared.

use super::world::{World, registration};
use crate::base::ids::NodeId;
use crate::controller::{Command, CreateTopics, NewTopic};
use crate::metadata::partitions::Partition;
use std::collections::{BTreeMap, BTreeSet};

/// A cluster with this many nodes on each rack, and a topic on it.
fn placed(racks: &[(Option<&str>, i32)], partitions: i32, replication_factor: i16) -> (World, Vec<Partition>) {
    let mut world = World::of(0);
    let nodes = racks.iter().flat_map(|(rack, count)| (0..*count).map(move |_| rack));
    for (number, rack) in (1..).zip(nodes) {
        world
            .join(crate::metadata::nodes::Registration { rack: rack.map(str::to_owned), ..registration(number) }, None);
    }
    let topic = NewTopic { name: "t".into(), partitions, replication_factor, ..NewTopic::default() };
    world.must(Command::CreateTopics(CreateTopics { topics: vec![topic], validate_only: false }));
    let topic = world.image.topics().named("t").expect("it was just created");
    let partitions = topic.partitions().map(|(_, partition)| partition.clone()).collect();
    (world, partitions)
}

fn counts(nodes: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, usize> {
    nodes.fold(BTreeMap::new(), |mut counts, node| {
        *counts.entry(node).or_default() += 1;
        counts
    })
}

fn spread(counts: &BTreeMap<NodeId, usize>) -> usize {
    counts.values().max().unwrap_or(&0) - counts.values().min().unwrap_or(&0)
}

#[test]
fn every_node_leads_and_follows_equally_often() {
    for nodes in 1..=9 {
        for width in 1..=nodes.min(5) {
            let (_, partitions) = placed(&[(None, nodes)], nodes * nodes * 2, width as i16);
            let leaders = counts(partitions.iter().map(|partition| partition.replicas[0]));
            let replicas = counts(partitions.iter().flat_map(|partition| partition.replicas.to_vec()));
            assert_eq!((leaders.len(), spread(&leaders)), (nodes as usize, 0), "{nodes} nodes, {width} replicas");
            assert_eq!(spread(&replicas), 0, "{nodes} nodes, {width} replicas: {replicas:?}");
        }
    }
}

#[test]
fn a_few_partitions_are_as_even_as_they_can_be() {
    for partitions in 1..30 {
        let (_, placed) = placed(&[(None, 5)], partitions, 3);
        let leaders = counts(placed.iter().map(|partition| partition.replicas[0]));
        assert!(leaders.values().max() <= Some(&(partitions as usize).div_ceil(5)), "{partitions}: {leaders:?}");
    }
}

#[test]
fn a_partition_is_on_as_many_racks_as_it_can_be() {
    let racks = [(Some("a"), 3), (Some("b"), 3), (Some("c"), 3)];
    let rack_of = |node: NodeId| (node.0 - 1) / 3;
    for width in 1..=9 {
        let (_, partitions) = placed(&racks, 81, width);
        let leaders = counts(partitions.iter().map(|partition| partition.replicas[0]));
        assert_eq!((leaders.len(), spread(&leaders)), (9, 0));
        for partition in &partitions {
            let distinct: BTreeSet<NodeId> = partition.replicas.iter().copied().collect();
            assert_eq!(distinct.len(), width as usize, "a node twice: {partition:?}");
            let used: BTreeSet<i32> = partition.replicas.iter().map(|node| rack_of(*node)).collect();
            assert_eq!(used.len(), (width as usize).min(3), "{partition:?}");
        }
    }
}

#[test]
fn racks_of_different_sizes_and_nodes_without_one_are_all_used() {
    let (_, partitions) = placed(&[(Some("a"), 4), (Some("b"), 1), (None, 2)], 140, 5);
    for partition in &partitions {
        let distinct: BTreeSet<NodeId> = partition.replicas.iter().copied().collect();
        assert_eq!(distinct.len(), 5, "a node twice: {partition:?}");
        assert!(distinct.contains(&NodeId(5)), "rack b has one node, and every partition is on rack b: {partition:?}");
    }
    let leaders = counts(partitions.iter().map(|partition| partition.replicas[0]));
    assert_eq!(leaders.len(), 7);
}

#[test]
fn the_load_of_a_dead_node_is_shared_by_all_others() {
    let (mut world, before) = placed(&[(None, 6)], 360, 3);
    world.fence(1);
    let topic = world.image.topics().named("t").expect("it was not deleted");
    let now = topic.partitions().map(|(_, partition)| partition);
    let moved = before.iter().zip(now).filter(|(before, _)| before.state.leader == Some(NodeId(1)));
    let heirs = counts(moved.filter_map(|(_, now)| now.state.leader));
    assert_eq!(heirs.len(), 5, "{heirs:?}");
    assert!(spread(&heirs) <= 2, "{heirs:?}");
}

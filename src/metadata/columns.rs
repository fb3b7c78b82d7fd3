//! Partitions as columns: one list per field instead of one message per partition, some 10 bytes for each.
//!
//! ```text
//!            p0    p1    p2                 a leader that dies takes 300,000 of these with it,
//! isr       0b11  0b10  0b11                so a column of nothing but zeros or nobodies is
//! elr                             (left out)                  left out
//! leader      1     2     1
//! ```
//!
//! Invariants: every column that is there has one entry for each partition.

use super::codec::Malformed;
use super::partitions::{Partition, PartitionState, REPLICAS_MAX, Recovery, ReplicaSet};
use super::record::PartitionChange;
use crate::base::ids::{LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex};
use crate::rpc::metadata as proto;
use bytes::Bytes;

const NOBODY: i32 = -1;

pub(super) fn encode_created(
    topic_id: Bytes,
    first: PartitionIndex,
    partitions: &[Partition],
) -> proto::PartitionsCreated {
    proto::PartitionsCreated {
        topic_id,
        first: first.0,
        replica_counts: partitions.iter().map(|partition| partition.replicas.len() as u32).collect(),
        replicas: partitions.iter().flat_map(|partition| partition.replicas.iter().map(|node| node.0)).collect(),
        states: Some(encode_states(partitions.iter().map(|partition| &partition.state))),
    }
}

pub(super) fn decode_created(message: proto::PartitionsCreated) -> Result<Vec<Partition>, Malformed> {
    let mut states = decode_states(message.states, message.replica_counts.len())?.into_iter();
    let mut replicas = message.replicas.as_slice();
    let mut partitions = Vec::with_capacity(message.replica_counts.len());
    for count in message.replica_counts {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if !(1..=REPLICAS_MAX).contains(&count) {
            return Err(Malformed::OutOfRange("replica_counts"));
        }
        let (own, rest) = replicas.split_at_checked(count).ok_or(Malformed::Column("replicas"))?;
        replicas = rest;
        let state = states.next().ok_or(Malformed::Column("states"))?;
        partitions.push(Partition { replicas: own.iter().map(|node| NodeId(*node)).collect(), state });
    }
    if replicas.is_empty() { Ok(partitions) } else { Err(Malformed::Column("replicas")) }
}

pub(super) fn encode_changed(topic_id: Bytes, changes: &[PartitionChange]) -> proto::PartitionsChanged {
    proto::PartitionsChanged {
        topic_id,
        partitions: changes.iter().map(|change| change.partition.0).collect(),
        states: Some(encode_states(changes.iter().map(|change| &change.state))),
    }
}

pub(super) fn decode_changed(message: proto::PartitionsChanged) -> Result<Vec<PartitionChange>, Malformed> {
    let states = decode_states(message.states, message.partitions.len())?;
    let changes = message.partitions.into_iter().zip(states);
    Ok(changes.map(|(index, state)| PartitionChange { partition: PartitionIndex(index), state }).collect())
}

fn encode_states<'a>(states: impl Iterator<Item = &'a PartitionState> + Clone) -> proto::PartitionStates {
    let node = |node: Option<NodeId>| node.map_or(NOBODY, |node| node.0);
    proto::PartitionStates {
        isr: column(states.clone().map(|it| it.isr.0), 0),
        elr: column(states.clone().map(|it| it.elr.0), 0),
        offline: column(states.clone().map(|it| it.offline.0), 0),
        leader: column(states.clone().map(|it| node(it.leader)), NOBODY),
        last_known_leader: column(states.clone().map(|it| node(it.last_known_leader)), NOBODY),
        leader_epoch: column(states.clone().map(|it| it.leader_epoch.0 as u32), 0),
        partition_epoch: column(states.clone().map(|it| it.partition_epoch.0 as u32), 0),
        recovering: column(states.map(|it| it.recovery == Recovery::Recovering), false),
    }
}

fn decode_states(states: Option<proto::PartitionStates>, count: usize) -> Result<Vec<PartitionState>, Malformed> {
    let it = states.ok_or(Malformed::Missing("states"))?;
    let isr = fill(it.isr, 0, count, "states.isr")?;
    let elr = fill(it.elr, 0, count, "states.elr")?;
    let offline = fill(it.offline, 0, count, "states.offline")?;
    let leader = fill(it.leader, NOBODY, count, "states.leader")?;
    let last_known_leader = fill(it.last_known_leader, NOBODY, count, "states.last_known_leader")?;
    let leader_epoch = fill(it.leader_epoch, 0, count, "states.leader_epoch")?;
    let partition_epoch = fill(it.partition_epoch, 0, count, "states.partition_epoch")?;
    let recovering = fill(it.recovering, false, count, "states.recovering")?;
    let node = |node: i32| (node != NOBODY).then_some(NodeId(node));
    let state = |row: usize| {
        Ok(PartitionState {
            isr: ReplicaSet(isr[row]),
            elr: ReplicaSet(elr[row]),
            offline: ReplicaSet(offline[row]),
            leader: node(leader[row]),
            last_known_leader: node(last_known_leader[row]),
            leader_epoch: LeaderEpoch(epoch(leader_epoch[row], "states.leader_epoch")?),
            partition_epoch: PartitionEpoch(epoch(partition_epoch[row], "states.partition_epoch")?),
            recovery: if recovering[row] { Recovery::Recovering } else { Recovery::Recovered },
        })
    };
    (0..count).map(state).collect()
}

fn epoch(value: u32, column: &'static str) -> Result<i32, Malformed> {
    i32::try_from(value).map_err(|_| Malformed::OutOfRange(column))
}

/// A column, left out when it says nothing.
fn column<T: PartialEq + Copy>(values: impl Iterator<Item = T> + Clone, nothing: T) -> Vec<T> {
    if values.clone().all(|value| value == nothing) { Vec::new() } else { values.collect() }
}

/// A column with one entry for each of `count` partitions, or an error.
fn fill<T: Copy>(column: Vec<T>, nothing: T, count: usize, name: &'static str) -> Result<Vec<T>, Malformed> {
    match column.len() {
        0 => Ok(vec![nothing; count]),
        length if length == count => Ok(column),
        _ => Err(Malformed::Column(name)),
    }
}

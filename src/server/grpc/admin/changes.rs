//! What changed from one image to the next, as events.
//!
//! Absent on purpose: events of the partitions that come or go with a topic; the topic's own event says it.

use super::show::node_state;
use crate::base::ids::{NodeId, TopicId};
use crate::metadata::delta::TopicDelta;
use crate::metadata::nodes::NodeState;
use crate::metadata::partitions::Partition;
use crate::metadata::topics::Topic;
use crate::metadata::{Delta, Image};
use crate::rpc::admin as proto;
use proto::event::What;

/// Everything worth telling, one after another: there may be more than should be in memory at once.
pub(super) fn between<'a>(old: &'a Image, new: &'a Image, delta: &'a Delta) -> impl Iterator<Item = What> + Send + 'a {
    let nodes = delta.nodes.iter().filter_map(move |id| node(old, new, *id));
    let topics = delta.topics.iter().flat_map(move |(id, delta)| topic(old, new, *id, delta));
    controller(old, new).into_iter().chain(nodes).chain(topics)
}

fn controller(old: &Image, new: &Image) -> Option<What> {
    let (before, now) = (old.cluster().controller, new.cluster().controller?);
    let is_another = before.is_none_or(|before| before.epoch != now.epoch);
    is_another.then(|| {
        let before = before.map(|before| before.node.0);
        What::ControllerChanged(proto::ControllerChanged { before, now: now.node.0, epoch: now.epoch.0 })
    })
}

fn node(old: &Image, new: &Image, id: NodeId) -> Option<What> {
    let (before, now) = (old.nodes().get(id), new.nodes().get(id));
    let last = now.or(before)?; // an id that was given out, and nothing more
    let state = |state: Option<NodeState>| state.map_or(proto::NodeState::Unspecified, node_state).into();
    Some(What::NodeChanged(proto::NodeChanged {
        node_id: id.0,
        before: state(before.map(|node| node.state)),
        now: state(now.map(|node| node.state)),
        broker_epoch: last.epoch.0,
        draining: last.draining,
    }))
}

fn topic<'a>(old: &'a Image, new: &'a Image, id: TopicId, delta: &'a TopicDelta) -> impl Iterator<Item = What> + 'a {
    let (before, now) = (old.topics().get(id), new.topics().get(id));
    let count = |topic: Option<&Topic>| topic.map_or(0, Topic::partition_count);
    let change = match (before, now) {
        (None, Some(_)) => Some(proto::Change::Created),
        (Some(_), None) => Some(proto::Change::Deleted),
        (Some(_), Some(_)) if count(now) > count(before) => Some(proto::Change::Grown),
        _ => None,
    };
    let itself = now.or(before).zip(change).map(|(topic, change)| {
        What::TopicChanged(proto::TopicChanged {
            topic: topic.name.to_string(),
            topic_id: id.to_string(),
            change: change.into(),
            partitions: topic.partition_count() as u32,
        })
    });
    let both = before.zip(now);
    let partitions = delta.partitions.iter().filter_map(move |index| {
        let (before, now) = both?;
        Some((now, *index, before.partition(*index)?, now.partition(*index)?))
    });
    itself.into_iter().chain(partitions.flat_map(|(topic, index, before, now)| {
        [leader(topic, index.0, before, now), isr(topic, index.0, before, now)].into_iter().flatten()
    }))
}

fn leader(topic: &Topic, partition: i32, before: &Partition, now: &Partition) -> Option<What> {
    let is_another = before.state.leader_epoch != now.state.leader_epoch;
    is_another.then(|| {
        What::LeaderChanged(proto::LeaderChanged {
            topic: topic.name.to_string(),
            partition,
            before: before.state.leader.map(|leader| leader.0),
            now: now.state.leader.map(|leader| leader.0),
            leader_epoch: now.state.leader_epoch.0,
        })
    })
}

fn isr(topic: &Topic, partition: i32, before: &Partition, now: &Partition) -> Option<What> {
    let (then, today) = (numbers(before.isr()), numbers(now.isr()));
    (then != today).then(|| {
        What::IsrChanged(proto::IsrChanged {
            topic: topic.name.to_string(),
            partition,
            before: then,
            now: today,
            elr: numbers(now.elr()),
            partition_epoch: now.state.partition_epoch.0,
        })
    })
}

fn numbers(nodes: impl Iterator<Item = NodeId>) -> Vec<i32> {
    nodes.map(|node| node.0).collect()
}

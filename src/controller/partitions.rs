//! Partitions: a topic grows by some. It never shrinks, because keys would move.

use super::draft::Draft;
use super::placement::Assignment;
use super::{Refusal, Refused};
use crate::base::ids::{NodeId, PartitionIndex};
use crate::base::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::metadata::Fact;

/// More partitions for some topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    pub topics: Vec<MorePartitions>,
    /// Answer as if, and do nothing.
    pub validate_only: bool,
}

/// How far one topic is to grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MorePartitions {
    pub name: String,
    /// How many partitions it has then.
    pub count: i32,
    /// Which nodes get the new ones; none: the controller chooses.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrownTopic {
    pub name: String,
    pub outcome: Result<(), Refused>,
}

pub(super) fn create(draft: &mut Draft<'_>, request: &CreatePartitions) -> Vec<GrownTopic> {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        results.push(GrownTopic { name: topic.name.clone(), outcome: grow(draft, topic) });
    }
    if request.validate_only {
        draft.discard();
    }
    results
}

fn grow(draft: &mut Draft<'_>, wanted: &MorePartitions) -> Result<(), Refused> {
    let MorePartitions { name, count, assignments } = wanted;
    let Some(topic) = draft.image().topics().named(name) else {
        return Err(Refusal::UnknownTopicOrPartition.because(format!("there is no topic {name}")));
    };
    let (id, present) = (topic.id, topic.partition_count());
    let count = usize::try_from(*count).unwrap_or(0);
    if count <= present {
        let why = format!("topic {name} has {present} partitions; it can only get more than that, not {count}");
        return Err(Refusal::InvalidPartitions.because(why));
    }
    let new = count - present;
    if new > PARTITIONS_PER_REQUEST_MAX {
        let why = format!("{new} partitions in one request, at most {PARTITIONS_PER_REQUEST_MAX} are allowed");
        return Err(Refusal::PolicyViolation.because(why));
    }
    let width = topic.partition(PartitionIndex(0)).map_or(1, |partition| partition.replicas.len());
    let assignment = match assignments {
        None => Assignment::place(draft.image(), id, present..count, width)?,
        Some(replicas) if replicas.len() != new => {
            let why = format!("{new} partitions are new, but {} are assigned", replicas.len());
            return Err(Refusal::InvalidReplicaAssignment.because(why));
        }
        Some(replicas) => {
            let replicas: Vec<&[NodeId]> = replicas.iter().map(Vec::as_slice).collect();
            Assignment::manual(draft.image(), &replicas, Some(width))?
        }
    };
    let partitions = assignment.partitions();
    draft.record(Fact::PartitionsCreated { topic: id, first: PartitionIndex(present as i32), partitions });
    Ok(())
}

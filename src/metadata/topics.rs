//! Topics: found by id and by name, and which partitions a node has replicas of.
//!
//! Invariants: no two names that differ only in `.` and `_` (Kafka's metric names cannot tell them apart), so one
//! entry per name with dots as underscores finds both a topic and its collision; partitions are numbered from 0
//! without gaps.

use super::hash::{Digest, Noun};
use super::partitions::Partition;
use crate::base::ids::{NodeId, PartitionIndex, TopicId, Uuid};
use imbl::OrdMap;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The topics that clients may read but not make or delete.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__share_group_state", "__transaction_state"];

/// How many partitions are copied when one of them changes.
const CHUNK_PARTITIONS: usize = 64;

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// All but the last are full.
    chunks: Vec<Arc<Vec<Partition>>>,
}

impl Topic {
    pub(super) fn new(id: TopicId, name: &str) -> Self {
        Self { id, name: name.into(), chunks: Vec::new() }
    }

    pub fn partition_count(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_PARTITIONS;
        full + self.chunks.last().map_or(0, |last| last.len())
    }

    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        let place = usize::try_from(index.0).ok()?;
        self.chunks.get(place / CHUNK_PARTITIONS)?.get(place % CHUNK_PARTITIONS)
    }

    /// Every partition, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &Partition)> {
        let all = self.chunks.iter().flat_map(|chunk| chunk.iter());
        all.enumerate().map(|(place, partition)| (PartitionIndex(place as i32), partition))
    }

    pub fn is_internal(&self) -> bool {
        INTERNAL_TOPICS.contains(&self.name.as_ref())
    }

    /// Where a partition can be changed.
    pub(super) fn partition_mut(&mut self, index: PartitionIndex) -> Option<&mut Partition> {
        let place = usize::try_from(index.0).ok()?;
        let chunk = self.chunks.get_mut(place / CHUNK_PARTITIONS)?;
        Arc::make_mut(chunk).get_mut(place % CHUNK_PARTITIONS)
    }

    fn push(&mut self, partition: Partition) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_PARTITIONS => Arc::make_mut(last).push(partition),
            _ => self.chunks.push(Arc::new(vec![partition])),
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(Noun::Topic).bytes(&self.id.0.0).bytes(self.name.as_bytes())
    }
}

/// The digest of one partition.
pub(super) fn partition_digest(topic: TopicId, index: PartitionIndex, partition: &Partition) -> Digest {
    let state = &partition.state;
    let nobody = NodeId(-1);
    let leaders = (state.leader.unwrap_or(nobody), state.last_known_leader.unwrap_or(nobody));
    let (high, low) = topic.0.0.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let digest = Digest::of(Noun::Partition).word(word(high)).word(word(low));
    let digest = digest.pair(index.0 as u32, state.recovery as u32).pair(state.isr.0, state.elr.0);
    let digest = digest.pair(leaders.0.0 as u32, leaders.1.0 as u32);
    let digest = digest.pair(state.leader_epoch.0 as u32, state.partition_epoch.0 as u32);
    let digest = partition.replicas.iter().fold(digest, |digest, replica| digest.word(replica.0 as u64));
    // Left out as long as it says nothing: logs that were written before there was such a thing keep their hashes.
    if state.offline.is_empty() { digest } else { digest.word(u64::from(state.offline.0)) }
}

/// All topics.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Topics {
    by_id: OrdMap<TopicId, Arc<Topic>>,
    /// By name with dots as underscores.
    by_name: OrdMap<String, TopicId>,
    /// Which partitions of a topic have a replica on a node: what fencing it must look at.
    hosted: OrdMap<(NodeId, TopicId), Arc<[PartitionIndex]>>,
}

impl Topics {
    pub fn get(&self, id: TopicId) -> Option<&Topic> {
        self.by_id.get(&id).map(Arc::as_ref)
    }

    pub fn named(&self, name: &str) -> Option<&Topic> {
        self.similarly_named(name).filter(|topic| topic.name.as_ref() == name)
    }

    /// The topic of this name, or of one that Kafka's metrics cannot tell from it.
    pub fn similarly_named(&self, name: &str) -> Option<&Topic> {
        self.get(*self.by_name.get(undotted(name).as_ref())?)
    }

    /// Every topic, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// Every topic, by name.
    pub fn iter_by_name(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values().filter_map(|id| self.get(*id))
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The partitions that have a replica on this node.
    pub fn hosted_by(&self, node: NodeId) -> impl Iterator<Item = (&Topic, PartitionIndex, &Partition)> {
        let keys = (node, TopicId(Uuid::ZERO))..=(node, TopicId(Uuid([0xff; 16])));
        self.hosted.range(keys).filter_map(|((_, id), indexes)| Some((self.get(*id)?, indexes))).flat_map(
            |(topic, indexes)| indexes.iter().filter_map(move |index| Some((topic, *index, topic.partition(*index)?))),
        )
    }

    pub(super) fn insert(&mut self, topic: Topic) {
        self.by_name.insert(undotted(&topic.name).into_owned(), topic.id);
        self.by_id.insert(topic.id, Arc::new(topic));
    }

    pub(super) fn get_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }

    /// Adds partitions behind the last one of a topic that exists.
    pub(super) fn grow(&mut self, id: TopicId, partitions: &[Partition]) {
        let topic = self.get_mut(id).expect("the caller has looked the topic up");
        let mut hosted: BTreeMap<NodeId, Vec<PartitionIndex>> = BTreeMap::new();
        for (index, partition) in (topic.partition_count()..).zip(partitions) {
            for replica in partition.replicas.iter() {
                hosted.entry(*replica).or_default().push(PartitionIndex(index as i32));
            }
            topic.push(partition.clone());
        }
        for (node, new) in hosted {
            let mut indexes = self.hosted.get(&(node, id)).map_or_else(Vec::new, |old| old.to_vec());
            indexes.extend(new);
            self.hosted.insert((node, id), indexes.into());
        }
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(undotted(&topic.name).as_ref());
        let nodes: BTreeSet<NodeId> = topic.partitions().flat_map(|(_, it)| it.replicas.iter().copied()).collect();
        for node in nodes {
            self.hosted.remove(&(node, id));
        }
        Some(topic)
    }
}

/// A name as Kafka's metrics see it.
fn undotted(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}

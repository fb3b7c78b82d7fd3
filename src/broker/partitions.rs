//! The partitions of this node, and how metadata makes them lead, follow or go.
//!
//! Invariants: a partition is in the table exactly while metadata says that this node has a replica of it and its log
//! can be used, and among the offline ones otherwise; work is done for what changed, not for all there is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::watch;
use tracing::{error, info};

use super::folders::Folders;
use super::partition::{Duty, Partition, Surroundings};
use super::{PartitionError, TopicSettings};
use crate::base::ids::{BrokerEpoch, NodeId, PartitionIndex, TopicId};
use crate::config::Resolved;
use crate::log::LogError;
use crate::metadata::configs::ConfigScope;
use crate::metadata::partitions::Partition as Assigned;
use crate::metadata::topics::Topic;
use crate::metadata::{Delta, Image};
use crate::replica::follower::Leadership;
use crate::replica::isr::{Replica, Standing};
use crate::replica::leader::Assignment;

/// The table of partitions.
pub struct Partitions {
    around: Arc<Surroundings>,
    folders: Arc<Folders>,
    node: Resolved,
    table: RwLock<BTreeMap<Key, Arc<Partition>>>,
    offline: watch::Sender<BTreeMap<Key, Offline>>,
}

type Key = (TopicId, PartitionIndex);

/// A replica that this node should have, and whose log cannot be used: its disk failed or is full, or it was damaged
/// where it was durable. Its files are left as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offline {
    pub topic: Arc<str>,
    pub index: PartitionIndex,
    pub why: Arc<str>,
    /// There was no room for it, which is no reason to count it out: it is tried again.
    pub wants_room: bool,
}

impl Partitions {
    pub fn new(around: Arc<Surroundings>, folders: Arc<Folders>, node: Resolved) -> Self {
        Self { around, folders, node, table: RwLock::default(), offline: watch::Sender::default() }
    }

    pub fn get(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(&(topic, index)).cloned()
    }

    /// The replicas that this node should have and cannot use.
    pub fn all_offline(&self) -> Vec<Offline> {
        self.offline.borrow().values().cloned().collect()
    }

    /// Those that nobody can count on.
    pub fn lost(&self) -> Vec<Key> {
        self.offline_keys(|replica| !replica.wants_room)
    }

    /// Those that could not be made yet.
    pub fn wanting_room(&self) -> Vec<Key> {
        self.offline_keys(|replica| replica.wants_room)
    }

    fn offline_keys(&self, is_meant: impl Fn(&Offline) -> bool) -> Vec<Key> {
        self.offline.borrow().iter().filter(|(_, replica)| is_meant(replica)).map(|(key, _)| *key).collect()
    }

    /// Wakes whoever waits whenever there are others.
    pub(super) fn watch_offline(&self) -> watch::Receiver<BTreeMap<Key, Offline>> {
        self.offline.subscribe()
    }

    /// Why a replica cannot be used, if it cannot.
    pub fn why_offline(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<str>> {
        self.offline.borrow().get(&(topic, index)).map(|offline| Arc::clone(&offline.why))
    }

    /// Whether this very partition is still one of ours.
    pub fn has(&self, partition: &Arc<Partition>) -> bool {
        self.get(partition.topic, partition.index).is_some_and(|ours| Arc::ptr_eq(&ours, partition))
    }

    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// First step to what a new image says: what is deleted goes. Waits for the disk, as the second one does.
    pub fn remove_deleted(&self, delta: &Delta) {
        for id in delta.topics.iter().filter(|(_, changed)| changed.deleted).map(|(id, _)| id) {
            self.remove_topic(*id);
        }
    }

    /// Second step: each of these partitions is opened if need be, and takes up its duty, by itself. Says how many are
    /// led here that were not before.
    pub fn take_up(&self, image: &Image, changed: &[(TopicId, PartitionIndex)]) -> usize {
        let led = |partition: Arc<Partition>| partition.led_epoch().is_some();
        let mut taken_over = 0;
        for (id, index) in changed {
            let Some(topic) = image.topics().get(*id) else { continue };
            let led_before = self.get(*id, *index).is_some_and(led);
            self.assign(image, topic, *index);
            taken_over += usize::from(!led_before && self.get(*id, *index).is_some_and(led));
        }
        taken_over
    }

    /// Last step: what nodes and settings have become.
    pub fn settle(&self, old: &Image, new: &Image, delta: &Delta) {
        for node in &delta.nodes {
            self.node_changed(old, new, *node);
        }
        self.configure(new, delta);
    }

    fn assign(&self, image: &Image, topic: &Topic, index: PartitionIndex) {
        let Some(assigned) = topic.partition(index) else { return };
        if assigned.place(self.around.me).is_none() {
            return self.remove(topic.id, index);
        }
        let (key, name) = ((topic.id, index), &topic.name);
        let outcome = match self.opened(image, topic, index) {
            Ok(partition) => partition.take_up(&duty(image, assigned, self.around.me)),
            // It may be tried again and again; only what is new is worth a line.
            Err(error) if !self.note_offline(key, name, &error) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            error!(event = "partition.failed", topic = %name, partition = %index, %error, "a replica cannot serve");
        }
    }

    fn opened(&self, image: &Image, topic: &Topic, index: PartitionIndex) -> Result<Arc<Partition>, PartitionError> {
        if let Some(partition) = self.get(topic.id, index) {
            return Ok(partition);
        }
        let settings = TopicSettings::of(topic.id, image, &self.node);
        let key = (topic.id, Arc::clone(&topic.name), index);
        let partition = self.folders.open_partition(&self.around, key, settings)?;
        self.table().insert((topic.id, index), Arc::clone(&partition));
        self.offline.send_if_modified(|offline| offline.remove(&(topic.id, index)).is_some());
        // Its log dir may have failed, and been emptied into the offline ones, before it was in the table.
        if let Some(why) = self.folders.why_failed(&partition) {
            self.table().remove(&(topic.id, index));
            return Err(PartitionError::Storage(why.to_string()));
        }
        Ok(partition)
    }

    /// Stops using the partitions of a log dir that has failed.
    pub fn give_up_dir(&self, dir: &Path, cause: &LogError) {
        let gone: Vec<_> = self.table().extract_if(.., |_, partition| partition.log_dir() == dir).collect();
        let cause_told = PartitionError::Storage(cause.to_string());
        for (key, partition) in gone {
            self.note_offline(key, &partition.name, &cause_told);
            partition.on_failed_flush(cause);
            drop(partition.take_up(&Duty::Wait));
        }
    }

    fn table(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Arc<Partition>>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether that is new.
    fn note_offline(&self, key: Key, name: &Arc<str>, error: &PartitionError) -> bool {
        let wants_room = *error == PartitionError::NoSpace;
        let now = Offline { topic: Arc::clone(name), index: key.1, why: error.to_string().into(), wants_room };
        self.offline.send_if_modified(|offline| offline.insert(key, now.clone()) != Some(now))
    }

    fn remove_topic(&self, topic: TopicId) {
        let keys = (topic, PartitionIndex(0))..=(topic, PartitionIndex(i32::MAX));
        self.remove_all(keys);
    }

    fn remove(&self, topic: TopicId, index: PartitionIndex) {
        self.remove_all((topic, index)..=(topic, index));
    }

    fn remove_all(&self, keys: RangeInclusive<Key>) {
        let gone: Vec<_> = self.table().extract_if(keys.clone(), |_, _| true).collect();
        for (_, partition) in gone {
            // Whoever still holds it is told to look elsewhere.
            drop(partition.take_up(&Duty::Wait));
            self.remove_files(partition.topic, &partition.name, partition.index);
        }
        let mut gone = Vec::new();
        self.offline.send_if_modified(|offline| {
            gone = offline.extract_if(keys, |_, _| true).collect();
            !gone.is_empty()
        });
        gone.iter().for_each(|((topic, index), replica)| self.remove_files(*topic, &replica.topic, *index));
    }

    fn remove_files(&self, topic: TopicId, name: &str, index: PartitionIndex) {
        match self.folders.remove_partition(topic, name, index) {
            Ok(()) => info!(event = "partition.removed", topic = %name, partition = %index, "a replica was removed"),
            Err(error) => {
                error!(event = "partition.remove_failed", topic = %name, partition = %index, %error, "files are left");
            }
        }
    }

    /// A broker was registered, fenced or the like: the leaders of its partitions must know.
    fn node_changed(&self, old: &Image, new: &Image, node: NodeId) {
        let now = standing(new, node);
        if now == standing(old, node) {
            return;
        }
        for (topic, index, _) in new.topics().hosted_by(node) {
            if let Some(partition) = self.get(topic.id, index) {
                partition.on_broker_changed(node, now);
            }
        }
    }

    fn configure(&self, image: &Image, delta: &Delta) {
        let concerns_all = delta.configs.contains(&ConfigScope::Cluster);
        let concerned =
            |partition: &Partition| concerns_all || delta.configs.contains(&ConfigScope::Topic(partition.topic));
        if delta.configs.is_empty() {
            return;
        }
        for partition in self.all().into_iter().filter(|partition| concerned(partition)) {
            partition.configure(TopicSettings::of(partition.topic, image, &self.node));
        }
    }
}

/// What metadata wants of this node's replica.
fn duty(image: &Image, assigned: &Assigned, me: NodeId) -> Duty {
    let state = &assigned.state;
    match state.leader {
        Some(leader) if leader == me => Duty::Lead(Assignment {
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            replicas: replicas(image, assigned),
        }),
        Some(leader) => Duty::Follow(Leadership {
            leader,
            leader_epoch: state.leader_epoch,
            recovering: state.recovery == crate::metadata::partitions::Recovery::Recovering,
        }),
        None => Duty::Wait,
    }
}

fn replicas(image: &Image, assigned: &Assigned) -> Vec<Replica> {
    let places = assigned.replicas.iter().enumerate();
    places
        .map(|(place, id)| Replica {
            id: *id,
            in_isr: assigned.state.isr.has(place),
            adding: false,
            standing: standing(image, *id),
        })
        .collect()
}

/// A broker that is not registered is nobody's follower.
fn standing(image: &Image, node: NodeId) -> Standing {
    let unknown = Standing { broker_epoch: BrokerEpoch(-1), active: false };
    image.nodes().get(node).map_or(unknown, |node| Standing { broker_epoch: node.epoch, active: node.is_active() })
}

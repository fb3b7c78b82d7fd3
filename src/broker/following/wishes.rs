//! Partitions that wait to be opened, each once, by the time it is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::base::ids::{PartitionIndex, TopicId};
use crate::broker::Partition;

pub(super) type Key = (TopicId, PartitionIndex);

#[derive(Default)]
pub(super) struct Wishes {
    by_key: BTreeMap<Key, (Instant, Arc<Partition>)>,
    by_due: BTreeSet<(Instant, Key)>,
}

impl Wishes {
    /// A wish for a partition that waits already replaces the other.
    pub(super) fn add(&mut self, due: Instant, partition: &Arc<Partition>) {
        let key = key_of(partition);
        if let Some((before, _)) = self.by_key.insert(key, (due, Arc::clone(partition))) {
            self.by_due.remove(&(before, key));
        }
        self.by_due.insert((due, key));
    }

    /// Takes what is due, at most so many.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<Arc<Partition>> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some((at, key)) = self.by_due.first().copied()
            && at <= now
        {
            self.by_due.pop_first();
            due.extend(self.by_key.remove(&key).map(|(_, partition)| partition));
        }
        due
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Forgets the wishes for other partitions than these.
    pub(super) fn retain(&mut self, keep: impl Fn(&Partition) -> bool) {
        self.by_key.retain(|_, (_, partition)| keep(partition));
        self.by_due.retain(|(_, key)| self.by_key.contains_key(key));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

pub(super) fn key_of(partition: &Partition) -> Key {
    (partition.topic, partition.index)
}

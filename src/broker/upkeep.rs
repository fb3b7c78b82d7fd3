//! Upkeep of logs: old segments go, idle partitions give back their memory.
//!
//! A partition with records in it is in the calendar once, at the time at which something of it may go, or sooner when
//! it rolls, when its settings change or when records are deleted by request. So a round costs what there is to do, not
//! what there is.
//!
//! A round, on a worker of its own: where the logs start is decided and told to followers (`expire`), written to the
//! log dirs' checkpoints once for all, then the dead segments leave their logs (`retire`): their files are renamed at
//! once and removed after `file.delete.delay.ms`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Broker, Partition};
use crate::base::executor::Worker;
use crate::base::ids::{PartitionIndex, TopicId};
use crate::base::limits::UPKEEP_PAUSE_MS;
use crate::log::Retired;

type Key = (TopicId, PartitionIndex);

/// What is to be looked at when.
pub(super) struct Upkeep {
    /// `log.retention.check.interval.ms` and `log.cleaner.backoff.ms`
    pauses: [Duration; 2],
    worker: Arc<dyn Worker>,
    by_time: BTreeMap<(Instant, Key), Weak<Partition>>,
    by_key: BTreeMap<Key, Instant>,
    /// Files that nobody should need any more, by the time at which they go.
    retired: BTreeMap<(Instant, u64), Retired>,
    retired_count: u64,
    next_round: Instant,
}

/// What a round leaves to be done later.
pub(super) struct Outcome {
    /// Each partition, and after how long to look at it again.
    looked_at: Vec<(Arc<Partition>, Option<Duration>)>,
    retired: Vec<(Retired, Duration)>,
    /// Logs that are worth compacting, and how dirty they are.
    pub(super) dirty: Vec<(Arc<Partition>, u32)>,
}

impl Upkeep {
    pub(super) fn new(broker: &Broker) -> Self {
        let pause = |name| Duration::from_millis(broker.settings().number(name).unsigned_abs());
        Self {
            pauses: ["log.retention.check.interval.ms", "log.cleaner.backoff.ms"].map(pause),
            worker: broker.world().executor.worker("log-upkeep"),
            by_time: BTreeMap::new(),
            by_key: BTreeMap::new(),
            retired: BTreeMap::new(),
            retired_count: 0,
            next_round: Instant::now(),
        }
    }

    /// A partition wants to be looked at soon.
    pub(super) fn ask(&mut self, partition: &Arc<Partition>) {
        self.enter(partition, Instant::now());
    }

    /// When there is something to do; nothing if there never is.
    pub(super) fn next(&self) -> Option<Instant> {
        let looks = self.by_time.keys().next().map(|(at, _)| *at);
        let removals = self.retired.keys().next().map(|(at, _)| *at);
        looks.into_iter().chain(removals).min().map(|at| at.max(self.next_round))
    }

    /// A round over all that is due.
    pub(super) fn round(&mut self, broker: Broker) -> impl Future<Output = Outcome> + use<> {
        let now = Instant::now();
        self.next_round = now + Duration::from_millis(UPKEEP_PAUSE_MS);
        let due = self.take_due(now);
        let later = self.retired.split_off(&(now, u64::MAX));
        let removable: Vec<Retired> = std::mem::replace(&mut self.retired, later).into_values().collect();
        let (pauses, worker) = (self.pauses, Arc::clone(&self.worker));
        async move {
            let job = move || {
                removable.into_iter().for_each(remove);
                look_at(&broker, due, pauses)
            };
            worker.call(job).await
        }
    }

    /// Notes what a round left to be done.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        let now = Instant::now();
        for (partition, again) in outcome.looked_at {
            if let Some(again) = again {
                self.enter(&partition, now + again);
            }
        }
        self.remove_later(outcome.retired);
    }

    /// Files that nobody should need any more go after a while.
    pub(super) fn remove_later(&mut self, retired: Vec<(Retired, Duration)>) {
        let now = Instant::now();
        for (retired, delay) in retired.into_iter().filter(|(retired, _)| !retired.is_empty()) {
            self.retired_count += 1;
            self.retired.insert((now + delay, self.retired_count), retired);
        }
    }

    /// A partition is in the calendar once, at the earliest time that was asked for.
    fn enter(&mut self, partition: &Arc<Partition>, at: Instant) {
        let key = (partition.topic, partition.index);
        if let Some(known) = self.by_key.get(&key) {
            if *known <= at {
                return;
            }
            self.by_time.remove(&(*known, key));
        }
        self.by_key.insert(key, at);
        self.by_time.insert((at, key), Arc::downgrade(partition));
    }

    fn take_due(&mut self, now: Instant) -> Vec<Arc<Partition>> {
        let mut due = Vec::new();
        while let Some(entry) = self.by_time.first_entry()
            && entry.key().0 <= now
        {
            let ((_, key), partition) = entry.remove_entry();
            self.by_key.remove(&key);
            due.extend(partition.upgrade());
        }
        due
    }
}

fn remove(retired: Retired) {
    if let Err(error) = retired.run() {
        warn!(event = "log.not_removed", %error, "a file that is no longer needed is left until the next start");
    }
}

fn look_at(broker: &Broker, mut due: Vec<Arc<Partition>>, [check, backoff]: [Duration; 2]) -> Outcome {
    due.retain(|partition| broker.has(partition));
    let dying: Vec<_> = due.iter().filter(|partition| expire(partition)).collect();
    let mut retired = Vec::new();
    if !dying.is_empty() && broker.write_checkpoints_of(dying.iter().copied()) {
        retired.extend(dying.iter().filter_map(|partition| retire(partition)));
    }
    let compacts = broker.settings().boolean("log.cleaner.enable");
    let looked_at = due.iter().map(|partition| (Arc::clone(partition), partition.rest(check, backoff))).collect();
    let dirty = if compacts { due.iter().filter_map(dirt).collect() } else { Vec::new() };
    Outcome { looked_at, retired, dirty }
}

fn expire(partition: &Arc<Partition>) -> bool {
    partition.expire().unwrap_or_else(|error| {
        let (topic, index) = (&partition.name, partition.index);
        warn!(event = "log.upkeep_failed", topic = %topic, partition = %index, %error, "nothing was deleted");
        false
    })
}

fn dirt(partition: &Arc<Partition>) -> Option<(Arc<Partition>, u32)> {
    match partition.dirt() {
        Ok(dirt) => dirt.map(|dirt| (Arc::clone(partition), dirt.millionths())),
        Err(error) => {
            let (topic, index) = (&partition.name, partition.index);
            warn!(event = "log.not_compacted", topic = %topic, partition = %index, %error, "it stays as it is");
            None
        }
    }
}

fn retire(partition: &Partition) -> Option<(Retired, Duration)> {
    let (topic, index) = (&partition.name, partition.index);
    match partition.retire() {
        Ok((retired, delay)) => {
            let start = partition.log_ends().log_start;
            info!(event = "log.retired", topic = %topic, partition = %index, %start, "old segments go");
            Some((retired, delay))
        }
        Err(error) => {
            warn!(event = "log.upkeep_failed", topic = %topic, partition = %index, %error, "nothing was deleted");
            None
        }
    }
}

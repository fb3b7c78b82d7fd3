//! Compacts one log after another, the dirtiest first, on a worker of its own and no faster than it may.
//!
//! Upkeep finds what is dirty; here is only the queue and the work. After a pass the log is looked at again by upkeep,
//! because one pass may not have been enough. A log that could not be compacted waits until it has changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{Broker, Partition};
use crate::base::executor::Worker;
use crate::base::ids::{PartitionIndex, TopicId};
use crate::log::{Compaction, Retired, Step};

/// Logs that wait to be compacted.
pub(super) struct Compactions {
    broker: Broker,
    worker: Arc<dyn Worker>,
    /// By how dirty they are, in millionths.
    waiting: BTreeMap<(Reverse<u32>, TopicId, PartitionIndex), Weak<Partition>>,
    under_way: Option<BoxFuture<'static, Vec<(Retired, Duration)>>>,
}

impl Compactions {
    pub(super) fn new(broker: &Broker) -> Self {
        let worker = broker.world().executor.worker("log-compaction");
        Self { broker: broker.clone(), worker, waiting: BTreeMap::new(), under_way: None }
    }

    /// This log is worth a pass.
    pub(super) fn ask(&mut self, partition: &Arc<Partition>, millionths: u32) {
        let (topic, index) = (partition.topic, partition.index);
        self.waiting.retain(|(_, other, at), _| (*other, *at) != (topic, index));
        self.waiting.insert((Reverse(millionths), topic, index), Arc::downgrade(partition));
    }

    /// Compacts what waits; tells, after each pass, which files nobody should need any more, and when they may go.
    pub(super) async fn next(&mut self) -> Vec<(Retired, Duration)> {
        loop {
            if let Some(pass) = &mut self.under_way {
                let retired = pass.await;
                self.under_way = None;
                return retired;
            }
            match self.waiting.pop_first() {
                Some((_, partition)) => {
                    let Some(partition) = partition.upgrade().filter(|it| self.broker.has(it)) else { continue };
                    self.under_way = Some(Box::pin(compact(self.broker.clone(), partition, Arc::clone(&self.worker))));
                }
                None => std::future::pending().await,
            }
        }
    }
}

async fn compact(broker: Broker, partition: Arc<Partition>, worker: Arc<dyn Worker>) -> Vec<(Retired, Duration)> {
    let settings = broker.settings();
    let key_bytes = usize::try_from(settings.number("log.cleaner.dedupe.buffer.size")).unwrap_or(usize::MAX);
    let bytes_per_second = settings.double("log.cleaner.io.max.bytes.per.second").max(1.0);
    let mut retired = Vec::new();
    let (topic, index) = (&partition.name, partition.index);
    let begun = {
        let (broker, partition) = (broker.clone(), Arc::clone(&partition));
        let begin = move || {
            let Some(dirt) = partition.dirt()? else { return Ok(None) };
            // A compacted log has gaps; only below the recovery point that a restart finds they are no damage.
            let is_written = broker.write_checkpoints_of(std::iter::once(&partition));
            if is_written { partition.begin_compaction(&dirt, key_bytes) } else { Ok(None) }
        };
        worker.call(begin).await
    };
    let mut pass = match begun {
        Ok(Some(pass)) => pass,
        Ok(None) => return retired,
        Err(error) => {
            warn!(event = "log.not_compacted", topic = %topic, partition = %index, %error, "it stays as it is");
            return retired;
        }
    };
    loop {
        let (again, outcome) = {
            let partition = Arc::clone(&partition);
            worker.call(move || step(&partition, pass)).await
        };
        match outcome {
            Ok(Went::On { bytes, replaced }) => {
                retired.extend(replaced.map(|replaced| (replaced, partition.delete_delay())));
                sleep(Duration::from_secs_f64((bytes as f64 / bytes_per_second).min(PAUSE_SECONDS_MAX))).await;
            }
            Ok(Went::Through) => {
                debug!(event = "log.compacted", topic = %topic, partition = %index, "a pass has ended");
                return retired;
            }
            Err(error) => {
                warn!(event = "log.not_compacted", topic = %topic, partition = %index, error, "it stays as it is");
                return retired;
            }
        }
        match again {
            Some(again) => pass = again,
            None => return retired,
        }
    }
}

/// How long a slow limit holds up one step at most.
const PAUSE_SECONDS_MAX: f64 = 60.0;

enum Went {
    On { bytes: u64, replaced: Option<Retired> },
    Through,
}

/// One step of a pass, and the pass if it can go on.
fn step(partition: &Arc<Partition>, mut pass: Compaction) -> (Option<Compaction>, Result<Went, String>) {
    let went = match pass.step() {
        Ok(Step::More { bytes }) => Ok(Went::On { bytes, replaced: None }),
        Ok(Step::Swap(cleaned)) => {
            partition.swap(*cleaned).map(|replaced| Went::On { bytes: 0, replaced }).map_err(|error| error.to_string())
        }
        Ok(Step::Done { cleaned_to }) => {
            partition.compacted(cleaned_to);
            return (None, Ok(Went::Through));
        }
        Err(error) => Err(error.to_string()),
    };
    match went {
        Ok(went) => (Some(pass), Ok(went)),
        Err(why) => {
            partition.not_compacted();
            let freed = pass.give_up().map_err(|error| format!("{why}; and {error}"));
            (None, Err(freed.err().unwrap_or(why)))
        }
    }
}

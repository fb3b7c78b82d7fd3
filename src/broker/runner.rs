//! Runs the errands of partitions: proposals to the controller, timers, flushes, truncations.
//!
//! Invariants: every proposal's outcome is reported; a partition's flushes and truncations run one after another, since
//! a flush in the middle of a truncation would vouch for what is being cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, interval, sleep_until};
use tracing::{error, warn};

use super::compaction::Compactions;
use super::link::SubmitError;
use super::session::itself;
use super::upkeep::{self, Upkeep};
use super::{Broker, Errand, Partition, passing};
use crate::base::executor::Worker;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::limits::{CHECKPOINT_MS, COMMAND_PATIENCE_MS, FLUSHERS};
use crate::base::time::Millis;
use crate::controller::{AlterPartition, AlterPartitions, AlteredPartition, Command, IsrMember, Refusal, Reply};
use crate::metadata::partitions::Recovery;
use crate::replica::isr::{Outcome, Proposal};

/// Runs errands for ever.
pub(super) async fn run(broker: Broker) {
    let executor = &broker.0.around.world.executor;
    let flushers = (0..FLUSHERS).map(|_| executor.worker("log-flush")).collect();
    let worker = executor.worker("log-checkpoint");
    let mut runner = Runner {
        upkeep: Upkeep::new(&broker),
        compactions: Compactions::new(&broker),
        broker,
        flushers,
        worker,
        timers: BinaryHeap::new(),
        numbers: 0,
        under_way: FuturesUnordered::new(),
        round: None,
    };
    let mut checkpoints = interval(Duration::from_millis(CHECKPOINT_MS));
    loop {
        let next_timer = runner.next_timer();
        let next_round = runner.next_round();
        tokio::select! {
            biased;
            Some(()) = runner.under_way.next(), if !runner.under_way.is_empty() => {}
            errands = runner.broker.0.around.errands.next() => runner.start(errands),
            () = sleep_until(next_timer) => runner.fire_timers(),
            _ = checkpoints.tick() => runner.checkpoint(),
            outcome = upkeep_round(&mut runner.round), if runner.round.is_some() => {
                runner.round = None;
                outcome.dirty.iter().for_each(|(partition, dirt)| runner.compactions.ask(partition, *dirt));
                runner.upkeep.finish(outcome);
            }
            retired = runner.compactions.next() => runner.upkeep.remove_later(retired),
            () = sleep_until(next_round), if runner.round.is_none() => {
                runner.round = Some(Box::pin(runner.upkeep.round(runner.broker.clone())));
            }
        }
    }
}

/// The end of the round that is under way.
async fn upkeep_round(round: &mut Option<BoxFuture<'static, upkeep::Outcome>>) -> upkeep::Outcome {
    match round {
        Some(round) => round.await,
        None => std::future::pending().await,
    }
}

struct Runner {
    broker: Broker,
    /// A partition's flushes and truncations run on one of them, one after another.
    flushers: Vec<Arc<dyn Worker>>,
    /// Checkpoints, and log dirs that fail.
    worker: Arc<dyn Worker>,
    upkeep: Upkeep,
    compactions: Compactions,
    /// At most one at a time.
    round: Option<BoxFuture<'static, upkeep::Outcome>>,
    timers: BinaryHeap<Reverse<(Millis, u64, ByIdentity)>>,
    /// Tells timers of one moment apart.
    numbers: u64,
    under_way: FuturesUnordered<BoxFuture<'static, ()>>,
}

/// A partition in the heap of timers, where only the time and number before it are compared.
struct ByIdentity(Arc<Partition>);

impl PartialEq for ByIdentity {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByIdentity {}

impl PartialOrd for ByIdentity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByIdentity {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// When there is no timer: late enough to cost nothing.
const NO_TIMER: Duration = Duration::from_secs(3600);

impl Runner {
    fn start(&mut self, errands: impl IntoIterator<Item = Errand>) {
        let mut proposals = Vec::new();
        for errand in errands {
            match errand {
                Errand::Propose(partition, proposal) => proposals.push((partition, proposal)),
                Errand::WakeAt(partition, at) => {
                    self.numbers += 1;
                    self.timers.push(Reverse((at, self.numbers, ByIdentity(partition))));
                }
                Errand::Flush(partition) => {
                    let flushing = flush(self.broker.clone(), Arc::clone(self.flusher(&partition)), partition);
                    self.under_way.push(Box::pin(flushing));
                }
                Errand::DiskFailed(partition, cause) => {
                    let (broker, worker) = (self.broker.clone(), Arc::clone(&self.worker));
                    let give_up = move || broker.give_up_log_dir(partition.log_dir(), &cause);
                    self.under_way.push(Box::pin(async move { worker.call(give_up).await }));
                }
                Errand::Upkeep(partition) => self.upkeep.ask(&partition),
                Errand::Truncate(partition, to, epoch) => {
                    let worker = Arc::clone(self.flusher(&partition));
                    let truncating = truncate(self.broker.clone(), partition, to, epoch, worker);
                    self.under_way.push(Box::pin(truncating));
                }
                Errand::StartOver(partition, at, epoch) => {
                    let worker = Arc::clone(self.flusher(&partition));
                    let restarting = start_over(self.broker.clone(), partition, at, epoch, worker);
                    self.under_way.push(Box::pin(restarting));
                }
                Errand::Fault(partition, fault) => {
                    let (topic, index) = (&partition.name, partition.index);
                    error!(event = "partition.fault", topic = %topic, partition = %index, %fault, "a replica stopped");
                }
                Errand::Open(partition, after_ms) => self.broker.0.following.open(&partition, after_ms),
                Errand::Acknowledge(partition, ack) => self.broker.0.following.acknowledge(&partition, &ack),
                Errand::PassOn(partition) => {
                    if self.broker.0.passing.join(partition) {
                        self.under_way.push(Box::pin(passing::pass_on(self.broker.clone())));
                    }
                }
                Errand::RefuseStream(stream) => self.broker.0.leading.refuse(stream),
            }
        }
        if !proposals.is_empty() {
            self.under_way.push(Box::pin(propose(self.broker.clone(), proposals)));
        }
    }

    fn flusher(&self, partition: &Partition) -> &Arc<dyn Worker> {
        let number = partition.topic.0.0.iter().fold(partition.index.0 as usize, |sum, byte| sum + usize::from(*byte));
        &self.flushers[number % self.flushers.len()]
    }

    fn next_timer(&self) -> Instant {
        match self.timers.peek() {
            Some(Reverse((at, _, _))) => self.broker.0.around.instant_of(*at),
            None => Instant::now() + NO_TIMER,
        }
    }

    fn next_round(&self) -> Instant {
        self.upkeep.next().unwrap_or_else(|| Instant::now() + NO_TIMER)
    }

    fn fire_timers(&mut self) {
        let now = self.broker.0.around.now();
        while let Some(Reverse((at, _, _))) = self.timers.peek()
            && *at <= now
        {
            if let Some(Reverse((_, _, partition))) = self.timers.pop() {
                partition.0.tick();
            }
        }
    }

    fn checkpoint(&self) {
        let broker = self.broker.clone();
        let worker = Arc::clone(&self.worker);
        self.under_way.push(Box::pin(async move {
            worker.call(move || broker.write_checkpoints()).await;
        }));
    }
}

async fn flush(broker: Broker, worker: Arc<dyn Worker>, partition: Arc<Partition>) {
    let name = (Arc::clone(&partition.name), partition.index);
    let job = move || {
        let flush = partition.begin_flush().map_err(|error| error.to_string())?;
        match flush.run() {
            Ok(()) => partition.flushed(&flush),
            Err(error) => {
                broker.give_up_log_dir(partition.log_dir(), &error);
                return Err(error.to_string());
            }
        }
        Ok(())
    };
    if let Err(error) = worker.call(job).await {
        let (topic, index) = name;
        error!(event = "log.flush_failed", topic = %topic, partition = %index, error, "this log takes no more records");
    }
}

async fn truncate(broker: Broker, partition: Arc<Partition>, to: Offset, epoch: LeaderEpoch, worker: Arc<dyn Worker>) {
    let cut = Arc::clone(&partition);
    let job = move || {
        let safe = partition.prepare_truncation(to).map_err(|error| error.to_string())?;
        broker.0.folders.lower_recovery_point(&partition, safe).map_err(|error| error.to_string())?;
        partition.truncate(to, epoch).map_err(|error| error.to_string())
    };
    if let Err(error) = worker.call(job).await {
        error!(event = "log.truncate_failed", error, "a log could not be cut where its leader says");
        cut.on_not_cut();
    }
}

async fn start_over(
    broker: Broker,
    partition: Arc<Partition>,
    at: Offset,
    epoch: LeaderEpoch,
    worker: Arc<dyn Worker>,
) {
    let emptied = Arc::clone(&partition);
    let job = move || {
        partition.prepare_start_over();
        broker.0.folders.forget_before(&partition, at).map_err(|error| error.to_string())?;
        partition.start_over(at, epoch).map_err(|error| error.to_string())
    };
    if let Err(error) = worker.call(job).await {
        error!(event = "log.start_over_failed", error, "a log could not begin where its leader's does");
        emptied.on_not_cut();
    }
}

/// Sends the proposals that have gathered as one command, and reports what became of each.
async fn propose(broker: Broker, proposals: Vec<(Arc<Partition>, Proposal)>) {
    let Some(epoch) = broker.epoch() else {
        proposals.iter().for_each(|(partition, proposal)| partition.on_proposal_outcome(proposal, Outcome::Refused));
        return;
    };
    let command = Command::AlterPartitions(AlterPartitions {
        leader: broker.node(),
        epoch,
        partitions: proposals.iter().map(|(partition, proposal)| wish(partition, proposal)).collect(),
    });
    let patience = Duration::from_millis(COMMAND_PATIENCE_MS);
    let altered = match broker.0.link.submit(&command, &itself("AlterPartition"), patience).await {
        Ok((Reply::AlteredPartitions(altered), _)) => altered,
        Ok((other, _)) => unreachable!("AlterPartitions is not answered by {other:?}"),
        Err(error) => {
            warn!(event = "isr.unanswered", %error, "changes of in-sync replicas were not answered");
            let outcome = if let SubmitError::Refused(_) = error { Outcome::Refused } else { Outcome::Unknown };
            for (partition, proposal) in &proposals {
                partition.on_proposal_outcome(proposal, outcome.clone());
            }
            return;
        }
    };
    for ((partition, proposal), altered) in proposals.iter().zip(altered) {
        partition.on_proposal_outcome(proposal, outcome_of(altered));
    }
}

fn wish(partition: &Partition, proposal: &Proposal) -> AlterPartition {
    AlterPartition {
        topic: partition.topic,
        partition: partition.index,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr.iter().map(|(node, epoch)| IsrMember { node: *node, epoch: *epoch }).collect(),
        recovery: Recovery::Recovered,
    }
}

fn outcome_of(altered: AlteredPartition) -> Outcome {
    match altered.outcome {
        Ok(partition) => {
            Outcome::Accepted { partition_epoch: partition.state.partition_epoch, isr: partition.isr().collect() }
        }
        Err(refused) => match refused.refusal {
            Refusal::IneligibleReplica | Refusal::NotController => Outcome::Refused,
            _ => Outcome::Outdated,
        },
    }
}

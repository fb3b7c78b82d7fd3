//! `dohle bench`: what a cluster can do, and what it costs: raw requests as fast as answers come, then all of it read.
//!
//! ```text
//! driver      one connection: so many requests in flight, each answer timed and checked
//! produce     requests made once and sent again and again, with sequence numbers where that is asked for
//! consume     what was produced, fetched from its beginning, again and again
//! latencies   how long requests took, in a few kilobytes
//! report      both phases, for people and for programs
//! ```
//!
//! It drives any Kafka, so that two can be compared in one run. What a server spends is read from the accounts of its
//! processes (`--pid`): where a machine is shared with the driver, wall time says little. What was written is in memory
//! then; what the kernel spends to bring it to the disk is in nobody's accounts, and told beside them.
//!
//! Absent on purpose: compression and keys (the server does not look at them), consumer groups, an open loop (`dohle
//! lab` has one).

mod consume;
mod driver;
mod latencies;
mod produce;
mod report;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use self::consume::Consuming;
use self::driver::{Pace, Tally, Trouble, Work, drive};
use self::produce::Producing;
use self::report::{Cost, Phase, Plan, Report};
use super::{Console, Exit, Output};
use crate::base::World;
use crate::base::executor::{MakeLocal, Reactor};
use crate::base::ids::{NodeId, PartitionIndex, TopicId};
use crate::client::{ClientError, Cluster, TopicPartition, TopicSpec, TopicView};
use crate::host;
use crate::wire::Text;
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

/// How long the cluster may take to be found.
const SEARCH_PATIENCE: Duration = Duration::from_secs(5);

/// How long the cluster may take for each step of the preparation.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
#[command(after_help = "Examples:
  dohle bench                                        one-record requests, 2 connections with 5 in flight, localhost:9092
  dohle bench --records 16 --record-bytes 1000       requests of 16 KiB
  dohle bench --connections 1 --in-flight 1 --spin   how long one request takes
  dohle bench --pid $(pgrep -d, dohle) -o json       with what the server's processes spend, as JSON

What is written goes to memory first. What the kernel spends to bring it to the disk, up to half a minute later, is in
no process's accounts. With --pid it is told beside them: what all of this machine's kworker, jbd2 and kswapd threads
spend while it is counted, whoever they work for.")]
pub(super) struct BenchArguments {
    /// Where the cluster is: addresses of Kafka listeners
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',', default_value = "localhost:9092")]
    bootstrap: Vec<String>,
    /// The server's processes on this machine, to count what they spend
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Connections to each broker that leads a partition
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Requests that wait for an answer on each connection
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    in_flight: u16,
    /// Keeps awake while it waits for answers, so that what the machine takes to wake it is not counted as latency
    #[arg(long)]
    spin: bool,
    /// Records in a request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    records: u32,
    /// Bytes in a record's value
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    record_bytes: u32,
    /// Partitions of the topic that is made for the run, and removed afterwards
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    #[arg(long, default_value_t = 1)]
    replication_factor: i16,
    /// Whose word is waited for: 1 for the leader's, all for that of every replica in sync
    #[arg(long, default_value = "all", value_parser = acks)]
    acks: i16,
    /// Numbers the batches, as idempotent producers do
    #[arg(long)]
    idempotent: bool,
    /// The version of Produce that is spoken
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(i16).range(3..=13))]
    produce_version: i16,
    /// How long before anything is counted
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
    /// How long producing is counted
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long consuming is counted; 0 leaves it out
    #[arg(long, default_value_t = 5)]
    consume_seconds: u64,
    /// How the report is written
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        _ => Err("what is not acknowledged cannot be counted: it is 1 or all".to_owned()),
    }
}

#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot {what}: {cause}")]
    Outside { what: &'static str, cause: io::Error },
    #[error("the cluster does not do what was asked of it: {0}")]
    Client(#[from] ClientError),
    #[error("{0}")]
    Trouble(#[from] Trouble),
}

pub(super) fn run(arguments: &BenchArguments, world: &World, console: &mut Console) -> Exit {
    let bench = Bench { arguments, world };
    let ended = match host::control_runtime() {
        Ok(runtime) => runtime.block_on(bench.run(console)),
        Err(cause) => Err(BenchError::Outside { what: "start threads", cause }),
    };
    match ended {
        Ok(report) => {
            console.answer(&match arguments.output {
                Output::Table => report.text(),
                Output::Json => report.json(),
            });
            Exit::Done
        }
        Err(error) => {
            console.complain(&format!("dohle bench: {error}"));
            match error {
                BenchError::Client(error) if is_unreachable(&error) => Exit::CannotConnect,
                _ => Exit::Failed,
            }
        }
    }
}

fn is_unreachable(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Expired { last } => is_unreachable(last),
        _ => false,
    }
}

struct Bench<'a> {
    arguments: &'a BenchArguments,
    world: &'a World,
}

/// What one connection is for: partitions of one leader, at its address.
struct Share {
    address: String,
    partitions: Vec<PartitionIndex>,
}

impl Bench<'_> {
    /// Makes a topic, measures, and removes the topic, also when measuring failed.
    async fn run(&self, console: &mut Console) -> Result<Report, BenchError> {
        let cluster = Cluster::new(self.world.into(), self.arguments.bootstrap.clone(), "dohle-bench");
        cluster.brokers_up(1, SEARCH_PATIENCE).await?;
        let topic = TopicSpec {
            name: Text::from(format!("dohle-bench-{:08x}", self.world.entropy.number() as u32).as_str()),
            partitions: self.arguments.partitions,
            replication_factor: self.arguments.replication_factor,
            configs: BTreeMap::new(),
        };
        let view = cluster.create_topic(&topic, PATIENCE).await?;
        // Kafka tells of a leader before that one knows.
        let partitions = view.partitions.keys().map(|index| TopicPartition::new(&topic.name, *index));
        cluster.ends(&partitions.collect::<Vec<_>>(), PATIENCE).await?;
        let measured = self.measure(&cluster, &topic.name, &view, console).await;
        let removed = remove(&cluster, &topic.name).await;
        let report = measured?;
        removed?;
        Ok(report)
    }

    async fn measure(
        &self,
        cluster: &Cluster,
        topic: &Text,
        view: &TopicView,
        console: &mut Console,
    ) -> Result<Report, BenchError> {
        let BenchArguments { warm_up_seconds, seconds, consume_seconds, .. } = *self.arguments;
        console.complain(&format!("producing to {topic} for {warm_up_seconds} + {seconds} s"));
        let shares = self.shares(cluster, view);
        let producing = self.producing(cluster, topic, view.id, &shares).await?;
        let produced = self.phase(&shares, producing, self.arguments.in_flight, warm_up_seconds, seconds).await?;
        let consumed = if consume_seconds > 0 {
            console.complain(&format!("consuming it for {consume_seconds} s"));
            let consuming = shares.iter().map(|share| Consuming::new(topic, &share.partitions)).collect();
            Some(self.phase(&shares, consuming, 1, 0, consume_seconds).await?)
        } else {
            None
        };
        Ok(Report { plan: self.plan(), produced, consumed })
    }

    fn plan(&self) -> Plan {
        let arguments = self.arguments;
        Plan {
            partitions: arguments.partitions,
            replication_factor: arguments.replication_factor,
            acks: arguments.acks,
            produce_version: arguments.produce_version,
            idempotent: arguments.idempotent,
            connections: arguments.connections,
            in_flight: arguments.in_flight,
            records: arguments.records,
            record_bytes: arguments.record_bytes,
        }
    }

    /// Deals each leader's partitions out to its connections.
    fn shares(&self, cluster: &Cluster, view: &TopicView) -> Vec<Share> {
        let mut led = BTreeMap::<NodeId, Vec<PartitionIndex>>::new();
        for (index, partition) in &view.partitions {
            led.entry(partition.leader.unwrap_or(NodeId(-1))).or_default().push(*index);
        }
        let brokers = cluster.brokers();
        let deal = |(leader, partitions): (NodeId, Vec<PartitionIndex>)| {
            let address = brokers.get(&leader).cloned().unwrap_or_default();
            let connections = usize::from(self.arguments.connections).min(partitions.len());
            let share = move |nth| Share {
                address: address.clone(),
                partitions: partitions.iter().copied().skip(nth).step_by(connections).collect(),
            };
            (0..connections).map(share)
        };
        led.into_iter().flat_map(deal).collect()
    }

    async fn producing(
        &self,
        cluster: &Cluster,
        topic: &Text,
        id: TopicId,
        shares: &[Share],
    ) -> Result<Vec<Producing>, BenchError> {
        let mut all = Vec::new();
        for share in shares {
            let producer = if self.arguments.idempotent { Some(produce::identity(cluster).await?) } else { None };
            let shape = produce::Shape {
                topic: topic.clone(),
                id,
                producer,
                version: self.arguments.produce_version,
                acks: self.arguments.acks,
                records: self.arguments.records,
                record_bytes: self.arguments.record_bytes as usize,
                now: self.world.clock.now(),
            };
            all.push(Producing::new(&shape, &share.partitions));
        }
        Ok(all)
    }

    /// Lets every share be worked on at the same time, and counts between warm-up and end.
    async fn phase<W: Work + Send + 'static>(
        &self,
        shares: &[Share],
        works: Vec<W>,
        in_flight: u16,
        warm_up: u64,
        seconds: u64,
    ) -> Result<Phase, BenchError> {
        let from = Instant::now() + Duration::from_secs(warm_up);
        let (in_flight, spins) = (usize::from(in_flight), self.arguments.spin);
        let pace = Pace { in_flight, spins, from, until: from + Duration::from_secs(seconds) };
        let reactors: Vec<Arc<dyn Reactor>> =
            (0..self.world.executor.cores().min(shares.len())).map(|_| self.world.executor.reactor("bench")).collect();
        let mut ends = Vec::new();
        for ((nth, share), work) in shares.iter().enumerate().zip(works) {
            let (end, ended) = oneshot::channel();
            let (network, address) = (self.world.network.clone(), share.address.clone());
            let make: MakeLocal = Box::new(move || {
                Box::pin(async move {
                    let driven = drive(network, address, work, pace).await;
                    let _ = end.send(driven); // nobody waits any more when the run is broken off
                })
            });
            reactors[nth % reactors.len()].run(make).await;
            ends.push(ended);
        }
        sleep_until(pace.from).await;
        let before = self.spent()?;
        sleep_until(pace.until).await;
        let spent = self.spent()?.since(&before);
        let mut tally = Tally::default();
        for ended in ends {
            tally.add(&ended.await.map_err(|_| Trouble::Vanished)??);
        }
        let cost = if self.arguments.pid.is_empty() { None } else { Some(self.cost(&spent)?) };
        Ok(Phase { tally, seconds, cost })
    }

    fn spent(&self) -> Result<Spent, BenchError> {
        let failed = |cause| BenchError::Outside { what: "read what is spent", cause };
        let server = self.arguments.pid.iter().map(|process| host::cpu_time(*process));
        let server = server.sum::<io::Result<Duration>>().map_err(failed)?;
        let is_here = !self.arguments.pid.is_empty();
        let write_back = if is_here { host::write_back_times().map_err(failed)? } else { BTreeMap::new() };
        Ok(Spent { server, write_back })
    }

    fn cost(&self, spent: &Spent) -> Result<Cost, BenchError> {
        let resident = self.arguments.pid.iter().map(|process| host::resident_bytes(*process));
        let resident_bytes =
            resident.sum::<io::Result<u64>>().map_err(|cause| BenchError::Outside { what: "read memory", cause })?;
        Ok(Cost { cpu: spent.server, write_back: spent.write_back.values().sum(), resident_bytes })
    }
}

/// What the server's processes have spent so far, and each thread of the kernel's write-back.
struct Spent {
    server: Duration,
    write_back: BTreeMap<u32, Duration>,
}

impl Spent {
    /// The kernel's threads come and go.
    fn since(mut self, before: &Self) -> Self {
        self.server = self.server.saturating_sub(before.server);
        for (thread, spent) in &mut self.write_back {
            *spent = spent.saturating_sub(before.write_back.get(thread).copied().unwrap_or_default());
        }
        self
    }
}

async fn remove(cluster: &Cluster, topic: &Text) -> Result<(), ClientError> {
    // Version 6 names topics in one list, older ones in another.
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(topic.clone()), ..Default::default() }],
        topic_names: vec![topic.clone()],
        timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
        ..Default::default()
    };
    cluster.ask(&request, PATIENCE).await.map(drop)
}

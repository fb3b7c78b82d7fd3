//! The load: open-loop producers, a reader that checks as it goes, and a look at who leads what.
//!
//! Records are sent at their times, whether those before have been acknowledged or not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::check::{Lane, Ledger, Live, Number, Reading, Run, Stamp};
use super::report::{Happening, Timeline};
use crate::base::World;
use crate::base::executor::Task;
use crate::base::ids::{NodeId, Offset, PartitionIndex};
use crate::client::{ClientError, Cluster, Consumer, Producer, ProducerOptions, TopicPartition, TopicSpec, TopicView};
use crate::wire::Text;

pub(super) const PARTITIONS: i32 = 12;
pub(super) const REPLICAS: i16 = 3;
pub(super) const MIN_IN_SYNC: u32 = 2;

/// Every record is sent again until this is over; a failover should take a small part of it.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at who leads what.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How long the reading afterwards may be without anything new before it is given up.
const READING_PATIENCE: Duration = Duration::from_secs(30);

pub(super) const TOPIC: Text = Text::from_static("lab");

/// The topic the load goes to, or one like it.
pub(super) fn topic(name: Text) -> TopicSpec {
    let min_in_sync = ("min.insync.replicas", MIN_IN_SYNC.to_string());
    TopicSpec {
        name,
        partitions: PARTITIONS,
        replication_factor: REPLICAS,
        configs: [min_in_sync].into_iter().collect(),
    }
}

pub(super) fn partitions() -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(|index| TopicPartition::new(&TOPIC, PartitionIndex(index)))
}

/// A load that runs; it ends when it is dropped, or in good order by [`Load::finish`].
pub(super) struct Load {
    board: Board,
    cluster: Cluster,
    producing: Vec<(oneshot::Sender<()>, Task)>,
    _reading: Task,
    _looking: Task,
}

/// What the tasks of a load write down. Clones are the same one.
#[derive(Clone)]
pub(super) struct Board {
    begun: Instant,
    marks: Arc<Mutex<Marks>>,
}

pub(super) struct Marks {
    pub(super) live: Live,
    pub(super) timeline: Timeline,
    /// What ended the reading of a partition.
    pub(super) trouble: Option<ClientError>,
}

impl Board {
    fn new(run: Run) -> Self {
        let marks = Marks { live: Live::new(run), timeline: Timeline::default(), trouble: None };
        Self { begun: Instant::now(), marks: Arc::new(Mutex::new(marks)) }
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the load began.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn note(&self, what: Happening) {
        self.marks().timeline.add(self.now(), what);
    }
}

impl Load {
    /// Begins a load on a topic that exists: so many producers, with so many records a second between them.
    pub(super) fn start(world: &World, cluster: &Cluster, producers: u32, rate: u32) -> Self {
        let run = Run(world.entropy.number());
        let board = Board::new(run);
        board.note(Happening::LoadBegan);
        let options = ProducerOptions { delivery_patience: DELIVERY_PATIENCE, ..ProducerOptions::default() };
        let spawn = |name, task| world.executor.spawn(name, task);
        let produce = |number: u32| {
            let (stop, stopped) = oneshot::channel();
            let producer = Producer::new(cluster, options);
            let source = Source { world: world.clone(), producer, number, run, board: board.clone() };
            let pause = Duration::from_secs(1) * producers / rate;
            (stop, spawn("lab.produce", Box::pin(source.run(pause, stopped))))
        };
        Self {
            producing: (0..producers).map(produce).collect(),
            _reading: spawn("lab.read", Box::pin(read_along(cluster.clone(), board.clone()))),
            _looking: spawn("lab.look", Box::pin(look(cluster.clone()))),
            cluster: cluster.clone(),
            board,
        }
    }

    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// The topic as it is led now.
    pub(super) fn view(&self) -> Option<TopicView> {
        self.cluster.topic(&TOPIC)
    }

    /// The partitions a node leads.
    pub(super) fn led_by(&self, node: NodeId) -> BTreeSet<PartitionIndex> {
        led_by(self.view(), node)
    }

    /// Whether every replica of every partition is in sync, and every partition led.
    pub(super) fn is_whole(&self) -> bool {
        self.view().is_some_and(|view| {
            let mut partitions = view.partitions.values();
            partitions.all(|one| one.leader.is_some() && one.in_sync.len() == one.replicas.len())
        })
    }

    /// Sends nothing more, and waits until all that was sent is acknowledged or given up.
    pub(super) async fn finish(self) -> Board {
        let told = |(stop, producing): (oneshot::Sender<()>, Task)| {
            let _ = stop.send(()); // a producer that has ended already needs no telling
            producing
        };
        for producing in self.producing.into_iter().map(told).collect::<Vec<_>>() {
            producing.ended().await;
        }
        self.board.note(Happening::LoadEnded);
        self.board
    }
}

/// The partitions of a topic that a node leads.
pub(super) fn led_by(topic: Option<TopicView>, node: NodeId) -> BTreeSet<PartitionIndex> {
    let partitions = topic.map(|view| view.partitions).unwrap_or_default();
    partitions.into_iter().filter(|(_, partition)| partition.leader == Some(node)).map(|(index, _)| index).collect()
}

/// Where records come from.
struct Source {
    world: World,
    producer: Producer,
    number: u32,
    run: Run,
    board: Board,
}

/// A record that was sent, and how it went.
struct Settled {
    lane: Lane,
    number: Number,
    sent: Duration,
    result: Result<Offset, ClientError>,
}

impl Source {
    async fn run(self, pause: Duration, mut stopped: oneshot::Receiver<()>) {
        let begun = Instant::now();
        let mut under_way = FuturesUnordered::new();
        for count in 0_u64.. {
            let due = begun + pause.mul_f64(count as f64);
            let is_stopped = loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break true,
                    Some(settled) = under_way.next(), if !under_way.is_empty() => self.on_settled(settled),
                    () = sleep_until(due) => break false,
                }
            };
            if is_stopped {
                break;
            }
            under_way.push(self.send(count));
        }
        while let Some(settled) = under_way.next().await {
            self.on_settled(settled);
        }
    }

    /// Sends the next record, and gives back what will become of it.
    fn send(&self, count: u64) -> impl Future<Output = Settled> + use<> {
        let partition = PartitionIndex((count % PARTITIONS as u64) as i32);
        let (lane, number) = (Lane { partition, producer: self.number }, Number(count / PARTITIONS as u64));
        let stamp = Stamp { run: self.run, lane, number, sent: self.world.clock.now() };
        let sent = self.board.now();
        self.board.marks().live.ledger.on_sent();
        let delivery = self.producer.send(&TOPIC, partition, None, Some(Bytes::from(stamp.to_string())));
        async move { Settled { lane, number, sent, result: delivery.await } }
    }

    fn on_settled(&self, settled: Settled) {
        let Settled { lane, number, sent, result } = settled;
        let now = self.board.now();
        let mut marks = self.board.marks();
        match result {
            Ok(offset) => {
                marks.live.on_acked(lane, number, offset);
                marks.timeline.on_acked(lane.partition, sent, now);
            }
            Err(_) => marks.live.ledger.on_given_up(),
        }
    }
}

/// Reads the topic as it grows.
async fn read_along(cluster: Cluster, board: Board) {
    let mut consumer = Consumer::assign(&cluster, partitions().map(|partition| (partition, Offset(0))));
    loop {
        match consumer.next().await {
            Ok(fetched) => {
                let live = &mut board.marks().live;
                for record in fetched.records {
                    live.on_record(fetched.partition.index, record.offset, record.value.as_deref().unwrap_or_default());
                }
            }
            Err(ClientError::Closed) => return,
            Err(error) => board.marks().trouble = Some(error),
        }
    }
}

/// Keeps the cluster's view fresh.
async fn look(cluster: Cluster) {
    loop {
        // Nobody answers while the cluster is down; the view then shows what was known last.
        let _ = cluster.refresh(&[TOPIC]).await;
        sleep(LOOK_PAUSE).await;
    }
}

/// Reads the whole topic again from its beginning, over connections of its own. Says what kept it from the end.
pub(super) async fn read_again(world: &World, bootstrap: Vec<String>, ledger: &Ledger) -> (Reading, Option<String>) {
    let cluster = Cluster::new(world.into(), bootstrap, "dohle-lab-check");
    let mut reading = Reading::new(ledger.run());
    let partitions: Vec<TopicPartition> = partitions().collect();
    let ends = match cluster.ends(&partitions, READING_PATIENCE).await {
        Ok(ends) => ends,
        Err(error) => return (reading, Some(format!("the ends of the partitions cannot be learned: {error}"))),
    };
    let mut consumer = Consumer::assign(&cluster, partitions.iter().map(|partition| (partition.clone(), Offset(0))));
    // What was acknowledged must be there, even if the end that was told is before it.
    let last_acked = ledger.last_acked();
    let must_reach = |partition: &TopicPartition| {
        let acked = last_acked.get(&partition.index).map(|offset| offset.plus(1));
        acked.max(ends.get(partition).copied()).unwrap_or_default()
    };
    while partitions.iter().any(|partition| reading.next(partition.index) < must_reach(partition)) {
        match timeout(READING_PATIENCE, consumer.next()).await {
            Ok(Ok(fetched)) => {
                for record in fetched.records {
                    let value = record.value.as_deref().unwrap_or_default();
                    reading.on_record(fetched.partition.index, record.offset, value);
                }
            }
            Ok(Err(error)) => return (reading, Some(format!("the topic cannot be read to its end: {error}"))),
            Err(_) => {
                let patience = READING_PATIENCE.as_secs();
                return (reading, Some(format!("the end of the topic did not come within {patience} s")));
            }
        }
    }
    (reading, None)
}

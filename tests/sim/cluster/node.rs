//! One process of a node, as `dohle server` would run it: started, watched, stopped when it is told to.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dohle::base::World;
use dohle::base::ids::NodeId;
use dohle::broker::Broker;
use dohle::config::problem::has_errors;
use dohle::config::{Given, NodeConfig};
use dohle::controller::{Command, ElectLeaders, ElectionKind};
use dohle::metadata::record::Origin;
use dohle::node::Node;
use dohle::quorum::Controller;
use tokio::sync::{Notify, mpsc};

use super::Cluster;
use crate::world::Machine;

pub const NAMES: [&str; 3] = ["n1", "n2", "n3"];
pub const KAFKA_PORT: u16 = 9092;
const PEER_PORT: u16 = 9093;

/// Where a node runs, and what the simulation knows of its process.
pub struct Place {
    pub name: &'static str,
    pub machine: Machine,
    slot: Mutex<Slot>,
}

/// What is known of the process on a machine.
#[derive(Default)]
pub struct Slot {
    /// How many processes have run here.
    pub run: u64,
    /// The node, while it is up.
    pub inside: Option<Inside>,
    /// A failing disk was ordered: this process may end, and may say why.
    pub is_excused: bool,
    /// It has ended by itself, or could not start.
    pub has_ended: bool,
    stop: Arc<Notify>,
    orders: Option<mpsc::Sender<Order>>,
}

/// A way into a running node, for checks.
#[derive(Clone)]
pub struct Inside {
    pub run: u64,
    pub broker: Broker,
    /// None on a node whose disk was wiped: it is no voter any more.
    pub controller: Option<Controller>,
}

/// What an operator wants: that a node leads nothing, or what it should.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub node: NodeId,
    pub draining: bool,
}

impl Place {
    pub fn new(name: &'static str, machine: Machine) -> Self {
        Self { name, machine, slot: Mutex::default() }
    }

    pub fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("no check panics")
    }

    pub fn inside(&self) -> Option<Inside> {
        self.slot().inside.clone()
    }

    /// To be called when the process is killed: nobody keeps anything of it alive.
    pub fn forget(&self) {
        self.slot().inside = None;
    }

    /// Has the process tell the controller what an operator wants.
    pub fn order(&self, order: Order) {
        if let Some(orders) = &self.slot().orders {
            let _ = orders.try_send(order); // who has too many of them waits for a controller
        }
    }

    /// Asks the process to stop, as a supervisor does.
    pub fn stop(&self) {
        self.slot().stop.notify_one();
    }
}

/// Runs until it is killed; a process that has ended stays down until its machine starts another.
pub async fn run(cluster: Arc<Cluster>, place: usize) -> turmoil::Result {
    let place = &cluster.places[place];
    let stop = {
        let mut slot = place.slot();
        *slot = Slot { run: slot.run + 1, ..Slot::default() };
        Arc::clone(&slot.stop)
    };
    let trace = cluster.trace.of(place.name);
    trace.event("a process starts");
    let world = place.machine.boot_process();
    let ended = live(place, &world, &stop).await;
    trace.event(format_args!("the process ends: {ended:?}"));
    let is_excused = {
        let mut slot = place.slot();
        slot.inside = None;
        slot.has_ended = true;
        slot.is_excused
    };
    if let Err(why) = ended
        && !is_excused
    {
        cluster.violated(format!("{} ended by itself: {why}", place.name));
    }
    pending().await
}

async fn live(place: &Place, world: &World, stop: &Notify) -> Result<(), String> {
    let config = config(place.name);
    let starting = Node::start(world, &config);
    let node = tokio::select! {
        biased;
        started = starting => started.map_err(|error| error.to_string())?,
        () = stop.notified() => return Ok(()),
    };
    let broker = node.broker().cloned().expect("every node here is a broker");
    let (orders, taken) = mpsc::channel(ORDERS_MAX);
    {
        let mut slot = place.slot();
        slot.inside = Some(Inside { run: slot.run, broker: broker.clone(), controller: node.controller().cloned() });
        slot.orders = Some(orders);
    }
    tokio::select! {
        biased;
        why = node.failed() => Err(why),
        () = obey(&broker, taken) => unreachable!("orders come as long as the process lives"),
        () = stop.notified() => {
            // It is looked at until the end: while others take over, it still appends and answers.
            node.stop().await;
            Ok(())
        }
    }
}

/// Passes on what an operator wants.
async fn obey(broker: &Broker, mut orders: mpsc::Receiver<Order>) {
    while let Some(Order { node, draining }) = orders.recv().await {
        let preferred = ElectLeaders { kind: ElectionKind::Preferred, partitions: None };
        let then = (!draining).then_some(Command::ElectLeaders(preferred));
        for command in [Command::Drain { node, draining }].into_iter().chain(then) {
            // It may come to nothing: there may be no controller, and the next order will find one.
            let _ = broker.submit(&command, &Origin::default(), ORDER_PATIENCE).await;
        }
    }
    pending().await
}

const ORDERS_MAX: usize = 8;
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// As the command line would make it.
fn config(name: &str) -> NodeConfig {
    let seeds = NAMES.map(|name| format!("{name}:{PEER_PORT}")).join(",");
    let mut flags = vec![
        Given::flag("--data-dir", "/data"),
        Given::flag("--seeds", &seeds),
        Given::flag("--advertise", &format!("{name}:{KAFKA_PORT}")),
    ];
    // A follower that has fallen silent is to leave the ISR within a run, and logs are to be compacted; a disk that
    // fails is one of two.
    for setting in ["replica.lag.time.max.ms=3000", "log.cleaner.backoff.ms=700", "log.dirs=/data/log/a,/data/log/b"] {
        flags.push(Given::set(setting).expect("it has a key and a value"));
    }
    let (config, problems) = NodeConfig::load(None, [], &flags);
    assert!(!has_errors(&problems), "the simulator configures its nodes rightly: {problems:?}");
    config
}

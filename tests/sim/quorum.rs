//! Three controllers, a client that counts what was acknowledged, and faults by seed: nothing acknowledged may be gone.
//!
//! Faults come every few seconds: a process or a machine crashes, the power of all fails at once, a node is cut off, a
//! disk fails a sync. Then everything heals, and the nodes must agree on one history that holds every acknowledged
//! number at the place that was named for it.
//!
//! Invariants checked while it runs: no two nodes ever apply different facts at one index; no node is ever back in an
//! earlier term, in which it could vote again, whatever its machine has been through.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use dohle::base::World;
use dohle::base::ids::{DirectoryId, MetadataIndex, NodeId, Uuid};
use dohle::base::network::Connection;
use dohle::quorum::{
    Encode, Facts, Floor, Late, Machine as RaftMachine, Member, ProposeError, Quorum, RaftLog, State, Tuning,
};
use dohle::server::grpc;
use dohle::server::peer::{PeerPort, PeerServices};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Server;
use turmoil::Sim;

use crate::runner::{Report, Worth};
use crate::world::Machine;
use crate::world::dice::Dice;
use crate::world::disk::Call;
use crate::world::trace::Trace;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PEER_PORT: u16 = 9093;
const CLIENT_PORT: u16 = 9092;
/// Snapshots often and a short log, so that some node needs one.
const TUNING: Tuning = Tuning {
    heartbeat_ms: 60,
    election_ms_min: 200,
    election_ms_max: 400,
    snapshot_after_entries: 150,
    kept_entries: 50,
};
const FAULTS_END: Duration = Duration::from_secs(30);
/// Of those who are just writing a vote or a snapshot, which is when they are easily lost.
const WRITERS_CRASH_PERCENT: u64 = 10;
const CALM_END: Duration = Duration::from_secs(40);

/// A defect that makes a run differ from its repetition; to show that the comparison can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// The client goes through the nodes in the order of a randomly keyed hash set.
    HashOrder,
    /// The client waits as long as the real clock's microseconds say.
    RealClock,
}

pub const WORTH: Worth = Worth { each: &[("acknowledged", 500)], somewhere: &["leader changes", "machine crashes"] };

pub fn run(seed: u64, plant: Option<Plant>) -> Report {
    let dice = Dice::new(seed);
    let trace = Trace::default();
    let cluster = Arc::new(Cluster::new(&dice, &trace));
    let mut sim = turmoil::Builder::new()
        .rng_seed(dice.number())
        .simulation_duration(CALM_END + Duration::from_secs(20))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(4096)
        .build();
    for (place, name) in NODES.iter().enumerate() {
        let cluster = Arc::clone(&cluster);
        sim.host(*name, move || node(Arc::clone(&cluster), place));
    }
    sim.client("client", client(Arc::clone(&cluster), plant));
    let machine_crashes = with_faults(&mut sim, &cluster, &dice.fork(), &trace.of("faults"));
    let history = cluster.history();
    let figures = [
        ("acknowledged", history.acknowledged.len()),
        ("leader changes", history.reigns.len().saturating_sub(1)),
        ("machine crashes", machine_crashes),
    ];
    let figures = figures.map(|(name, count)| (name.to_owned(), count as u64)).into();
    Report { trace, figures, violations: history.verdict() }
}

/// What is shared between the simulated hosts and the checks. Nothing of it is visible to the code under test.
struct Cluster {
    machines: Vec<Machine>,
    members: Vec<Member>,
    history: Mutex<History>,
    /// Each node's part in the quorum, since its process has one.
    quorums: Mutex<BTreeMap<usize, Quorum>>,
}

impl Cluster {
    fn new(dice: &Dice, trace: &Trace) -> Self {
        let machines = NODES.iter().map(|name| Machine::new(name, &dice.fork(), trace).paced()).collect();
        let members = NODES.iter().enumerate().map(|(place, name)| Member {
            node: NodeId(place as i32 + 1),
            directory: DirectoryId(Uuid(u128::from(dice.number()).to_be_bytes())),
            address: format!("{name}:{PEER_PORT}"),
        });
        let history = History { trace: trace.of("history"), ..History::default() };
        Self { machines, members: members.collect(), history: Mutex::new(history), quorums: Mutex::default() }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no check panics")
    }

    fn quorums(&self) -> MutexGuard<'_, BTreeMap<usize, Quorum>> {
        self.quorums.lock().expect("no check panics")
    }

    fn acknowledge(&self, number: u64, index: MetadataIndex) {
        self.history().acknowledged.insert(number, index);
    }
}

/// All that was promised and all that was done.
#[derive(Default)]
struct History {
    trace: Trace,
    acknowledged: BTreeMap<u64, MetadataIndex>,
    /// What was applied where, by whoever applied it first.
    applied: BTreeMap<MetadataIndex, u64>,
    /// How far each node has applied since it last started.
    ends: BTreeMap<usize, BTreeMap<MetadataIndex, u64>>,
    reigns: BTreeMap<(u64, u64), ()>,
    /// The latest term in which each node has voted.
    terms: BTreeMap<usize, u64>,
    /// Who puts a snapshot away.
    saving: BTreeSet<usize>,
    violations: Vec<String>,
}

impl History {
    fn on_applied(&mut self, node: usize, index: MetadataIndex, number: u64) {
        let first = *self.applied.entry(index).or_insert(number);
        if first != number {
            self.violations.push(format!("{} applied {number} at {index}, another node {first}", NODES[node]));
        }
        self.ends.entry(node).or_default().insert(index, number);
    }

    /// A node was seen to be in this term. Says whether that is news.
    fn on_term(&mut self, node: usize, term: u64) -> bool {
        let last = self.terms.entry(node).or_default();
        if term < *last {
            self.violations.push(format!("{} has voted in term {last} and is in term {term} again", NODES[node]));
        }
        term > std::mem::replace(last, term)
    }

    fn verdict(&self) -> Vec<String> {
        let mut violations = self.violations.clone();
        for (place, name) in NODES.iter().enumerate() {
            let empty = BTreeMap::new();
            let has = self.ends.get(&place).unwrap_or(&empty);
            if *has != self.applied {
                violations.push(format!("{name} ended with {} of {} applied facts", has.len(), self.applied.len()));
            }
            let gone = self.acknowledged.iter().filter(|(number, index)| has.get(index) != Some(number)).count();
            if gone > 0 {
                violations.push(format!("{name} lacks {gone} acknowledged numbers"));
            }
        }
        violations
    }
}

/// Notes what one node applies.
struct Numbers {
    cluster: Arc<Cluster>,
    place: usize,
    trace: Trace,
}

impl State for Numbers {
    fn apply(&mut self, index: MetadataIndex, facts: &Facts) -> io::Result<()> {
        let number = u64::from_be_bytes(facts.0[..].try_into().expect("the client writes 8 bytes"));
        self.trace.event(format_args!("applies {number} at {index}"));
        self.cluster.history().on_applied(self.place, index, number);
        Ok(())
    }

    /// The snapshot is what the history saw this node apply: index and number, one after the other.
    fn snapshot(&self) -> Encode {
        let mut history = self.cluster.history();
        history.saving.insert(self.place);
        let numbers = history.ends.entry(self.place).or_default().clone();
        Box::new(move || {
            numbers.iter().flat_map(|(index, number)| [index.0.to_be_bytes(), number.to_be_bytes()].concat()).collect()
        })
    }

    fn restore(&mut self, snapshot: &Bytes) -> io::Result<()> {
        self.trace.event(format_args!("restores {} bytes", snapshot.len()));
        let mut history = self.cluster.history();
        history.ends.remove(&self.place);
        for pair in snapshot.chunks_exact(16) {
            let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 of 16 bytes"));
            history.on_applied(self.place, MetadataIndex(number(&pair[..8])), number(&pair[8..]));
        }
        Ok(())
    }
}

/// One process of a node, until it is crashed or fails.
async fn node(cluster: Arc<Cluster>, place: usize) -> turmoil::Result {
    let trace = cluster.history().trace.of(NODES[place]);
    cluster.history().ends.remove(&place);
    cluster.quorums().remove(&place);
    trace.event("starts");
    let world = cluster.machines[place].boot_process();
    match serve(&cluster, place, &world, &trace).await {
        Ok(()) => trace.event("ended"),
        Err(error) => trace.event(format_args!("failed: {error}")),
    }
    std::future::pending().await // a process that has failed stays down until its machine is started again
}

async fn serve(cluster: &Arc<Cluster>, place: usize, world: &World, trace: &Trace) -> io::Result<()> {
    let store = world.stores.open(Path::new("/data/metadata"))?;
    let worker = world.executor.worker("raft-log");
    let floor = Floor::open(&*world.disk, Path::new("/data/metadata/hard_state"))?;
    let log = RaftLog::open(Arc::clone(&store), Arc::clone(&worker), floor)?;
    let me = cluster.members[place].clone();
    let state = Numbers { cluster: Arc::clone(cluster), place, trace: trace.clone() };
    let quorum = Quorum::start(world, me, log, RaftMachine::new(store, worker, state), TUNING)
        .await
        .map_err(io::Error::other)?;
    cluster.quorums().insert(place, quorum.clone());
    let peers = world.network.listen(&format!(":{PEER_PORT}")).await?;
    let control = Server::builder().add_service(grpc::raft::service(quorum.clone()));
    let _peer_port =
        PeerPort::open(world, peers, PeerServices { control, leading: Late::default(), reactors: Vec::new() });
    let _haste = quorum.hasten(world);
    if place == 0 {
        quorum.found(cluster.members.clone()).await.map_err(io::Error::other)?;
    }
    let mut clients = world.network.listen(&format!(":{CLIENT_PORT}")).await?;
    let mut reign = quorum.reign();
    let mut serving = Vec::new();
    loop {
        tokio::select! {
            biased;
            alive = quorum.reign_changed(reign) => {
                if !alive {
                    return Err(io::Error::other("Raft ended"));
                }
                reign = quorum.reign();
                trace.event(format_args!("sees {reign:?}"));
                if let (true, Some(leader)) = (reign.is_ours, reign.leader) {
                    cluster.history().reigns.insert((reign.term, leader.0), ());
                }
            }
            accepted = clients.accept() => {
                serving.push(world.executor.spawn("client", Box::pin(answer(accepted?, quorum.clone()))));
            }
        }
    }
}

/// Takes numbers from one client connection: 8 bytes in; out comes the index, or 0 for «not here», or nothing.
async fn answer(mut connection: Connection, quorum: Quorum) {
    while let Ok(number) = connection.read_u64().await {
        let answered = match quorum.propose(quorum.reign(), Bytes::copy_from_slice(&number.to_be_bytes())).await {
            Ok(index) => index.0,
            Err(ProposeError::NotLeader { .. }) => 0,
            Err(ProposeError::Unknown(_)) => return,
        };
        if connection.write_u64(answered).await.is_err() {
            return;
        }
    }
}

/// Writes one number after another, each to whichever node leads, until the calm ends. A number whose fate is unknown
/// is not written again.
async fn client(cluster: Arc<Cluster>, plant: Option<Plant>) -> turmoil::Result {
    let trace = cluster.history().trace.of("client");
    let started = Instant::now();
    let mut number = 0;
    let mut connections: [Option<turmoil::net::TcpStream>; 3] = [None, None, None];
    let mut place = 0;
    while started.elapsed() < CALM_END {
        let said = timeout(Duration::from_millis(200), write(&mut connections[place], NODES[place], number)).await;
        match said {
            Ok(Ok(0)) => {
                place = next_node(place, plant);
                sleep(pause(plant)).await;
            }
            Ok(Ok(index)) => {
                trace.event(format_args!("acknowledged {number} at {index}"));
                cluster.acknowledge(number, MetadataIndex(index));
                number += 1;
                sleep(Duration::from_millis(10)).await;
            }
            Ok(Err(_)) | Err(_) => {
                connections[place] = None;
                place = next_node(place, plant);
                number += 1;
                sleep(pause(plant)).await;
            }
        }
    }
    sleep(Duration::from_secs(3)).await; // the last numbers reach all nodes
    Ok(())
}

fn next_node(place: usize, plant: Option<Plant>) -> usize {
    if plant == Some(Plant::HashOrder) {
        let others: std::collections::HashSet<usize> = (0..NODES.len()).filter(|other| *other != place).collect();
        return others.into_iter().next().expect("there are two others");
    }
    (place + 1) % NODES.len()
}

fn pause(plant: Option<Plant>) -> Duration {
    let extra = if plant == Some(Plant::RealClock) {
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
        u64::from(real.subsec_micros() % 16)
    } else {
        0
    };
    Duration::from_millis(5 + extra)
}

async fn write(connection: &mut Option<turmoil::net::TcpStream>, node: &str, number: u64) -> io::Result<u64> {
    if connection.is_none() {
        *connection = Some(turmoil::net::TcpStream::connect((node, CLIENT_PORT)).await?);
    }
    let stream = connection.as_mut().expect("it was just made");
    stream.write_u64(number).await?;
    stream.read_u64().await
}

/// Steps the simulation to its end, with a fault now and then; returns how often a machine crashed.
fn with_faults(sim: &mut Sim<'_>, cluster: &Cluster, dice: &Dice, trace: &Trace) -> usize {
    let mut machine_crashes = 0;
    let mut next_fault = Duration::from_millis(dice.between(1_000, 3_000));
    let mut heal_at = None;
    loop {
        let now = sim.elapsed();
        if heal_at.is_some_and(|at| at <= now) {
            heal_at = None;
            trace.at(now.as_micros(), "all heal");
            heal(sim);
            next_fault = now + Duration::from_millis(dice.between(500, 3_000));
        } else if heal_at.is_none() && next_fault <= now && now < FAULTS_END {
            machine_crashes += fault(sim, cluster, dice, trace);
            heal_at = Some(now + Duration::from_millis(dice.between(200, 2_500)));
        }
        match sim.step() {
            Ok(true) => return machine_crashes,
            Ok(false) => {
                for place in writers(cluster) {
                    if sim.elapsed() < FAULTS_END && dice.chance(WRITERS_CRASH_PERCENT) {
                        trace.at(sim.elapsed().as_micros(), format_args!("{} is writing and crashes", NODES[place]));
                        sim.crash(NODES[place]);
                        cluster.machines[place].disk.crash_machine();
                        machine_crashes += 1;
                        let heals = sim.elapsed() + Duration::from_millis(dice.between(50, 1_000));
                        heal_at.get_or_insert(heals);
                    }
                }
            }
            Err(error) => {
                cluster
                    .history
                    .lock()
                    .expect("no check panics")
                    .violations
                    .push(format!("the simulation broke: {error}"));
                return machine_crashes;
            }
        }
    }
}

/// Whose term has risen, and who puts a snapshot away.
fn writers(cluster: &Cluster) -> BTreeSet<usize> {
    let terms: Vec<_> = cluster.quorums().iter().map(|(place, quorum)| (*place, quorum.reign().term)).collect();
    let mut history = cluster.history();
    // Before it has read its log, it is in no term.
    let voters = terms.into_iter().filter(|(place, term)| *term > 0 && history.on_term(*place, *term));
    let voters: BTreeSet<_> = voters.map(|(place, _)| place).collect();
    &voters | &std::mem::take(&mut history.saving)
}

/// Starts every node that is down, joins every link that is cut.
fn heal(sim: &mut Sim<'_>) {
    for name in NODES {
        if !sim.is_host_running(name) {
            sim.bounce(name);
        }
        for other in NODES.into_iter().chain(["client"]) {
            if other != name {
                sim.repair(name, other);
            }
        }
    }
}

fn fault(sim: &mut Sim<'_>, cluster: &Cluster, dice: &Dice, trace: &Trace) -> usize {
    let at = sim.elapsed().as_micros();
    let place = dice.below(NODES.len() as u64) as usize;
    let name = NODES[place];
    match dice.below(7) {
        0 | 1 => {
            trace.at(at, format_args!("the process of {name} crashes"));
            sim.crash(name);
            0
        }
        2 => {
            trace.at(at, format_args!("the machine of {name} crashes"));
            sim.crash(name);
            cluster.machines[place].disk.crash_machine();
            1
        }
        3 => {
            trace.at(at, "the power of all machines fails");
            for (machine, name) in cluster.machines.iter().zip(NODES) {
                sim.crash(name);
                machine.disk.crash_machine();
            }
            NODES.len()
        }
        4 => {
            trace.at(at, format_args!("{name} is cut off from its peers"));
            for other in NODES.into_iter().filter(|other| *other != name) {
                sim.partition(name, other);
            }
            0
        }
        5 => {
            trace.at(at, format_args!("the disk of {name} fails a sync, then its process is ended"));
            cluster.machines[place].disk.break_next(Call::Sync);
            watch_it_fail(sim, name);
            0
        }
        _ => {
            trace.at(at, format_args!("the disk of {name} is full, then its process is ended"));
            cluster.machines[place].disk.limit(0);
            watch_it_fail(sim, name);
            0
        }
    }
}

/// Gives a node time to meet a failing disk and to be seen not to go on, then ends it.
fn watch_it_fail(sim: &mut Sim<'_>, name: &str) {
    for _ in 0..100 {
        if !matches!(sim.step(), Ok(false)) {
            break;
        }
    }
    sim.crash(name);
}

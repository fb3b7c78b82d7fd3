//! Three whole nodes and their clients, tormented by seed, with everything that must hold checked while it runs.
//!
//! ```text
//!   FOUNDING ─► STORM: faults, writing, reading ─► CALM: all heal ─► DRAINING ─► READING anew ─► OVER
//!                                                                    converged?
//! ```
//!
//! The nodes are `dohle::node::Node` as the command line starts it, on simulated seams; clients come through the Kafka
//! port. Checks look from outside: at the clients' history (`history`), at what the nodes say of themselves (`watch`),
//! at the bytes on the disks (`replicas`).

mod clients;
mod drills;
mod faults;
mod history;
mod node;
mod replicas;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dohle::base::ids::{Offset, PartitionIndex};
use dohle::client::ClientError;
use turmoil::Sim;

use crate::runner::{Report, Worth};
use crate::world::Machine;
use crate::world::dice::Dice;
use crate::world::logs::{self, Alarms};
use crate::world::trace::Trace;
use faults::Faults;
use history::{History, Written};
use node::{NAMES, Place};
use replicas::Committed;
use watch::Watch;

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
const MIN_INSYNC: usize = 2;
const CLIENTS: [&str; 2] = ["writer", "reader"];

const LATENCY_MIN: Duration = Duration::from_millis(1);
const LATENCY_MAX: Duration = Duration::from_millis(5);

const FOUNDING_MAX: Duration = Duration::from_secs(20);
const STORM: Duration = Duration::from_secs(28);
/// When somebody else has to have led something.
const DEPOSITION: Duration = Duration::from_secs(22);
const CALM: Duration = Duration::from_secs(3);
const CONVERGENCE_MAX: Duration = Duration::from_secs(30);
const READING_MAX: Duration = Duration::from_secs(10);
/// How often the logs are read from the disks.
const LOGS_EVERY: Duration = Duration::from_millis(250);
/// After so many violations a run is not worth going on with.
const VIOLATIONS_MAX: usize = 10;

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    Founding,
    Storm,
    Calm,
    /// Nothing new is written.
    Draining,
    Reading,
    Over,
}

/// What differs from seed to seed besides the faults.
pub struct Plan {
    pub is_fsync: bool,
    pub padding_max: u64,
    segment_ms: u64,
    /// Closed segments are compacted all the time. No two records have the same key, so that nothing may go.
    pub is_compacted: bool,
}

impl Plan {
    fn throw(dice: &Dice) -> Self {
        Self {
            is_fsync: dice.chance(50),
            padding_max: *dice.pick(&[20, 500, 4_000]),
            segment_ms: *dice.pick(&[2_000, 6_000, 3_600_000]),
            is_compacted: dice.chance(40),
        }
    }

    pub fn topic_configs(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("min.insync.replicas", MIN_INSYNC.to_string()),
            ("durability", if self.is_fsync { "fsync" } else { "replicated" }.to_owned()),
            ("segment.bytes", (1 << 20).to_string()),
            ("segment.ms", self.segment_ms.to_string()),
            ("cleanup.policy", if self.is_compacted { "compact" } else { "delete" }.to_owned()),
            ("min.cleanable.dirty.ratio", "0".to_owned()),
            ("file.delete.delay.ms", "500".to_owned()),
        ])
    }
}

/// What is shared between the simulated hosts and the checks. Nothing of it is visible to the code under test.
pub struct Cluster {
    pub places: Vec<Place>,
    pub plan: Plan,
    pub trace: Trace,
    phase: Mutex<(Phase, Duration)>,
    history: Mutex<History>,
    /// How far each partition reaches in the end.
    ends: Mutex<BTreeMap<PartitionIndex, Offset>>,
    violations: Mutex<Vec<String>>,
}

impl Cluster {
    fn new(dice: &Dice, trace: &Trace) -> Self {
        Self {
            places: NAMES.map(|name| Place::new(name, Machine::new(name, &dice.fork(), trace).paced())).into(),
            plan: Plan::throw(dice),
            trace: trace.clone(),
            phase: Mutex::new((Phase::Founding, Duration::ZERO)),
            history: Mutex::default(),
            ends: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase.lock().expect("no check panics").0
    }

    /// When the present phase began.
    fn phase_began(&self) -> Duration {
        self.phase.lock().expect("no check panics").1
    }

    pub fn enter(&self, phase: Phase) {
        self.enter_at(phase, turmoil::sim_elapsed().expect("hosts live in simulated time"));
    }

    fn enter_at(&self, phase: Phase, now: Duration) {
        self.trace.of("phase").at(now.as_micros(), format_args!("{phase:?}"));
        *self.phase.lock().expect("no check panics") = (phase, now);
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no check panics")
    }

    pub fn violated(&self, what: String) {
        self.trace.of("CHECK").event(&what);
        self.violations.lock().expect("no check panics").push(what);
    }

    pub fn hold(&self, rule: Result<(), String>) {
        if let Err(what) = rule {
            self.violated(what);
        }
    }

    fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("no check panics").clone()
    }

    /// A writer has been told what became of a record.
    pub fn on_told(&self, written: Written, told: Result<Offset, ClientError>) {
        let mut history = self.history();
        history.outstanding -= 1;
        let kept = match told {
            Ok(offset) => history.on_acknowledged(written, offset),
            Err(_) => {
                history.on_given_up();
                Ok(())
            }
        };
        drop(history);
        self.hold(kept);
    }

    pub fn has_read_all(&self, reader: &str) -> bool {
        let ends = self.ends.lock().expect("no check panics");
        let history = self.history();
        self.phase() >= Phase::Reading && ends.iter().all(|(index, end)| history.next(reader, *index) >= *end)
    }
}

pub const WORTH: Worth = Worth {
    each: &[("acknowledged", 500), ("leader changes", 1), ("simulated seconds", 30)],
    somewhere: &[
        "truncations",
        "machine crashes",
        "wiped disks",
        "clock jumps",
        "pauses",
        "held links",
        "drains",
        "segment rolls",
        "full disks",
        "compacted logs",
    ],
};

pub fn run(seed: u64) -> Report {
    let dice = Dice::new(seed);
    let trace = Trace::default();
    let alarms = logs::listen(&trace);
    let cluster = Arc::new(Cluster::new(&dice, &trace));
    let mut sim = turmoil::Builder::new()
        .rng_seed(dice.number())
        .simulation_duration(Duration::from_secs(600))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(LATENCY_MIN)
        .max_message_latency(LATENCY_MAX)
        .tcp_capacity(1 << 16)
        .build();
    for (place, name) in NAMES.iter().enumerate() {
        let cluster = Arc::clone(&cluster);
        sim.host(*name, move || node::run(Arc::clone(&cluster), place));
    }
    let client = |name: &str| Machine::new(name, &dice.fork(), &trace);
    sim.client(CLIENTS[0], clients::write(Arc::clone(&cluster), client(CLIENTS[0]), dice.fork()));
    sim.client(CLIENTS[1], clients::read(Arc::clone(&cluster), client(CLIENTS[1])));
    let mut driver = Driver {
        cluster: Arc::clone(&cluster),
        alarms,
        watch: Watch::new(trace.of("facts"), cluster.plan.is_fsync),
        committed: Committed::default(),
        faults: None,
        dice: dice.fork(),
        logs_at: Duration::ZERO,
    };
    driver.drive(&mut sim);
    driver.report(&sim)
}

/// Steps the simulation, hurts it, and checks what must hold.
struct Driver {
    cluster: Arc<Cluster>,
    alarms: Alarms,
    watch: Watch,
    committed: Committed,
    faults: Option<Faults>,
    dice: Dice,
    logs_at: Duration,
}

impl Driver {
    fn drive(&mut self, sim: &mut Sim<'_>) {
        while self.cluster.violations().len() < VIOLATIONS_MAX {
            match sim.step() {
                Ok(true) => return,
                Ok(false) => self.after_step(sim),
                Err(error) => return self.violated(sim, format!("the simulation broke: {error}")),
            }
        }
    }

    fn after_step(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        for place in &self.cluster.places {
            // What a process that has ended leaves behind is a port that refuses.
            if place.slot().has_ended && sim.is_host_running(place.name) {
                sim.crash(place.name);
            }
        }
        self.check(sim);
        let lasted = now - self.cluster.phase_began();
        match self.cluster.phase() {
            Phase::Founding if lasted > FOUNDING_MAX => self.give_up(sim, "there is no cluster"),
            Phase::Storm => self.storm(sim, lasted),
            Phase::Calm if lasted >= CALM => self.cluster.enter_at(Phase::Draining, now),
            Phase::Draining => match self.unsettled() {
                None => self.settle(sim),
                Some(why) if lasted > CONVERGENCE_MAX => self.give_up(sim, &format!("it did not converge: {why}")),
                Some(_) => {}
            },
            Phase::Reading if lasted > READING_MAX => self.give_up(sim, "not everything could be read"),
            _ => {}
        }
    }

    fn storm(&mut self, sim: &mut Sim<'_>, lasted: Duration) {
        let begun = sim.elapsed() - lasted;
        let trace = self.cluster.trace.of("faults");
        let faults = self.faults.get_or_insert_with(|| Faults::new(self.dice.fork(), trace, begun));
        if lasted == DEPOSITION && self.watch.leader_changes() == 0 {
            faults.depose(sim, &self.cluster, &mut self.watch);
        }
        if lasted < STORM {
            return faults.step(sim, &self.cluster, &mut self.watch);
        }
        faults.heal(sim, &self.cluster, &mut self.watch);
        self.cluster.enter_at(Phase::Calm, sim.elapsed());
    }

    fn check(&mut self, sim: &Sim<'_>) {
        let mut wrong = self.watch.look(&self.cluster.places, sim.elapsed());
        for (index, offset) in std::mem::take(&mut self.cluster.history().fresh) {
            let copies = self.watch.copies(index, offset);
            if copies < MIN_INSYNC {
                wrong.push(format!("{index}:{offset} was acknowledged with {copies} copies"));
            }
        }
        if sim.elapsed() >= self.logs_at {
            self.logs_at = sim.elapsed() + LOGS_EVERY;
            wrong.extend(self.committed.check(&self.cluster, &self.watch));
        }
        for (who, what) in self.alarms.take() {
            let place = self.cluster.places.iter().find(|place| place.name == who);
            if !place.is_some_and(|place| place.slot().is_excused) {
                wrong.push(format!("{who} said: {what}"));
            }
        }
        wrong.into_iter().for_each(|what| self.violated(sim, what));
    }

    /// What has not come to rest yet.
    fn unsettled(&self) -> Option<String> {
        let outstanding = self.cluster.history().outstanding;
        if outstanding > 0 {
            return Some(format!("{outstanding} records are under way"));
        }
        let newest = self.watch.newest().applied();
        for place in &self.cluster.places {
            let Some(inside) = place.inside() else { return Some(format!("{} is not up", place.name)) };
            if inside.broker.image().applied() < newest {
                return Some(format!("{} has old metadata", place.name));
            }
        }
        for (index, partition) in self.watch.partitions() {
            if partition.state.leader.is_none() || partition.state.isr.len() < NAMES.len() {
                let replicas = [0, 1, 2].map(|place| self.watch.replica(place, index));
                return Some(format!("{index} is {:?}, {replicas:#?}", partition.state));
            }
            let replicas: Vec<_> = (0..NAMES.len()).map(|place| self.watch.replica(place, index)).collect();
            let end = replicas[0].map(|replica| replica.end);
            let is_level = |replica: &Option<watch::Replica>| {
                replica.is_some_and(|replica| Some(replica.end) == end && Some(replica.high_watermark) == end)
            };
            if !replicas.iter().all(is_level) {
                return Some(format!("{index} is not level: {replicas:?}"));
            }
        }
        None
    }

    fn settle(&mut self, sim: &Sim<'_>) {
        if let Err(why) = replicas::all_equal(&self.cluster.places) {
            self.violated(sim, why);
        }
        let ends = self.watch.partitions().map(|(index, _)| {
            let replica = self.watch.replica(0, index).expect("all replicas are level");
            (index, replica.end)
        });
        *self.cluster.ends.lock().expect("no check panics") = ends.collect();
        self.cluster.enter_at(Phase::Reading, sim.elapsed());
    }

    fn give_up(&self, sim: &Sim<'_>, why: &str) {
        self.violated(sim, why.to_owned());
        // Nothing more is to be learned: the clients end, and with them the run.
        self.cluster.enter_at(Phase::Over, sim.elapsed());
    }

    fn violated(&self, sim: &Sim<'_>, what: String) {
        self.cluster.trace.of("CHECK").at(sim.elapsed().as_micros(), &what);
        self.cluster.violations.lock().expect("no check panics").push(what);
    }

    fn report(self, sim: &Sim<'_>) -> Report {
        let history = self.cluster.history();
        let mut violations = self.cluster.violations();
        if violations.is_empty() {
            violations.extend(history.missing(clients::AFTERWARDS));
        }
        let figures = [
            ("simulated seconds", sim.elapsed().as_secs()),
            ("acknowledged", history.acknowledged() as u64),
            ("given up", history.given_up() as u64),
            ("leader changes", self.watch.leader_changes() as u64),
            ("truncations", self.watch.truncations as u64),
            ("segment rolls", replicas::rolls(&self.cluster.places) as u64),
            ("compacted logs", replicas::compacted(&self.cluster.places) as u64),
        ];
        let counts = self.faults.iter().flat_map(|faults| faults.counts.iter().map(|(name, count)| (*name, *count)));
        let figures = figures.into_iter().chain(counts).map(|(name, count)| (name.to_owned(), count)).collect();
        Report { trace: self.cluster.trace.clone(), figures, violations }
    }
}

//! What befalls the cluster, by seed: processes and machines die, links are cut in one direction or both, disks fail.
//!
//! A fault lasts for a while and is then undone; several may last at the same time. A machine crash loses what was not
//! synced, which `durability=replicated` survives as long as one replica of each partition keeps all that was
//! committed: a machine whose crash would take the last one is spared. With `durability=fsync` the power of all may
//! fail at once.

use std::collections::BTreeMap;
use std::time::Duration;

use dohle::base::ids::{BrokerEpoch, NodeId};
use dohle::metadata::partitions::Partition;
use turmoil::Sim;

use super::node::NAMES;
use super::watch::{Watch, place_of};
use super::{CLIENTS, Cluster, MIN_INSYNC};
use crate::world::dice::Dice;
use crate::world::disk::Call;
use crate::world::trace::Trace;

/// Something that befell the cluster, until when.
struct Fault {
    until: Duration,
    /// Nodes whose processes are to be started again.
    down: Vec<usize>,
    /// Links that are to be joined again.
    cut: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    ProcessCrash,
    MachineCrash,
    /// It is asked to stop.
    Stop,
    /// First nobody hears of it any more, then its process dies.
    Vanish,
    /// From all, clients too.
    Isolate,
    /// It hears nobody.
    Deafen,
    /// Nobody hears it.
    Mute,
    /// From one other node.
    CutLink,
    CutLinkOneWay,
    CutClients,
    DiskFails,
    AllProcessesCrash,
    PowerFails,
}

/// How often each is chosen, of the sum of all.
const ODDS: [(u64, Kind); 13] = [
    (6, Kind::ProcessCrash),
    (6, Kind::MachineCrash),
    (3, Kind::Stop),
    (3, Kind::Vanish),
    (4, Kind::Isolate),
    (3, Kind::Deafen),
    (3, Kind::Mute),
    (3, Kind::CutLink),
    (3, Kind::CutLinkOneWay),
    (1, Kind::CutClients),
    (1, Kind::DiskFails),
    (1, Kind::AllProcessesCrash),
    (2, Kind::PowerFails),
];

pub struct Faults {
    dice: Dice,
    trace: Trace,
    lasting: Vec<Fault>,
    next: Duration,
    /// Machines that crashed, and the registration their broker had: until it is in sync again as another, what it kept
    /// does not count.
    lossy: BTreeMap<usize, Option<BrokerEpoch>>,
    pub machine_crashes: usize,
    pub last_machine_crash: Option<Duration>,
}

impl Faults {
    pub fn new(dice: Dice, trace: Trace, start: Duration) -> Self {
        let next = start + Duration::from_millis(dice.between(1_000, 4_000));
        Self {
            dice,
            trace,
            lasting: Vec::new(),
            next,
            lossy: BTreeMap::new(),
            machine_crashes: 0,
            last_machine_crash: None,
        }
    }

    /// Undoes what has lasted long enough, and does something new when it is time.
    pub fn step(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        let now = sim.elapsed();
        let (over, lasting) = self.lasting.drain(..).partition(|fault| fault.until <= now);
        self.lasting = lasting;
        let over: Vec<Fault> = over;
        over.into_iter().for_each(|fault| self.undo(sim, cluster, &fault));
        if self.next <= now {
            self.strike(sim, cluster, watch);
            self.next = now + Duration::from_millis(self.dice.between(300, 5_000));
        }
    }

    /// Undoes everything.
    pub fn heal(&mut self, sim: &mut Sim<'_>, cluster: &Cluster) {
        self.note(sim, "all heal");
        let lasting = std::mem::take(&mut self.lasting);
        lasting.iter().for_each(|fault| self.undo(sim, cluster, fault));
        for (at, place) in cluster.places.iter().enumerate() {
            if place.slot().has_ended || !sim.is_host_running(NAMES[at]) {
                self.start(sim, cluster, at);
            }
        }
    }

    fn undo(&self, sim: &mut Sim<'_>, cluster: &Cluster, fault: &Fault) {
        for (from, to) in &fault.cut {
            sim.repair(*from, *to);
        }
        for at in &fault.down {
            self.start(sim, cluster, *at);
        }
    }

    fn start(&self, sim: &mut Sim<'_>, cluster: &Cluster, at: usize) {
        self.kill(sim, cluster, at);
        self.note(sim, format_args!("{} starts again", NAMES[at]));
        sim.bounce(NAMES[at]);
    }

    fn kill(&self, sim: &mut Sim<'_>, cluster: &Cluster, at: usize) {
        cluster.places[at].forget();
        if sim.is_host_running(NAMES[at]) {
            sim.crash(NAMES[at]);
        }
    }

    fn strike(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        let at = self.dice.below(NAMES.len() as u64) as usize;
        let kind = self.choose(cluster, watch, at);
        let other = (at + 1 + self.dice.below(NAMES.len() as u64 - 1) as usize) % NAMES.len();
        let (name, other) = (NAMES[at], NAMES[other]);
        let lasts = *self.dice.pick(&[self.dice.between(100, 1_000), self.dice.between(500, 8_000)]);
        let until = sim.elapsed() + Duration::from_millis(lasts);
        self.note(sim, format_args!("{kind:?} {name} ({other}), for {lasts} ms"));
        let mut fault = Fault { until, down: vec![at], cut: Vec::new() };
        let everybody = || NAMES.into_iter().chain(CLIENTS).filter(|other| *other != name).map(|other| (name, other));
        match kind {
            Kind::ProcessCrash => self.kill(sim, cluster, at),
            Kind::MachineCrash => self.crash_machine(sim, cluster, watch, at),
            Kind::Stop => cluster.places[at].stop(),
            Kind::Vanish => {
                fault.cut = everybody().collect();
                fault.cut.iter().for_each(|(name, other)| sim.partition(*name, *other));
                self.kill(sim, cluster, at);
            }
            Kind::DiskFails => {
                cluster.places[at].slot().is_excused = true;
                cluster.places[at].machine.disk.break_next(Call::Sync);
            }
            Kind::AllProcessesCrash | Kind::PowerFails => {
                fault.down = (0..NAMES.len()).collect();
                for at in 0..NAMES.len() {
                    match kind {
                        Kind::PowerFails => self.crash_machine(sim, cluster, watch, at),
                        _ => self.kill(sim, cluster, at),
                    }
                }
            }
            _ => {
                fault.down = Vec::new();
                fault.cut = match kind {
                    Kind::CutLink | Kind::CutLinkOneWay => vec![(name, other)],
                    Kind::CutClients => CLIENTS.map(|client| (name, client)).to_vec(),
                    _ => everybody().collect(),
                };
                cut(sim, kind, &fault.cut);
            }
        }
        self.lasting.push(fault);
    }

    /// What the durability of this run does not survive becomes something milder.
    fn choose(&mut self, cluster: &Cluster, watch: &Watch, at: usize) -> Kind {
        let mut throw = self.dice.below(ODDS.iter().map(|(odds, _)| odds).sum());
        let chosen = ODDS.into_iter().find(|(odds, _)| {
            let is_it = throw < *odds;
            throw = throw.saturating_sub(*odds);
            is_it
        });
        let (_, kind) = chosen.expect("a throw is below the sum of the odds");
        self.lossy.retain(|place, before| !is_back(watch, *place, *before));
        let keeps_all = |node: NodeId| place_of(node) != at && !self.lossy.contains_key(&place_of(node));
        let is_survived = watch.partitions().all(|(_, it)| it.isr().chain(it.elr()).any(keeps_all));
        match kind {
            _ if cluster.plan.is_fsync => kind,
            Kind::PowerFails => Kind::AllProcessesCrash,
            Kind::MachineCrash if !is_survived => Kind::ProcessCrash,
            _ => kind,
        }
    }

    fn crash_machine(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch, at: usize) {
        self.kill(sim, cluster, at);
        cluster.places[at].machine.disk.crash_machine();
        watch.forget(at);
        self.lossy.insert(at, epoch_of(watch, at));
        self.machine_crashes += 1;
        self.last_machine_crash = Some(sim.elapsed());
    }

    fn note(&self, sim: &Sim<'_>, what: impl std::fmt::Display) {
        self.trace.at(sim.elapsed().as_micros(), what);
    }
}

/// The registration of a machine's broker.
fn epoch_of(watch: &Watch, place: usize) -> Option<BrokerEpoch> {
    watch.newest().nodes().iter().find(|node| place_of(node.id) == place).map(|node| node.epoch)
}

/// Whether a machine's broker is in sync everywhere, in a later registration than `before`.
fn is_back(watch: &Watch, place: usize, before: Option<BrokerEpoch>) -> bool {
    let is_in = |partition: &Partition| partition.isr().any(|node| place_of(node) == place);
    epoch_of(watch, place) > before && watch.partitions().all(|(_, partition)| is_in(partition))
}

fn cut(sim: &Sim<'_>, kind: Kind, links: &[(&'static str, &'static str)]) {
    for (name, other) in links {
        match kind {
            Kind::Mute | Kind::CutLinkOneWay => sim.partition_oneway(*name, *other),
            Kind::Deafen => sim.partition_oneway(*other, *name),
            _ => sim.partition(*name, *other),
        }
    }
}

const _: () = assert!(MIN_INSYNC < NAMES.len(), "one replica may be lost at a time");

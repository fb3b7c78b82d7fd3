//! What befalls the cluster, by seed: processes and machines die, disks fail, are full or wiped, links are cut, slow or
//! held up, in one direction or both, clocks are set, processes stand still, leaders are moved.
//!
//! Every fault is a few acts on an agenda, the last of which mend what the first have broken; several may last at the
//! same time. Each seed has its own preferences among them, or none would be seen together with itself often enough.
//!
//! A machine crash loses what was not synced, which `durability=replicated` survives as long as one replica of each
//! partition keeps all that was committed: a machine whose crash would take the last one is spared. With
//! `durability=fsync` the power of all may fail at once. One disk is wiped at most: a wiped voter is none any more, and
//! two of three would be no quorum.

use std::collections::BTreeMap;
use std::time::Duration;

use dohle::base::ids::{BrokerEpoch, NodeId};
use dohle::metadata::partitions::Partition;
use turmoil::Sim;

use super::drills;
use super::node::{NAMES, Order};
use super::watch::{Watch, place_of};
use super::{CLIENTS, Cluster, MIN_INSYNC};
use crate::world::dice::Dice;
use crate::world::disk::Call;
use crate::world::trace::Trace;

/// From whom to whom.
pub type Link = (&'static str, &'static str);

/// Something that is done to the cluster at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Kill(usize),
    /// With the loss of what was not synced.
    CrashMachine(usize),
    Wipe(usize),
    Start(usize),
    /// It is asked to stop.
    Stop(usize),
    /// The next sync of its disk fails.
    FailSync(usize),
    /// Its disk has room for so many bytes more.
    Fill(usize, u64),
    /// There is room again; a process that could not do without it is started.
    MakeRoom(usize),
    Cut(Link),
    CutOneWay(Link),
    Join(Link),
    /// What is sent arrives when the link is released.
    Hold(Link),
    HoldOneWay(Link),
    Release(Link),
    Slow(Link, u64),
    Hurry(Link),
    Pause(usize),
    Resume(usize),
    SetClock(usize, i64),
    /// Others are to lead what it leads.
    Drain(usize),
    /// It leads again what it should.
    Undrain(usize),
}

/// What is to be done when: so many milliseconds from now.
pub type Acts = Vec<(u64, Act)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    ProcessCrash,
    MachineCrash,
    Wipe,
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
    HoldLink,
    HoldLinkOneWay,
    SlowLink,
    Pause,
    SetClock,
    Drain,
    DiskFails,
    DiskFull,
    AllProcessesCrash,
    PowerFails,
    LateProposal,
    LateAcks,
}

/// How often each is chosen, of the sum of all; a seed may double that, or leave it out.
const ODDS: [(u64, Kind); 23] = [
    (6, Kind::ProcessCrash),
    (6, Kind::MachineCrash),
    (1, Kind::Wipe),
    (3, Kind::Stop),
    (3, Kind::Vanish),
    (4, Kind::Isolate),
    (3, Kind::Deafen),
    (3, Kind::Mute),
    (3, Kind::CutLink),
    (3, Kind::CutLinkOneWay),
    (1, Kind::CutClients),
    (2, Kind::HoldLink),
    (3, Kind::HoldLinkOneWay),
    (3, Kind::SlowLink),
    (3, Kind::Pause),
    (2, Kind::SetClock),
    (3, Kind::Drain),
    (1, Kind::DiskFails),
    (3, Kind::DiskFull),
    (1, Kind::AllProcessesCrash),
    (2, Kind::PowerFails),
    (2, Kind::LateProposal),
    (4, Kind::LateAcks),
];

pub struct Faults {
    dice: Dice,
    trace: Trace,
    odds: Vec<(u64, Kind)>,
    agenda: Vec<(Duration, Act)>,
    next: Duration,
    /// Machines that lost something, and the registration their broker had: until it is in sync again as another, what
    /// it kept does not count.
    lossy: BTreeMap<usize, Option<BrokerEpoch>>,
    /// What was sent this way is held up, and what was sent the other way is not.
    held_one_way: Vec<Link>,
    wiped: bool,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub fn new(dice: Dice, trace: Trace, start: Duration) -> Self {
        let next = start + Duration::from_millis(dice.between(1_000, 4_000));
        let prefer = |(odds, kind)| (odds * *dice.pick(&[0, 1, 1, 2]), kind);
        let mut odds: Vec<_> = ODDS.into_iter().map(prefer).collect();
        odds[0].0 = odds[0].0.max(1); // something is always possible
        Self {
            dice,
            trace,
            odds,
            agenda: Vec::new(),
            next,
            lossy: BTreeMap::new(),
            held_one_way: Vec::new(),
            wiped: false,
            counts: BTreeMap::new(),
        }
    }

    /// Does what the agenda says, and puts something new on it when it is time.
    pub fn step(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        let now = sim.elapsed();
        let due: Vec<_> = self.agenda.extract_if(.., |(at, _)| *at <= now).collect();
        due.into_iter().for_each(|(_, act)| self.act(sim, cluster, watch, act));
        if self.next <= now {
            self.strike(sim, cluster, watch);
            self.next = now + Duration::from_millis(self.dice.between(300, 5_000));
        }
        self.let_the_other_way_pass(sim);
    }

    /// Mends everything.
    pub fn heal(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        self.note(sim, "all heal");
        let agenda = std::mem::take(&mut self.agenda);
        let mends = agenda.into_iter().map(|(_, act)| act).filter(|act| act.mends());
        mends.for_each(|act| self.act(sim, cluster, watch, act));
        for (at, place) in cluster.places.iter().enumerate() {
            if place.slot().has_ended || !sim.is_host_running(NAMES[at]) {
                self.act(sim, cluster, watch, Act::Start(at));
            }
        }
    }

    /// Whoever leads a partition dies: a run in which nobody else ever had to lead says little.
    pub fn depose(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        let leader = watch.partitions().find_map(|(_, partition)| partition.state.leader);
        let Some(at) = leader.map(place_of) else { return };
        self.act(sim, cluster, watch, Act::Kill(at));
        self.agenda.push((sim.elapsed() + Duration::from_secs(2), Act::Start(at)));
    }

    fn strike(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch) {
        let at = self.dice.below(NAMES.len() as u64) as usize;
        let kind = self.choose();
        let other = (at + 1 + self.dice.below(NAMES.len() as u64 - 1) as usize) % NAMES.len();
        let lasts = *self.dice.pick(&[self.dice.between(100, 1_000), self.dice.between(500, 8_000)]);
        self.note(sim, format_args!("{kind:?} {} ({}), for {lasts} ms", NAMES[at], NAMES[other]));
        let acts = self.acts(kind, cluster, watch, (at, other), lasts);
        for (in_ms, act) in acts {
            match in_ms {
                0 => self.act(sim, cluster, watch, act),
                _ => self.agenda.push((sim.elapsed() + Duration::from_millis(in_ms), act)),
            }
        }
    }

    fn choose(&self) -> Kind {
        let mut throw = self.dice.below(self.odds.iter().map(|(odds, _)| odds).sum());
        let chosen = self.odds.iter().find(|(odds, _)| {
            let is_it = throw < *odds;
            throw = throw.saturating_sub(*odds);
            is_it
        });
        chosen.expect("a throw is below the sum of the odds").1
    }

    /// What a fault consists of.
    fn acts(&self, kind: Kind, cluster: &Cluster, watch: &Watch, (at, other): (usize, usize), lasts: u64) -> Acts {
        let name = NAMES[at];
        let link = (name, NAMES[other]);
        let others = || NAMES.into_iter().chain(CLIENTS).filter(|other| *other != name);
        let links = |act: fn(Link) -> Act, in_ms: u64| others().map(move |other| (in_ms, act((name, other))));
        let deaf = || others().map(|other| (0, Act::CutOneWay((other, name))));
        match kind {
            Kind::ProcessCrash => vec![(0, Act::Kill(at)), (lasts, Act::Start(at))],
            Kind::MachineCrash => vec![(0, Act::CrashMachine(at)), (lasts, Act::Start(at))],
            Kind::Wipe => vec![(0, Act::Wipe(at)), (lasts, Act::Start(at))],
            Kind::Stop => vec![(0, Act::Stop(at)), (lasts, Act::Start(at))],
            Kind::Vanish => links(Act::Cut, 0)
                .chain([(0, Act::Kill(at))])
                .chain(links(Act::Join, lasts))
                .chain([(lasts, Act::Start(at))])
                .collect(),
            Kind::Isolate => links(Act::Cut, 0).chain(links(Act::Join, lasts)).collect(),
            Kind::Mute => links(Act::CutOneWay, 0).chain(links(Act::Join, lasts)).collect(),
            Kind::Deafen => deaf().chain(links(Act::Join, lasts)).collect(),
            Kind::CutLink => vec![(0, Act::Cut(link)), (lasts, Act::Join(link))],
            Kind::CutLinkOneWay => vec![(0, Act::CutOneWay(link)), (lasts, Act::Join(link))],
            Kind::CutClients => {
                let client = CLIENTS.map(|client| (name, client));
                client
                    .map(|link| (0, Act::Cut(link)))
                    .into_iter()
                    .chain(client.map(|link| (lasts, Act::Join(link))))
                    .collect()
            }
            Kind::HoldLink => vec![(0, Act::Hold(link)), (lasts, Act::Release(link))],
            Kind::HoldLinkOneWay => vec![(0, Act::HoldOneWay(link)), (lasts, Act::Release(link))],
            Kind::SlowLink => vec![(0, Act::Slow(link, self.dice.between(20, 300))), (lasts, Act::Hurry(link))],
            Kind::Pause => {
                let held = links(Act::Hold, 0).chain([(0, Act::Pause(at)), (lasts, Act::Resume(at))]);
                held.chain(links(Act::Release, lasts)).collect()
            }
            Kind::SetClock => {
                let ms = *self.dice.pick(&[1_000, 60_000, 3_600_000, 200_000_000]) as i64;
                vec![(0, Act::SetClock(at, if self.dice.chance(50) { ms } else { -ms }))]
            }
            Kind::Drain => vec![(0, Act::Drain(at)), (lasts, Act::Undrain(at))],
            Kind::DiskFails => vec![(0, Act::FailSync(at)), (lasts, Act::Start(at))],
            Kind::DiskFull => {
                vec![(0, Act::Fill(at, *self.dice.pick(&[0, 1_000, 20_000]))), (lasts, Act::MakeRoom(at))]
            }
            Kind::AllProcessesCrash => all(Act::Kill, 0).chain(all(Act::Start, lasts)).collect(),
            Kind::PowerFails if cluster.plan.is_fsync => {
                all(Act::CrashMachine, 0).chain(all(Act::Start, lasts)).collect()
            }
            Kind::PowerFails => all(Act::Kill, 0).chain(all(Act::Start, lasts)).collect(),
            Kind::LateProposal => drills::late_proposal(&self.dice, watch),
            Kind::LateAcks => drills::late_acks(&self.dice, watch),
        }
    }

    fn act(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch, act: Act) {
        self.note(sim, format_args!("  {act:?}"));
        self.count(act);
        match act {
            Act::Kill(at) => self.kill(sim, cluster, at),
            Act::CrashMachine(at) => self.crash_machine(sim, cluster, watch, at),
            Act::Wipe(at) => self.wipe(sim, cluster, watch, at),
            Act::Start(at) => {
                self.kill(sim, cluster, at);
                sim.bounce(NAMES[at]);
            }
            Act::Stop(at) => cluster.places[at].stop(),
            Act::FailSync(at) => self.fail_sync(sim, cluster, watch, at),
            Act::Fill(at, bytes) => {
                cluster.places[at].slot().is_excused = true;
                cluster.places[at].machine.disk.fill(bytes);
            }
            Act::MakeRoom(at) => {
                cluster.places[at].machine.disk.limit(u64::MAX);
                if cluster.places[at].slot().has_ended {
                    self.act(sim, cluster, watch, Act::Start(at));
                }
            }
            Act::Cut((from, to)) => sim.partition(from, to),
            Act::CutOneWay((from, to)) => sim.partition_oneway(from, to),
            Act::Join((from, to)) => sim.repair(from, to),
            Act::Hold(link) => self.hold(sim, link),
            Act::HoldOneWay(link) => {
                self.hold(sim, link);
                self.held_one_way.push(link);
            }
            Act::Release((from, to)) => {
                self.hold(sim, (from, to));
                sim.release(from, to);
            }
            Act::Slow((from, to), ms) => sim.set_link_latency(from, to, Duration::from_millis(ms)),
            Act::Hurry((from, to)) => {
                sim.set_link_latency(from, to, super::LATENCY_MIN);
                sim.set_link_max_message_latency(from, to, super::LATENCY_MAX);
            }
            Act::Pause(at) => cluster.places[at].machine.gate.close(),
            Act::Resume(at) => cluster.places[at].machine.gate.open(),
            Act::SetClock(at, ms) => cluster.places[at].machine.set_clock_by(ms),
            Act::Drain(at) => order(cluster, watch, at, true),
            Act::Undrain(at) => order(cluster, watch, at, false),
        }
    }

    /// In both directions, whatever was held before.
    fn hold(&mut self, sim: &Sim<'_>, (from, to): Link) {
        self.held_one_way.retain(|held| *held != (from, to) && *held != (to, from));
        sim.hold(from, to);
    }

    fn kill(&self, sim: &mut Sim<'_>, cluster: &Cluster, at: usize) {
        cluster.places[at].forget();
        if sim.is_host_running(NAMES[at]) {
            sim.crash(NAMES[at]);
        }
    }

    fn crash_machine(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch, at: usize) {
        self.kill(sim, cluster, at);
        if !cluster.plan.is_fsync {
            if !self.is_survived(watch, at) {
                return self.note(sim, format_args!("{} is spared", NAMES[at]));
            }
            self.lossy.insert(at, watch.epoch_of(at));
        }
        cluster.places[at].machine.disk.crash_machine();
        watch.forget(at, false);
        *self.counts.entry("machine crashes").or_default() += 1;
    }

    /// What a disk that has failed kept counts as little as after a crash of its machine.
    fn fail_sync(&mut self, sim: &Sim<'_>, cluster: &Cluster, watch: &Watch, at: usize) {
        if !cluster.plan.is_fsync {
            if !self.is_survived(watch, at) {
                return self.note(sim, format_args!("{} is spared", NAMES[at]));
            }
            self.lossy.insert(at, watch.epoch_of(at));
        }
        *self.counts.entry("failed syncs").or_default() += 1;
        cluster.places[at].slot().is_excused = true;
        cluster.places[at].machine.disk.break_next(Call::Sync);
    }

    fn wipe(&mut self, sim: &mut Sim<'_>, cluster: &Cluster, watch: &mut Watch, at: usize) {
        self.kill(sim, cluster, at);
        if self.wiped || !self.is_survived(watch, at) {
            return self.note(sim, format_args!("{} is spared", NAMES[at]));
        }
        self.wiped = true;
        self.lossy.insert(at, watch.epoch_of(at));
        cluster.places[at].machine.disk.wipe();
        watch.forget(at, true);
        *self.counts.entry("wiped disks").or_default() += 1;
    }

    /// Whether somebody else keeps what is committed, of every partition.
    fn is_survived(&mut self, watch: &Watch, at: usize) -> bool {
        self.lossy.retain(|place, before| !is_back(watch, *place, *before));
        let keeps_all = |node: NodeId| place_of(node) != at && !self.lossy.contains_key(&place_of(node));
        watch.partitions().all(|(_, it)| it.isr().chain(it.elr()).any(keeps_all))
    }

    /// turmoil holds a link in both directions: what was sent against the held one is delivered here.
    fn let_the_other_way_pass(&self, sim: &Sim<'_>) {
        if self.held_one_way.is_empty() {
            return;
        }
        let passing: Vec<_> = self.held_one_way.iter().map(|(from, to)| (sim.lookup(*to), sim.lookup(*from))).collect();
        sim.links(|links| {
            for sent in links.flatten() {
                let (from, to) = sent.pair();
                if passing.contains(&(from.ip(), to.ip())) {
                    sent.deliver();
                }
            }
        });
    }

    fn count(&mut self, act: Act) {
        let name = match act {
            Act::Pause(_) => "pauses",
            Act::SetClock(..) => "clock jumps",
            Act::Hold(_) | Act::HoldOneWay(_) => "held links",
            Act::Drain(_) => "drains",
            Act::Fill(..) => "full disks",
            _ => return,
        };
        *self.counts.entry(name).or_default() += 1;
    }

    fn note(&self, sim: &Sim<'_>, what: impl std::fmt::Display) {
        self.trace.at(sim.elapsed().as_micros(), what);
    }
}

impl Act {
    /// Whether it undoes another.
    fn mends(self) -> bool {
        matches!(
            self,
            Self::Start(_)
                | Self::MakeRoom(_)
                | Self::Join(_)
                | Self::Release(_)
                | Self::Hurry(_)
                | Self::Resume(_)
                | Self::Undrain(_)
        )
    }
}

fn all(act: fn(usize) -> Act, in_ms: u64) -> impl Iterator<Item = (u64, Act)> {
    (0..NAMES.len()).map(move |at| (in_ms, act(at)))
}

/// Has some broker that is up tell the controller; the active one's, if it can.
fn order(cluster: &Cluster, watch: &Watch, at: usize, draining: bool) {
    let active = watch.newest().cluster().controller.map(|controller| place_of(controller.node));
    let places = active.into_iter().chain(0..NAMES.len());
    if let Some(place) = places.map(|place| &cluster.places[place]).find(|place| place.inside().is_some()) {
        place.order(Order { node: NodeId(at as i32 + 1), draining });
    }
}

/// Whether a machine's broker is in sync everywhere, in a later registration than `before`.
fn is_back(watch: &Watch, place: usize, before: Option<BrokerEpoch>) -> bool {
    let is_in = |partition: &Partition| partition.isr().any(|node| place_of(node) == place);
    watch.epoch_of(place) > before && watch.partitions().all(|(_, partition)| is_in(partition))
}

const _: () = assert!(MIN_INSYNC < NAMES.len(), "one replica may be lost at a time");

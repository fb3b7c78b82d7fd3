//! Runs seeds, each in a process of its own, two at a time, and sums up.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use dohle::base::mutants::Mutant;

use crate::quorum::Plant;
use crate::world::trace::Trace;
use crate::{cluster, quorum};

/// How many seeds a planted bug may stay hidden for.
const MUTANT_SEEDS_MAX: u64 = 500;

/// What is simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scene {
    /// Whole nodes, and clients of Kafka's protocol.
    Cluster,
    /// The quorum alone, with a shorter log and harder faults.
    Quorum,
}

/// What a run came to.
pub struct Report {
    pub trace: Trace,
    /// How much of what happened.
    pub figures: Figures,
    /// What was violated; nothing when all is well.
    pub violations: Vec<String>,
}

/// Counts, by what was counted.
pub type Figures = BTreeMap<String, u64>;

/// When runs say anything: one in which little happened proves nothing.
pub struct Worth {
    /// In every run, at least so much.
    pub each: &'static [(&'static str, u64)],
    /// In a set of runs, at least once.
    pub somewhere: &'static [&'static str],
}

impl Scene {
    fn run(self, seed: u64, plant: Option<Plant>) -> Report {
        match self {
            Self::Cluster => cluster::run(seed),
            Self::Quorum => quorum::run(seed, plant),
        }
    }

    fn worth(self) -> Worth {
        match self {
            Self::Cluster => cluster::WORTH,
            Self::Quorum => quorum::WORTH,
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Cluster => "--cluster",
            Self::Quorum => "--quorum",
        }
    }
}

pub fn main(arguments: &[String]) -> ExitCode {
    match Order::read(arguments) {
        Ok(Order::Everything) => everything(),
        Ok(Order::Seeds(set)) => verdict(set.run()),
        Ok(Order::Trace { scene, seed }) => {
            print!("{}", scene.run(seed, None).trace.text());
            ExitCode::SUCCESS
        }
        Ok(Order::One { scene, seed, plant, mutant, trace }) => {
            mutant.into_iter().for_each(plant_mutant);
            one(scene, seed, plant, &trace)
        }
        Ok(Order::Hunt(hunt)) => hunt.run(),
        Ok(Order::Nothing) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error}; see the head of tests/sim/main.rs");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Order {
    /// What `cargo test` runs.
    Everything,
    Seeds(Set),
    Trace {
        scene: Scene,
        seed: u64,
    },
    /// Which of the planted bugs are found, each within so many seeds?
    Hunt(Hunt),
    /// A child: one run, its trace to a file, its figures on standard output.
    One {
        scene: Scene,
        seed: u64,
        plant: Option<Plant>,
        mutant: Option<Mutant>,
        trace: PathBuf,
    },
    /// `cargo test` passes on filters and flags of the usual harness; a filter that does not name us runs nothing.
    Nothing,
}

impl Order {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let (mut from, mut count, mut one, mut plant, mut trace) = (None, None, None, None, None);
        let (mut scene, mut twice, mut mutant, mut mutants) = (Scene::Cluster, u64::MAX, None, false);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--cluster" => scene = Scene::Cluster,
                "--quorum" => scene = Scene::Quorum,
                "--once" => twice = 0,
                "--from" => from = Some(number(value()?)?),
                "--seeds" => count = Some(number(value()?)?),
                "--trace" => return Ok(Self::Trace { scene, seed: number(value()?)? }),
                "--one" => one = Some(number(value()?)?),
                "--mutants" => mutants = true,
                "--mutant" => mutant = Some(mutant_of(value()?)?),
                "--plant" => plant = Some(plant_of(value()?)?),
                "--trace-file" => trace = Some(PathBuf::from(value()?)),
                "--list" => return Ok(Self::Nothing),
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                filter if "sim".contains(filter) => {}
                _ => return Ok(Self::Nothing),
            }
        }
        Ok(match (one, trace, from, count) {
            (Some(seed), Some(trace), ..) => Self::One { scene, seed, plant, mutant, trace },
            _ if mutants => Self::Hunt(Hunt {
                mutants: mutant.map_or(Mutant::ALL.to_vec(), |only| vec![only]),
                from: from.unwrap_or(1),
                most: count.unwrap_or(MUTANT_SEEDS_MAX),
            }),
            (_, _, None, None) if arguments.is_empty() => Self::Everything,
            _ => Self::Seeds(Set { scene, from: from.unwrap_or(1), count: count.unwrap_or(1), twice }),
        })
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn mutant_of(text: &str) -> Result<Mutant, String> {
    let found = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == text);
    found.ok_or_else(|| format!("no mutant is called {text:?}"))
}

fn plant_of(text: &str) -> Result<Plant, String> {
    [Plant::HashOrder, Plant::RealClock]
        .into_iter()
        .find(|plant| format!("{plant:?}") == text)
        .ok_or_else(|| format!("no defect is called {text:?}"))
}

/// One run in this process: the trace goes to a file, the figures to standard output, a line for each, and violations
/// to standard error.
fn one(scene: Scene, seed: u64, plant: Option<Plant>, trace: &PathBuf) -> ExitCode {
    let report = scene.run(seed, plant);
    fs::write(trace, report.trace.text()).expect("the trace can be written");
    report.figures.iter().for_each(|(name, count)| println!("{count} {name}"));
    report.violations.iter().for_each(|violation| eprintln!("{violation}"));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a child came to.
struct Run {
    trace: Vec<u8>,
    figures: Figures,
    complaints: String,
    ok: bool,
}

fn child(scene: Scene, seed: u64, planted: &[String]) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let trace = folder.path().join("trace");
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args([scene.flag(), "--one", &seed.to_string(), "--trace-file"]).arg(&trace).stdin(Stdio::null());
    command.args(planted);
    let output = command.output().expect("this program can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    let figure =
        |line: &str| line.split_once(' ').and_then(|(count, name)| Some((name.to_owned(), count.parse().ok()?)));
    Run {
        trace: fs::read(&trace).unwrap_or_default(),
        figures: said.lines().filter_map(figure).collect(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
        ok: output.status.success(),
    }
}

/// Seeds to run.
#[derive(Clone, Copy)]
struct Set {
    scene: Scene,
    from: u64,
    count: u64,
    /// How many of them are run twice; the first ones.
    twice: u64,
}

impl Set {
    /// Runs all, and says how many failed.
    fn run(self) -> u64 {
        let Self { scene, from, count, twice } = self;
        let started = Instant::now();
        println!("sim: {scene:?}, seeds {from} to {}, {} of them twice", from + count - 1, twice.min(count));
        let next = AtomicU64::new(from);
        let results = Mutex::new(Vec::new());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= from + count {
                            return;
                        }
                        let (verdict, figures) = self.seed(seed);
                        if let Err(complaint) = &verdict {
                            let flag = scene.flag();
                            let again = format!("cargo sim {flag} --from {seed}; cargo sim {flag} --trace {seed}");
                            println!("sim: seed {seed} FAILED (again: {again})\n{}", complaint.trim_end());
                        }
                        let mut results = results.lock().expect("no seed panics here");
                        results.push((verdict.is_ok(), figures));
                        if results.len() % 20 == 0 {
                            println!("sim: {} of {count} after {} s", results.len(), started.elapsed().as_secs());
                        }
                    }
                });
            }
        });
        let results = results.into_inner().expect("no seed panics here");
        let failed = results.iter().filter(|(ok, _)| !ok).count() as u64 + self.unproven(&results);
        println!("sim: {scene:?}: {failed} failed, {:.0} s", started.elapsed().as_secs_f64());
        failed
    }

    /// Runs a seed and says what is wrong, if anything.
    fn seed(self, seed: u64) -> (Result<(), String>, Figures) {
        let first = child(self.scene, seed, &[]);
        if !first.ok {
            return (Err(first.complaints), first.figures);
        }
        for (name, least) in self.scene.worth().each {
            let count = first.figures.get(*name).copied().unwrap_or(0);
            if count < *least {
                return (Err(format!("unknown: only {count} {name}, {least} would say something")), first.figures);
            }
        }
        if seed < self.from.saturating_add(self.twice) {
            let second = child(self.scene, seed, &[]);
            if first.trace != second.trace {
                return (Err(difference(&first.trace, &second.trace)), first.figures);
            }
        }
        (Ok(()), first.figures)
    }

    /// Sums up what happened; 1 if what must happen somewhere has happened nowhere.
    fn unproven(self, results: &[(bool, Figures)]) -> u64 {
        let mut sums = Figures::new();
        for (name, count) in results.iter().flat_map(|(_, figures)| figures) {
            *sums.entry(name.clone()).or_default() += count;
        }
        let said: Vec<_> = sums.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("sim: {}", said.join(", "));
        let nowhere = |name: &&&str| sums.get(**name).is_none_or(|count| *count == 0);
        let missing: Vec<_> = self.scene.worth().somewhere.iter().filter(nowhere).collect();
        if !missing.is_empty() {
            println!("sim: unknown: no {missing:?} in this set; take more seeds");
        }
        u64::from(!missing.is_empty())
    }
}

fn difference(first: &[u8], second: &[u8]) -> String {
    let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    let place = first.lines().zip(second.lines()).position(|(one, other)| one != other);
    let line = |text: &str| text.lines().nth(place.unwrap_or(0)).unwrap_or_default().to_owned();
    format!("two runs differ, first at line {place:?}:\n  {}\n  {}", line(&first), line(&second))
}

/// Twenty clusters, a few quorums, and the proof that a seed decides everything.
fn everything() -> ExitCode {
    let mut failed = Set { scene: Scene::Cluster, from: 1, count: 20, twice: 2 }.run();
    failed += Set { scene: Scene::Quorum, from: 1, count: 2, twice: 2 }.run();
    failed += [Plant::HashOrder, Plant::RealClock].into_iter().filter(|plant| !is_caught(*plant)).count() as u64;
    verdict(failed)
}

fn verdict(failed: u64) -> ExitCode {
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A planted source of chaos must make two runs differ; otherwise comparing traces proves nothing.
fn is_caught(plant: Plant) -> bool {
    let run = || child(Scene::Quorum, 1, &["--plant".to_owned(), format!("{plant:?}")]).trace;
    let caught = run() != run();
    println!("sim: planted {plant:?}: {}", if caught { "caught" } else { "NOT CAUGHT" });
    caught
}

#[cfg(feature = "mutants")]
fn plant_mutant(mutant: Mutant) {
    mutant.plant();
}

#[cfg(not(feature = "mutants"))]
fn plant_mutant(mutant: Mutant) {
    panic!("{mutant:?} is not in this build: cargo sim --mutants");
}

/// Looks for planted bugs, each with one seed after another, until something is violated.
struct Hunt {
    mutants: Vec<Mutant>,
    from: u64,
    /// How many seeds each may stay hidden for.
    most: u64,
}

impl Hunt {
    fn run(&self) -> ExitCode {
        let started = Instant::now();
        let next = AtomicU64::new(0);
        let hidden = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(mutant) = self.mutants.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        let found = self.find(*mutant);
                        hidden.fetch_add(u64::from(found.is_err()), Ordering::Relaxed);
                        println!("sim: {mutant:?} {}", found.unwrap_or_else(|why| why));
                    }
                });
            }
        });
        let hidden = hidden.into_inner();
        let seconds = started.elapsed().as_secs();
        println!("sim: {hidden} of {} mutants not found by {} seeds each, {seconds} s", self.mutants.len(), self.most);
        verdict(hidden)
    }

    /// Which seed finds it, after how many, and by what; or that none does.
    fn find(&self, mutant: Mutant) -> Result<String, String> {
        let scene = scene_of(mutant);
        let planted = ["--mutant".to_owned(), format!("{mutant:?}")];
        for (tried, seed) in (self.from..self.from + self.most).enumerate() {
            let run = child(scene, seed, &planted);
            if run.ok {
                continue;
            }
            let healthy = child(scene, seed, &[]);
            if !healthy.ok {
                return Err(format!("NOT PROVEN: seed {seed} fails without it\n{}", healthy.complaints.trim_end()));
            }
            let how = run.complaints.lines().next().unwrap_or("it died without a word");
            return Ok(format!("found by seed {seed} after {} seeds: {how}", tried + 1));
        }
        Err(format!("NOT FOUND by seeds {} to {}", self.from, self.from + self.most - 1))
    }
}

/// Where a bug shows: what only a controller does shows sooner where there is nothing else.
fn scene_of(mutant: Mutant) -> Scene {
    match mutant {
        Mutant::VoteNotSynced | Mutant::HalfSnapshotKept => Scene::Quorum,
        _ => Scene::Cluster,
    }
}

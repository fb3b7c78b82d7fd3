//! Runs seeds, each twice and each in a process of its own, two at a time, and sums up.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::quorum::{self, Plant};

const SEEDS_DEFAULT: u64 = 10;
/// A run counts only if this much was acknowledged in it.
const ACKNOWLEDGED_MIN: usize = 500;

pub fn main(arguments: &[String]) -> ExitCode {
    match Order::read(arguments) {
        Ok(Order::Seeds { from, count }) => seeds(from, count),
        Ok(Order::Trace { seed }) => {
            print!("{}", quorum::run(seed, None).trace.text());
            ExitCode::SUCCESS
        }
        Ok(Order::One { seed, plant, trace }) => one(seed, plant, &trace),
        Ok(Order::Nothing) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error}; see the head of tests/sim/main.rs");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Order {
    Seeds {
        from: u64,
        count: u64,
    },
    Trace {
        seed: u64,
    },
    /// A child: one run, its trace to a file, its figures on standard output.
    One {
        seed: u64,
        plant: Option<Plant>,
        trace: PathBuf,
    },
    /// `cargo test` passes on filters and flags of the usual harness; a filter that does not name us runs nothing.
    Nothing,
}

impl Order {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let (mut from, mut count, mut one, mut plant, mut trace) = (1, SEEDS_DEFAULT, None, None, None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--from" => from = number(value()?)?,
                "--seeds" => count = number(value()?)?,
                "--trace" => return Ok(Self::Trace { seed: number(value()?)? }),
                "--one" => one = Some(number(value()?)?),
                "--plant" => plant = Some(plant_of(value()?)?),
                "--trace-file" => trace = Some(PathBuf::from(value()?)),
                "--list" => return Ok(Self::Nothing),
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                filter if "sim".contains(filter) => {}
                _ => return Ok(Self::Nothing),
            }
        }
        match (one, trace) {
            (Some(seed), Some(trace)) => Ok(Self::One { seed, plant, trace }),
            _ => Ok(Self::Seeds { from, count }),
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn plant_of(text: &str) -> Result<Plant, String> {
    [Plant::HashOrder, Plant::RealClock]
        .into_iter()
        .find(|plant| format!("{plant:?}") == text)
        .ok_or_else(|| format!("no defect is called {text:?}"))
}

/// One run in this process: the trace goes to a file, `acknowledged reigns machine-crashes` to standard output, and
/// violations to standard error.
fn one(seed: u64, plant: Option<Plant>, trace: &PathBuf) -> ExitCode {
    let outcome = quorum::run(seed, plant);
    fs::write(trace, outcome.trace.text()).expect("the trace can be written");
    println!("{} {} {}", outcome.acknowledged, outcome.reigns, outcome.machine_crashes);
    outcome.violations.iter().for_each(|violation| eprintln!("{violation}"));
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a child came to.
struct Run {
    trace: Vec<u8>,
    figures: Vec<usize>,
    complaints: String,
    ok: bool,
}

fn child(seed: u64, plant: Option<Plant>) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let trace = folder.path().join("trace");
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--one", &seed.to_string(), "--trace-file"]).arg(&trace).stdin(Stdio::null());
    if let Some(plant) = plant {
        command.args(["--plant", &format!("{plant:?}")]);
    }
    let output = command.output().expect("this program can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    Run {
        trace: fs::read(&trace).unwrap_or_default(),
        figures: said.split_whitespace().filter_map(|figure| figure.parse().ok()).collect(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
        ok: output.status.success(),
    }
}

/// Runs a seed twice and says what is wrong, if anything.
fn twice(seed: u64) -> (Result<(), String>, Vec<usize>) {
    let (first, second) = (child(seed, None), child(seed, None));
    let verdict = if !first.ok {
        Err(first.complaints)
    } else if first.trace != second.trace {
        Err(difference(&first.trace, &second.trace))
    } else if first.figures.first().is_none_or(|acknowledged| *acknowledged < ACKNOWLEDGED_MIN) {
        Err(format!("unknown: too little was acknowledged to say anything ({:?})", first.figures))
    } else {
        Ok(())
    };
    (verdict, first.figures)
}

fn difference(first: &[u8], second: &[u8]) -> String {
    let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    let place = first.lines().zip(second.lines()).position(|(one, other)| one != other);
    let line = |text: &str| text.lines().nth(place.unwrap_or(0)).unwrap_or_default().to_owned();
    format!("two runs differ, first at line {place:?}:\n  {}\n  {}", line(&first), line(&second))
}

fn seeds(from: u64, count: u64) -> ExitCode {
    let started = Instant::now();
    println!("sim: seeds {from} to {}, each run twice", from + count - 1);
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
                    let (verdict, figures) = twice(seed);
                    if let Err(complaint) = &verdict {
                        println!("sim: seed {seed} FAILED (again: cargo sim --from {seed} --seeds 1)\n{complaint}");
                    }
                    results.lock().expect("no seed panics here").push((verdict.is_ok(), figures));
                }
            });
        }
    });
    let results = results.into_inner().expect("no seed panics here");
    let mut failed = results.iter().filter(|(ok, _)| !ok).count();
    let sum = |place: usize| results.iter().filter_map(|(_, figures)| figures.get(place)).sum::<usize>();
    println!("sim: {} acknowledged, {} reigns, {} machine crashes", sum(0), sum(1), sum(2));
    if sum(2) == 0 || sum(1) <= results.len() {
        println!("sim: unknown: no machine crashed or no leader changed in this set; take more seeds");
        failed += 1;
    }
    let plants = [Plant::HashOrder, Plant::RealClock];
    failed += plants.into_iter().filter(|plant| !is_caught(*plant, from)).count();
    let passed = results.len() + plants.len() - failed.min(results.len());
    println!("sim: {passed} passed, {failed} failed in {:.0} s", started.elapsed().as_secs_f64());
    println!("sim: {passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A planted source of chaos must make two runs differ; otherwise comparing traces proves nothing.
fn is_caught(plant: Plant, seed: u64) -> bool {
    let caught = child(seed, Some(plant)).trace != child(seed, Some(plant)).trace;
    println!("sim: planted {plant:?}: {}", if caught { "caught" } else { "NOT CAUGHT" });
    caught
}

//! This process: what it was started with, and how it is asked to end.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Lines that may wait to be looked at.
const TYPED_LINES_MAX: usize = 16;

/// The command line, the program's name first.
pub fn arguments() -> impl Iterator<Item = String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned())
}

/// The environment's variables. What is not text is shown with replacement characters, and no setting is that.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Whether a person is likely to read standard error as it is written.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person reads standard output as it is written, and can answer.
pub fn is_watched() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// How many processors there are.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What this machine is called, if it has a name.
pub fn hostname() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Some(name).filter(|name| !name.is_empty() && name != "(none)")
}

/// The number of this process.
pub fn id() -> u32 {
    std::process::id()
}

/// Whether a process of this machine runs.
pub fn is_running(process: u32) -> bool {
    Pid::from_raw(process.cast_signed()).is_some_and(|id| test_kill_process(id).is_ok())
}

/// Asks a process of this machine to stop.
pub fn terminate(process: u32) -> io::Result<()> {
    let id = Pid::from_raw(process.cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(id, Signal::TERM)?)
}

/// What a process of this machine has spent of its processors, in user and in kernel mode.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let stat =
        Stat::of(&stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its accounts cannot be read"))?;
    Ok(stat.spent)
}

/// What each of the kernel's own threads has spent that bring what was written from memory to the disk, or look for
/// memory. They stand in no process's accounts, and do other work of the machine, too.
pub fn write_back_times() -> io::Result<BTreeMap<u32, Duration>> {
    const PARENT_OF_KERNEL_THREADS: u32 = 2;
    const NAMES: [&str; 3] = ["kworker", "jbd2", "kswapd"];
    let mut times = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that has ended meanwhile has no accounts any more.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let Some(stat) = Stat::of(&stat).filter(|stat| stat.parent == PARENT_OF_KERNEL_THREADS) else { continue };
        if NAMES.iter().any(|name| stat.name.starts_with(name)) {
            times.insert(process, stat.spent);
        }
    }
    Ok(times)
}

/// What Linux tells of a process, as far as it is asked for here.
struct Stat<'a> {
    name: &'a str,
    parent: u32,
    spent: Duration,
}

impl<'a> Stat<'a> {
    /// Reads `<number> (<name>) <state> <parent> …`.
    fn of(text: &'a str) -> Option<Self> {
        /// What Linux promises to programs, whatever its own clock does.
        const TICKS_PER_SECOND: u64 = 100;
        // The name stands in parentheses, and may hold anything.
        let (front, fields) = text.rsplit_once(')')?;
        let (_, name) = front.split_once('(')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let spent = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Some(Self { name, parent: fields.get(1)?.parse().ok()?, spent })
    }
}

/// The memory a process of this machine has at present.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let kibibytes = kibibytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not say"))?;
    Ok(kibibytes * 1024)
}

/// Where files may be left that nobody misses.
pub fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

/// The lines a person types. Their thread waits for the next one until the program ends.
pub fn typed_lines() -> io::Result<mpsc::Receiver<String>> {
    let (typed, lines) = mpsc::channel(TYPED_LINES_MAX);
    let read = move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("typed-lines".to_owned()).spawn(read)?;
    Ok(lines)
}

/// Waits for SIGTERM or SIGINT; says which it was.
pub async fn asked_to_stop() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name_and_its_accounts_are_found_behind_it() {
        let text = "17 (a) b (c) S 2 0 0 0 -1 69238880 0 0 0 0 150 25 0 0 20 0 1 0 30 0 0";
        let stat = Stat::of(text).unwrap();
        assert_eq!((stat.name, stat.parent, stat.spent), ("a) b (c", 2, Duration::from_millis(1750)));
        assert!(Stat::of("17 (a) S 2").is_none());
    }
}

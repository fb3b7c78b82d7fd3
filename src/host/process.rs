//! This process: what it was started with, and how it is asked to end.

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
    /// What Linux promises to programs, whatever its own clock does.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program stands in parentheses, and may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace());
    let ticks = fields.map(|fields| fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>());
    let ticks = ticks.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its accounts cannot be read"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
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

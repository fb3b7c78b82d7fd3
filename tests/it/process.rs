//! A server as a child process: its log is read while it is written, and shown when the test that owns it fails.
//!
//! Invariants: the process ends with the value that stands for it; nothing waits without a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const DOHLE: &str = env!("CARGO_BIN_EXE_dohle");

/// How long anything may take that a test waits for; far more than it needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How many lines of a log are shown when a test fails.
const LINES_SHOWN: usize = 60;

/// How long a wait for a state of the world goes without looking, when the log is silent.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running server, or what is left of it.
pub struct Server {
    name: String,
    process: Child,
    log: Arc<Log>,
    /// How many lines of the log [`Server::event`] has read.
    read: usize,
}

impl Server {
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Arc::new(Log::default());
        let (stderr, copy) = (process.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || copy.fill(stderr));
        Self { name: name.to_owned(), process, log, read: 0 }
    }

    /// Reads the log up to an event.
    pub fn event(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(line) = self.log.line(self.read, deadline) else { panic!("no {name} from {}", self.name) };
            self.read += 1;
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Waits until `what` holds, and looks again whenever the server has said something.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "in vain: {what}");
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended before this was true: {what}", self.name);
            self.log.wait_for_more(LOOK_AGAIN);
        }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the process to stop and waits until it has.
    pub fn stop(&mut self, signal: &str) -> ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert!(self.log.ends(Instant::now() + PATIENCE), "{} does not stop", self.name);
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            eprintln!("the last of the log of {}:\n{}", self.name, self.log.tail());
        }
    }
}

/// What a process has written so far.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    more: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Reads to the end of the pipe, which is the end of the process.
    fn fill(&self, pipe: ChildStderr) {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            self.written.lock().unwrap().lines.push(line);
            self.more.notify_all();
        }
        self.written.lock().unwrap().ended = true;
        self.more.notify_all();
    }

    /// A line by its number, as soon as it is there; nothing if the log ends before, or the time does.
    fn line(&self, number: usize, deadline: Instant) -> Option<String> {
        let written = self.written.lock().unwrap();
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |written: &mut Written| written.lines.len() <= number && !written.ended;
        let (written, _) = self.more.wait_timeout_while(written, left, waits).unwrap();
        written.lines.get(number).cloned()
    }

    fn ends(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |written: &mut Written| !written.ended;
        self.more.wait_timeout_while(self.written.lock().unwrap(), left, waits).unwrap().0.ended
    }

    fn wait_for_more(&self, at_most: Duration) {
        drop(self.more.wait_timeout(self.written.lock().unwrap(), at_most));
    }

    fn tail(&self) -> String {
        let lines = &self.written.lock().unwrap().lines;
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }
}

/// The status and the JSON body that an admin port answers, if one answers.
pub fn http_get(address: &str, path: &str) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body)?))
}

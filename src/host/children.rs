//! Child processes: more nodes of this same program.
//!
//! Invariants: a child does not outlive its parent. A handle that is dropped kills its child; a parent that is killed
//! drops nothing, so a child that was told who its parent is asks the kernel to be killed with it ([`die_with`]).

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::Command;

/// A running child.
pub struct Child(tokio::process::Child);

impl Child {
    /// Starts this program once more; what it says is added to the end of `log`. It gets a process group of its own, so
    /// that Ctrl-C reaches the parent alone.
    ///
    /// The kernel takes the death of the *thread* that starts a child for the death of its parent: to be called where
    /// the thread lives as long as the program, which on a runtime is inside `block_on` of the main thread.
    pub fn start(arguments: &[String], log: &Path) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::spawn(command, log)
    }

    /// Starts a command of the shell in the same way; it cannot ask to be killed with its parent.
    pub fn shell(line: &str, log: &Path) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        Self::spawn(command, log)
    }

    fn spawn(mut command: Command, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }

    /// Kills it as a power cut would: it learns nothing of it. Waits until it is gone.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.0.kill().await
    }

    /// Asks it to stop, as a supervisor does. Waits until it has.
    pub async fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.0.wait().await.map(drop)
    }

    /// Halts it where it is: its sockets stay open, and nothing of it moves until it is resumed.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Nothing, if it has ended.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            Some(id) => Ok(kill_process(id, signal)?),
            None => Ok(()),
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<Ended>> {
        let ended = |status: ExitStatus| Ended { in_order: status.success(), how: status.to_string() };
        Ok(self.0.try_wait()?.map(ended))
    }

    /// The number of the process, as long as it has not been seen to end.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }
}

/// How a child has ended.
pub struct Ended {
    /// It did what it was asked, and nothing was wrong.
    pub in_order: bool,
    pub how: String,
}

/// Ties this process to the life of its parent, of which it knows the id.
pub fn die_with(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before that line has left us to another one.
    if getppid().map(Pid::as_raw_pid) == i32::try_from(parent).ok() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("process {parent} is not the parent of this one")))
    }
}

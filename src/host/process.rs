//! This process: what it was started with, and how it is asked to end.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};

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

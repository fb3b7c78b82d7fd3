//! The command line: reads what was asked, does it, and says how it went.
//!
//! Exit codes: 0 done, 1 failed, 2 asked wrongly, 3 cannot connect, 4 not found, 5 refused because it is unsafe,
//! 6 nothing was shown.
//! Answers go to standard output, as text or with `-o json` as JSON; complaints and logs go to standard error.

mod admin;
mod bench;
mod config;
mod lab;
mod server;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::report;
use crate::host;

/// A Kafka-compatible broker cluster in one binary.
#[derive(Parser)]
#[command(name = "dohle", version, max_term_width = 120, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  dohle server                                    one node, on the default ports, data in ./dohle-data
  dohle server --seeds a:9093,b:9093,c:9093       one of three nodes that find each other
  dohle lab                                       three nodes to kill and revive, under load, with nothing to set up
  dohle bench --records 16 --record-bytes 1000    what the cluster at localhost:9092 can do, and what it costs
  dohle cluster status                            who is in the cluster, and is all well?
  dohle topic create orders --partitions 6        a topic
  dohle config check server.properties            would a node start with this file?
  dohle config explain log.retention.hours        what a setting means and where it is set";

#[derive(Subcommand)]
enum Command {
    /// Runs a node until it is told to stop (SIGTERM or Ctrl-C)
    Server(Box<server::ServerArguments>),
    /// Starts a cluster of three, puts load on it, and lets you kill and revive its nodes
    Lab(lab::LabArguments),
    /// Computes for ever: what keeps the processors of a lab busy
    #[command(hide = true)]
    Busy(lab::BusyArguments),
    /// Measures what a cluster can do and what it costs, with raw requests; any Kafka will do
    Bench(bench::BenchArguments),
    #[command(flatten)]
    Admin(admin::AdminCommand),
    /// Lists, explains and checks settings
    Config(config::ConfigArguments),
}

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Output {
    Table,
    Json,
}

impl From<Output> for report::Format {
    fn from(output: Output) -> Self {
        match output {
            Output::Table => Self::Text,
            Output::Json => Self::Json,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    CannotConnect = 3,
    NotFound = 4,
    Unsafe = 5,
    Unknown = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Where a command writes.
struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl Console {
    /// Writes an answer. A reader that has gone away (`dohle config list | head`) has read enough.
    fn answer(&mut self, text: &str) {
        drop(self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()));
    }

    /// Writes a part of a long answer; an error when nobody reads it any more.
    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn complain(&mut self, text: &str) {
        drop(writeln!(self.err, "{text}"));
    }
}

/// Runs the command that this process was started for.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(host::arguments()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // `--help` and `--version` end here too, on standard output and with 0.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let mut console = Console { out: Box::new(io::stdout()), err: Box::new(io::stderr()) };
    let exit = match arguments.command {
        Command::Server(arguments) => server::run(&arguments, &host::world(), &mut console),
        Command::Lab(arguments) => lab::run(&arguments, &host::world(), &mut console),
        Command::Busy(arguments) => lab::busy(&arguments, &mut console),
        Command::Bench(arguments) => bench::run(&arguments, &host::world(), &mut console),
        Command::Admin(command) => admin::run(command, &host::world(), &mut console),
        Command::Config(arguments) => config::run(arguments, &host::world(), &mut console),
    };
    exit.into()
}

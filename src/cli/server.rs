//! `dohle server`: runs a node until it is told to stop.

use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::{Args, ValueEnum};
use tracing::{info, warn};

use super::{Console, Exit};
use crate::base::World;
use crate::config::{File, Given, Level, NodeConfig, Problem, problem};
use crate::host;
use crate::node::Node;
use crate::telemetry::{LogFormat, LogLevel, start_logging};

#[derive(Args)]
#[command(after_help = "Every setting can also stand in the file, or in the environment as DOHLE_<KEY> with dots as \
underscores.\nFlags beat the environment, which beats the file. `dohle config list` shows all keys.")]
pub(super) struct ServerArguments {
    /// A file of settings: Kafka's server.properties, or TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where this node keeps its data [default: ./dohle-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// This node's id [default: found by the cluster; 1 in a new one]
    #[arg(long, value_name = "N")]
    node_id: Option<String>,
    /// What this node does [default: controller,broker]
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
    /// Peer addresses of the nodes that found the cluster together, or of any nodes of it
    #[arg(long, value_name = "HOST:PORT,…")]
    seeds: Option<String>,
    /// Where Kafka clients connect [default: :9092]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where other nodes connect [default: :9093]
    #[arg(long, value_name = "ADDR")]
    peer_listen: Option<String>,
    /// Where the admin tool and probes connect [default: :9094]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// What Kafka clients are told to connect to
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Sets any key; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How log lines are written to standard error
    #[arg(long, value_enum, default_value_t = Lines::Text)]
    log: Lines,
    /// The least important log lines that are written
    #[arg(long, value_enum, default_value_t = Least::Info, value_name = "LEVEL")]
    log_level: Least,
    /// Be killed when this process, our parent, ends: `dohle lab` leaves nobody behind
    #[arg(long, value_name = "PID", hide = true)]
    die_with: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lines {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Least {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl ServerArguments {
    /// The settings that were given as flags.
    fn given(&self) -> (Vec<Given>, Vec<Problem>) {
        let flags = [
            ("--data-dir", &self.data_dir),
            ("--node-id", &self.node_id),
            ("--roles", &self.roles),
            ("--seeds", &self.seeds),
            ("--listen", &self.listen),
            ("--peer-listen", &self.peer_listen),
            ("--admin-listen", &self.admin_listen),
            ("--advertise", &self.advertise),
        ];
        let flags = flags.into_iter().filter_map(|(flag, value)| Some(Given::flag(flag, value.as_deref()?)));
        let (mut given, mut problems) = (flags.collect::<Vec<_>>(), Vec::new());
        for set in &self.set {
            match Given::set(set) {
                Ok(one) => given.push(one),
                Err(problem) => problems.push(problem),
            }
        }
        (given, problems)
    }

    fn log_format(&self) -> LogFormat {
        match self.log {
            Lines::Text => LogFormat::Text { colours: host::is_terminal() },
            Lines::Json => LogFormat::Json,
        }
    }

    fn log_level(&self) -> LogLevel {
        match self.log_level {
            Least::Error => LogLevel::Error,
            Least::Warn => LogLevel::Warn,
            Least::Info => LogLevel::Info,
            Least::Debug => LogLevel::Debug,
            Least::Trace => LogLevel::Trace,
        }
    }
}

pub(super) fn run(arguments: &ServerArguments, world: &World, console: &mut Console) -> Exit {
    if let Some(parent) = arguments.die_with
        && let Err(error) = host::die_with(parent)
    {
        console.complain(&format!("dohle server: cannot live and die with process {parent}: {error}"));
        return Exit::Failed;
    }
    let Some((mut config, warnings)) = settings(arguments, world, console) else { return Exit::Usage };
    config.hostname = host::hostname();
    start_logging(arguments.log_format(), arguments.log_level());
    warnings.iter().for_each(|warning| warn!(event = "config.warning", "{warning}"));
    let runtime = match host::control_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.complain(&format!("dohle server: cannot start its threads: {error}"));
            return Exit::Failed;
        }
    };
    match runtime.block_on(serve(world, &config)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            console.complain(&format!("dohle server: {error}"));
            Exit::Failed
        }
    }
}

async fn serve(world: &World, config: &NodeConfig) -> Result<(), Box<dyn std::error::Error>> {
    let mut asked_to_stop = pin!(host::asked_to_stop());
    let node = tokio::select! {
        biased;
        started = Node::start(world, config) => started?,
        signal = &mut asked_to_stop => {
            info!(event = "node.stopped", signal = signal?, "asked to stop while starting");
            return Ok(());
        }
    };
    let signal = tokio::select! {
        biased;
        why = node.failed() => return Err(why.into()),
        signal = asked_to_stop => signal?,
    };
    info!(event = "node.stopping", signal, "asked to stop");
    node.stop().await;
    Ok(())
}

/// The settings, and what is doubtful about them; nothing when the node must not start, which has been complained of.
fn settings(arguments: &ServerArguments, world: &World, console: &mut Console) -> Option<(NodeConfig, Vec<Problem>)> {
    let (given, mut problems) = arguments.given();
    let text = match &arguments.config {
        Some(path) => Some(read(path, world, console)?),
        None => None,
    };
    let name = arguments.config.as_deref().unwrap_or_else(|| Path::new("")).display().to_string();
    let file = text.as_deref().map(|text| File { name: &name, text });
    let (config, more) = NodeConfig::load(file, host::environment(), &given);
    problems.extend(more);
    problems.retain(|problem| problem.level > Level::Note);
    if problem::has_errors(&problems) {
        problems.iter().for_each(|problem| console.complain(&problem.to_string()));
        return None;
    }
    Some((config, problems))
}

/// The text of a file, or a complaint.
pub(super) fn read(path: &Path, world: &World, console: &mut Console) -> Option<String> {
    let why = match world.disk.read(path) {
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => "it is not UTF-8 text".to_owned(),
        },
        Ok(None) => "there is no such file".to_owned(),
        Err(error) => error.to_string(),
    };
    console.complain(&format!("dohle: {} cannot be read: {why}", path.display()));
    None
}

//! `dohle lab`: a cluster of three real processes, under load, to kill and to watch.
//!
//! ```text
//! processes   three `dohle server`, in a temporary folder
//! load        500 records/s, acks=all, open loop; a reader that checks them; a look at who leads what
//! check       was every acknowledged record found, once, in order, at its offset?
//! view        all of it on a terminal, and a key per node
//! scenario    the same by script (`--headless`), with a report and an exit code
//! ```
//!
//! No root, no Docker, no cleaning up: whatever ends the lab, its processes end with it.
//! Absent on purpose: networks that break (the simulator's), clusters of others (their tools').

mod busy;
mod card;
mod chaos;
mod check;
mod dice;
mod load;
mod newcomer;
mod phases;
mod processes;
mod report;
mod scenario;
mod view;

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;
use tokio::time::interval;

pub(super) use self::busy::{BusyArguments, run as busy};
pub(super) use self::card::{Lab, LabNode};

use self::load::Load;
use self::processes::Nodes;
use self::report::{Blow, Happening};
use self::view::View;
use super::{Console, Exit, Output};
use crate::base::World;
use crate::base::ids::NodeId;
use crate::client::{ClientError, Cluster};
use crate::host;
use crate::wire::messages::metadata::MetadataRequest;

/// How long the nodes may take to become a cluster.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How long the topic may take to be there and led.
const TOPIC_PATIENCE: Duration = Duration::from_secs(30);

/// Between two pages of the view, and between two lines where nobody watches.
const DRAW_PAUSE: Duration = Duration::from_millis(250);
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// Between two looks at whether a node has stopped.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long it may take to learn who the active controller is.
const ACTIVE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Kill nodes and watch: 1, 2 or 3 and Enter kills that node as a power cut would, and once more \
starts it again.\nWhat is acknowledged must never be lost, come twice or out of order."
)]
pub(super) struct LabArguments {
    /// Does it by script, prints a report, and exits with 1 if an acknowledged record is lost or anything else is wrong
    #[arg(long, value_enum, value_name = "SCENARIO")]
    headless: Option<Scenario>,
    /// How many records are sent, whatever the cluster does
    #[arg(long, default_value_t = 500, value_name = "PER_SECOND")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long a scenario takes
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many nodes a scenario kills, stops or pauses, one after the other
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Decides whom a scenario strikes [default: a new one, printed]
    #[arg(long)]
    seed: Option<u64>,
    /// A command of the shell that `saturated` starts every 10 s beside its own load
    #[arg(long, value_name = "COMMAND")]
    beside: Option<String>,
    /// How the report is written
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Kills the leader of some partition again and again, each time after all are in sync
    LeaderKill,
    /// Kills the active controller, which leads partitions too
    ControllerKill,
    /// Stops one node after the other in good order, and starts it again
    RollingRestart,
    /// Halts the leader of some partition without closing anything, until others have taken over
    PauseLeader,
    /// Kills, stops and halts nodes as a seed says, sometimes two at once, and brings them back; three producers
    Chaos,
    /// Strikes nobody, but keeps every processor busy with other work: then nobody may be fenced
    Saturated,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::LeaderKill => "leader-kill",
            Self::ControllerKill => "controller-kill",
            Self::RollingRestart => "rolling-restart",
            Self::PauseLeader => "pause-leader",
            Self::Chaos => "chaos",
            Self::Saturated => "saturated",
        }
    }

    /// What is done to nodes, where it is always the same.
    fn blow(self) -> Blow {
        match self {
            Self::RollingRestart => Blow::Stopped,
            Self::PauseLeader => Blow::Paused,
            _ => Blow::Killed,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LabError {
    #[error("cannot {what}: {cause}")]
    Outside { what: &'static str, cause: io::Error },
    #[error("node {node} has ended by itself ({how}); it said last:\n{log}")]
    Ended { node: NodeId, how: String, log: String },
    #[error("node {node} was not ready after {} s: {said}\nit said last:\n{log}", .patience.as_secs())]
    NotReady { node: NodeId, patience: Duration, said: String, log: String },
    #[error("the cluster does not do what was asked of it: {0}")]
    Client(#[from] ClientError),
}

pub(super) fn run(arguments: &LabArguments, world: &World, console: &mut Console) -> Exit {
    let ended = match host::control_runtime() {
        Ok(runtime) => runtime.block_on(until_stopped(arguments, world, console)),
        Err(cause) => Err(LabError::Outside { what: "start threads", cause }),
    };
    ended.unwrap_or_else(|error| {
        console.complain(&format!("dohle lab: {error}"));
        Exit::Failed
    })
}

/// Ctrl-C ends the lab wherever it is, and dropping it cleans up.
async fn until_stopped(arguments: &LabArguments, world: &World, console: &mut Console) -> Result<Exit, LabError> {
    let signal = tokio::select! {
        biased;
        signal = host::asked_to_stop() => signal,
        ended = Box::pin(lab(arguments, world, console)) => return ended,
    };
    match signal {
        Ok(signal) if arguments.headless.is_some() => {
            console.complain(&format!("dohle lab: broken off by {signal}, nothing was shown"));
            Ok(Exit::Failed)
        }
        Ok(_) => Ok(Exit::Done),
        Err(cause) => Err(LabError::Outside { what: "wait for signals", cause }),
    }
}

async fn lab(arguments: &LabArguments, world: &World, console: &mut Console) -> Result<Exit, LabError> {
    let mut nodes = Nodes::start(world).await?;
    console.complain(&format!("three nodes are starting in {}", nodes.folder().display()));
    nodes.ready(READY_PATIENCE).await?;
    let cluster = Cluster::new(world.into(), nodes.bootstrap(), "dohle-lab");
    cluster.brokers_up(nodes.ids().len(), READY_PATIENCE).await?;
    cluster.create_topic(&load::topic(load::TOPIC), TOPIC_PATIENCE).await?;
    console.complain(&format!("bootstrap {}\nadmin     {}", nodes.bootstrap().join(","), nodes.admin().join(",")));
    match arguments.headless {
        Some(scenario) => scenario::play(scenario, arguments, world, nodes, &cluster, console).await,
        None => {
            let load = Load::start(world, &cluster, 1, arguments.rate);
            play(&mut nodes, &cluster, &load, console).await?;
            Ok(Exit::Done)
        }
    }
}

/// Shows the lab and does what is typed, until that is to end it.
async fn play(nodes: &mut Nodes, cluster: &Cluster, load: &Load, console: &mut Console) -> Result<(), LabError> {
    let is_watched = host::is_watched();
    let mut lines = typed(is_watched)?;
    let mut view = View::default();
    let mut message = String::new();
    let mut pages = interval(if is_watched { DRAW_PAUSE } else { LINE_PAUSE });
    let mut looks = interval(LOOK_PAUSE);
    loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => {
                view.on_typed();
                match line.trim() {
                    "q" => return Ok(()),
                    line => message = press(line, nodes, cluster, load).await?,
                }
            }
            _ = looks.tick() => match nodes.supervise()? {
                Some(node) => message = format!("node {node} was asked to stop, and was started again"),
                None => continue,
            },
            _ = pages.tick() => {}
        }
        let page = view::page(nodes, load, &message);
        console.answer(&if is_watched { view.draw(&page) } else { page });
    }
}

/// What a person types; nothing, where there is none.
fn typed(is_watched: bool) -> Result<mpsc::Receiver<String>, LabError> {
    if is_watched {
        return host::typed_lines().map_err(|cause| LabError::Outside { what: "read the keyboard", cause });
    }
    Ok(mpsc::channel(1).1)
}

/// Kills the node of that number, or revives it; says what was done.
async fn press(line: &str, nodes: &mut Nodes, cluster: &Cluster, load: &Load) -> Result<String, LabError> {
    let node = line.parse().ok().map(NodeId).filter(|node| nodes.ids().contains(node));
    let Some(node) = node else { return Ok(format!("there is no node {line:?}")) };
    if nodes.is_running(node) {
        strike(node, Blow::Killed, cluster, nodes, load).await?;
        Ok(format!("node {node} was killed; {node} and Enter starts it again"))
    } else {
        revive(node, nodes, load)?;
        Ok(format!("node {node} was started again"))
    }
}

async fn strike(node: NodeId, blow: Blow, cluster: &Cluster, nodes: &mut Nodes, load: &Load) -> Result<(), LabError> {
    let was_active = Some(active(cluster).await == Some(node));
    let (led, board) = (load.led_by(node), load.board());
    let what = Happening::Struck { node, blow, led: led.len(), was_active };
    board.marks().timeline.on_struck(board.now(), what, led);
    hit(node, blow, nodes).await?;
    board.marks().timeline.on_gone(board.now());
    Ok(())
}

async fn hit(node: NodeId, blow: Blow, nodes: &mut Nodes) -> Result<(), LabError> {
    match blow {
        Blow::Killed => nodes.kill(node).await,
        Blow::Stopped => nodes.stop(node).await,
        Blow::Paused => nodes.pause(node, true),
    }
}

/// The node of the active controller, if anybody says.
async fn active(cluster: &Cluster) -> Option<NodeId> {
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let answer = cluster.ask(&request, ACTIVE_PATIENCE).await.ok()?;
    Some(NodeId(answer.controller_id)).filter(|node| node.0 >= 0)
}

fn revive(node: NodeId, nodes: &mut Nodes, load: &Load) -> Result<(), LabError> {
    nodes.revive(node)?;
    load.board().note(Happening::Revived { node });
    Ok(())
}

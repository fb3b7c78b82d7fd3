//! The commands that ask a cluster, by way of any node's admin port: one file for each noun.
//!
//! JSON is the message of `proto/admin.proto` as it came, with its names of fields; streams are one object per line.

mod target;

mod cluster;
mod events;
mod nodes;
mod quorum;
mod restart;
mod topics;
mod whole;

#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Console, Exit, Output};
use crate::base::World;
use crate::host;
use target::{Failure, Node, Target};

#[derive(Subcommand)]
pub(super) enum AdminCommand {
    /// Shows the cluster as a whole
    Cluster(Noun<cluster::ClusterCommand>),
    /// Shows the controllers that agree on the cluster's metadata
    Quorum(Noun<quorum::QuorumCommand>),
    /// Shows nodes
    Node(Noun<nodes::NodeCommand>),
    /// Creates, shows and deletes topics
    Topic(Noun<topics::TopicCommand>),
    /// Tells what changes: leaders, in-sync replicas, nodes, controllers, topics
    Events(events::EventsArguments),
}

/// What is asked, and of whom.
#[derive(Args)]
pub(super) struct Noun<Command: Subcommand> {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(command: AdminCommand, world: &World, console: &mut Console) -> Exit {
    let runtime = match host::control_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.complain(&format!("dohle: cannot start its threads: {error}"));
            return Exit::Failed;
        }
    };
    match runtime.block_on(perform(command, world, console)) {
        Ok(()) => Exit::Done,
        Err(Failure { exit, message }) => {
            console.complain(&format!("dohle: {message}"));
            exit
        }
    }
}

async fn perform(command: AdminCommand, world: &World, console: &mut Console) -> Result<(), Failure> {
    if let AdminCommand::Cluster(Noun { command, target }) = command {
        return cluster::run(command, &target, world, console).await;
    }
    let node = Node::connect(command.target().address(host::environment()), world).await?;
    let output = command.target().output;
    let text = match command {
        AdminCommand::Cluster(_) => unreachable!("it has been dealt with above"),
        AdminCommand::Quorum(noun) => quorum::run(noun.command, &node, output).await?,
        AdminCommand::Node(noun) => nodes::run(noun.command, &node, output).await?,
        AdminCommand::Topic(noun) => topics::run(noun.command, &node, output).await?,
        AdminCommand::Events(arguments) => return events::run(&arguments, &node, console).await,
    };
    console.answer(&text);
    Ok(())
}

impl AdminCommand {
    fn target(&self) -> &Target {
        match self {
            Self::Cluster(noun) => &noun.target,
            Self::Quorum(noun) => &noun.target,
            Self::Node(noun) => &noun.target,
            Self::Topic(noun) => &noun.target,
            Self::Events(arguments) => &arguments.target,
        }
    }
}

/// An answer, in the form that was asked for.
fn shown<T: Serialize>(answer: &T, output: Output, as_text: impl FnOnce(&T) -> String) -> String {
    match output {
        Output::Table => as_text(answer),
        Output::Json => format!("{}\n", json(answer, serde_json::to_string_pretty)),
    }
}

fn json<T: Serialize>(answer: &T, write: impl FnOnce(&T) -> serde_json::Result<String>) -> String {
    write(answer).expect("messages are plain trees with text for keys")
}

/// Node ids, as a cell.
fn listed(nodes: &[i32]) -> String {
    nodes.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// A node id, or nobody, as a cell.
fn or_none(node: Option<i32>) -> String {
    node.map_or_else(|| "none".to_owned(), |node| node.to_string())
}

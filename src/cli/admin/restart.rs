//! `dohle cluster restart --rolling`: the nodes of a lab, one after the other, each when all replicas are in sync.
//!
//! The command asks a node to stop; whoever supervises it starts it again, which here is the lab. So nothing but the
//! processes of this machine is touched, and what is shown holds for systemd or Kubernetes as well.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::target::{Failure, Target};
use super::{json, whole};
use crate::base::World;
use crate::cli::lab::{Lab, LabNode};
use crate::cli::{Console, Exit, Output};
use crate::host;

/// Between two looks at whether a node has stopped and is there again.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(in crate::cli) struct RestartArguments {
    /// One node after the other, so that clients are served all the time
    #[arg(long, required = true)]
    rolling: bool,
    /// How long each node may take until every replica is in sync again, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// How the restart of one node went.
#[derive(Serialize)]
struct Restarted {
    node: i32,
    /// From the request to stop to the start of the next process.
    down_ms: u64,
    /// Until every replica was in sync again.
    whole_ms: u64,
}

pub(super) async fn run(
    arguments: &RestartArguments,
    target: &Target,
    world: &World,
    console: &mut Console,
) -> Result<(), Failure> {
    let lab = Lab::find(world, target.named(host::environment()).as_deref()).map_err(not_found)?;
    let patience = Duration::from_secs(arguments.timeout);
    for node in in_order(&lab, world, patience).await? {
        let restarted = restart(&lab, node, world, patience).await?;
        let line = match target.output {
            Output::Json => json(&restarted, serde_json::to_string),
            Output::Table => format!(
                "node {} was started again after {} ms; every replica in sync after {} ms",
                restarted.node, restarted.down_ms, restarted.whole_ms
            ),
        };
        if console.line(&line).is_err() {
            return Ok(()); // whoever read it has read enough
        }
    }
    Ok(())
}

/// The nodes, the active controller last: then another one is elected only once.
async fn in_order(lab: &Lab, world: &World, patience: Duration) -> Result<Vec<i32>, Failure> {
    let first = lab.nodes.first().ok_or_else(|| not_found("the lab has no nodes".to_owned()))?;
    let status = whole::wait(&first.admin, world, patience, |_| None).await?;
    let active = status.controller.map(|controller| controller.node_id);
    let mut nodes: Vec<i32> = lab.nodes.iter().map(|node| node.node).collect();
    nodes.sort_by_key(|node| (Some(*node) == active, *node));
    Ok(nodes)
}

async fn restart(lab: &Lab, node: i32, world: &World, patience: Duration) -> Result<Restarted, Failure> {
    let seen = lab.again(world).map_err(not_found)?;
    let (before, other) = (find(&seen, |it| it.node == node)?, find(&seen, |it| it.node != node)?);
    // One that was restarted just now may not have heard the latest.
    let status = whole::wait(&other.admin, world, patience, |_| None).await?;
    let epoch =
        |nodes: &[crate::rpc::admin::Node]| nodes.iter().find(|it| it.node_id == node).map(|it| it.broker_epoch);
    let old = epoch(&status.nodes);
    let begun = Instant::now();
    host::terminate(before.process)
        .map_err(|error| not_found(format!("node {node} cannot be asked to stop: {error}")))?;
    while find(&lab.again(world).map_err(not_found)?, |it| it.node == node)?.process == before.process {
        if begun.elapsed() > patience {
            let message = format!("node {node} was not started again within {} s", patience.as_secs());
            return Err(Failure { exit: Exit::Failed, message });
        }
        sleep(LOOK_PAUSE).await;
    }
    let down_ms = millis(begun);
    let is_old = |status: &crate::rpc::admin::ClusterStatus| epoch(&status.nodes) == old;
    let returned = |status: &_| is_old(status).then(|| format!("node {node} has not registered again"));
    whole::wait(&other.admin, world, patience, returned).await?;
    Ok(Restarted { node, down_ms, whole_ms: millis(begun) })
}

fn find(lab: &Lab, is_wanted: impl Fn(&LabNode) -> bool) -> Result<&LabNode, Failure> {
    lab.nodes.iter().find(|node| is_wanted(node)).ok_or_else(|| not_found("the lab has no such node".to_owned()))
}

fn not_found(message: String) -> Failure {
    Failure { exit: Exit::NotFound, message }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

//! `dohle cluster status`, `dohle cluster restart`.

use std::time::Duration;

use clap::Subcommand;

use super::nodes::node_table;
use super::target::{Failure, Target};
use super::{restart, shown, whole};
use crate::base::World;
use crate::cli::Console;
use crate::cli::table::Table;
use crate::host;
use crate::rpc::admin::ClusterStatus;

#[derive(Subcommand)]
pub(in crate::cli) enum ClusterCommand {
    /// Who is in the cluster, who decides, and how its partitions are
    #[command(after_help = "Examples:
  dohle cluster status                                     the cluster of the node on this machine
  dohle cluster status --admin node-2:9094                 as another node sees it
  dohle cluster status --wait --timeout 120                until every node is active and every replica in sync
  dohle cluster status -o json | jq .partitions.offline    for a script")]
    Status {
        /// Waits until every broker is active and every replica in sync; exits with 1 if that takes too long
        #[arg(long)]
        wait: bool,
        /// How long to wait, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
        timeout: u64,
    },
    /// Restarts the nodes of a running `dohle lab`, one after the other, each when every replica is in sync
    #[command(after_help = "It asks a node to stop (SIGTERM), the lab starts it again. The active controller is the \
last one.

Examples:
  dohle cluster restart --rolling                          of the only lab that runs on this machine
  dohle cluster restart --rolling --admin 127.0.0.1:21003  of the lab with a node there

Elsewhere the supervisor of the machines does it, for each node in turn, with another node asked in between:
  for n in 1 2 3; do
    dohle cluster status --wait --timeout 120 --admin node-$((n % 3 + 1)):9094 || break
    ssh node-$n sudo systemctl restart dohle
  done")]
    Restart(restart::RestartArguments),
}

pub(super) async fn run(
    command: ClusterCommand,
    target: &Target,
    world: &World,
    console: &mut Console,
) -> Result<(), Failure> {
    let address = || target.address(host::environment());
    let status = match command {
        ClusterCommand::Restart(arguments) => return restart::run(&arguments, target, world, console).await,
        ClusterCommand::Status { wait: false, .. } => whole::status(&address(), world).await?,
        ClusterCommand::Status { wait: true, timeout } => {
            whole::wait(&address(), world, Duration::from_secs(timeout), |_| None).await?
        }
    };
    console.answer(&shown(&status, target.output, text));
    Ok(())
}

/// When a disk fails, all that was on it is offline for the same reason.
const OFFLINE_SHOWN_MAX: usize = 10;

pub(super) fn text(status: &ClusterStatus) -> String {
    let controller = status.controller.as_ref();
    let controller = controller.map_or_else(|| "none".to_owned(), |it| format!("{} (epoch {})", it.node_id, it.epoch));
    let counts = status.partitions.unwrap_or_default();
    let mut facts = Table::default();
    facts.row(["cluster".into(), status.cluster_id.clone()]);
    facts.row(["controller".into(), controller]);
    facts.row(["metadata".into(), format!("up to entry {}, feature level {}", status.applied, status.feature_level)]);
    facts.row(["topics".into(), status.topics.to_string()]);
    facts.row(["partitions".into(), counts.total.to_string()]);
    facts.row(["  under-replicated".into(), counts.under_replicated.to_string()]);
    facts.row(["  under min ISR".into(), counts.under_min_isr.to_string()]);
    facts.row(["  offline".into(), counts.offline.to_string()]);
    for replica in status.offline_replicas.iter().take(OFFLINE_SHOWN_MAX) {
        facts.row(["  offline here".into(), format!("{}-{}: {}", replica.topic, replica.partition, replica.why)]);
    }
    if let Some(more) = status.offline_replicas.len().checked_sub(OFFLINE_SHOWN_MAX).filter(|more| *more > 0) {
        facts.row(["".into(), format!("and {more} more; -o json lists them all")]);
    }
    format!("{}\n{}", facts.text(), node_table(&status.nodes))
}

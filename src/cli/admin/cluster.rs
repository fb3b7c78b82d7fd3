//! `dohle cluster status`.

use clap::Subcommand;

use super::nodes::node_table;
use super::shown;
use super::target::{Failure, Node};
use crate::cli::Output;
use crate::cli::table::Table;
use crate::rpc::admin::cluster_client::ClusterClient;
use crate::rpc::admin::{ClusterStatus, ClusterStatusRequest};

#[derive(Subcommand)]
pub(in crate::cli) enum ClusterCommand {
    /// Who is in the cluster, who decides, and how its partitions are
    #[command(after_help = "Examples:
  dohle cluster status                                     the cluster of the node on this machine
  dohle cluster status --admin node-2:9094                 as another node sees it
  dohle cluster status -o json | jq .partitions.offline    for a script")]
    Status,
}

pub(super) async fn run(command: ClusterCommand, node: &Node, output: Output) -> Result<String, Failure> {
    let ClusterCommand::Status = command;
    let mut client = ClusterClient::new(node.channel());
    let status = node.answer(client.status(ClusterStatusRequest {})).await?;
    Ok(shown(&status, output, text))
}

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
    format!("{}\n{}", facts.text(), node_table(&status.nodes))
}

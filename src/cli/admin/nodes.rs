//! `dohle node list`.

use clap::Subcommand;

use super::shown;
use super::target::{Failure, Node as Asked};
use crate::cli::Output;
use crate::cli::table::Table;
use crate::rpc::admin::nodes_client::NodesClient;
use crate::rpc::admin::{ListNodesRequest, Node};
use crate::rpc::words;

#[derive(Subcommand)]
pub(in crate::cli) enum NodeCommand {
    /// All nodes: where they are, what they may do, how much is on them
    #[command(
        visible_alias = "ls",
        after_help = "States: active; fenced (not heard, or not ready yet); shutting_down; any of them may be draining.

Examples:
  dohle node list
  dohle node list -o json | jq '.[] | select(.state == \"fenced\")'"
    )]
    List,
}

pub(super) async fn run(command: NodeCommand, node: &Asked, output: Output) -> Result<String, Failure> {
    let NodeCommand::List = command;
    let mut client = NodesClient::new(node.channel());
    let reply = node.answer(client.list(ListNodesRequest {})).await?;
    Ok(shown(&reply.nodes, output, |nodes| node_table(nodes)))
}

pub(super) fn node_table(nodes: &[Node]) -> String {
    let mut table = Table::headed(["NODE", "STATE", "ROLES", "KAFKA", "PEER", "ADMIN", "RACK", "REPLICAS", "LEADS"]);
    for node in nodes {
        let listeners = node.listeners.iter().map(|it| format!("{}:{}", it.host, it.port));
        table.row([
            node.node_id.to_string(),
            state(node),
            roles(node),
            listeners.collect::<Vec<_>>().join(","),
            node.peer_address.clone(),
            node.admin_address.clone(),
            node.rack.clone().unwrap_or_default(),
            node.replicas.to_string(),
            node.leads.to_string(),
        ]);
    }
    table.text()
}

fn state(node: &Node) -> String {
    words::node_state(node.state) + if node.draining { ",draining" } else { "" }
}

fn roles(node: &Node) -> String {
    let roles = [("controller", node.is_controller), ("broker", node.is_broker)];
    let roles: Vec<&str> = roles.into_iter().filter(|(_, has)| *has).map(|(role, _)| role).collect();
    roles.join(",")
}

//! `dohle quorum status`.

use clap::Subcommand;

use super::target::{Failure, Node};
use super::{or_none, shown};
use crate::cli::Output;
use crate::cli::table::Table;
use crate::rpc::admin::quorum_client::QuorumClient;
use crate::rpc::admin::{QuorumStatus, QuorumStatusRequest};

#[derive(Subcommand)]
pub(in crate::cli) enum QuorumCommand {
    /// Who leads the quorum, in which term, and who votes
    #[command(after_help = "Only controllers can tell; each says what it sees itself.

Examples:
  dohle quorum status
  dohle quorum status --admin node-2:9094    does the second one see the same leader?")]
    Status,
}

pub(super) async fn run(command: QuorumCommand, node: &Node, output: Output) -> Result<String, Failure> {
    let QuorumCommand::Status = command;
    let mut client = QuorumClient::new(node.channel());
    let status = node.answer(client.status(QuorumStatusRequest {})).await?;
    Ok(shown(&status, output, text))
}

pub(super) fn text(status: &QuorumStatus) -> String {
    let mut facts = Table::default();
    facts.row(["leader".into(), or_none(status.leader)]);
    facts.row(["term".into(), status.term.to_string()]);
    facts.row(["applied".into(), status.applied.to_string()]);
    let mut voters = Table::headed(["VOTER", "ROLE", "PEER", "DIRECTORY"]);
    for voter in &status.voters {
        let role = if status.leader == Some(voter.node_id) { "leader" } else { "follower" };
        let directory = voter.directory_id.clone();
        voters.row([voter.node_id.to_string(), role.into(), voter.peer_address.clone(), directory]);
    }
    format!("{}\n{}", facts.text(), voters.text())
}

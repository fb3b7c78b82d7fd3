//! Waiting until a cluster is whole: everybody there, every replica in sync.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::target::{Failure, Node};
use crate::base::World;
use crate::cli::Exit;
use crate::rpc::admin::cluster_client::ClusterClient;
use crate::rpc::admin::{ClusterStatus, ClusterStatusRequest, NodeState};
use crate::rpc::words;

/// Between two questions.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// What keeps a cluster from being whole; nothing, when it is.
pub(super) fn missing(status: &ClusterStatus) -> Option<String> {
    if status.controller.is_none() {
        return Some("no controller is active".to_owned());
    }
    if let Some(node) = status.nodes.iter().find(|node| node.is_broker && node.state() != NodeState::Active) {
        return Some(format!("node {} is {}", node.node_id, words::node_state(node.state)));
    }
    if let Some(replica) = status.offline_replicas.first() {
        let (topic, partition) = (&replica.topic, replica.partition);
        return Some(format!("the replica of {topic}-{partition} on node {} cannot be used", status.answered_by()));
    }
    let counts = status.partitions.unwrap_or_default();
    match (counts.offline, counts.under_replicated) {
        (0, 0) => None,
        (0, some) => Some(format!("{some} partitions are under-replicated")),
        (none, _) => Some(format!("{none} partitions are offline")),
    }
}

/// Asks until the cluster is whole and has nothing `else_missing`. A node that cannot be reached is asked again.
pub(super) async fn wait(
    address: &str,
    world: &World,
    patience: Duration,
    else_missing: impl Fn(&ClusterStatus) -> Option<String>,
) -> Result<ClusterStatus, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let why = match status(address, world).await {
            Ok(status) => match missing(&status).or_else(|| else_missing(&status)) {
                None => return Ok(status),
                Some(why) => why,
            },
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) => failure.message,
        };
        if Instant::now() >= deadline {
            let message = format!("the cluster is not whole after {} s: {why}", patience.as_secs());
            return Err(Failure { exit: Exit::Failed, message });
        }
        sleep(ASK_PAUSE).await;
    }
}

/// The cluster as a node sees it.
pub(super) async fn status(address: &str, world: &World) -> Result<ClusterStatus, Failure> {
    let node = Node::connect(address.to_owned(), world).await?;
    let mut client = ClusterClient::new(node.channel());
    node.answer(client.status(ClusterStatusRequest {})).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::admin::{Controller, Node, OfflineReplica, PartitionCounts};

    fn whole() -> ClusterStatus {
        let node = |node_id| Node { node_id, is_broker: true, state: NodeState::Active.into(), ..Node::default() };
        ClusterStatus {
            controller: Some(Controller::default()),
            nodes: vec![node(1), node(2)],
            partitions: Some(PartitionCounts { total: 6, ..PartitionCounts::default() }),
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_cluster_is_whole_when_everybody_is_there_and_every_replica_in_sync() {
        assert_eq!(missing(&whole()), None);

        let headless = ClusterStatus { controller: None, ..whole() };
        assert_eq!(missing(&headless).as_deref(), Some("no controller is active"));

        let mut damaged = whole();
        damaged.answered_by = Some(2);
        damaged.offline_replicas =
            vec![OfflineReplica { topic: "orders".into(), partition: 4, ..OfflineReplica::default() }];
        assert_eq!(missing(&damaged).as_deref(), Some("the replica of orders-4 on node 2 cannot be used"));

        let mut fenced = whole();
        fenced.nodes[1].set_state(NodeState::Fenced);
        assert_eq!(missing(&fenced).as_deref(), Some("node 2 is fenced"));
        fenced.nodes[1].is_broker = false; // whoever is no broker is not expected to serve
        assert_eq!(missing(&fenced), None);

        let counts = PartitionCounts { total: 6, under_replicated: 3, ..PartitionCounts::default() };
        let behind = ClusterStatus { partitions: Some(counts), ..whole() };
        assert_eq!(missing(&behind).as_deref(), Some("3 partitions are under-replicated"));
        let offline = ClusterStatus { partitions: Some(PartitionCounts { offline: 1, ..counts }), ..whole() };
        assert_eq!(missing(&offline).as_deref(), Some("1 partitions are offline"));
    }
}

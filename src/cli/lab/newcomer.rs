//! A newcomer: a client that has no open request when a node is struck.
//!
//! Clients that wait for an answer of a node that stands still wait for their own timeout, however soon another one
//! leads. What a newcomer sees is what the cluster itself takes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::load::led_by;
use super::processes::Nodes;
use crate::base::World;
use crate::base::ids::{NodeId, PartitionIndex};
use crate::client::{Cluster, Producer, ProducerOptions};
use crate::wire::Text;

/// Where newcomers write.
pub(super) const TOPIC: Text = Text::from_static("lab-newcomers");

/// Between two questions who leads.
const ASK_PAUSE: Duration = Duration::from_millis(5);

/// What a node leads of the newcomers' topic, and how to reach the others.
pub(super) struct Newcomer {
    node: NodeId,
    led: BTreeSet<PartitionIndex>,
    others: Cluster,
}

impl Newcomer {
    /// Looks around before the node is struck.
    pub(super) async fn before(node: NodeId, cluster: &Cluster, nodes: &Nodes, world: &World) -> Self {
        // Whoever learns nothing writes nothing.
        let _ = cluster.refresh(&[TOPIC]).await;
        let others = Cluster::new(world.into(), nodes.bootstrap_without(node), "dohle-lab-newcomer");
        Self { node, led: led_by(cluster.topic(&TOPIC), node), others }
    }

    /// Writes to all that the node led as soon as others lead it; says how long after the blow that was acknowledged.
    pub(super) async fn written(&self, since: Instant, patience: Duration) -> Option<u64> {
        if self.led.is_empty() {
            return None;
        }
        timeout(patience, self.write(patience)).await.ok()??;
        u64::try_from(since.elapsed().as_millis()).ok()
    }

    async fn write(&self, patience: Duration) -> Option<()> {
        while self.others.refresh(&[TOPIC]).await.is_err() || !self.is_led_elsewhere() {
            sleep(ASK_PAUSE).await;
        }
        let options = ProducerOptions { delivery_patience: patience, ..ProducerOptions::default() };
        let producer = Producer::new(&self.others, options);
        let deliveries = self.led.iter().map(|index| producer.send(&TOPIC, *index, None, None));
        join_all(deliveries).await.into_iter().all(|delivery| delivery.is_ok()).then_some(())
    }

    fn is_led_elsewhere(&self) -> bool {
        let topic = self.others.topic(&TOPIC);
        let leader = |index| topic.as_ref().and_then(|topic| topic.partitions.get(index)).and_then(|it| it.leader);
        self.led.iter().all(|index| leader(index).is_some_and(|leader| leader != self.node))
    }
}

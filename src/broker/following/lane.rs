//! The lane to one leader: dials when something waits, and again when the connection ends, ever more slowly.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::Shared;
use super::connection::Connection;
use super::outbox::Outbox;
use crate::base::entropy::Entropy;
use crate::base::ids::{BrokerEpoch, ClusterId, NodeId};
use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::base::limits::{
    REPLICATION_CREDIT_BYTES, REPLICATION_HELLO_MS_MAX, REPLICATION_LINGER_MS, REPLICATION_REDIAL_MS,
    REPLICATION_REDIAL_MS_MAX,
};
use crate::broker::frames;
use crate::net::{self, Peer, PeerError};
use crate::rpc::replication as proto;
use crate::rpc::replication::leader_frame::Frame as Down;
use crate::rpc::replication::replication_client::ReplicationClient;

/// One leader, and what its task needs.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) leader: NodeId,
    pub(super) wished: Arc<Notify>,
    pub(super) metadata: watch::Receiver<()>,
}

/// How to reach the leader, and as whom: what metadata says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Way {
    cluster: ClusterId,
    address: String,
    leader_epoch: BrokerEpoch,
    my_epoch: BrokerEpoch,
}

#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("{address} is not broker {wanted} in the registration that metadata knows, it says it is broker {found}")]
    Another { address: String, wanted: NodeId, found: NodeId },
    #[error("the answer did not begin with a greeting")]
    NoGreeting,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, leader: NodeId, wished: Arc<Notify>) -> Self {
        let metadata = shared.metadata.subscribe();
        Self { shared, leader, wished, metadata }
    }

    /// Runs until nothing is open and nothing has waited for a while.
    pub(super) async fn run(mut self) {
        let mut redial = Redial::default();
        loop {
            self.forget_moved();
            if self.shared.with(self.leader, |entry| entry.wishes.is_empty()).unwrap_or(true) {
                if self.linger().await {
                    return;
                }
                continue;
            }
            let Some(way) = self.way() else {
                // Whom metadata does not know cannot be dialled; a change will tell.
                let _ = self.metadata.changed().await;
                continue;
            };
            match self.dial(&way).await {
                Ok(connection) => {
                    redial = Redial::default();
                    info!(event = "replication.connected", leader = %self.leader, address = %way.address, "following");
                    self.shared.around.suspects.on_connected(self.leader);
                    if connection.serve(&mut self, &way).await {
                        self.shared.around.suspects.on_lost(self.leader, self.shared.around.now());
                    }
                    self.shared.with(self.leader, |entry| entry.outbox = None);
                }
                Err(error) => {
                    debug!(event = "replication.dial_failed", leader = %self.leader, %error, "dialling again")
                }
            }
            if self.way().as_ref() == Some(&way) {
                redial.pause(&*self.shared.around.world.entropy, &mut self.metadata).await;
            }
        }
    }

    /// Where the leader is and who we are, if metadata knows both.
    pub(super) fn way(&self) -> Option<Way> {
        let image = self.shared.home.image();
        let leader = image.nodes().get(self.leader)?;
        let me = image.nodes().get(self.shared.around.me)?;
        (me.registration.incarnation == self.shared.incarnation).then_some(())?;
        Some(Way {
            cluster: image.cluster().id?,
            address: leader.registration.peer_address.clone(),
            leader_epoch: leader.epoch,
            my_epoch: me.epoch,
        })
    }

    /// Partitions that have another leader by now wait for that one.
    fn forget_moved(&self) {
        let leader = self.leader;
        let is_ours = |partition: &crate::broker::Partition| partition.leader().is_some_and(|(node, _)| node == leader);
        self.shared.with(leader, |entry| entry.wishes.retain(is_ours));
    }

    /// Waits for a wish; true if the lane has ended instead.
    async fn linger(&self) -> bool {
        tokio::select! {
            biased;
            () = self.wished.notified() => false,
            () = sleep(Duration::from_millis(REPLICATION_LINGER_MS)) => self.shared.end(self.leader),
        }
    }

    async fn dial(&self, way: &Way) -> Result<Connection, DialError> {
        let patience = Duration::from_millis(REPLICATION_HELLO_MS_MAX);
        let lane = net::Lane::Live;
        let outbox = Arc::new(Outbox::new(self.hello(way, lane)));
        let outgoing = futures_util::stream::unfold(Arc::clone(&outbox), |outbox| async move {
            outbox.next().await.map(|frame| (frame, outbox))
        });
        let network = Arc::clone(&self.shared.around.world.network);
        let peer = Peer::new(network, way.address.clone(), lane);
        let call = peer.call(patience, |channel| async move {
            let mut client = ReplicationClient::new(channel).max_decoding_message_size(PEER_MESSAGE_BYTES_MAX);
            client.replicate(outgoing).await
        });
        let mut frames = call.await?;
        let first = tokio::time::timeout(patience, frames.message()).await;
        let Ok(Ok(Some(proto::LeaderFrame { frame: Some(Down::Hello(greeting)) }))) = first else {
            return Err(DialError::NoGreeting);
        };
        let (wanted, found) = (self.leader, NodeId(greeting.node_id));
        if wanted != found || greeting.broker_epoch < way.leader_epoch.0 {
            return Err(DialError::Another { address: way.address.clone(), wanted, found });
        }
        self.shared.with(self.leader, |entry| entry.outbox = Some(Arc::clone(&outbox)));
        Ok(Connection::new(peer, frames, outbox))
    }

    fn hello(&self, way: &Way, lane: net::Lane) -> proto::Hello {
        proto::Hello {
            cluster_id: way.cluster.0.0.to_vec().into(),
            node_id: self.shared.around.me.0,
            broker_epoch: way.my_epoch.0,
            incarnation: self.shared.incarnation.0.0.to_vec().into(),
            lane: frames::lane_out(lane).into(),
            protocol_version: frames::PROTOCOL_VERSION,
            credit: REPLICATION_CREDIT_BYTES,
        }
    }
}

/// How long to wait before dialling again.
#[derive(Clone, Copy)]
struct Redial {
    ms: u64,
}

impl Default for Redial {
    fn default() -> Self {
        Self { ms: REPLICATION_REDIAL_MS }
    }
}

impl Redial {
    /// Waits a while, at random from half of it on so that the followers of a dead leader do not come back together;
    /// not at all any more once metadata has changed.
    async fn pause(&mut self, entropy: &dyn Entropy, metadata: &mut watch::Receiver<()>) {
        let ms = self.ms / 2 + entropy.number() % (self.ms / 2 + 1);
        self.ms = (self.ms * 2).min(REPLICATION_REDIAL_MS_MAX);
        let until = Instant::now() + Duration::from_millis(ms);
        tokio::select! {
            biased;
            _ = metadata.changed() => *self = Self::default(),
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

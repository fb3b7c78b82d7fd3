//! The leader's side of replication: one connection of a follower, and all partitions it opens there.
//!
//! ```text
//!   FollowerFrames ─► receive ──acks, credit──► partitions                      (a task of its own)
//!                        └────opens, closes──► Outgoing ─► LeaderFrames         (polled by the connection)
//!                                                 ▲
//!                            LaneQueue ───────────┘ partitions with something to send
//! ```
//!
//! Acknowledgements are taken even while the connection has no room to send: the high watermark must not wait for bulk.
//!
//! Invariants: a stream's id is this process's own and never used twice, whatever handles followers choose; whoever's
//! connection ends has no stream left at any partition; without credit no records are sent.

mod outgoing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tonic::Status;
use tracing::debug;

use super::frames::{self, Garbled, Handle};
use super::{Home, Partition, Surroundings};
use crate::base::executor::Worker;
use crate::base::ids::{BrokerEpoch, NodeId};
use crate::base::limits::{REPLICATION_HELLO_MS_MAX, REPLICATION_OPENS_MAX};
use crate::base::mutants::Mutant;
use crate::replica::StreamId;
use crate::replica::effect::{Ack, Opener};
use crate::rpc::replication as proto;
use crate::rpc::replication::follower_frame::Frame as Up;

use outgoing::Outgoing;

/// Serves the followers of the partitions that this node leads.
pub struct Leading {
    around: Arc<Surroundings>,
    pub(super) home: Arc<dyn Home>,
    /// Runs the reads that wait for the disk.
    reads: Arc<dyn Worker>,
    connections: Mutex<Vec<Weak<Connection>>>,
}

/// What a connection's two directions share.
struct Connection {
    follower: Opener,
    /// The bytes of records that may be sent. Below zero after a batch that was larger than what was left.
    credit: AtomicI64,
    streams: Mutex<Streams>,
    /// There is more credit, or a stream to refuse.
    changed: Notify,
}

#[derive(Default)]
struct Streams {
    by_handle: BTreeMap<Handle, (StreamId, Arc<Partition>)>,
    handles: BTreeMap<StreamId, Handle>,
    /// The follower is to be told that these do not count.
    refused: VecDeque<StreamId>,
}

/// What a follower asks that is answered in the order of the frames to it.
enum Request {
    Open(proto::Open),
    Close(Handle),
}

impl Leading {
    pub fn new(around: Arc<Surroundings>, home: Arc<dyn Home>) -> Arc<Self> {
        let reads = around.world.executor.worker("replication.read");
        Arc::new(Self { around, home, reads, connections: Mutex::default() })
    }

    /// Serves one connection: its follower's frames come in, what is returned goes out to it.
    pub async fn serve<S>(
        self: &Arc<Self>,
        mut frames: S,
    ) -> Result<impl Stream<Item = Result<proto::LeaderFrame, Status>> + Send + use<S>, Status>
    where
        S: Stream<Item = Result<proto::FollowerFrame, Status>> + Send + Unpin + 'static,
    {
        let patience = Duration::from_millis(REPLICATION_HELLO_MS_MAX);
        let first = timeout(patience, frames.next()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nothing was said"))?;
        let Some(proto::FollowerFrame { frame: Some(Up::Hello(hello)) }) = first.transpose()? else {
            return Err(Status::invalid_argument("the first frame must be a Hello"));
        };
        let (follower, greeting) = self.judge(&hello)?;
        let connection = Arc::new(Connection {
            follower,
            credit: AtomicI64::new(hello.credit.into()),
            streams: Mutex::default(),
            changed: Notify::new(),
        });
        self.remember(&connection);
        let (requests, asked) = mpsc::channel(REPLICATION_OPENS_MAX);
        let receiving = Box::pin(receive(Arc::clone(&connection), frames, requests));
        let receiving = self.around.world.executor.spawn("replication.receive", receiving);
        let outgoing = Outgoing::new(Arc::clone(self), connection, greeting, asked, receiving);
        Ok(futures_util::stream::unfold(outgoing, |mut outgoing| async move {
            outgoing.next().await.map(|frame| (Ok(frame), outgoing))
        }))
    }

    /// Does an [`super::Errand::RefuseStream`]: the follower will open again.
    pub fn refuse(&self, stream: StreamId) {
        let connections: Vec<_> = lock(&self.connections).iter().filter_map(Weak::upgrade).collect();
        for connection in connections {
            if connection.refuse(stream) {
                return;
            }
        }
    }

    /// Whether this is a fellow broker that metadata knows as it presents itself, and what to say to it.
    fn judge(&self, hello: &proto::Hello) -> Result<(Opener, proto::HelloAck), Status> {
        let image = self.home.image();
        let later = |what| Err(Status::unavailable(what));
        let never = |what: String| Err(Status::failed_precondition(what));
        let Some(cluster) = image.cluster().id else { return later("this node does not know its cluster yet") };
        if hello.cluster_id.as_ref() != cluster.0.0.as_slice() {
            return never(format!("this node belongs to the cluster {cluster}, and the follower to another"));
        }
        let node = NodeId(hello.node_id);
        let Some(known) = image.nodes().get(node) else { return later("metadata here does not know the follower yet") };
        let epoch = BrokerEpoch(hello.broker_epoch);
        if epoch > known.epoch {
            return later("metadata here does not know this registration of the follower yet");
        }
        if epoch < known.epoch || hello.incarnation.as_ref() != known.registration.incarnation.0.0.as_slice() {
            return never(format!("broker {node} has registered again since, with the broker epoch {}", known.epoch));
        }
        let me = self.around.me;
        let greeting = proto::HelloAck {
            node_id: me.0,
            broker_epoch: image.nodes().get(me).map_or(-1, |me| me.epoch.0),
            protocol_version: frames::PROTOCOL_VERSION,
        };
        Ok((Opener { id: node, broker_epoch: epoch }, greeting))
    }

    fn remember(&self, connection: &Arc<Connection>) {
        let mut connections = lock(&self.connections);
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }
}

/// Takes what the follower says until it ends or says what makes no sense; either ends the connection.
async fn receive<S>(connection: Arc<Connection>, mut frames: S, requests: mpsc::Sender<Request>)
where
    S: Stream<Item = Result<proto::FollowerFrame, Status>> + Unpin,
{
    let follower = connection.follower.id;
    while let Some(Ok(frame)) = frames.next().await {
        let taken = match frame.frame {
            Some(Up::Acks(acks)) => connection.on_acks(&acks),
            Some(Up::Credit(credit)) => {
                connection.on_credit(credit.bytes);
                Ok(())
            }
            Some(Up::Open(open)) => {
                drop(requests.send(Request::Open(open)).await);
                Ok(())
            }
            Some(Up::Close(close)) => {
                drop(requests.send(Request::Close(close.handle)).await);
                Ok(())
            }
            Some(Up::Hello(_)) => Err(Garbled("a second Hello")),
            None => Ok(()), // of a later version, which knows that we may not understand it
        };
        if let Err(error) = taken {
            return debug!(event = "replication.garbled", %follower, %error, "a follower's connection is closed");
        }
    }
}

impl Connection {
    fn on_acks(&self, acks: &proto::Acks) -> Result<(), Garbled> {
        let rows = frames::acks_in(acks)?;
        let known: Vec<_> = {
            let streams = lock(&self.streams);
            rows.filter_map(|(handle, ends)| Some((streams.by_handle.get(&handle)?.clone(), ends))).collect()
        };
        for ((stream, partition), ends) in known {
            partition.on_ack(self.follower.id, &Ack { stream, ends });
        }
        Ok(())
    }

    fn on_credit(&self, bytes: u32) {
        self.credit.fetch_add(bytes.into(), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Whether the stream was one of this connection's.
    fn refuse(&self, stream: StreamId) -> bool {
        let mut streams = lock(&self.streams);
        let is_ours = streams.handles.contains_key(&stream);
        if is_ours {
            streams.refused.push_back(stream);
            self.changed.notify_one();
        }
        is_ours
    }
}

impl Streams {
    fn insert(&mut self, handle: Handle, stream: StreamId, partition: Arc<Partition>) {
        self.handles.insert(stream, handle);
        self.by_handle.insert(handle, (stream, partition));
    }

    fn remove(&mut self, handle: Handle) -> Option<(StreamId, Arc<Partition>)> {
        let removed = self.by_handle.remove(&handle)?;
        self.handles.remove(&removed.0);
        Some(removed)
    }

    /// The next stream to refuse that is still open.
    fn next_refused(&mut self) -> Option<Handle> {
        while let Some(stream) = self.refused.pop_front() {
            if let Some(handle) = self.handles.remove(&stream) {
                if !Mutant::AckOfOldStream.lives() {
                    self.by_handle.remove(&handle);
                }
                return Some(handle);
            }
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

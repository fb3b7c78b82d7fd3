//! Sessions: who is heard, whose stream broke off, and what the active controller does about it.
//!
//! Every broker holds a stream to every controller, so that whoever becomes active knows already who is alive. The
//! judgement is `controller::liveness`; here is its body: one task that counts what the streams say, looks for a node
//! whose stream broke off, and asks for it to be fenced while this controller reigns.
//!
//! Invariants: only the newest stream of a node speaks for it, and only for its newest registration; what a verdict
//! fences is the registration that the image has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::Status;
use tracing::{debug, info, warn};

use super::active::{Asked, own_origin};
use super::handle::Quorum;
use super::image::Published;
use super::inquiries::{Inquiries, Silent};
use super::probe::{PROBES, Probed, probe};
use crate::base::executor::BoxFuture;
use crate::base::ids::{BrokerEpoch, ClusterId, NodeId};
use crate::base::limits::PROBE_AGAIN_MS;
use crate::base::network::Network;
use crate::base::time::Millis;
use crate::controller::liveness::{Liveness, Patience, Verdict};
use crate::controller::{Command, Fence};
use crate::metadata::nodes::Node;
use crate::net::Inquiry;
use crate::rpc::controller as proto;
use proto::session_up::Message;

/// One stream of one node; a later one has a greater number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct StreamId(pub u64);

/// What a stream has to tell.
pub(super) enum Event {
    Opened { node: NodeId, stream: StreamId, epoch: BrokerEpoch, address: String },
    Heard { node: NodeId, stream: StreamId },
    Lost { witness: NodeId, nodes: Vec<NodeId> },
    Found { nodes: Vec<NodeId> },
    Closed { node: NodeId, stream: StreamId, graceful: bool },
}

/// The stream that speaks for a node.
struct Present {
    stream: StreamId,
    epoch: BrokerEpoch,
    address: String,
}

/// A look for a node whose stream broke off.
type Look = BoxFuture<'static, (NodeId, StreamId, Probed)>;

/// The sessions of one controller.
pub(super) struct Sessions {
    pub network: Arc<dyn Network>,
    pub quorum: Quorum,
    pub image: Published,
    pub commands: mpsc::Sender<Asked>,
    pub events: mpsc::Receiver<Event>,
    pub inquiries: Inquiries,
    pub patience: Patience,
}

/// What the task works on.
struct Table {
    started: Instant,
    liveness: Liveness,
    present: BTreeMap<NodeId, Present>,
    /// Nodes that are being fenced at the moment.
    fencing: BTreeSet<NodeId>,
    judged_at: Instant,
}

impl Sessions {
    pub async fn run(mut self) {
        let mut table = Table {
            started: Instant::now(),
            liveness: Liveness::new(self.patience),
            present: BTreeMap::new(),
            fencing: BTreeSet::new(),
            judged_at: Instant::now(),
        };
        let mut reign = self.quorum.reign();
        let mut probes: FuturesUnordered<Look> = FuturesUnordered::new();
        let mut fences: FuturesUnordered<BoxFuture<'static, NodeId>> = FuturesUnordered::new();
        let mut tick = interval(self.patience.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // What is heard counts before time does.
                event = self.events.recv() => match event {
                    Some(event) => probes.extend(self.count(&mut table, event)),
                    None => return,
                },
                Some((node, stream, probed)) = probes.next(), if !probes.is_empty() => {
                    if table.learn(node, stream, probed) {
                        fences.extend(self.judge(&mut table));
                    } else {
                        // A process that is dying takes connections for a moment longer.
                        probes.extend(self.look(&table, node, stream, Duration::from_millis(PROBE_AGAIN_MS)));
                    }
                }
                (node, inquiry) = self.inquiries.next() => {
                    table.learn_of(node, inquiry);
                    fences.extend(self.judge(&mut table));
                }
                Some(node) = fences.next(), if !fences.is_empty() => drop(table.fencing.remove(&node)),
                // A new reign acts at once on what was seen in the one before.
                goes_on = self.quorum.reign_changed(reign) => {
                    if !goes_on {
                        return;
                    }
                    reign = self.quorum.reign();
                    fences.extend(self.judge(&mut table));
                }
                _ = tick.tick() => {
                    self.expect_the_living(&mut table);
                    fences.extend(self.judge(&mut table));
                    self.inquire(&table);
                }
            }
        }
    }

    /// Counts an event; a stream that broke off is followed by a look at where it came from.
    fn count(&self, table: &mut Table, event: Event) -> Option<Look> {
        let now = table.now();
        match event {
            Event::Opened { node, stream, epoch, address } => {
                let newer = |present: &Present| present.stream < stream && present.epoch <= epoch;
                if table.present.get(&node).is_none_or(newer) {
                    table.present.insert(node, Present { stream, epoch, address });
                    self.hear(table, node, now);
                }
            }
            Event::Heard { node, stream } if table.speaks(node, stream) => self.hear(table, node, now),
            Event::Lost { witness, nodes } => {
                nodes.into_iter().for_each(|lost| table.liveness.on_peer_report(witness, lost, now));
            }
            Event::Found { nodes } => nodes.into_iter().for_each(|found| table.liveness.on_answered(found, now)),
            Event::Closed { node, stream, graceful } if table.speaks(node, stream) && self.is_newest(table, node) => {
                debug!(event = "session.closed", %node, graceful, "a node's stream ended");
                table.liveness.on_stream_closed(node, graceful, now);
                return if graceful { None } else { self.look(table, node, stream, Duration::ZERO) };
            }
            Event::Heard { .. } | Event::Closed { .. } => {}
        }
        None
    }

    /// Looks for a node where its stream came from; nothing if it is back, or fenced anyway.
    fn look(&self, table: &Table, node: NodeId, stream: StreamId, after: Duration) -> Option<Look> {
        let present = table.present.get(&node).filter(|present| present.stream == stream)?;
        if self.image.borrow().nodes().get(node).is_some_and(Node::is_fenced) {
            return None;
        }
        let (network, address) = (Arc::clone(&self.network), present.address.clone());
        Some(Box::pin(async move {
            sleep(after).await;
            (node, stream, probe(network, address).await)
        }))
    }

    fn hear(&self, table: &mut Table, node: NodeId, now: Millis) {
        if self.is_newest(table, node) {
            table.liveness.on_heartbeat(node, now);
        }
    }

    /// Whether the stream of a node belongs to a run that is not over. What an older run says keeps nothing alive.
    fn is_newest(&self, table: &Table, node: NodeId) -> bool {
        let registered = self.image.borrow().nodes().get(node).map(|node| node.epoch);
        let speaks_for = table.present.get(&node).map(|present| present.epoch);
        speaks_for >= registered
    }

    /// A node that is not fenced is expected to be heard; the others are not.
    fn expect_the_living(&self, table: &mut Table) {
        let now = table.now();
        for node in self.image.borrow().nodes().iter() {
            if node.is_fenced() {
                table.liveness.forget(node.id);
            } else {
                table.liveness.expect(node.id, now);
            }
        }
    }

    /// Looks for those who have fallen silent. Every controller does, so that whoever becomes active has evidence.
    fn inquire(&mut self, table: &Table) {
        let suspects = table.liveness.suspects(table.now());
        let image = self.image.borrow();
        let address = |node| image.nodes().get(node).map(|known| (node, known.registration.peer_address.clone()));
        self.inquiries.inquire(suspects.into_iter().filter_map(address).collect());
    }

    /// Has those fenced of whom there is evidence enough, if this controller reigns.
    fn judge(&self, table: &mut Table) -> Vec<BoxFuture<'static, NodeId>> {
        let confirmed = self.quorum.confirmed_since(table.judged_at);
        table.judged_at = Instant::now();
        let verdicts = table.liveness.tick(table.now(), confirmed);
        if !self.quorum.reign().is_ours {
            return Vec::new();
        }
        verdicts.into_iter().filter_map(|verdict| self.fence(table, verdict)).collect()
    }

    fn fence(&self, table: &mut Table, verdict: Verdict) -> Option<BoxFuture<'static, NodeId>> {
        let Verdict { node, why } = verdict;
        let epoch = self.image.borrow().nodes().get(node).filter(|known| !known.is_fenced())?.epoch;
        if !table.fencing.insert(node) {
            return None;
        }
        let (answer, decided) = oneshot::channel();
        let command = Command::Fence(Fence { node, epoch });
        let asked = Asked { command, origin: own_origin("Fence"), answer: Some(answer) };
        if self.commands.try_send(asked).is_err() {
            table.fencing.remove(&node);
            return None; // the queue is full: the verdict comes again with the next tick
        }
        info!(event = "node.fencing", %node, %epoch, %why, "a node is to be fenced");
        Some(Box::pin(async move {
            if let Ok(Err(error)) = decided.await {
                warn!(event = "node.fencing_failed", %node, %error, "a node could not be fenced");
            }
            node
        }))
    }
}

impl Table {
    /// Now, as the mind counts it.
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn speaks(&self, node: NodeId, stream: StreamId) -> bool {
        self.present.get(&node).is_some_and(|present| present.stream == stream)
    }

    /// Takes in what a probe found; whether it is evidence against the node.
    fn learn(&mut self, node: NodeId, stream: StreamId, probed: Probed) -> bool {
        debug!(event = "session.probed", %node, ?probed, "a node was looked for");
        if !self.speaks(node, stream) {
            return false; // it is back already
        }
        match probed {
            Probed::Refused => (0..PROBES).for_each(|_| self.liveness.on_probe_refused(node)),
            Probed::Answered => self.liveness.on_probe_taken(node),
            Probed::Silent => {}
        }
        probed == Probed::Refused
    }

    /// Takes in what came of an inquiry.
    fn learn_of(&mut self, node: NodeId, inquiry: Inquiry) {
        debug!(event = "session.inquired", %node, ?inquiry, "a silent node was inquired after");
        match inquiry {
            Inquiry::Answered => self.liveness.on_answered(node, self.now()),
            Inquiry::Unanswered => self.liveness.on_unanswered(node, self.now()),
            Inquiry::Unasked => {}
        }
    }
}

/// The controller's end of one stream, without a task of its own: each message is counted when it comes, and answered.
pub(super) struct Session<Up> {
    pub up: Up,
    pub quorum: Quorum,
    pub events: mpsc::Sender<Event>,
    /// Whom every node is asked to look for.
    pub silent: Silent,
    pub stream: StreamId,
    pub session_timeout: Duration,
    pub cluster: ClusterId,
    /// Once the node has said who it is.
    pub open: Option<Open>,
}

/// A stream that has been opened; that it ends is told however it ends.
pub(super) struct Open {
    node: NodeId,
    stream: StreamId,
    graceful: bool,
    /// A place in the queue: there is room to tell the end, however many events wait.
    place: Option<mpsc::OwnedPermit<Event>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let (node, stream, graceful) = (self.node, self.stream, self.graceful);
        if let Some(place) = self.place.take() {
            place.send(Event::Closed { node, stream, graceful });
        }
    }
}

impl<Up: Stream<Item = Result<proto::SessionUp, Status>> + Unpin> Session<Up> {
    pub fn answers(self) -> impl Stream<Item = Result<proto::SessionDown, Status>> {
        stream::try_unfold(self, |mut session| async move {
            let answer = session.next().await?;
            Ok(answer.map(|answer| (answer, session)))
        })
    }

    /// The next thing to say; nothing when the node has gone.
    async fn next(&mut self) -> Result<Option<proto::SessionDown>, Status> {
        tokio::select! {
            biased;
            said = self.up.next() => {
                // A stream that fails has ended too; that it did is told when `open` is dropped.
                let Some(Ok(proto::SessionUp { message: Some(message) })) = said else { return Ok(None) };
                // Who has just looked for a node is not asked again before the next heartbeat.
                let is_testimony = matches!(message, Message::Lost(_) | Message::Found(_));
                self.take(message).await?;
                let silent = if is_testimony { Vec::new() } else { self.silent.borrow().clone() };
                return Ok(Some(self.answer(&silent)));
            }
            // Whoever is to be looked for is not left until the next heartbeat.
            Ok(()) = self.silent.changed() => {}
        }
        let silent = self.silent.borrow_and_update().clone();
        Ok(Some(self.answer(&silent)))
    }

    async fn take(&mut self, message: Message) -> Result<(), Status> {
        let event = match (message, &mut self.open) {
            (Message::Hello(hello), None) => self.opened(hello).await?,
            (Message::Heartbeat(_), Some(open)) => Event::Heard { node: open.node, stream: open.stream },
            (Message::Lost(lost), Some(open)) => {
                Event::Lost { witness: open.node, nodes: lost.node_ids.into_iter().map(NodeId).collect() }
            }
            (Message::Found(found), Some(_)) => {
                Event::Found { nodes: found.node_ids.into_iter().map(NodeId).collect() }
            }
            (Message::Goodbye(_), Some(open)) => {
                open.graceful = true;
                return Ok(());
            }
            (Message::Hello(_), Some(_)) => return Err(Status::failed_precondition("a session says hello once")),
            (_, None) => return Err(Status::failed_precondition("a session begins with hello")),
        };
        self.events.send(event).await.map_err(|_| Status::unavailable("this controller stops"))
    }

    async fn opened(&mut self, hello: proto::Hello) -> Result<Event, Status> {
        if hello.cluster_id.as_ref() != self.cluster.0.0 {
            return Err(Status::failed_precondition(format!(
                "this is cluster {}, the node is of another",
                self.cluster
            )));
        }
        let (node, stream) = (NodeId(hello.node_id), self.stream);
        let place = self.events.clone().reserve_owned().await;
        let place = place.map_err(|_| Status::unavailable("this controller stops"))?;
        self.open = Some(Open { node, stream, graceful: false, place: Some(place) });
        Ok(Event::Opened { node, stream, epoch: BrokerEpoch(hello.broker_epoch), address: hello.peer_address })
    }

    fn answer(&self, silent: &[NodeId]) -> proto::SessionDown {
        let active = self.quorum.leader();
        proto::SessionDown {
            active: active.map(|member| proto::ControllerAddress { node_id: member.node.0, address: member.address }),
            session_timeout_ms: u32::try_from(self.session_timeout.as_millis()).unwrap_or(u32::MAX),
            rules: self.quorum.rules(),
            silent: silent.iter().map(|node| node.0).collect(),
        }
    }
}

//! This broker's place in the cluster: it registers, keeps a session with every controller, and asks to be let in.
//!
//! Invariants: everything said in a session is of one registration; a goodbye is said only on a stop.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use super::Broker;
use super::link::{SubmitError, client};
use super::witness::Witness;
use crate::base::executor::Task;
use crate::base::ids::{BrokerEpoch, DirectoryId, NodeId, PartitionIndex, TopicId};
use crate::base::limits::{
    COMMAND_PATIENCE_MS, CONTROLLER_DOUBT_MS, CONTROLLER_RETRY_MS, FEED_SILENCE_MS_MAX, HEARTBEAT_MS,
    SESSION_MESSAGES_QUEUE_MAX,
};
use crate::controller::{Command, Register, Reply, TakeOffline, Unfence};
use crate::metadata::Image;
use crate::metadata::nodes::{Node, Registration};
use crate::metadata::record::Origin;
use crate::rpc::controller as proto;
use proto::session_up::Message;

/// What a broker says of itself when it joins.
#[derive(Clone)]
pub struct Joining {
    pub registration: Registration,
    /// The registration of the run before this one, as it is noted on the disk.
    pub previous_epoch: Option<BrokerEpoch>,
    /// Notes this run's registration on the disk, before anything is written in its name.
    pub note: Note,
    /// Notes that what this run has written cannot be relied on: the next start is one after a crash of the machine.
    pub disown: Note,
}

impl Joining {
    /// With the disks that this node has. If one is missing the next time, everything this node had is in doubt.
    pub(super) fn with_disks(mut self, ids: impl Iterator<Item = DirectoryId>) -> Self {
        let known = &mut self.registration.directories;
        for id in ids {
            if !known.contains(&id) {
                known.push(id);
            }
        }
        self
    }
}

/// Notes a registration. Waits for the disk.
pub type Note = Arc<dyn Fn(BrokerEpoch) -> io::Result<()> + Send + Sync>;

/// Registers, then keeps the broker let in until it stops; ends when every controller has heard its goodbye.
pub(super) async fn keep(broker: Broker, joining: Joining) {
    let epoch = register(&broker, &joining).await;
    let note = Arc::clone(&joining.note);
    if let Err(error) = broker.0.openers[0].call(move || note(epoch)).await {
        // The next run will be unable to say how this one ended, and count as a crash of the machine: safe, but slow.
        warn!(event = "broker.not_noted", %error, "this registration could not be noted on the disk");
    }
    broker.0.epoch.send_replace(Some(epoch));
    if broker.0.folders.any_failed() {
        let broker = broker.clone();
        broker.0.openers[0].clone().call(move || broker.disown()).await;
    }
    info!(event = "broker.registered", node = %broker.node(), %epoch, "this broker is registered");
    let mut sessions: BTreeMap<String, Task> = BTreeMap::new();
    let (mut images, mut was_in) = (broker.0.image.subscribe(), false);
    let mut offline = broker.0.partitions.watch_offline();
    let mut stopping = broker.0.stopping.subscribe();
    loop {
        for address in broker.0.link.addresses() {
            let session = hold(broker.clone(), address.clone(), epoch, joining.registration.peer_address.clone());
            let start = || broker.0.around.world.executor.spawn("session", Box::pin(session));
            sessions.entry(address).or_insert_with(start);
        }
        let news = async {
            // One image for both: what this broker asks to be let in with, it has told the truth about.
            let image = broker.image();
            let told = tell_of_offline(&broker, &image, epoch).await;
            let done = if told.is_ok() { ask_to_be_let_in(&broker, &image, epoch, &mut was_in).await } else { told };
            match done {
                Ok(()) => tokio::select! {
                    biased;
                    changed = offline.changed() => changed,
                    changed = images.changed() => changed,
                },
                Err(error) => {
                    info!(event = "broker.waits", %error, "this broker was not let in yet");
                    sleep(Duration::from_millis(CONTROLLER_RETRY_MS)).await;
                    Ok(())
                }
            }
        };
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            goes_on = news => if goes_on.is_err() {
                return;
            },
        }
    }
    for session in sessions.into_values() {
        session.ended().await;
    }
}

async fn register(broker: &Broker, joining: &Joining) -> BrokerEpoch {
    let request = Command::Register(Register {
        cluster: broker.0.link.cluster(),
        node: broker.node(),
        previous_epoch: joining.previous_epoch,
        registration: joining.registration.clone(),
    });
    let mut said = String::new();
    loop {
        match broker.0.link.submit(&request, &itself("Register"), Duration::from_millis(COMMAND_PATIENCE_MS)).await {
            Ok((Reply::Registered { epoch }, _)) => return epoch,
            Ok((other, _)) => unreachable!("a registration is not answered by {other:?}"),
            // Once for each reason, not for each time.
            Err(error) if error.to_string() == said => {}
            Err(error) => {
                said = error.to_string();
                match error {
                    SubmitError::Refused(refused) => {
                        warn!(event = "broker.refused", %refused, "the cluster does not take this broker");
                    }
                    error => info!(event = "broker.waits", %error, "no controller takes this broker yet"),
                }
            }
        }
        sleep(Duration::from_millis(CONTROLLER_RETRY_MS)).await;
    }
}

/// Replicas that this broker cannot use must not count as in sync, nor be chosen to lead.
async fn tell_of_offline(broker: &Broker, image: &Image, epoch: BrokerEpoch) -> Result<(), SubmitError> {
    let is_known = |topic: TopicId, index: PartitionIndex| {
        let assigned = image.topics().get(topic).and_then(|topic| topic.partition(index));
        assigned.is_none_or(|it| it.only(broker.node()).is_subset_of(it.state.offline))
    };
    let mut replicas = broker.0.partitions.lost();
    replicas.retain(|(topic, index)| !is_known(*topic, *index));
    if replicas.is_empty() {
        return Ok(());
    }
    warn!(event = "broker.offline", replicas = replicas.len(), "replicas are offline here; others are to lead them");
    let request = Command::TakeOffline(TakeOffline { node: broker.node(), epoch, replicas });
    broker.submit(&request, &itself("TakeOffline"), Duration::from_millis(COMMAND_PATIENCE_MS)).await.map(drop)
}

/// A fenced broker that has caught up with its own registration asks to lead and follow. One that did before waits
/// until the active controller hears it again: let in unheard, it would be fenced again at once.
async fn ask_to_be_let_in(
    broker: &Broker,
    image: &Image,
    epoch: BrokerEpoch,
    was_in: &mut bool,
) -> Result<(), SubmitError> {
    let me = image.nodes().get(broker.node()).filter(|me| me.epoch == epoch);
    let is_fenced = me.map(Node::is_fenced);
    *was_in |= is_fenced == Some(false);
    if is_fenced != Some(true) {
        return Ok(());
    }
    if *was_in {
        broker.0.around.lease.renewed().await;
    }
    let request = Command::Unfence(Unfence { node: broker.node(), epoch, applied: image.applied() });
    broker.0.link.submit(&request, &itself("Unfence"), Duration::from_millis(COMMAND_PATIENCE_MS)).await.map(drop)
}

/// Commands of a broker in its own name.
pub(super) fn itself(api: &str) -> Origin {
    Origin { principal: "broker".to_owned(), api: api.to_owned(), ..Origin::default() }
}

/// Keeps a session with one controller until the broker stops.
async fn hold(broker: Broker, address: String, epoch: BrokerEpoch, peer_address: String) {
    while let Err(why) = session(&broker, &address, epoch, &peer_address).await {
        if *broker.0.stopping.borrow() {
            return;
        }
        debug!(event = "session.ended", address, why, "the session is opened again");
        broker.0.link.session(&address).give_up();
        sleep(Duration::from_millis(CONTROLLER_RETRY_MS)).await;
    }
}

/// One session, up to its goodbye or whatever breaks it off.
async fn session(broker: &Broker, address: &str, epoch: BrokerEpoch, peer_address: &str) -> Result<(), String> {
    let (up, messages) = mpsc::channel(SESSION_MESSAGES_QUEUE_MAX);
    let hello = proto::Hello {
        cluster_id: broker.0.link.cluster().0.0.to_vec().into(),
        node_id: broker.node().0,
        broker_epoch: epoch.0,
        peer_address: peer_address.to_owned(),
    };
    say(&up, Message::Hello(hello)).await?;
    let outgoing = stream::unfold(messages, |mut messages| async move {
        messages.recv().await.map(|message: proto::SessionUp| (message, messages))
    });
    let silence = Duration::from_millis(FEED_SILENCE_MS_MAX);
    let call = |channel| async move { client(channel).session(outgoing).await };
    let mut down = broker.0.link.session(address).call(silence, call).await.map_err(|error| error.to_string())?;
    let mut heartbeats = interval(Duration::from_millis(HEARTBEAT_MS));
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = broker.0.stopping.subscribe();
    let mut witness = Witness::new(broker.clone());
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => {
                say(&up, Message::Goodbye(proto::Goodbye {})).await?;
                drop(up);
                while let Ok(Some(_)) = down.message().await {} // it ends when the controller has heard it
                return Ok(());
            }
            answer = down.message() => match answer.map_err(|status| status.to_string())? {
                Some(answer) => {
                    heard = Instant::now();
                    broker.0.link.trust(address);
                    if answer.rules {
                        broker.0.around.lease.renew(broker.0.around.now(), answer.session_timeout_ms);
                    }
                    witness.look_for(answer.silent.into_iter().map(NodeId));
                }
                None => return Err("the controller ended the session".to_owned()),
            },
            found = witness.testimony() => say(&up, found).await?,
            _ = heartbeats.tick() => {
                if heard.elapsed() > silence {
                    return Err("the controller fell silent".to_owned());
                }
                if heard.elapsed() > Duration::from_millis(CONTROLLER_DOUBT_MS) {
                    broker.0.link.doubt(address);
                }
                let applied = broker.image().applied().0;
                say(&up, Message::Heartbeat(proto::Heartbeat { applied, leaders_ready: applied })).await?;
                let around = &broker.0.around;
                let lost = around.suspects.all(around.now());
                if !lost.is_empty() {
                    let node_ids = lost.into_iter().map(|node| node.0).collect();
                    say(&up, Message::Lost(proto::Lost { node_ids })).await?;
                }
            }
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the broker; without it there is nothing left to say goodbye for.
    drop(stopping.wait_for(|is_stopping| *is_stopping).await);
}

async fn say(up: &mpsc::Sender<proto::SessionUp>, message: Message) -> Result<(), String> {
    let sent = up.send(proto::SessionUp { message: Some(message) }).await;
    sent.map_err(|_| "the session's stream was closed".to_owned())
}

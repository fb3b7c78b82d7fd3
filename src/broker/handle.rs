//! The broker as the doors see it, and how it starts and stops.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::departed::Departed;
use super::folders::{DirReport, Folders};
use super::lanes::{Home, View};
use super::link::{ControllerLink, SubmitError};
use super::partition::{Partition, Surroundings};
use super::partitions::{Offline, Partitions};
use super::passing::Passing;
use super::session::{Joining, itself};
use super::{Following, Leading, PartitionError, runner, session, subscription};
use crate::base::World;
use crate::base::executor::{Reactor, Task, Worker};
use crate::base::ids::{BrokerEpoch, ClusterId, MetadataIndex, NodeId, PartitionIndex, ProducerId, TopicId};
use crate::base::limits::{
    GOODBYE_MS_MAX, HAND_OVER_MS_MAX, HELD_MS_MAX, LOG_OPENERS, METADATA_HELD_MS_MAX, PRODUCER_IDS_PATIENCE_MS,
};
use crate::config::Resolved;
use crate::controller::{Command, ProducerIdBlock, Reply};
use crate::log::{After, DirMeta, LogError};
use crate::metadata::nodes::Node;
use crate::metadata::record::Origin;
use crate::metadata::{Delta, Image};
use crate::rpc::controller::QuorumState;

/// So many partitions are opened one after another before others' threads are woken for them.
const OPENED_AT_ONCE: usize = 8;

/// This node's broker. Clones are the same one.
#[derive(Clone)]
pub struct Broker(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) around: Arc<Surroundings>,
    pub(super) folders: Arc<Folders>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) leading: Arc<Leading>,
    pub(super) following: Following,
    pub(super) link: ControllerLink,
    /// What this node has applied and acts on.
    pub(super) image: watch::Sender<Arc<Image>>,
    departed: Departed,
    pub(super) passing: Passing,
    /// This run's registration, once it has one.
    pub(super) epoch: watch::Sender<Option<BrokerEpoch>>,
    pub(super) stopping: watch::Sender<bool>,
    /// Why this run has to end, if it has to.
    failed: watch::Sender<Option<String>>,
    joining: Joining,
    node: Resolved,
    producer_ids: Mutex<ProducerIdBlock>,
    /// Open and remove logs, in the order in which metadata says so.
    pub(super) openers: Vec<Arc<dyn Worker>>,
}

/// Who this broker is and how its last run ended.
pub struct Identity {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub directory: DirMeta,
    pub log_dirs: Vec<PathBuf>,
    pub last_run: After,
    /// Peer addresses of the controllers it knows at first.
    pub controllers: Vec<String>,
    pub joining: Joining,
}

/// A started broker with its tasks; dropping it ends them.
pub struct Running {
    pub broker: Broker,
    session: Task,
    _tasks: [Task; 2],
}

impl Running {
    /// Opens the log dirs and joins the cluster. Waits for the disk.
    pub fn start(
        world: &World,
        identity: Identity,
        node: &Resolved,
        reactors: &[Arc<dyn Reactor>],
    ) -> Result<Self, LogError> {
        let around = Arc::new(Surroundings::new(identity.node, world.clone()).on(reactors));
        let dirs = &identity.log_dirs;
        let folders = Arc::new(Folders::open(world, dirs, &identity.directory, identity.last_run)?);
        let joining = identity.joining.with_disks(folders.ids());
        let partitions = Arc::new(Partitions::new(Arc::clone(&around), Arc::clone(&folders), node.clone()));
        let image = watch::Sender::new(Arc::new(Image::default()));
        let home: Arc<dyn Home> = Arc::new(View { image: image.subscribe(), partitions: Arc::clone(&partitions) });
        let incarnation = joining.registration.incarnation;
        let broker = Broker(Arc::new(Inner {
            partitions,
            leading: Leading::new(Arc::clone(&around), Arc::clone(&home)),
            following: Following::new(Arc::clone(&around), home, incarnation),
            link: ControllerLink::new(world.clone(), identity.cluster, identity.controllers),
            image,
            departed: Departed::default(),
            passing: Passing::default(),
            epoch: watch::Sender::new(None),
            stopping: watch::Sender::new(false),
            failed: watch::Sender::new(None),
            joining: joining.clone(),
            node: node.clone(),
            producer_ids: Mutex::new(ProducerIdBlock { first: ProducerId(0), len: 0 }),
            openers: (0..LOG_OPENERS).map(|_| world.executor.worker("log-open")).collect(),
            around,
            folders,
        }));
        let spawn = |name, task| world.executor.spawn(name, task);
        let session = spawn("broker.session", Box::pin(session::keep(broker.clone(), joining)));
        let tasks = [
            spawn("broker.feed", Box::pin(subscription::follow(broker.clone()))),
            spawn("broker.errands", Box::pin(runner::run(broker.clone()))),
        ];
        Ok(Self { broker, session, _tasks: tasks })
    }

    /// Says goodbye and closes every log, so that the next start has nothing to recover. Returns the registration that
    /// ended so, if all went well.
    pub async fn stop(self) -> Option<BrokerEpoch> {
        let Self { broker, session, _tasks } = self;
        broker.0.stopping.send_replace(true);
        // A controller that does not hear it will notice anyway.
        drop(timeout(Duration::from_millis(GOODBYE_MS_MAX), session.ended()).await);
        drop(_tasks);
        let worker = broker.0.around.world.executor.worker("log-close");
        worker.call(move || broker.close_logs()).await
    }
}

impl Broker {
    pub fn node(&self) -> NodeId {
        self.0.around.me
    }

    /// This run's registration, once there is one.
    pub fn epoch(&self) -> Option<BrokerEpoch> {
        *self.0.epoch.borrow()
    }

    pub fn cluster(&self) -> ClusterId {
        self.0.link.cluster()
    }

    /// What leads partitions here, for the replication door.
    pub fn leading(&self) -> Arc<Leading> {
        Arc::clone(&self.0.leading)
    }

    /// The settings this node was started with.
    pub fn settings(&self) -> &Resolved {
        &self.0.node
    }

    pub fn world(&self) -> &World {
        &self.0.around.world
    }

    /// The metadata that this node has applied and acts on.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.0.image.borrow())
    }

    /// The same, for whoever waits for the next one.
    pub fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.0.image.subscribe()
    }

    /// The same; but while a broker may just have died, it is waited a little for what becomes of it.
    pub async fn settled_image(&self) -> Arc<Image> {
        let suspects = self.0.around.suspects.all(self.0.around.now());
        if !suspects.is_empty() {
            let mut images = self.0.image.subscribe();
            let is_settled = |image: &Arc<Image>| !suspects.iter().any(|node| image.nodes().is_active(*node));
            drop(timeout(Duration::from_millis(METADATA_HELD_MS_MAX), images.wait_for(is_settled)).await);
        }
        self.image()
    }

    /// Whether clients are told of a broker: it serves, or did a moment ago.
    pub fn tells_of(&self, node: &Node) -> bool {
        self.0.departed.tells_of(node, self.0.around.now())
    }

    /// Waits until this node acts on everything up to here.
    pub async fn image_at(&self, index: MetadataIndex) {
        let mut images = self.0.image.subscribe();
        // The sender lives in this very broker.
        drop(images.wait_for(|image| image.applied() >= index).await);
    }

    /// The next image after the one that reached up to here.
    pub async fn image_after(&self, index: MetadataIndex) -> Arc<Image> {
        let mut images = self.0.image.subscribe();
        let newer = images.wait_for(|image| image.applied() > index).await.map(|image| Arc::clone(&image));
        newer.expect("the sender lives in this very broker")
    }

    /// Has a command decided by the active controller; returns when this node acts on the outcome, or `patience` ends.
    pub async fn submit(&self, command: &Command, origin: &Origin, patience: Duration) -> Result<Reply, SubmitError> {
        let (reply, index) = self.0.link.submit(command, origin, patience).await?;
        // Done is done: whoever asks another broker next would not have been told of this one's delay either.
        drop(timeout(patience, self.image_at(index)).await);
        Ok(reply)
    }

    /// How the quorum of controllers stands.
    pub async fn describe_quorum(&self, patience: Duration) -> Result<QuorumState, SubmitError> {
        self.0.link.describe_quorum(patience).await
    }

    /// An id for a new producer, from a block that the controller gave this broker.
    pub async fn producer_id(&self) -> Result<ProducerId, SubmitError> {
        let mut block = self.0.producer_ids.lock().await;
        if block.len == 0 {
            let Some(epoch) = self.epoch() else {
                return Err(SubmitError::NoController("this broker is not registered yet".to_owned()));
            };
            let command = Command::AllocateProducerIds { node: self.node(), epoch };
            let patience = Duration::from_millis(PRODUCER_IDS_PATIENCE_MS);
            match self.0.link.submit(&command, &itself("AllocateProducerIds"), patience).await?.0 {
                Reply::ProducerIds(fresh) => *block = fresh,
                other => unreachable!("AllocateProducerIds is not answered by {other:?}"),
            }
        }
        let id = block.first;
        *block = ProducerIdBlock { first: ProducerId(id.0 + 1), len: block.len - 1 };
        Ok(id)
    }

    /// The partition, if this node has a replica of it; otherwise why not.
    pub fn partition(&self, topic: TopicId, index: PartitionIndex) -> Result<Arc<Partition>, PartitionError> {
        if let Some(partition) = self.0.partitions.get(topic, index) {
            return Ok(partition);
        }
        if let Some(why) = self.0.partitions.why_offline(topic, index) {
            return Err(PartitionError::Storage(why.to_string()));
        }
        let image = self.image();
        let Some(known) = image.topics().get(topic) else { return Err(PartitionError::UnknownTopicId) };
        let Some(assigned) = known.partition(index) else { return Err(PartitionError::UnknownTopicOrPartition) };
        let hint = assigned.state.leader.map(|leader| (leader, assigned.state.leader_epoch));
        Err(PartitionError::NotLeader { hint })
    }

    /// Makes this node what new metadata says, then lets others see it.
    pub(super) async fn act_on(&self, image: Image, delta: Delta) {
        let old = self.image();
        let new = Arc::new(image);
        self.0.link.learn(&new);
        self.0.departed.on_metadata(&old, &new, &delta, self.0.around.now());
        let is_ours = |image: &Image| {
            let me = image.nodes().get(self.node());
            me.is_some_and(|me| me.registration.incarnation == self.0.joining.registration.incarnation)
        };
        if is_ours(&new) {
            // What came before this run was registered has not been acted on yet: now all of it is.
            let (before, delta) = match is_ours(&old) {
                true => (Arc::clone(&old), delta),
                false => (Arc::default(), Delta::between(&Image::default(), &new)),
            };
            self.reconcile(before, Arc::clone(&new), delta).await;
        }
        self.0.image.send_replace(new);
        self.0.following.on_metadata();
    }

    /// Tries again to make what there was no room for. Only between images: a partition is not opened twice at a time.
    pub(super) async fn open_what_wants_room(&self) {
        let wanting = self.0.partitions.wanting_room();
        if !wanting.is_empty() {
            let (broker, image) = (self.clone(), self.image());
            self.0.openers[0].call(move || broker.0.partitions.take_up(&image, &wanting)).await;
        }
    }

    /// Makes the partitions what an image says. Logs are opened, and after a crash recovered, on several threads: each
    /// partition serves as soon as its own log is open.
    async fn reconcile(&self, old: Arc<Image>, new: Arc<Image>, delta: Delta) {
        let changed = delta.topics.iter();
        let changed = changed.flat_map(|(id, changed)| changed.partitions.iter().map(move |index| (*id, *index)));
        let changed: Vec<_> = changed.collect();
        let is_start = old.applied() == MetadataIndex::default(); // after a crash, each may take long
        let openers = if is_start || changed.len() >= OPENED_AT_ONCE { self.0.openers.len() } else { 1 };
        let openers = &self.0.openers[..openers];
        let (broker, delta) = (self.clone(), Arc::new(delta));
        let deleted = Arc::clone(&delta);
        openers[0].call(move || broker.0.partitions.remove_deleted(&deleted)).await;
        let part = changed.len().div_ceil(openers.len()).max(1);
        let taken_over = join_all(openers.iter().zip(changed.chunks(part)).map(|(opener, part)| {
            let (broker, image, part) = (self.clone(), Arc::clone(&new), part.to_vec());
            opener.call(move || broker.0.partitions.take_up(&image, &part))
        }))
        .await
        .into_iter()
        .sum::<usize>();
        if taken_over > 0 {
            info!(event = "broker.took_over", partitions = taken_over, "this broker leads more partitions");
        }
        let broker = self.clone();
        openers[0].call(move || broker.0.partitions.settle(&old, &new, &delta)).await;
        self.0.folders.settle();
    }

    /// Has others lead what this broker leads, because it is about to stop. Returns when it acts on that, or no
    /// controller has decided it in time; says whether others lead anything now that this one did.
    pub async fn hand_over(&self) -> bool {
        let led_before = self.led();
        let Some(epoch) = self.epoch() else { return false };
        let command = Command::ShutDown { node: self.node(), epoch };
        let (origin, patience) = (itself("ControlledShutdown"), Duration::from_millis(HAND_OVER_MS_MAX));
        let mut replaced = pin!(self.submit(&command, &origin, patience));
        info!(event = "broker.hands_over", partitions = led_before, "others are to lead what this broker leads");
        self.0.around.hand_over.begin();
        let in_time = timeout(Duration::from_millis(HELD_MS_MAX), &mut replaced).await;
        self.0.around.hand_over.end(self.0.around.now());
        self.0.partitions.all().iter().for_each(Partition::release);
        let replaced = match in_time {
            Ok(replaced) => replaced,
            Err(_) => replaced.await,
        };
        if let Err(error) = replaced {
            warn!(event = "broker.leads_still", %error, "this broker stops while it leads");
        }
        let still_led = self.led();
        info!(event = "broker.handed_over", still_led, "what others can lead, others lead");
        still_led < led_before
    }

    /// How many partitions it leads.
    fn led(&self) -> usize {
        self.0.partitions.all().iter().filter(|partition| partition.led_epoch().is_some()).count()
    }

    pub(super) fn write_checkpoints(&self) {
        self.write_checkpoints_of(self.0.partitions.all().iter());
    }

    /// Whether what was written is durable.
    pub(super) fn write_checkpoints_of<'a>(&self, partitions: impl Iterator<Item = &'a Arc<Partition>>) -> bool {
        let unwritten = self.0.folders.checkpoint(partitions);
        for (dir, error) in &unwritten {
            warn!(event = "log.checkpoint_failed", %error, "a restart will read more of the logs than it had to");
            if !error.is_retriable() {
                self.give_up_log_dir(dir, error);
            }
        }
        unwritten.is_empty()
    }

    /// A write or sync failed: what the kernel still had for this disk may be gone without another word. So nothing in
    /// the log dir is trusted or written any more: others lead what this broker led there. It goes on with its other
    /// log dirs; without any it ends this run. Waits for the disk.
    pub(super) fn give_up_log_dir(&self, dir: &Path, cause: &LogError) {
        // The dir first: who opens a partition in it meanwhile must see that, or be seen by whoever looks then.
        if !self.0.folders.fail(dir, &cause.to_string()) {
            return;
        }
        self.0.partitions.give_up_dir(dir, cause);
        self.disown();
        let dir = dir.display();
        error!(event = "log_dir.failed", %dir, %cause, "its replicas are offline; mend the disk, then restart");
        if self.0.folders.all_failed() {
            self.0.failed.send_replace(Some(format!("the last log dir failed: {cause}")));
        }
    }

    /// What a log dir that failed holds is not to be trusted when it is back. Waits for the disk.
    pub(super) fn disown(&self) {
        if let Some(Err(error)) = self.epoch().map(|epoch| (self.0.joining.disown)(epoch)) {
            error!(event = "log.not_disowned", %error, "the next start will trust what this disk has lost");
        }
    }

    /// Waits until this broker cannot go on, and says why: one of its disks failed.
    pub async fn failed(&self) -> String {
        let mut failed = self.0.failed.subscribe();
        let why = failed.wait_for(Option::is_some).await.map(|why| why.clone().unwrap_or_default());
        why.expect("the sender lives in this very broker")
    }

    /// Whether this very partition is still one of this node's.
    pub(super) fn has(&self, partition: &Arc<Partition>) -> bool {
        self.0.partitions.has(partition)
    }

    /// The replicas that it should have and cannot use.
    pub fn offline(&self) -> Vec<Offline> {
        self.0.partitions.all_offline()
    }

    /// The log dirs, with what lies in them. Waits for the disk.
    pub fn log_dirs(&self) -> Vec<DirReport> {
        self.0.folders.report(&self.0.partitions.all())
    }

    fn close_logs(&self) -> Option<BrokerEpoch> {
        let partitions = self.0.partitions.all();
        let all_closed = partitions.iter().all(|partition| match partition.close() {
            Ok(()) => true,
            Err(error) => {
                let (topic, index) = (&partition.name, partition.index);
                warn!(event = "log.close_failed", topic = %topic, partition = %index, %error, "to be recovered");
                false
            }
        });
        self.write_checkpoints();
        // A log dir that failed is not among what was closed, and what it holds is to be met with distrust.
        let epoch = self.epoch().filter(|_| all_closed && !self.0.folders.any_failed())?;
        self.0.folders.mark_clean_stop(epoch);
        Some(epoch)
    }
}

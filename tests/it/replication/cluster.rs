//! Brokers with nothing but partitions and lanes: real logs, real sockets, and metadata that the test makes up.
//!
//! Each broker has a runtime of its own, so that dropping it is the death of a process: its sockets close, and nothing
//! of it runs on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dohle::base::World;
use dohle::base::clock::WallMillis;
use dohle::base::ids::{
    BrokerEpoch, ClusterId, DirectoryId, IncarnationId, LeaderEpoch, MetadataIndex, NodeId, Offset, PartitionEpoch,
    PartitionIndex, TopicId, Uuid,
};
use dohle::base::time::Millis;
use dohle::broker::{
    Duty, Errand, FlushAfter, Following, Home, Keep, Leading, Parked, Partition, PartitionError, Produced,
    ProducersFound, Surroundings, TopicSettings,
};
use dohle::config::Roles;
use dohle::log::{After, Known, Log, LogOptions, Step};
use dohle::metadata::nodes::{Boot, Registration};
use dohle::metadata::record::FeatureLevel;
use dohle::metadata::{Fact, Image};
use dohle::quorum::{Late, Quorum};
use dohle::record::check::Timestamps;
use dohle::record::{Batch, BatchBuilder};
use dohle::replica::Durability;
use dohle::replica::follower::Leadership;
use dohle::replica::isr::{Outcome, Policy, Replica, Standing};
use dohle::replica::leader::{Acks, Assignment};
use dohle::rpc::replication as proto;
use dohle::server::grpc;
use dohle::server::peer::{PeerPort, PeerServices};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot::Receiver;
use tokio::time::{interval, timeout};
use tonic::Status;
use tonic::transport::Server;

pub const TOPIC: TopicId = TopicId(Uuid([7; 16]));
const PATIENCE: Duration = Duration::from_secs(20);

/// What metadata would say, and the brokers that run.
pub struct Cluster {
    image: Image,
    epochs: i64,
    folders: BTreeMap<NodeId, TempDir>,
    pub brokers: BTreeMap<NodeId, Broker>,
    pub settings: TopicSettings,
}

/// A broker that runs. Dropping it kills it.
pub struct Broker {
    pub id: NodeId,
    runtime: Option<Runtime>,
    parts: Arc<Parts>,
}

pub struct Parts {
    pub around: Arc<Surroundings>,
    home: Arc<Memory>,
    leading: Arc<Leading>,
    following: Following,
    /// Streams that were given up since the broker runs: each makes its partition wish to open again, after a rest.
    pub reopened: AtomicUsize,
    pub truncated: AtomicUsize,
    /// How often a partition wanted to pass on what was held.
    pub passed_on: AtomicUsize,
    /// While this is so, no flush comes to its end.
    pub disk_hangs: AtomicBool,
    waiting_flushes: Mutex<Vec<Arc<Partition>>>,
}

#[derive(Default)]
struct Memory {
    image: Mutex<Arc<Image>>,
    partitions: Mutex<BTreeMap<PartitionIndex, Arc<Partition>>>,
}

impl Home for Memory {
    fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.lock().unwrap())
    }

    fn partition(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        (topic == TOPIC).then(|| self.partitions.lock().unwrap().get(&index).cloned()).flatten()
    }
}

impl Cluster {
    /// As many brokers, numbered from 1.
    pub fn of(brokers: i32) -> Self {
        let mut cluster = Self {
            image: Image::default(),
            epochs: 0,
            folders: BTreeMap::new(),
            brokers: BTreeMap::new(),
            settings: settings(),
        };
        cluster.apply(&Fact::ClusterFounded { cluster: ClusterId(Uuid([9; 16])) });
        cluster.apply(&Fact::FeatureLevelSet { level: FeatureLevel(1) });
        for id in (1..=brokers).map(NodeId) {
            cluster.folders.insert(id, TempDir::new().unwrap());
            cluster.apply(&Fact::NodeIdAllocated { node: id, directory: directory(id) });
            cluster.start(id);
        }
        cluster
    }

    fn apply(&mut self, fact: &Fact) {
        self.epochs += 1;
        self.image.apply(MetadataIndex(self.epochs as u64), fact);
    }

    /// Starts a broker, registers it, and lets the others know.
    pub fn start(&mut self, id: NodeId) {
        let epoch = BrokerEpoch(self.epochs + 1);
        let incarnation = IncarnationId(Uuid((epoch.0 as u128).to_be_bytes()));
        let (broker, peer_address) = Broker::start(id, incarnation);
        let registration = Registration {
            incarnation,
            directories: vec![directory(id)],
            boot: Boot::ProcessCrash,
            roles: Roles { controller: false, broker: true },
            listeners: Vec::new(),
            peer_address,
            admin_address: String::new(),
            rack: None,
            version: "0".into(),
            feature_level_max: FeatureLevel(1),
        };
        if let Some(before) = self.image.nodes().get(id).filter(|before| !before.is_fenced()).map(|before| before.epoch)
        {
            self.apply(&Fact::NodeFenced { node: id, epoch: before });
        }
        self.apply(&Fact::NodeRegistered { node: id, epoch, registration: Box::new(registration) });
        self.apply(&Fact::NodeUnfenced { node: id, epoch });
        self.brokers.insert(id, broker);
        self.publish();
        for partition in self.brokers.values().flat_map(Broker::partitions) {
            partition.on_broker_changed(id, self.standing(id));
        }
    }

    pub fn kill(&mut self, id: NodeId) {
        self.brokers.remove(&id).expect("the broker runs");
    }

    fn publish(&self) {
        let image = Arc::new(self.image.clone());
        for broker in self.brokers.values() {
            *broker.parts.home.image.lock().unwrap() = Arc::clone(&image);
            broker.parts.following.on_metadata();
        }
    }

    /// Two batches of one record, as a leader that stops passes them on.
    pub fn pass_on(&self, index: i32, bytes: usize) -> proto::PassOnRequest {
        let records = batch(index, 1, bytes).parts().map(|part| &**part).concat();
        let append = proto::PassedAppend { records: records.into(), is_committed: true };
        proto::PassOnRequest {
            cluster_id: self.image.cluster().id.unwrap().0.0.to_vec().into(),
            topic_id: TOPIC.0.0.to_vec().into(),
            partition: index,
            patience_ms: u32::try_from(PATIENCE.as_millis()).unwrap(),
            appends: vec![append.clone(), append],
        }
    }

    pub fn broker(&self, id: i32) -> &Broker {
        &self.brokers[&NodeId(id)]
    }

    /// Puts an empty partition on all brokers.
    pub fn create(&self, index: i32) {
        self.brokers.keys().for_each(|id| self.open(*id, index));
    }

    /// Opens a partition of a broker, from the log it finds.
    pub fn open(&self, id: NodeId, index: i32) {
        let broker = &self.brokers[&id];
        let path = self.log_folder(id, index);
        let mut producers = ProducersFound::new(Millis(0));
        let (disk, options) = (Arc::clone(&broker.parts.around.world.disk), self.settings.log);
        let log = if path.exists() {
            let known = Known { after: After::ProcessCrash, recovery_point: Offset(0), log_start: Offset(0) };
            Log::open(disk, &path, options, known, &mut producers, WallMillis(0)).unwrap().log
        } else {
            Log::create(disk, &path, TOPIC, options, WallMillis(0)).unwrap()
        };
        let named = (TOPIC, Arc::from("topic"), PartitionIndex(index));
        let around = Arc::clone(&broker.parts.around);
        let partition = Partition::new(around, named, log, producers.producers, Offset(0), self.settings);
        broker.parts.home.partitions.lock().unwrap().insert(PartitionIndex(index), partition);
    }

    fn log_folder(&self, id: NodeId, index: i32) -> PathBuf {
        self.folders[&id].path().join(format!("topic-{index}"))
    }

    /// A broker that is dead loses a partition's files.
    pub fn wipe(&self, id: NodeId, index: i32) {
        assert!(!self.brokers.contains_key(&id), "broker {id} runs");
        std::fs::remove_dir_all(self.log_folder(id, index)).unwrap();
    }

    /// The bytes of a partition on the disk of a broker.
    pub fn bytes(&self, id: i32, index: i32) -> Vec<u8> {
        segment_bytes(&self.log_folder(NodeId(id), index))
    }

    /// All running brokers are told that one of them leads, in an epoch; all replicas are in sync.
    pub fn elect(&self, index: i32, leader: i32, epoch: i32) {
        self.brokers.keys().for_each(|id| self.tell(*id, index, leader, epoch));
    }

    /// One broker is told.
    pub fn tell(&self, id: NodeId, index: i32, leader: i32, epoch: i32) {
        let (leader, leader_epoch) = (NodeId(leader), LeaderEpoch(epoch));
        let duty = if id == leader {
            let replicas = self.folders.keys().map(|id| Replica {
                id: *id,
                in_isr: true,
                adding: false,
                standing: self.standing(*id),
            });
            Duty::Lead(Assignment {
                leader_epoch,
                partition_epoch: PartitionEpoch(epoch),
                replicas: replicas.collect(),
            })
        } else {
            Duty::Follow(Leadership { leader, leader_epoch, recovering: false })
        };
        self.brokers[&id].partition(index).take_up(&duty).unwrap();
    }

    fn standing(&self, id: NodeId) -> Standing {
        let node = self.image.nodes().get(id).unwrap();
        Standing { broker_epoch: node.epoch, active: self.brokers.contains_key(&id) }
    }

    /// Waits until every running broker's replica ends where the leader's does, everything is committed, all know it,
    /// and their files are equal.
    pub fn converge(&self, index: i32, leader: i32) {
        let end = self.broker(leader).end(index);
        for broker in self.brokers.values() {
            let partition = broker.partition(index);
            until(&format!("broker {} has all of partition {index} up to {end}", broker.id), || {
                partition.log_ends().end == end && partition.checkpoint()[0] == end
            });
        }
        let expected = self.bytes(leader, index);
        for id in self.brokers.keys() {
            assert!(self.bytes(id.0, index) == expected, "the log of broker {id} is another than the leader's");
        }
    }
}

impl Broker {
    fn start(id: NodeId, incarnation: IncarnationId) -> (Self, String) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let world = dohle::host::world();
        let (parts, address) = runtime.block_on(async move { Parts::start(world, id, incarnation).await });
        runtime.spawn(run_errands(Arc::clone(&parts)));
        (Self { id, runtime: Some(runtime), parts }, address)
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    pub fn partition(&self, index: i32) -> Arc<Partition> {
        self.parts.home.partition(TOPIC, PartitionIndex(index)).expect("the test has created the partition")
    }

    fn partitions(&self) -> Vec<Arc<Partition>> {
        self.parts.home.partitions.lock().unwrap().values().cloned().collect()
    }

    pub fn end(&self, index: i32) -> Offset {
        self.partition(index).log_ends().end
    }

    /// Appends one batch of `records` records of `bytes` bytes each.
    pub fn produce(&self, index: i32, records: usize, bytes: usize, acks: Acks) -> Produced {
        self.partition(index).produce(vec![batch(index, records, bytes)], acks).unwrap()
    }

    /// Has such a batch appended once the broker leads.
    pub fn park(&self, index: i32, bytes: usize) -> Result<Parked, PartitionError> {
        self.partition(index).park(vec![batch(index, 1, bytes)], Acks::Leader)
    }

    /// Has the broker take over what another one passes on.
    pub fn take_over(&self, request: proto::PassOnRequest) -> JoinHandle<Result<proto::PassOnReply, Status>> {
        let (runtime, leading) = (self.runtime.as_ref().unwrap().handle().clone(), Arc::clone(&self.parts.leading));
        std::thread::spawn(move || runtime.block_on(leading.take_over(request)))
    }

    /// Appends one record with a key.
    pub fn produce_key(&self, index: i32, key: &str, value: &[u8]) {
        let batch = BatchBuilder::new().record(WallMillis(1), Some(key.as_bytes()), Some(value), &[]).build();
        self.partition(index).produce(vec![batch], Acks::Leader).unwrap();
    }

    /// Does a pass of compaction over a partition, which must be worth it.
    pub fn compact(&self, index: i32) {
        let partition = self.partition(index);
        let dirt = partition.dirt().unwrap().expect("there is something to compact");
        let mut pass = partition.begin_compaction(&dirt, 1 << 20).unwrap().unwrap();
        loop {
            match pass.step().unwrap() {
                Step::More { .. } => {}
                Step::Swap(cleaned) => partition.swap(*cleaned).unwrap().unwrap().run().unwrap(),
                Step::Done { cleaned_to } => return partition.compacted(cleaned_to),
            }
        }
    }

    /// Appends, and waits until it is committed.
    pub fn produce_committed(&self, index: i32, records: usize, bytes: usize) {
        let produced = self.produce(index, records, bytes, Acks::All);
        if let Some(committed) = produced.committed {
            self.wait_for(committed);
        }
    }

    /// Waits until what was appended is committed.
    pub fn wait_for(&self, promise: Receiver<Result<(), PartitionError>>) {
        self.told(promise).unwrap();
    }

    /// Waits for what a partition has promised to tell.
    pub fn told(&self, promise: Receiver<Result<(), PartitionError>>) -> Result<(), PartitionError> {
        let waited = waiting(async { timeout(PATIENCE, promise).await });
        waited.expect("it comes in time").expect("the partition answers")
    }
}

pub fn batch(index: i32, records: usize, bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new();
    let value: Vec<u8> = (0..bytes).map(|at| (at * 31 + index as usize) as u8).collect();
    for _ in 0..records {
        builder.push(WallMillis(1), None, Some(&value), &[]);
    }
    builder.build()
}

/// What became of a parked batch.
pub fn outcome(mut parked: Parked) -> Result<Offset, PartitionError> {
    let outcome = waiting(async { timeout(PATIENCE, parked.outcome()).await });
    outcome.expect("it is appended or refused in time").map(|produced| produced.base)
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Parts {
    async fn start(world: World, id: NodeId, incarnation: IncarnationId) -> (Arc<Self>, String) {
        let reactors = vec![world.executor.reactor("reactor")];
        let around = Arc::new(Surroundings::new(id, world.clone()).on(&reactors));
        let home = Arc::new(Memory::default());
        let leading = Leading::new(Arc::clone(&around), Arc::clone(&home) as Arc<dyn Home>);
        let following = Following::new(Arc::clone(&around), Arc::clone(&home) as Arc<dyn Home>, incarnation);
        let listener = world.network.listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let no_quorum: Late<Quorum> = Late::default();
        let control = Server::builder().add_service(grpc::raft::service(no_quorum));
        let services = PeerServices { control, leading: Late::from(Arc::clone(&leading)), reactors };
        let port = PeerPort::open(&world, listener, services);
        std::mem::forget(port); // it lives as long as the runtime
        let (reopened, truncated, disk_hangs, waiting_flushes, passed_on) = Default::default();
        let parts =
            Self { around, home, leading, following, reopened, truncated, disk_hangs, waiting_flushes, passed_on };
        (Arc::new(parts), address)
    }

    /// Does one errand, as the broker's runner does, with a controller that grants every wish.
    fn run(self: &Arc<Self>, errand: Errand) {
        match errand {
            Errand::Open(partition, after_ms) => {
                self.reopened.fetch_add(usize::from(after_ms > 0), Ordering::Relaxed);
                self.following.open(&partition, after_ms);
            }
            Errand::Acknowledge(partition, ack) => self.following.acknowledge(&partition, &ack),
            Errand::RefuseStream(stream) => self.leading.refuse(stream),
            Errand::Truncate(partition, to, epoch) => {
                self.truncated.fetch_add(1, Ordering::Relaxed);
                partition.truncate(to, epoch).unwrap();
            }
            Errand::StartOver(partition, at, epoch) => partition.start_over(at, epoch).unwrap(),
            Errand::Propose(partition, proposal) => {
                let isr = proposal.isr.iter().map(|(id, _)| *id).collect();
                let partition_epoch = proposal.partition_epoch.next();
                partition.on_proposal_outcome(&proposal, Outcome::Accepted { partition_epoch, isr });
            }
            Errand::Flush(partition) if self.disk_hangs.load(Ordering::Relaxed) => {
                self.waiting_flushes.lock().unwrap().push(partition);
            }
            Errand::Flush(partition) => flush(&partition),
            Errand::WakeAt(partition, at) => {
                let due = self.around.instant_of(at);
                tokio::spawn(async move {
                    tokio::time::sleep_until(due).await;
                    partition.tick();
                });
            }
            Errand::PassOn(_) => drop(self.passed_on.fetch_add(1, Ordering::Relaxed)),
            Errand::Upkeep(_) => {} // the tests do it themselves
            Errand::DiskFailed(_, cause) => panic!("the disk of this machine failed: {cause}"),
            Errand::Fault(_, fault) => panic!("no history of these tests may fault a replica: {fault}"),
        }
    }
}

impl Parts {
    /// The disk answers again; says how many flushes it answers.
    pub fn resume_disk(&self) -> usize {
        self.disk_hangs.store(false, Ordering::Relaxed);
        let waiting = std::mem::take(&mut *self.waiting_flushes.lock().unwrap());
        waiting.iter().for_each(flush);
        waiting.len()
    }
}

fn flush(partition: &Arc<Partition>) {
    let flush = partition.begin_flush().unwrap();
    flush.run().unwrap();
    partition.flushed(&flush);
}

async fn run_errands(parts: Arc<Parts>) {
    loop {
        for errand in parts.around.errands.next().await {
            parts.run(errand);
        }
    }
}

/// Waits for something that comes to pass by itself.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = waiting(async {
        let mut again = interval(Duration::from_millis(1));
        timeout(PATIENCE, async {
            while !is_so() {
                again.tick().await;
            }
        })
        .await
    });
    assert!(waited.is_ok(), "not within {PATIENCE:?}: {what}");
}

fn waiting<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn segment_bytes(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    segments.sort();
    segments.iter().flat_map(|segment| std::fs::read(segment).unwrap()).collect()
}

fn directory(id: NodeId) -> DirectoryId {
    DirectoryId(Uuid([id.0 as u8; 16]))
}

pub fn settings() -> TopicSettings {
    TopicSettings {
        log: LogOptions::default(),
        keep: Keep::default(),
        flush: FlushAfter::SEGMENT,
        policy: Policy { min_insync_replicas: 1, durability: Durability::Replicated, replica_lag_time_max_ms: 60_000 },
        message_bytes_max: 32 << 20,
        keys_required: false,
        timestamps: Timestamps::Create { before_max_ms: i64::MAX, after_max_ms: i64::MAX },
        compression: None,
        producer_idle_ms: 60_000,
    }
}

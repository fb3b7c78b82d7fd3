//! A controller alone, on a real store: decides, feeds, fences, and stops rather than guess.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dohle::base::World;
use dohle::base::ids::{BrokerEpoch, ClusterId, DirectoryId, IncarnationId, MetadataIndex, NodeId, Uuid};
use dohle::base::store::Store;
use dohle::config::{Resolved, Roles};
use dohle::controller::liveness::Patience;
use dohle::controller::{Command, CreateTopics, Defaults, Found, NewTopic, Refusal, Register, Reply, Unfence};
use dohle::metadata::nodes::{Boot, Registration};
use dohle::metadata::record::{FeatureLevel, Origin};
use dohle::metadata::{Image, codec, snapshot};
use dohle::quorum::{
    Charter, Controller, ControllerTasks, Floor, Machine, Member, Metadata, ProposeError, Quorum, RaftLog, Reign,
    SubmitError, Tuning,
};
use dohle::rpc::controller as proto;
use futures_util::{Stream, StreamExt, stream};
use proto::feed_frame::Frame;
use proto::session_up::Message;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

const CLUSTER: ClusterId = ClusterId(Uuid([5; 16]));
const NODE: NodeId = NodeId(1);
const DIRECTORY: DirectoryId = DirectoryId(Uuid([1; 16]));
const SOON: Duration = Duration::from_secs(20);

/// A quorum of one, and its controller.
struct Alone {
    quorum: Quorum,
    controller: Controller,
    _tasks: ControllerTasks,
    _folder: Arc<TempDir>,
}

/// Opens the store, once the tasks of the run before have let go of it.
async fn opened(world: &World, folder: &TempDir) -> Arc<dyn Store> {
    let begun = tokio::time::Instant::now();
    loop {
        match world.stores.open(folder.path()) {
            Ok(store) => return store,
            Err(error) => assert!(begun.elapsed() < SOON, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

impl Alone {
    async fn start(folder: &Arc<TempDir>, tuning: Tuning) -> Self {
        let world = dohle::host::world();
        let store = opened(&world, folder).await;
        let worker = world.executor.worker("raft-log");
        let floor = Floor::open(&*world.disk, &folder.path().join("hard_state")).unwrap();
        let log = RaftLog::open(Arc::clone(&store), Arc::clone(&worker), floor).unwrap();
        let (metadata, image) = Metadata::new();
        let me = Member { node: NODE, directory: DIRECTORY, address: "127.0.0.1:1".to_owned() };
        let machine = Machine::new(store, worker, metadata);
        let quorum = Quorum::start(&world, me.clone(), log.clone(), machine, tuning).await.unwrap();
        let (controller, tasks) = start_controller(&world, &quorum, log, image);
        if quorum.is_founded().await.unwrap() {
            quorum.stand_if_alone().await;
        } else {
            quorum.found([me]).await.unwrap();
        }
        Self { quorum, controller, _tasks: tasks, _folder: Arc::clone(folder) }
    }

    async fn fresh() -> Self {
        Self::start(&Arc::new(TempDir::new().unwrap()), Tuning::default()).await
    }

    /// Has a command done, once there is a reign.
    async fn must(&self, command: Command) -> (Reply, MetadataIndex) {
        let submit = async {
            loop {
                match self.controller.submit(command.clone(), Origin::default()).await {
                    Ok(answer) => return (answer.reply, answer.index),
                    Err(SubmitError::NotActive { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{command:?}: {error}"),
                }
            }
        };
        timeout(SOON, submit).await.unwrap()
    }

    /// A live node, at a port where nobody listens.
    async fn live_node(&self, incarnation: u8) -> BrokerEpoch {
        let registration = Registration {
            incarnation: IncarnationId(Uuid([incarnation; 16])),
            directories: vec![DIRECTORY],
            boot: Boot::Clean,
            roles: Roles { controller: true, broker: true },
            listeners: Vec::new(),
            peer_address: "127.0.0.1:1".to_owned(),
            admin_address: String::new(),
            rack: None,
            version: String::new(),
            feature_level_max: FeatureLevel::MAX,
        };
        let register = Register { cluster: CLUSTER, node: NODE, previous_epoch: None, registration };
        let (Reply::Registered { epoch }, applied) = self.must(Command::Register(register)).await else { panic!() };
        let unfence = Unfence { node: NODE, epoch, applied };
        assert_eq!(self.must(Command::Unfence(unfence)).await.0, Reply::Unfenced(true));
        epoch
    }

    async fn wait_for(&self, what: impl Fn(&Image) -> bool) {
        let wait = async {
            while !what(&self.controller.image()) {
                assert!(self.controller.changed((self.controller.image().applied(), self.quorum.reign())).await);
            }
        };
        timeout(SOON, wait).await.unwrap();
    }
}

fn start_controller(
    world: &World,
    quorum: &Quorum,
    log: RaftLog,
    image: dohle::quorum::Published,
) -> (Controller, ControllerTasks) {
    let founders = vec![(NODE, DIRECTORY)];
    let founding = Found { cluster: CLUSTER, founders, configs: Vec::new() };
    let defaults = Defaults { partitions: 1, replication_factor: 1 };
    let charter = Charter { node: NODE, founding, defaults, settings: Resolved::default() };
    // Far beyond any test: whoever is fenced here is fenced by evidence.
    let patience = Patience { session_timeout: Duration::from_secs(600), ..Patience::default() };
    Controller::start(world, quorum, log, image, charter, patience)
}

fn topics(names: &[&str]) -> Command {
    let topic = |name: &&str| NewTopic {
        name: (*name).to_owned(),
        partitions: -1,
        replication_factor: -1,
        ..NewTopic::default()
    };
    Command::CreateTopics(CreateTopics { topics: names.iter().map(topic).collect(), validate_only: false })
}

/// Follows a feed until it says that there is no more; returns what kinds of frames came.
async fn follow(feed: impl Stream<Item = std::io::Result<proto::FeedFrame>>, image: &mut Image) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let mut parts = Vec::new();
    let mut feed = std::pin::pin!(feed);
    loop {
        let frame = timeout(SOON, feed.next()).await.unwrap().unwrap().unwrap().frame.unwrap();
        match frame {
            Frame::Batches(batches) => {
                for entry in batches.entries {
                    let at = MetadataIndex(entry.index);
                    image.apply_batch(at, &codec::decode(at, entry.batch).unwrap()).unwrap();
                }
                kinds.push("batches");
            }
            Frame::Snapshot(part) => {
                let at = MetadataIndex(part.index);
                parts.extend(codec::decode_chunk(at, part.chunk).unwrap());
                if part.is_last {
                    *image = snapshot::rebuild(at, std::mem::take(&mut parts));
                    assert_eq!(image.hash().0, part.state_hash);
                    kinds.push("snapshot");
                }
            }
            Frame::Progress(progress) => {
                assert_eq!(progress.committed, image.applied().0);
                return kinds;
            }
        }
    }
}

#[tokio::test]
async fn commands_that_come_together_see_each_other_and_are_answered_at_one_place() {
    let alone = Alone::fresh().await;
    let epoch = alone.live_node(1).await;
    let (first, second, ids) = tokio::join!(
        alone.must(topics(&["a"])),
        alone.must(topics(&["a"])),
        alone.must(Command::AllocateProducerIds { node: NODE, epoch }),
    );
    let outcome = |reply: &Reply| {
        let Reply::CreatedTopics(topics) = reply else { panic!("{reply:?}") };
        topics[0].outcome.clone().map(drop).map_err(|refused| refused.refusal)
    };
    assert_eq!(outcome(&first.0), Ok(()));
    assert_eq!(outcome(&second.0), Err(Refusal::TopicAlreadyExists));
    assert!(matches!(ids.0, Reply::ProducerIds(_)));
    assert_eq!(alone.controller.image().applied(), ids.1);
}

#[tokio::test]
async fn a_refusal_of_the_whole_command_changes_nothing_and_says_why() {
    let alone = Alone::fresh().await;
    alone.live_node(1).await;
    let before = alone.controller.image();
    let stale = Command::ShutDown { node: NODE, epoch: BrokerEpoch(0) };
    let refused = alone.controller.submit(stale, Origin::default()).await;
    let Err(SubmitError::Refused { refused, index }) = refused else { panic!("{refused:?}") };
    assert_eq!((refused.refusal, index), (Refusal::StaleBrokerEpoch, before.applied()));
    assert_eq!(alone.controller.image(), before);
}

#[tokio::test]
async fn the_feed_gives_the_same_image_from_the_log_from_the_middle_and_from_a_snapshot() {
    let tuning = Tuning { snapshot_after_entries: 20, kept_entries: 0, ..Tuning::default() };
    let alone = Alone::start(&Arc::new(TempDir::new().unwrap()), tuning).await;
    alone.live_node(1).await;
    let mut early = Image::default();
    assert_eq!(follow(alone.controller.feed(MetadataIndex(0)), &mut early).await, ["batches"]);

    // Purging goes by hundreds of entries, so there must be some.
    for count in 0..600 {
        alone.must(topics(&[&format!("t{count}")])).await;
    }
    let mut late = Image::default();
    assert_eq!(follow(alone.controller.feed(MetadataIndex(1)), &mut late).await.first(), Some(&"snapshot"));
    assert_eq!(late, *alone.controller.image());

    // Who is behind by little reads on from where it is.
    let next = MetadataIndex(late.applied().0 + 1);
    alone.must(topics(&["last"])).await;
    assert_eq!(follow(alone.controller.feed(next), &mut late).await, ["batches"]);
    assert_eq!(late, *alone.controller.image());
}

#[tokio::test]
async fn a_controller_that_starts_again_knows_what_was_committed_and_begins_a_new_reign() {
    let folder = Arc::new(TempDir::new().unwrap());
    let alone = Alone::start(&folder, Tuning::default()).await;
    alone.live_node(1).await;
    alone.must(topics(&["a"])).await;
    let before = alone.controller.image();
    alone.quorum.stop().await;
    drop(alone);
    let again = Alone::start(&folder, Tuning::default()).await;
    again.wait_for(|image| epoch_of(image) > epoch_of(&before)).await;
    let after = again.controller.image();
    assert_eq!(after.cluster().id, Some(CLUSTER));
    assert_eq!(after.topics(), before.topics());
    assert!(again.controller.is_current());
}

#[tokio::test]
async fn facts_of_another_reign_are_not_committed() {
    let alone = Alone::fresh().await;
    alone.live_node(1).await;
    let before = alone.controller.image();
    let reign = alone.quorum.reign();
    for stale in [Reign { term: reign.term - 1, ..reign }, Reign { is_ours: false, ..reign }] {
        let outcome = alone.quorum.propose(stale, Bytes::from_static(b"facts")).await;
        assert!(matches!(outcome, Err(ProposeError::NotLeader { .. })), "{outcome:?}");
    }
    assert_eq!(alone.controller.image(), before);
}

#[tokio::test]
async fn an_entry_that_was_decided_on_another_state_ends_the_node_with_a_sentence() {
    let alone = Alone::fresh().await;
    alone.live_node(1).await;
    let reign = alone.quorum.reign();
    let outcome = alone.quorum.propose(reign, Bytes::from_static(&[0x52, 0x02, 0x7a, 0x00])).await;
    assert!(matches!(outcome, Err(ProposeError::Unknown(_))), "{outcome:?}");
    let why = timeout(SOON, alone.quorum.ended()).await.unwrap();
    assert!(why.contains("metadata has diverged before entry"), "{why}");
}

#[tokio::test]
async fn a_node_whose_stream_breaks_off_and_whose_port_refuses_is_fenced() {
    let alone = Alone::fresh().await;
    let epoch = alone.live_node(1).await;
    let say = |message| Ok(proto::SessionUp { message: Some(message) });
    let hello = proto::Hello {
        cluster_id: Bytes::copy_from_slice(&CLUSTER.0.0),
        node_id: NODE.0,
        broker_epoch: epoch.0,
        peer_address: "127.0.0.1:1".to_owned(),
    };
    let heartbeat = proto::Heartbeat { applied: 0, leaders_ready: 0 };
    let up = stream::iter([say(Message::Hello(hello)), say(Message::Heartbeat(heartbeat))]);
    let answers: Vec<_> = alone.controller.session(up).collect().await;
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().active.is_some()));
    alone.wait_for(|image| !image.nodes().is_active(NODE)).await;
}

/// The system closes what a dead process had open one after the other. The port may be the last.
#[tokio::test]
async fn a_node_whose_port_outlives_its_stream_is_fenced_once_the_port_refuses() {
    let alone = Alone::fresh().await;
    let epoch = alone.live_node(1).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hello = proto::Hello {
        cluster_id: Bytes::copy_from_slice(&CLUSTER.0.0),
        node_id: NODE.0,
        broker_epoch: epoch.0,
        peer_address: port.local_addr().unwrap().to_string(),
    };
    let up = stream::iter([Ok(proto::SessionUp { message: Some(Message::Hello(hello)) })]);
    assert_eq!(alone.controller.session(up).count().await, 1);
    // It is looked for, and found; then once more.
    for _ in 0..2 {
        timeout(SOON, port.accept()).await.unwrap().unwrap();
        assert!(alone.controller.image().nodes().is_active(NODE));
    }
    drop(port);
    alone.wait_for(|image| !image.nodes().is_active(NODE)).await;
}

#[tokio::test]
async fn a_session_of_another_cluster_or_without_hello_is_sent_away() {
    let alone = Alone::fresh().await;
    let hello = Message::Hello(proto::Hello { node_id: 1, ..proto::Hello::default() });
    for first in [hello, Message::Goodbye(proto::Goodbye {})] {
        let up = stream::iter([Ok(proto::SessionUp { message: Some(first) })]);
        let answers: Vec<_> = alone.controller.session(up).collect().await;
        assert_eq!(answers.len(), 1);
        assert!(answers[0].is_err());
    }
}

/// Of the controller that is active.
fn epoch_of(image: &Image) -> Option<dohle::base::ids::ControllerEpoch> {
    image.cluster().controller.map(|active| active.epoch)
}

//! The admin port and the commands that use it, over loopback: gRPC and HTTP on one listener, from the first moment on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use dohle::base::World;
use dohle::base::clock::WallMillis;
use dohle::base::ids::{
    BrokerEpoch, ClusterId, DirectoryId, IncarnationId, MetadataIndex, NodeId, PartitionIndex, TopicId, Uuid,
};
use dohle::config::Roles;
use dohle::host;
use dohle::metadata::nodes::{Boot, Registration};
use dohle::metadata::partitions::{Partition, PartitionState, ReplicaSet};
use dohle::metadata::record::{FeatureLevel, Header};
use dohle::metadata::{Batch, Fact, Image};
use dohle::quorum::{Member, RaftId, Reign};
use dohle::rpc::admin::WatchRequest;
use dohle::rpc::admin::events_client::EventsClient;
use dohle::server::admin::{AdminPort, Bodies, QuorumSeen};
use dohle::telemetry::Health;
use serde_json::{Value, json};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const NODE: NodeId = NodeId(1);
const EPOCH: BrokerEpoch = BrokerEpoch(3);
const DIRECTORY: DirectoryId = DirectoryId(Uuid([1; 16]));
const ORDERS: TopicId = TopicId(Uuid([7; 16]));

/// A port that is open, its address, and what keeps its node from being ready.
async fn open(world: &World) -> (AdminPort, String, Health) {
    let listener = world.network.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let health = Health::default();
    (AdminPort::open(world, listener, health.clone()), address, health)
}

async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// The facts become the next entry of the log.
fn next(image: &Image, facts: Vec<Fact>) -> Arc<Image> {
    let header = Header {
        controller_epoch: Default::default(),
        sequence: 0,
        wall: WallMillis(0),
        state_hash: image.hash(),
        feature_level: FeatureLevel(1),
        origins: Vec::new(),
    };
    let mut image = image.clone();
    image.apply_batch(MetadataIndex(image.applied().0 + 1), &Batch { header, facts }).unwrap();
    Arc::new(image)
}

/// One node that leads the one partition there is.
fn small_cluster() -> Arc<Image> {
    let registration = Registration {
        incarnation: IncarnationId(Uuid([2; 16])),
        directories: vec![DIRECTORY],
        boot: Boot::Clean,
        roles: Roles { controller: true, broker: true },
        listeners: Vec::new(),
        peer_address: "node-1:9093".into(),
        admin_address: "node-1:9094".into(),
        rack: None,
        version: "0.1.0".into(),
        feature_level_max: FeatureLevel(1),
    };
    let state = PartitionState { isr: ReplicaSet::first(1), leader: Some(NODE), ..Default::default() };
    let partitions = vec![Partition { replicas: [NODE].into(), state }];
    next(
        &Image::default(),
        vec![
            Fact::ClusterFounded { cluster: ClusterId(Uuid([9; 16])) },
            Fact::NodeIdAllocated { node: NODE, directory: DIRECTORY },
            Fact::NodeRegistered { node: NODE, epoch: EPOCH, registration: Box::new(registration) },
            Fact::NodeUnfenced { node: NODE, epoch: EPOCH },
            Fact::TopicCreated { topic: ORDERS, name: "orders".into() },
            Fact::PartitionsCreated { topic: ORDERS, first: PartitionIndex(0), partitions },
        ],
    )
}

fn quorum() -> QuorumSeen {
    let me = Member { node: NODE, directory: DIRECTORY, address: "node-1:9093".into() };
    let reign = Reign { term: 7, leader: Some(RaftId::of(NODE, DIRECTORY)), is_ours: true };
    QuorumSeen { reign, voters: vec![me], applied: MetadataIndex(1) }
}

/// What the program says, run with these words against this address.
async fn dohle(address: &str, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dohle"));
    command.args(words.split(' ')).env("DOHLE_ADMIN", address).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Its exit code and what it complained of.
async fn complaint(address: &str, words: &str) -> (Option<i32>, String) {
    let output = dohle(address, words).await;
    assert!(output.stdout.is_empty(), "a command that fails has no answer");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The JSON it answered.
async fn answer(address: &str, words: &str) -> Value {
    let output = dohle(address, &format!("{words} -o json")).await;
    assert_eq!(output.status.code(), Some(0), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The status of a plain HTTP/1.1 request.
async fn http(address: &str, path: &'static str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = move || {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_answers_probes_and_says_that_it_starts() {
    let (_port, address, health) = open(&host::world()).await;
    let said =
        format!("dohle: {address} cannot do it now: this node is still starting; GET /readyz says what it waits for\n");
    assert_eq!(complaint(&address, "cluster status").await, (Some(3), said));
    assert_eq!(http(&address, "/livez").await, "200");
    assert_eq!(http(&address, "/readyz").await, "503");
    assert_eq!(http(&address, "/nothing-here").await, "404");

    let mut client = HealthClient::new(channel(&address).await);
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let status = client.check(ask("")).await.unwrap().into_inner().status();
    assert_eq!(status.as_str_name(), "NOT_SERVING");
    health.missing().into_iter().for_each(|condition| health.set(condition, true));
    let status = client.check(ask("dohle.admin.v1.Topics")).await.unwrap().into_inner().status();
    assert_eq!(status.as_str_name(), "SERVING");
    assert_eq!(client.check(ask("no.such.Service")).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_shows_everything_and_sends_commands_elsewhere() {
    let world = host::world();
    let (mut port, address, _) = open(&world).await;
    let (images, seen) = watch::channel(small_cluster());
    port.attach(&world, Bodies { images: seen, broker: None, quorum: Some(Box::new(quorum)) });

    let status = answer(&address, "cluster status").await;
    let counts = json!({"total": 1, "under_replicated": 0, "under_min_isr": 0, "offline": 0});
    assert_eq!((&status["partitions"], &status["nodes"][0]["state"]), (&counts, &json!("active")));
    assert_eq!(answer(&address, "quorum status").await["term"], 7);
    assert_eq!(answer(&address, "topic list").await[0]["name"], "orders");
    assert_eq!(answer(&address, "topic describe orders").await["partitions"][0]["isr"], json!([1]));

    let unknown = complaint(&address, "topic describe orderz").await;
    assert_eq!(unknown, (Some(4), "dohle: there is no topic orderz\n".to_owned()));
    let elsewhere = complaint(&address, "topic create traces").await;
    assert_eq!(elsewhere, (Some(1), "dohle: this node is no broker; ask one: node-1:9094\n".to_owned()));

    let mut events = EventsClient::new(channel(&address).await);
    let mut events = events.watch(WatchRequest { follow: true }).await.unwrap().into_inner();
    images.send_modify(|image| *image = next(image, vec![Fact::NodeFenced { node: NODE, epoch: EPOCH }]));
    assert_eq!(events.message().await.unwrap().map(|event| (event.number, event.applied)), Some((1, 2)));
    let told = answer(&address, "events").await;
    let changed = json!({"node_id": 1, "before": "active", "now": "fenced", "broker_epoch": 3, "draining": false});
    assert_eq!(told["node_changed"], changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_their_documentation_are_found_by_reflection() {
    let (_port, address, _) = open(&host::world()).await;
    let mut client = ServerReflectionClient::new(channel(&address).await);
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("dohle.admin.v1.Topics".to_owned()),
    ];
    let questions =
        questions.map(|question| ServerReflectionRequest { host: String::new(), message_request: Some(question) });
    let mut answers = client.server_reflection_info(futures_util::stream::iter(questions)).await.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = next().await else { panic!("another answer was expected") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Cluster", "Nodes", "Quorum", "Topics", "Partitions", "Events"] {
        assert!(names.contains(&format!("dohle.admin.v1.{service}").as_str()), "{service} is not in {names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health") && !names.contains(&"dohle.raft.v1.Raft"), "{names:?}");
    let MessageResponse::FileDescriptorResponse(file) = next().await else { panic!("another answer was expected") };
    let text = String::from_utf8_lossy(&file.file_descriptor_proto[0]).into_owned();
    assert!(text.contains("Deletes a topic and its records, for good."), "grpcurl describe shows comments");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, said) = complaint(&free, "node list").await;
    assert_eq!(code, Some(3), "{said}");
    let hint = "is a node running there? set --admin or DOHLE_ADMIN";
    assert!(
        said.starts_with(&format!("dohle: cannot connect to {free}: ")) && said.trim_end().ends_with(hint),
        "{said}"
    );
    assert_eq!(complaint("nowhere", "node list").await.0, Some(2));
}

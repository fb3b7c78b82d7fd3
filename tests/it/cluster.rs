//! Processes that become a cluster: alone, three of them with seeds, and what is left when the leader is killed.

use std::io;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dohle::base::ids::ClusterId;
use dohle::rpc::controller as proto;
use hyper_util::rt::TokioIo;
use proto::controller_client::ControllerClient;
use proto::submit_reply::Result as Outcome;
use proto::submit_request::Command as Asked;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::server::{Server, http_get};

/// The first byte of a connection between nodes.
const CONTROL_LANE: u8 = 0xd0;
const LONG: Duration = Duration::from_secs(20);

/// A node that is one of several.
struct Member {
    data: TempDir,
    peer: String,
    seeds: String,
    server: Server,
}

impl Member {
    fn start(data: TempDir, peer: &str, seeds: &str) -> Self {
        let server = Server::spawn(command(&data, peer, seeds));
        Self { data, peer: peer.to_owned(), seeds: seeds.to_owned(), server }
    }

    fn kill(mut self) -> (TempDir, String, String) {
        self.server.signal("-KILL");
        self.server.process.wait().unwrap();
        (self.data, self.peer, self.seeds)
    }
}

fn command(data: &TempDir, peer: &str, seeds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dohle"));
    command.args(["server", "--log", "json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--peer-listen", peer, "--data-dir"]).arg(data.path()).stdin(Stdio::null()).stdout(Stdio::null());
    if !seeds.is_empty() {
        command.args(["--seeds", seeds]);
    }
    command
}

/// Addresses that are free now; somebody else could take one before a server does, which no other test of ours will.
fn free_addresses<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

fn three() -> Vec<Member> {
    let addresses = free_addresses::<3>();
    let seeds = addresses.join(",");
    addresses.iter().map(|peer| Member::start(TempDir::new().unwrap(), peer, &seeds)).collect()
}

async fn client(address: &str) -> io::Result<ControllerClient<Channel>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_u8(CONTROL_LANE).await?;
    let mut once = Some(TokioIo::new(connection));
    let connector = service_fn(move |_| {
        let connection = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { connection }
    });
    let channel = Endpoint::from_static("http://peer").connect_with_connector(connector).await;
    Ok(ControllerClient::new(channel.map_err(io::Error::other)?))
}

/// Asks one controller for a node id.
async fn ask(address: &str, cluster: ClusterId, directory: u8) -> Result<proto::SubmitReply, String> {
    let command = Asked::AllocateNodeId(proto::AllocateNodeId { directory_id: vec![directory; 16].into() });
    let cluster_id = Bytes::copy_from_slice(&cluster.0.0);
    let request = proto::SubmitRequest { cluster_id, origin: None, command: Some(command) };
    let mut client = client(address).await.map_err(|error| error.to_string())?;
    let reply = tokio::time::timeout(Duration::from_secs(2), client.submit(request)).await;
    Ok(reply.map_err(|_| "no answer")?.map_err(|status| status.to_string())?.into_inner())
}

/// Asks each controller until the active one answers.
async fn allocate(addresses: &[&str], cluster: ClusterId, directory: u8) -> (String, i32) {
    let started = Instant::now();
    loop {
        for address in addresses {
            if let Ok(proto::SubmitReply { result: Some(Outcome::NodeId(node)), .. }) =
                ask(address, cluster, directory).await
            {
                return ((*address).to_owned(), node);
            }
        }
        assert!(started.elapsed() < LONG, "nobody is active");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_alone_is_a_cluster_and_stays_the_same_one() {
    let data = TempDir::new().unwrap();
    let mut server = Server::spawn(command(&data, "127.0.0.1:0", ""));
    let started = server.event("node.started");
    let text = |name: &str| started[name].as_str().unwrap().to_owned();
    let cluster: ClusterId = text("cluster").parse().unwrap();
    assert_eq!(text("node"), "1");
    assert_eq!(http_get(&text("admin"), "/readyz").0, 200);

    // The founder is node 1, so the next one is 2; asked again, a directory keeps its id.
    let first = ask(&text("peer"), cluster, 9).await.unwrap();
    assert_eq!(first.result, Some(Outcome::NodeId(2)));
    assert_eq!(ask(&text("peer"), cluster, 9).await.unwrap().result, Some(Outcome::NodeId(2)));
    let stranger = ask(&text("peer"), ClusterId::default(), 9).await.unwrap_err();
    assert!(stranger.contains(&format!("this is cluster {cluster}")), "{stranger}");

    server.signal("-KILL");
    server.process.wait().unwrap();
    let mut again = Server::spawn(command(&data, "127.0.0.1:0", ""));
    let started = again.event("node.started");
    assert_eq!(started["cluster"].as_str().unwrap(), cluster.to_string());
    let peer = started["peer"].as_str().unwrap();
    assert_eq!(ask(peer, cluster, 8).await.unwrap().result, Some(Outcome::NodeId(3)));
}

#[tokio::test]
async fn three_servers_become_one_cluster_that_survives_the_death_of_its_leader() {
    let mut members = three();
    let started: Vec<_> = members.iter_mut().map(|member| member.server.event("node.started")).collect();
    let cluster: ClusterId = started[0]["cluster"].as_str().unwrap().parse().unwrap();
    for (place, event) in started.iter().enumerate() {
        assert_eq!(event["cluster"].as_str().unwrap(), cluster.to_string());
        assert_eq!(event["node"].as_str().unwrap(), (place + 1).to_string());
    }
    let all: Vec<String> = members.iter().map(|member| member.peer.clone()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (leader, node) = allocate(&all, cluster, 9).await;
    assert_eq!(node, 4, "three ids belong to the founders");

    // The others name the one who is active.
    for other in all.iter().filter(|address| **address != leader) {
        let reply = ask(other, cluster, 8).await.unwrap();
        let not_active = proto::NotActive { leader_address: leader.clone() };
        assert_eq!(reply.result, Some(Outcome::NotActive(not_active)));
    }

    let place = members.iter().position(|member| member.peer == leader).unwrap();
    let (data, peer, seeds) = members.remove(place).kill();
    let left: Vec<&str> = all.iter().copied().filter(|address| *address != leader).collect();
    let (successor, node) = allocate(&left, cluster, 8).await;
    assert_ne!(successor, leader);
    assert_eq!(node, 5, "what was committed is not forgotten");

    // The dead one comes back as who it was.
    let mut back = Member::start(data, &peer, &seeds);
    let started = back.server.event("node.started");
    assert_eq!(started["node"].as_str().unwrap(), (place + 1).to_string());
    assert_eq!(started["cluster"].as_str().unwrap(), cluster.to_string());
}

#[tokio::test]
async fn a_founder_that_is_killed_at_any_moment_founds_the_same_cluster_in_the_end() {
    for killed in 0..3 {
        let mut members = three();
        let (data, peer, seeds) = members.remove(0).kill();
        if killed == 1 {
            members.iter_mut().for_each(|member| member.server.signal("-KILL"));
            members = members
                .into_iter()
                .map(Member::kill)
                .map(|(data, peer, seeds)| Member::start(data, &peer, &seeds))
                .collect();
        }
        members.insert(0, Member::start(data, &peer, &seeds));
        let clusters: Vec<_> =
            members.iter_mut().map(|member| member.server.event("node.started")["cluster"].clone()).collect();
        assert!(clusters.iter().all(|cluster| *cluster == clusters[0]), "{clusters:?}");
    }
}

#[test]
fn a_directory_knows_whose_it_is() {
    let data = TempDir::new().unwrap();
    Server::spawn(command(&data, "127.0.0.1:0", "")).event("node.started");
    let output = command(&data, "127.0.0.1:0", "").args(["--node-id", "7"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("belongs to node 1 of cluster"), "{said}");

    std::fs::remove_file(data.path().join("node.toml")).unwrap();
    let output = command(&data, "127.0.0.1:0", "").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("node.toml is gone, but the metadata of a cluster is still beside it"), "{said}");
}

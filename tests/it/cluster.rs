//! A cluster of real server processes on loopback ports, each in a directory of its own: started, killed, restarted.
//!
//! `DOHLE_TEST_SERVER` names another program that takes the flags of `dohle server`, such as
//! `tests/clients/kafka-server.sh`: a test that Apache Kafka passes judges Dohle by what Kafka does, and not by what
//! the author of the test believed.
//!
//! Invariants: nodes are numbered from 1; a node that is restarted has the ports and the directory it had before;
//! clusters of tests that run side by side, in one process or in several, never meet.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{DOHLE, Server, http_get};

pub struct Cluster {
    nodes: Vec<Node>,
    settings: Vec<String>,
    folder: TempDir,
}

struct Node {
    kafka: String,
    peer: String,
    admin: String,
    /// Nothing after a kill.
    server: Option<Server>,
}

impl Cluster {
    /// Starts `size` nodes that form one cluster, and waits until every one of them serves clients. In a setting,
    /// `{data}` is the folder of the node.
    pub fn start(size: usize, settings: &[&str]) -> Self {
        let node = |_| Node { kafka: free_address(), peer: free_address(), admin: free_address(), server: None };
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster = Self { nodes: (0..size).map(node).collect(), settings, folder: TempDir::new().unwrap() };
        (1..=size).for_each(|id| cluster.launch(id));
        (1..=size).for_each(|id| cluster.until_ready(id));
        cluster
    }

    /// The addresses at which clients find the cluster.
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(|node| node.kafka.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Where a node's admin port is.
    pub fn admin(&self, id: usize) -> &str {
        &self.nodes[id - 1].admin
    }

    /// The node whose controller is the active one, as a node that runs says.
    pub fn active(&self) -> usize {
        let asked = self.nodes.iter().find(|node| node.server.is_some()).expect("a node runs");
        let arguments = ["cluster", "status", "-o", "json", "--admin", &asked.admin];
        let output = Command::new(DOHLE).args(arguments).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        usize::try_from(status["controller"]["node_id"].as_u64().unwrap()).unwrap()
    }

    /// Settings of a client of this cluster.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: usize) {
        let mut server = self.node(id).server.take().expect("a node that runs is killed");
        server.kill();
    }

    /// Starts a node that was killed or stopped, and waits until it serves clients.
    pub fn restart(&mut self, id: usize) {
        self.launch(id);
        self.until_ready(id);
    }

    /// Asks a node to stop, as a supervisor does, and waits until it has.
    pub fn stop(&mut self, id: usize) {
        let mut server = self.node(id).server.take().expect("a node that runs is stopped");
        let status = server.stop("-TERM");
        let code = status.code();
        // 143 is how a JVM reports that it was asked; Dohle says 0.
        assert!(code == Some(0) || other_server().is_some() && code == Some(143), "node {id} stopped with {status}");
    }

    /// Waits until `what` holds, and looks again whenever a node has said something.
    pub fn until(&mut self, what: &str, holds: impl FnMut() -> bool) {
        let mut servers = self.nodes.iter_mut().filter_map(|node| node.server.as_mut());
        servers.next().expect("a node of the cluster runs").until(what, holds);
    }

    /// Reads a node's log up to an event.
    pub fn event(&mut self, id: usize, name: &str) -> Value {
        self.node(id).server.as_mut().expect("a node that is listened to runs").event(name)
    }

    /// The process of a node that runs.
    pub fn process(&self, id: usize) -> u32 {
        self.nodes[id - 1].server.as_ref().expect("a node that is asked about runs").id()
    }

    /// Where a node keeps a partition.
    pub fn partition_folder(&self, id: usize, partition: &str) -> PathBuf {
        self.data_directory(id).join("log").join(partition)
    }

    fn launch(&mut self, id: usize) {
        let directory = self.data_directory(id);
        std::fs::create_dir_all(&directory).unwrap();
        let seeds: Vec<_> = self.nodes.iter().map(|node| node.peer.clone()).collect();
        let node = &self.nodes[id - 1];
        let mut command = Command::new(other_server().unwrap_or_else(|| DOHLE.into()));
        // What is for a test is no setting of a node, which would refuse it as one.
        command
            .env_remove("DOHLE_KILLS")
            .env_remove("DOHLE_RECOVERY_MIB")
            .env_remove("DOHLE_SEED")
            .env_remove("DOHLE_TEST_SERVER");
        command.args(["server", "--log", "json", "--listen", &node.kafka]);
        command.args(["--peer-listen", &node.peer, "--admin-listen", &node.admin]);
        command.arg("--data-dir").arg(&directory);
        if seeds.len() > 1 {
            command.args(["--seeds", &seeds.join(",")]);
        }
        for setting in &self.settings {
            command.args(["--set", &setting.replace("{data}", directory.to_str().unwrap())]);
        }
        self.node(id).server = Some(Server::start(&format!("node {id}"), &mut command));
    }

    /// A node is ready when its probe says so, and when it is among the brokers that it tells clients about.
    fn until_ready(&mut self, id: usize) {
        let address = &self.nodes[id - 1].kafka;
        let mut config = ClientConfig::new();
        // While a node starts it refuses connections, which is no news.
        config.set("bootstrap.servers", address).set("log_level", "0").set("reconnect.backoff.max.ms", "100");
        let client: BaseConsumer = config.create().unwrap();
        let node = self.node(id);
        let admin = node.admin.clone();
        let is_ready = || {
            let probe = || http_get(&admin, "/readyz").is_ok_and(|(status, _)| status == 200);
            (other_server().is_some() || probe())
                && client.fetch_metadata(None, Duration::from_secs(1)).is_ok_and(|metadata| {
                    let mut brokers = metadata.brokers().iter();
                    brokers.any(|broker| usize::try_from(broker.id()) == Ok(id))
                })
        };
        let server = node.server.as_mut().expect("a node that was launched runs");
        server.until(&format!("node {id} serves clients"), is_ready);
    }

    fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// The folder of a node.
    pub fn data_directory(&self, id: usize) -> PathBuf {
        self.folder.path().join(id.to_string())
    }
}

/// The program that stands in for `dohle`, if the caller wants one.
fn other_server() -> Option<PathBuf> {
    std::env::var_os("DOHLE_TEST_SERVER").map(PathBuf::from)
}

/// An address that nobody listens on, and that nobody else will take while its node is down.
///
/// All of 127/8 is loopback on Linux. A process id has 22 bits, so every test process has a host of its own there. And
/// the ports lie below those that the system gives to clients, one of which might otherwise hold a dead node's port.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let process = std::process::id();
    let host = format!("127.{}.{}.{}", (process >> 14) & 255, (process >> 6) & 255, (process & 63) << 2 | 1);
    loop {
        let address = format!("{host}:{}", NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

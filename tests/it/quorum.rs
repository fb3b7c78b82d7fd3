//! Three controllers on loopback sockets, with timers so slow that only evidence can elect in time.
//!
//! Each has a runtime of its own, so that dropping it is the death of a process: its sockets close, its port refuses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dohle::base::executor::BoxFuture;
use dohle::base::ids::{DirectoryId, MetadataIndex, NodeId, Uuid};
use dohle::base::network::{Connection, Listener};
use dohle::quorum::{Encode, Facts, Floor, Late, Machine, Member, ProposeError, Quorum, RaftLog, State, Tuning};
use dohle::server::grpc;
use dohle::server::peer::{PeerPort, PeerServices};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Server;

/// Far beyond [`SOON`].
const SLOW: Tuning = Tuning {
    heartbeat_ms: 60,
    election_ms_min: 120_000,
    election_ms_max: 240_000,
    snapshot_after_entries: 100_000,
    kept_entries: 200_000,
};
const SOON: Duration = Duration::from_secs(20);

/// What is seen of a controller from outside.
#[derive(Default)]
struct Seen {
    accepted: watch::Sender<usize>,
    applied: watch::Sender<usize>,
}

/// A state that only counts.
struct Counted(Arc<Seen>);

impl State for Counted {
    fn apply(&mut self, _: MetadataIndex, _: &Facts) -> io::Result<()> {
        self.0.applied.send_modify(|applied| *applied += 1);
        Ok(())
    }

    fn snapshot(&self) -> Encode {
        Box::new(Bytes::new)
    }

    fn restore(&mut self, _: &Bytes) -> io::Result<()> {
        Ok(())
    }
}

/// A port that counts who comes.
struct Counting(Box<dyn Listener>, Arc<Seen>);

impl Listener for Counting {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            let accepted = self.0.accept().await;
            self.1.accepted.send_modify(|accepted| *accepted += 1);
            accepted
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One controller's process. Dropping it kills it.
struct Process {
    quorum: Quorum,
    seen: Arc<Seen>,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

impl Process {
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let within = async { timeout(SOON, future).await.expect("done long before any timer") };
        self.runtime.as_ref().expect("it is not dropped yet").block_on(within)
    }

    fn leads(&self) -> bool {
        self.quorum.reign().is_ours
    }

    /// Waits until both others hold a connection to it, and it has applied something: a voter stands only against a
    /// leader of whom it has an entry.
    fn until_warm(&self) {
        self.run(async {
            self.seen.accepted.subscribe().wait_for(|accepted| *accepted >= 2).await.unwrap();
            self.seen.applied.subscribe().wait_for(|applied| *applied >= 1).await.unwrap();
        });
    }

    /// Has something committed. A reign that has just begun may not take it yet.
    fn propose(&self) {
        self.run(async {
            loop {
                match self.quorum.propose(self.quorum.reign(), Bytes::from_static(b"facts")).await {
                    Ok(_) => return,
                    Err(ProposeError::NotLeader { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.runtime.take().expect("it is dropped once").shutdown_background();
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn start(me: Member, listener: Box<dyn Listener>, folder: &TempDir, seen: &Arc<Seen>) -> Quorum {
    let world = dohle::host::world();
    let store = world.stores.open(folder.path()).unwrap();
    let worker = world.executor.worker("raft-log");
    let floor = Floor::open(&*world.disk, &folder.path().join("hard_state")).unwrap();
    let log = RaftLog::open(Arc::clone(&store), Arc::clone(&worker), floor).unwrap();
    let quorum =
        Quorum::start(&world, me, log, Machine::new(store, worker, Counted(Arc::clone(seen))), SLOW).await.unwrap();
    let control = Server::builder().add_service(grpc::raft::service(quorum.clone()));
    let listener = Box::new(Counting(listener, Arc::clone(seen)));
    // Both run for as long as the runtime does.
    let services = PeerServices { control, leading: Late::default(), reactors: Vec::new() };
    std::mem::forget(PeerPort::open(&world, listener, services));
    std::mem::forget(quorum.hasten(&world));
    quorum
}

/// Founds a quorum of three; the one that leads it comes first.
fn quorum_of_three() -> Vec<Process> {
    let world = dohle::host::world();
    let mut members = Vec::new();
    let mut parts = Vec::new();
    for node in 1..=3 {
        let runtime = runtime();
        let listener = runtime.block_on(world.network.listen("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        members.push(Member { node: NodeId(node), directory: DirectoryId(Uuid([node as u8; 16])), address });
        parts.push((runtime, listener));
    }
    let start_one = |((runtime, listener), me): ((Runtime, _), &Member)| {
        let folder = TempDir::new().unwrap();
        let seen = Arc::default();
        let quorum = runtime.block_on(start(me.clone(), listener, &folder, &seen));
        Process { quorum, seen, runtime: Some(runtime), _folder: folder }
    };
    let mut processes: Vec<Process> = parts.into_iter().zip(&members).map(start_one).collect();
    processes[0].run(async { processes[0].quorum.found(members.clone()).await }).unwrap();
    until_led(&processes);
    let leader = processes.iter().position(Process::leads).unwrap();
    processes.swap(0, leader);
    processes[0].propose();
    processes.iter().for_each(Process::until_warm);
    processes
}

/// Waits until all of them know the same leader, who is one of them.
fn until_led(processes: &[Process]) {
    for process in processes {
        process.run(async {
            loop {
                let reign = process.quorum.reign();
                if reign.leader.is_some_and(|leader| processes.iter().any(|process| process.quorum.me() == leader)) {
                    return;
                }
                assert!(process.quorum.reign_changed(reign).await, "Raft runs on");
            }
        });
    }
}

#[test]
fn a_leader_that_dies_is_replaced_by_evidence_long_before_any_timer() {
    let mut processes = quorum_of_three();
    let killed = Instant::now();
    drop(processes.remove(0));
    until_led(&processes);
    let leader = processes.iter().position(Process::leads).unwrap();
    processes[leader].propose();
    println!("accepted again {} ms after the kill", killed.elapsed().as_millis());
}

#[test]
fn a_follower_that_dies_unseats_nobody() {
    let mut processes = quorum_of_three();
    let reign = processes[0].quorum.reign();
    drop(processes.remove(2));
    processes[0].propose();
    assert_eq!(processes[0].quorum.reign(), reign);
}

#[test]
fn a_leader_that_stops_lets_another_lead_first() {
    let processes = quorum_of_three();
    let before = processes[0].quorum.reign();
    processes[0].run(processes[0].quorum.hand_over());
    assert!(!processes[0].leads());
    let quorum = &processes[1].quorum;
    processes[1].run(async {
        // It may not have heard of the other's reign yet.
        let mut reign = quorum.reign();
        while reign.leader.is_none() || reign.leader == before.leader {
            assert!(quorum.reign_changed(reign).await, "Raft runs on");
            reign = quorum.reign();
        }
    });
    let after = quorum.reign();
    assert!(after.term > before.term && after.leader != before.leader, "{before:?}, then {after:?}");
}

//! How a node that belongs to nobody finds its cluster: founds one with its seeds, or joins the one they have.
//!
//! ```text
//!   EMPTY ── all seeds empty; we are first ──► plan, kept ──► Prepare to all ──► Raft is founded, by us alone
//!     │ └─── somebody prepares us ───────────► plan, kept ──► Raft waits to be told
//!     └───── a seed has a cluster ───────────► join it
//! ```
//!
//! Invariants: a cluster is founded only while every seed is there and empty, so that a wiped founder can never found
//! a second one beside the first; a plan is durable on every founder before Raft is founded on one; a node follows one
//! plan only, and repeats it after a restart.
//! Absent on purpose: the file in which all that is kept (`node` hands us the way to it).

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tracing::{debug, info};

use super::types::Member;
use crate::base::World;
use crate::base::ids::{ClusterId, DirectoryId, NodeId, Uuid};
use crate::base::limits::{FOUNDERS_MAX, SEED_ANSWER_MS_MAX, SEED_ROUND_MS, STILL_WAITING_MS};
use crate::net::{Lane, Peer, PeerError};
use crate::rpc::controller as proto;
use proto::controller_client::ControllerClient;
use proto::probe_reply::State;

/// A cluster that is being founded, or was: its id and its controllers. The first of them is the founder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    pub cluster: ClusterId,
    pub controllers: Vec<Member>,
}

impl Roster {
    /// The controller that lives in this directory.
    pub fn in_directory(&self, directory: DirectoryId) -> Option<&Member> {
        self.controllers.iter().find(|member| member.directory == directory)
    }

    /// Whether it falls to this directory to found Raft.
    pub fn begins_in(&self, directory: DirectoryId) -> bool {
        self.controllers.first().is_some_and(|first| first.directory == directory)
    }
}

/// Who is looking for a cluster.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub directory: DirectoryId,
    /// Unset: its place among the seeds.
    pub node: Option<NodeId>,
    pub seeds: Vec<String>,
    pub is_controller: bool,
}

/// Where a node stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    Empty,
    /// The plan is kept. `is_listening`: Raft answers here.
    Founding {
        plan: Roster,
        is_listening: bool,
    },
    Member(Roster),
}

/// What a newcomer has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is a founder.
    Plan(Roster),
    /// There is a cluster; a place among the seeds says which node this one was meant to be.
    Cluster { roster: Roster, place: Option<NodeId> },
}

/// Makes a plan durable.
pub type Keep = Box<dyn Fn(&Roster) -> io::Result<()> + Send + Sync>;

/// A node on its way into a cluster, and afterwards the answer to others on theirs. Clones are the same.
#[derive(Clone)]
pub struct Bootstrap {
    me: Newcomer,
    keep: Arc<Keep>,
    standing: Arc<watch::Sender<Standing>>,
}

impl Bootstrap {
    pub fn new(me: Newcomer, standing: Standing, keep: Keep) -> Self {
        Self { me, keep: Arc::new(keep), standing: Arc::new(watch::Sender::new(standing)) }
    }

    pub fn directory(&self) -> DirectoryId {
        self.me.directory
    }

    /// Follows a plan of its own, without asking anybody: a cluster of one.
    pub fn follow(&self, plan: &Roster) -> io::Result<()> {
        (self.keep)(plan)?;
        self.standing.send_replace(Standing::Founding { plan: plan.clone(), is_listening: false });
        Ok(())
    }

    /// Raft answers here: whoever waits for that may go on.
    pub fn is_listening(&self) {
        self.standing.send_if_modified(|standing| match standing {
            Standing::Founding { is_listening, .. } => !std::mem::replace(is_listening, true),
            Standing::Empty | Standing::Member(_) => false,
        });
    }

    /// The node has its place: from now on newcomers are told so.
    pub fn is_member(&self, roster: Roster) {
        self.standing.send_replace(Standing::Member(roster));
    }

    /// Answers a newcomer, maybe ourselves.
    pub fn on_probe(&self) -> proto::ProbeReply {
        let uninitialized = |founding: Option<ClusterId>| {
            State::Uninitialized(proto::Uninitialized {
                directory_id: id(self.me.directory.0),
                node_id: self.me.node.map(|node| node.0),
                seeds_hash: hash(&self.me.seeds),
                is_controller: self.me.is_controller,
                founding_cluster_id: founding.map(|cluster| id(cluster.0)),
            })
        };
        let state = match &*self.standing.borrow() {
            Standing::Empty => uninitialized(None),
            Standing::Founding { plan, .. } => uninitialized(Some(plan.cluster)),
            Standing::Member(roster) => State::Initialized(proto::Initialized {
                cluster_id: id(roster.cluster.0),
                controllers: roster.controllers.iter().map(member_out).collect(),
            }),
        };
        proto::ProbeReply { state: Some(state) }
    }

    /// Takes a founder's plan, or says why not; answers when the plan is durable and Raft listens.
    pub async fn on_prepare(&self, request: proto::PrepareRequest) -> Result<(), String> {
        let plan = roster(&request.cluster_id, &request.members).ok_or("the plan makes no sense")?;
        self.check(&plan)?;
        let standing = self.standing.borrow().clone();
        match standing {
            Standing::Empty => self.follow(&plan).map_err(|error| format!("the plan cannot be kept: {error}"))?,
            Standing::Founding { plan: kept, .. } if kept == plan => {}
            Standing::Member(Roster { cluster, .. }) if cluster == plan.cluster => {}
            Standing::Founding { plan: Roster { cluster, .. }, .. } | Standing::Member(Roster { cluster, .. }) => {
                return Err(format!("this node follows cluster {cluster} already"));
            }
        }
        let listening = |standing: &Standing| match standing {
            Standing::Founding { is_listening, .. } => *is_listening,
            Standing::Empty | Standing::Member(_) => true,
        };
        let mut standing = self.standing.subscribe();
        let patience = Duration::from_millis(SEED_ANSWER_MS_MAX);
        match timeout(patience, standing.wait_for(listening)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("the plan is kept, Raft is still starting".to_owned()),
        }
    }

    /// Whether a plan has the right place for this node.
    fn check(&self, plan: &Roster) -> Result<(), String> {
        let directory = self.me.directory;
        let place = plan.in_directory(directory).ok_or_else(|| format!("directory {directory} is not in the plan"))?;
        match self.me.node {
            Some(asked) if asked != place.node => {
                Err(format!("the plan makes this node {}, it was started as {asked}", place.node))
            }
            _ => Ok(()),
        }
    }

    /// Asks the seeds until there is a plan or a cluster. May take for ever: seeds that are not there are waited for.
    pub async fn find(&self, world: &World) -> io::Result<Found> {
        let seeds = Seeds::new(world, &self.me.seeds);
        let mut standing = self.standing.subscribe();
        let mut said = Said::default();
        loop {
            if let Standing::Founding { plan, .. } = &*standing.borrow_and_update() {
                return Ok(Found::Plan(plan.clone()));
            }
            match self.judge(&seeds.probe().await, world) {
                Round::Found(Found::Plan(plan)) => {
                    // Who has prepared us meanwhile was first.
                    if *self.standing.borrow() == Standing::Empty {
                        self.follow(&plan)?;
                    }
                }
                Round::Found(found) => return Ok(found),
                Round::Wait(missing) => {
                    said.still_waiting(&missing);
                    let pause = sleep(Duration::from_millis(SEED_ROUND_MS));
                    tokio::select! {
                        biased;
                        _ = standing.changed() => {}
                        () = pause => {}
                    }
                }
            }
        }
    }

    /// Has every founder keep the plan. May take for ever, too.
    pub async fn prepare(&self, world: &World, plan: &Roster) {
        let addresses: Vec<String> = plan.controllers.iter().map(|member| member.address.clone()).collect();
        let seeds = Seeds::new(world, &addresses);
        let mut said = Said::default();
        loop {
            let missing = seeds.prepare(plan).await;
            if missing.is_empty() {
                return;
            }
            said.still_waiting(&missing.join("; "));
            sleep(Duration::from_millis(SEED_ROUND_MS)).await;
        }
    }

    /// What one round of answers means.
    fn judge(&self, replies: &[Result<State, String>], world: &World) -> Round {
        let place = replies.iter().position(|reply| match reply {
            Ok(State::Uninitialized(it)) => it.directory_id.as_ref() == self.me.directory.0.0,
            Ok(State::Initialized(_)) | Err(_) => false,
        });
        for reply in replies.iter().flatten() {
            if let State::Initialized(there) = reply {
                return match roster(&there.cluster_id, &there.controllers) {
                    Some(roster) => Round::Found(Found::Cluster { roster, place: place.map(node_at) }),
                    None => Round::Wait("a seed names a cluster in a way that makes no sense".to_owned()),
                };
            }
        }
        match (self.plan(replies, world), place) {
            (Err(missing), _) => Round::Wait(missing),
            (Ok(plan), Some(0)) => Round::Found(Found::Plan(plan)),
            (Ok(_), Some(_)) => Round::Wait(format!("{} founds the cluster", self.me.seeds[0])),
            (Ok(_), None) => Round::Wait("this node is not among the seeds, which have no cluster yet".to_owned()),
        }
    }

    /// The plan to follow if everybody is there and empty, else what is missing.
    fn plan(&self, replies: &[Result<State, String>], world: &World) -> Result<Roster, String> {
        let mut founders = Vec::with_capacity(replies.len());
        let mut problems = Vec::new();
        for (place, (reply, address)) in replies.iter().zip(&self.me.seeds).enumerate() {
            match founder(place, reply, address, hash(&self.me.seeds)) {
                Ok(founder) => founders.push(founder),
                Err(problem) => problems.push(problem),
            }
        }
        let nodes: BTreeSet<_> = founders.iter().map(|founder| founder.node).collect();
        let directories: BTreeSet<_> = founders.iter().map(|founder| founder.directory).collect();
        if nodes.len() < founders.len() {
            problems.push("two seeds have the same node id".to_owned());
        }
        if directories.len() < founders.len() {
            problems.push("two seeds are the same node".to_owned());
        }
        if founders.len() > FOUNDERS_MAX {
            problems.push(format!("more than {FOUNDERS_MAX} seeds cannot found a cluster together"));
        }
        if problems.is_empty() {
            return Ok(Roster { cluster: ClusterId(world.entropy.uuid()), controllers: founders });
        }
        Err(problems.join("; "))
    }
}

/// Asks a cluster for a node id. Asked again, it gives the same one: it belongs to the directory.
pub async fn allocate_node_id(world: &World, roster: &Roster, directory: DirectoryId) -> NodeId {
    let addresses: Vec<String> = roster.controllers.iter().map(|member| member.address.clone()).collect();
    let controllers = Seeds::new(world, &addresses);
    let mut said = Said::default();
    loop {
        for (_, peer) in &controllers.0 {
            if let Some(node) = ask_for_node_id(peer, roster.cluster, directory).await {
                return node;
            }
        }
        said.still_waiting("no active controller gives out a node id");
        sleep(Duration::from_millis(SEED_ROUND_MS)).await;
    }
}

async fn ask_for_node_id(peer: &Peer, cluster: ClusterId, directory: DirectoryId) -> Option<NodeId> {
    let request = proto::SubmitRequest {
        cluster_id: id(cluster.0),
        origin: None,
        command: Some(proto::submit_request::Command::AllocateNodeId(proto::AllocateNodeId {
            directory_id: id(directory.0),
        })),
    };
    let ask = |channel| async { ControllerClient::new(channel).submit(request).await };
    match call(peer, ask).await {
        Ok(proto::SubmitReply { result: Some(proto::submit_reply::Result::NodeId(node)), .. }) => Some(NodeId(node)),
        Ok(_) | Err(_) => None,
    }
}

/// What a round of questions came to.
enum Round {
    Found(Found),
    /// What is missing.
    Wait(String),
}

/// A seed as a founder, or why it cannot be one.
fn founder(place: usize, reply: &Result<State, String>, address: &str, seeds: u64) -> Result<Member, String> {
    let seed = match reply {
        Ok(State::Uninitialized(seed)) => seed,
        Ok(State::Initialized(_)) => return Err(format!("{address} has a cluster")),
        Err(problem) => return Err(problem.clone()),
    };
    if seed.seeds_hash != seeds {
        return Err(format!("{address} was started with other seeds, or in another order"));
    }
    if !seed.is_controller {
        return Err(format!("{address} is not to be a controller"));
    }
    if seed.founding_cluster_id.is_some() {
        return Err(format!("{address} waits for another founder: empty its data directory if that one is gone"));
    }
    let directory = directory(&seed.directory_id).ok_or_else(|| format!("{address} has no directory id"))?;
    let node = seed.node_id.map_or(node_at(place), NodeId);
    Ok(Member { node, directory, address: address.to_owned() })
}

/// Who a seed is that was not told.
fn node_at(place: usize) -> NodeId {
    NodeId(place as i32 + 1)
}

/// The seeds' peer ports.
struct Seeds(Vec<(String, Peer)>);

impl Seeds {
    fn new(world: &World, addresses: &[String]) -> Self {
        let peer =
            |address: &String| (address.clone(), Peer::new(Arc::clone(&world.network), address.clone(), Lane::Control));
        Self(addresses.iter().map(peer).collect())
    }

    /// Asks all who they are.
    async fn probe(&self) -> Vec<Result<State, String>> {
        join_all(self.0.iter().map(|(address, peer)| async move {
            let ask = |channel| async { ControllerClient::new(channel).probe(proto::ProbeRequest {}).await };
            let reply = call(peer, ask).await.map_err(|error| error.to_string())?;
            reply.state.ok_or_else(|| format!("{address} says nothing that we understand"))
        }))
        .await
    }

    /// Has all keep the plan; says who has not, and why.
    async fn prepare(&self, plan: &Roster) -> Vec<String> {
        let answers = join_all(self.0.iter().map(|(address, peer)| async move {
            let request = plan_out(plan);
            let ask = |channel| async { ControllerClient::new(channel).prepare(request).await };
            match call(peer, ask).await {
                Ok(proto::PrepareReply { refusal }) => refusal.map(|why| format!("{address} refuses: {why}")),
                Err(error) => Some(error.to_string()),
            }
        }));
        answers.await.into_iter().flatten().collect()
    }
}

/// One question to a seed. The founder waits for a seed's Raft to listen, so it is as patient as two answers.
async fn call<T, F>(peer: &Peer, ask: impl FnOnce(Channel) -> F) -> Result<T, PeerError>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    peer.call(Duration::from_millis(2 * SEED_ANSWER_MS_MAX), ask).await
}

/// What has been said about waiting, so that it is said once now and then.
#[derive(Default)]
struct Said {
    last: Option<Instant>,
}

impl Said {
    fn still_waiting(&mut self, missing: &str) {
        debug!(missing, "waiting");
        if self.last.get_or_insert_with(Instant::now).elapsed() >= Duration::from_millis(STILL_WAITING_MS) {
            self.last = Some(Instant::now());
            info!(event = "bootstrap.waiting", missing, "still looking for the cluster");
        }
    }
}

/// A number that differs when the seeds or their order do (FNV-1a).
fn hash(seeds: &[String]) -> u64 {
    let bytes = seeds.iter().flat_map(|seed| seed.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn plan_out(plan: &Roster) -> proto::PrepareRequest {
    let members = plan.controllers.iter().map(member_out).collect();
    proto::PrepareRequest { cluster_id: id(plan.cluster.0), members }
}

fn member_out(it: &Member) -> proto::Member {
    proto::Member { node_id: it.node.0, directory_id: id(it.directory.0), address: it.address.clone() }
}

fn roster(cluster: &Bytes, members: &[proto::Member]) -> Option<Roster> {
    let member = |it: &proto::Member| {
        let directory = directory(&it.directory_id)?;
        Some(Member { node: NodeId(it.node_id), directory, address: it.address.clone() })
    };
    let cluster = ClusterId(uuid(cluster)?);
    let controllers = members.iter().map(member).collect::<Option<Vec<_>>>()?;
    (1..=FOUNDERS_MAX).contains(&controllers.len()).then_some(Roster { cluster, controllers })
}

fn id(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn directory(bytes: &Bytes) -> Option<DirectoryId> {
    uuid(bytes).map(DirectoryId)
}

fn uuid(bytes: &Bytes) -> Option<Uuid> {
    bytes.as_ref().try_into().ok().map(Uuid)
}

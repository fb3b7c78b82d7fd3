//! The way to the controllers: commands to the active one, wherever it is.
//!
//! A controller that leaves heartbeats unanswered is passed over, and whatever it was asked is asked elsewhere: a
//! process that is stopped keeps its connections, so calls to it would take all the time they have.
//!
//! Invariants: a command is sent again only if it was certainly not done, or may be done twice without harm.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::base::World;
use crate::base::ids::{ClusterId, MetadataIndex};
use crate::base::limits::{COMMAND_ATTEMPT_MS_MAX, CONTROLLER_RETRY_MS, PEER_MESSAGE_BYTES_MAX};
use crate::controller::codec::{decode_reply, encode_command};
use crate::controller::{Command, Refused, Reply};
use crate::metadata::Image;
use crate::metadata::record::Origin;
use crate::net::{Lane, Peer};
use crate::rpc::controller as proto;
use crate::rpc::controller::controller_client::ControllerClient;

/// Every controller this broker knows, and which of them is active.
pub struct ControllerLink {
    world: World,
    cluster: ClusterId,
    known: Mutex<Known>,
    /// The controllers that leave heartbeats unanswered.
    doubted: watch::Sender<BTreeSet<String>>,
}

#[derive(Default)]
struct Known {
    /// The order in which they are tried when none is known to be active.
    addresses: Vec<String>,
    active: Option<String>,
    /// For commands and the feed. A doubted controller's is given up, with all that was asked on it.
    peers: BTreeMap<String, Arc<Peer>>,
    /// For sessions, which stay to see whether it answers after all.
    sessions: BTreeMap<String, Arc<Peer>>,
    turn: usize,
}

/// Why a command was not done, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("it is unknown whether this was done: {0}")]
    Unknown(String),
    #[error("no controller was active in time: {0}")]
    NoController(String),
}

impl ControllerLink {
    pub fn new(world: World, cluster: ClusterId, addresses: Vec<String>) -> Self {
        let known = Mutex::new(Known { addresses, ..Known::default() });
        Self { world, cluster, known, doubted: watch::Sender::default() }
    }

    /// Has a command decided and committed, waiting for an active controller as long as `patience` lasts.
    pub async fn submit(
        &self,
        command: &Command,
        origin: &Origin,
        patience: Duration,
    ) -> Result<(Reply, MetadataIndex), SubmitError> {
        let request = proto::SubmitRequest {
            cluster_id: self.cluster.0.0.to_vec().into(),
            origin: Some(written(origin)),
            command: Some(encode_command(command).expect("a broker sends only commands of brokers")),
        };
        let mut attempts = Attempts::within(patience);
        loop {
            match self.attempt(&request, attempts.left()?).await {
                Ok(done) => return done,
                Err(why) => attempts.failed(why).await,
            }
        }
    }

    /// How the quorum stands, waiting for an active controller as long as `patience` lasts.
    pub async fn describe_quorum(&self, patience: Duration) -> Result<proto::QuorumState, SubmitError> {
        let request = proto::DescribeRequest { cluster_id: self.cluster.0.0.to_vec().into() };
        let mut attempts = Attempts::within(patience);
        loop {
            match self.attempt_to_describe(&request, attempts.left()?).await {
                Ok(state) => return Ok(state),
                Err(why) => attempts.failed(why).await,
            }
        }
    }

    async fn attempt_to_describe(
        &self,
        request: &proto::DescribeRequest,
        patience: Duration,
    ) -> Result<proto::QuorumState, String> {
        use proto::describe_reply::Result as Described;
        let call = |channel| async move { client(channel).describe(request.clone()).await };
        let (address, reply) = self.ask(patience, call).await?;
        match reply.result {
            Some(Described::State(state)) => Ok(state),
            Some(Described::NotActive(elsewhere)) => Err(self.sent_on(&address, elsewhere)),
            None => Err(format!("{address} answered nothing")),
        }
    }

    /// One attempt; the outer error says why another one is in order.
    async fn attempt(
        &self,
        request: &proto::SubmitRequest,
        patience: Duration,
    ) -> Result<Result<(Reply, MetadataIndex), SubmitError>, String> {
        use proto::submit_reply::Result as Kind;
        let call = |channel| async move { client(channel).submit(request.clone()).await };
        // Every command is judged by epochs or finds that it was done before, so a second one does no harm.
        let (address, reply) = self.ask(patience, call).await?;
        let index = MetadataIndex(reply.index);
        match reply.result {
            Some(Kind::NotActive(elsewhere)) => Err(self.sent_on(&address, elsewhere)),
            Some(Kind::Unknown(unknown)) => Ok(Err(SubmitError::Unknown(unknown.message))),
            other => match decode_reply(other) {
                Ok(Ok(reply)) => Ok(Ok((reply, index))),
                Ok(Err(refused)) => Ok(Err(refused.into())),
                Err(malformed) => Ok(Err(SubmitError::Unknown(format!("{address} answered nonsense: {malformed}")))),
            },
        }
    }

    /// What the controller whose turn it is answers, and where that one is found.
    async fn ask<T, F>(&self, patience: Duration, call: impl FnOnce(Channel) -> F) -> Result<(String, T), String>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (address, peer) = self.next();
        let answer = self.unless_doubted(&address, peer.call(patience, call)).await;
        match answer.and_then(|answer| answer.map_err(|error| error.to_string())) {
            Ok(answer) => Ok((address, answer)),
            Err(why) => {
                self.forget_active(&address);
                Err(why)
            }
        }
    }

    /// Notes who is active instead of the one that was asked.
    fn sent_on(&self, asked: &str, elsewhere: proto::NotActive) -> String {
        self.note_active(Some(elsewhere.leader_address).filter(|leader| !leader.is_empty()));
        format!("{asked} is not active")
    }

    /// Whom to ask: the active controller, or each in turn; those who are doubted only if there is nobody else.
    pub(super) fn next(&self) -> (String, Arc<Peer>) {
        let doubted = self.doubted.borrow().clone();
        let mut known = self.known();
        let active = known.active.clone().filter(|active| !doubted.contains(active));
        let address = active.unwrap_or_else(|| known.in_turn(&doubted));
        let peer = peer(&mut known.peers, &address, &self.world);
        (address, peer)
    }

    /// What comes of asking a controller, unless it is doubted meanwhile and there are others.
    pub(super) async fn unless_doubted<T>(&self, address: &str, asked: impl Future<Output = T>) -> Result<T, String> {
        let mut doubted = self.doubted.subscribe();
        let is_passed_over =
            |doubted: &BTreeSet<String>| doubted.contains(address) && doubted.len() < self.known_count();
        tokio::select! {
            biased;
            answer = asked => Ok(answer),
            Ok(_) = doubted.wait_for(is_passed_over) => Err(format!("{address} leaves heartbeats unanswered")),
        }
    }

    /// A controller leaves heartbeats unanswered.
    pub(super) fn doubt(&self, address: &str) {
        let is_news = self.doubted.send_if_modified(|doubted| doubted.insert(address.to_owned()));
        if is_news && let Some(peer) = self.known().peers.get(address) {
            peer.give_up();
        }
    }

    /// A controller has answered.
    pub(super) fn trust(&self, address: &str) {
        self.doubted.send_if_modified(|doubted| doubted.remove(address));
    }

    fn known_count(&self) -> usize {
        self.known().addresses.len()
    }

    /// A controller's peer, for a session.
    pub(super) fn session(&self, address: &str) -> Arc<Peer> {
        peer(&mut self.known().sessions, address, &self.world)
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.known().addresses.clone()
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(super) fn note_active(&self, address: Option<String>) {
        self.known().active = address;
    }

    fn forget_active(&self, address: &str) {
        let mut known = self.known();
        if known.active.as_deref() == Some(address) {
            known.active = None;
        }
    }

    /// Takes up the controllers that metadata knows of.
    pub(super) fn learn(&self, image: &Image) {
        let controllers = image.nodes().iter().filter(|node| node.registration.roles.controller);
        let mut known = self.known();
        for node in controllers {
            let address = &node.registration.peer_address;
            if !known.addresses.contains(address) {
                known.addresses.push(address.clone());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Attempts to have the active controller answer, with pauses between them.
struct Attempts {
    deadline: Instant,
    /// Why the last one failed.
    last: String,
}

impl Attempts {
    fn within(patience: Duration) -> Self {
        Self { deadline: Instant::now() + patience, last: "none was reached".to_owned() }
    }

    /// How long the next one may take.
    fn left(&self) -> Result<Duration, SubmitError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SubmitError::NoController(self.last.clone()));
        }
        Ok(left.min(Duration::from_millis(COMMAND_ATTEMPT_MS_MAX)))
    }

    async fn failed(&mut self, why: String) {
        self.last = why;
        let left = self.deadline.saturating_duration_since(Instant::now());
        sleep(Duration::from_millis(CONTROLLER_RETRY_MS).min(left)).await;
    }
}

fn written(origin: &Origin) -> crate::rpc::metadata::Origin {
    crate::rpc::metadata::Origin {
        principal: origin.principal.clone(),
        api: origin.api.clone(),
        client_id: origin.client_id.clone(),
        facts: 0, // the controller counts them
    }
}

impl Known {
    /// The next one, of those who are not doubted if there are any.
    fn in_turn(&mut self, doubted: &BTreeSet<String>) -> String {
        let trusted: Vec<&String> = self.addresses.iter().filter(|address| !doubted.contains(*address)).collect();
        let candidates = if trusted.is_empty() { self.addresses.iter().collect() } else { trusted };
        self.turn += 1;
        candidates[self.turn % candidates.len()].clone()
    }
}

fn peer(of: &mut BTreeMap<String, Arc<Peer>>, address: &str, world: &World) -> Arc<Peer> {
    let new = || Arc::new(Peer::new(Arc::clone(&world.network), address, Lane::Control));
    Arc::clone(of.entry(address.to_owned()).or_insert_with(new))
}

pub(super) fn client(channel: Channel) -> ControllerClient<Channel> {
    ControllerClient::new(channel)
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

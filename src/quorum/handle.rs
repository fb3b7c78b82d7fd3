//! The quorum as the rest of a node sees it: propose facts, see who reigns, answer other controllers, stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::raft::TransferLeaderRequest;
use openraft::{Config, Instant as _, ReadPolicy, ServerState, SnapshotPolicy, Vote};
use tokio::time::{Instant, sleep, timeout};

use super::codec;
use super::haste;
use super::log::RaftLog;
use super::machine::Machine;
use super::network::{Ways, addressed_to, garbled};
use super::types::{Facts, Member, Raft, RaftId, Runtime, founders};
use crate::base::World;
use crate::base::executor::Task;
use crate::base::ids::MetadataIndex;
use crate::base::limits::{ELECTION_STAGGER_MS, HAND_OVER_MS_MAX, HEIR_SILENCE_MS_MAX, RULE_CONFIRMED_MS_MAX};
use crate::base::mutants::Mutant;
use crate::net::Peer;
use crate::rpc::raft as proto;

/// This node's part in the quorum. Clones are the same part.
#[derive(Clone)]
pub struct Quorum {
    me: RaftId,
    /// Where it is found now; members may still know an older address.
    myself: Arc<Member>,
    raft: Raft,
    ways: Ways,
}

/// Another voter, and the connection to it.
pub(super) struct Fellow {
    pub id: RaftId,
    pub address: String,
    pub peer: Arc<Peer>,
}

/// A voter as its leader knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub member: Member,
    /// The last entry that it is known to have.
    pub last: Option<MetadataIndex>,
    /// How long ago it was heard.
    pub heard: Option<Duration>,
}

/// How patient Raft is, and how much of its log it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    pub heartbeat_ms: u64,
    pub election_ms_min: u64,
    pub election_ms_max: u64,
    /// A snapshot is made each time this many entries have come since the last one.
    pub snapshot_after_entries: u64,
    /// Entries before the snapshot that stay in the log, so that who was away briefly needs no snapshot.
    pub kept_entries: u64,
}

impl Default for Tuning {
    /// For one data centre. Elections are hurried by evidence of a dead leader, not by tighter timers than these.
    fn default() -> Self {
        Self {
            heartbeat_ms: 60,
            election_ms_min: 200,
            election_ms_max: 400,
            snapshot_after_entries: 100_000,
            kept_entries: 200_000,
        }
    }
}

/// Who leads the quorum, as this node sees it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reign {
    pub term: u64,
    pub leader: Option<RaftId>,
    /// This node leads.
    pub is_ours: bool,
}

/// Why the quorum cannot be started or founded.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    #[error("Raft does not start: {0}")]
    Start(String),
    #[error("the quorum cannot be founded: {0}")]
    Found(String),
}

/// Why facts were not, or perhaps not, committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not committed.
    #[error("this controller does not lead{}", .leader.as_ref().map(|at| format!(", {at} does")).unwrap_or_default())]
    NotLeader { leader: Option<String> },
    /// Perhaps committed, perhaps not; it can be seen later.
    #[error("it is unknown whether the facts were committed: {0}")]
    Unknown(String),
}

impl Quorum {
    /// Starts this node's part, from its log.
    pub async fn start(
        world: &World,
        myself: Member,
        log: RaftLog,
        machine: Machine,
        tuning: Tuning,
    ) -> Result<Self, QuorumError> {
        let config = config(tuning).map_err(|error| QuorumError::Start(error.to_string()))?;
        let ways = Ways::new(Arc::clone(&world.network));
        let me = myself.raft_id();
        let raft = Raft::new(me, Arc::new(config), ways.clone(), log, machine);
        let raft = Runtime::scope(world.entropy.number(), raft).await;
        let raft = raft.map_err(|error| QuorumError::Start(error.to_string()))?;
        Ok(Self { me, myself: Arc::new(myself), raft, ways })
    }

    /// Makes these members the quorum. Only one of them does it, once; doing it again on the same log changes nothing.
    pub async fn found(&self, members: impl IntoIterator<Item = Member>) -> Result<(), QuorumError> {
        match self.raft.initialize(founders(members)).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(QuorumError::Found(error.to_string())),
        }
    }

    /// Whether the log of this node has a first entry: from then on founding it is over.
    pub async fn is_founded(&self) -> Result<bool, QuorumError> {
        self.raft.is_initialized().await.map_err(|error| QuorumError::Found(error.to_string()))
    }

    /// Stands for election at once if no other voter could be asked anyway.
    pub async fn stand_if_alone(&self) {
        let alone = self.raft.voter_ids().eq([self.me]);
        if alone && !self.reign().is_ours {
            // It fails only if Raft has ended, which `ended` reports.
            let _ = self.raft.trigger().elect(false).await;
        }
    }

    /// Has the facts committed, and answers when they are and this node has applied them. Facts were decided in a
    /// reign: in a later one they are refused, even if it is ours again, because others may have decided in between.
    pub async fn propose(&self, reign: Reign, facts: Bytes) -> Result<MetadataIndex, ProposeError> {
        let leader = self.own(reign)?;
        let (responder, committed) = ProgressResponder::complete_only();
        let unknown = |error: String| ProposeError::Unknown(error);
        self.raft
            .write(Facts(facts.clone()))
            .with_leader(leader)
            .responder(responder)
            .await
            .map_err(|error| unknown(error.to_string()))?;
        match committed.await.map_err(|_| unknown("this controller stops".to_owned()))? {
            Ok(committed) => Ok(MetadataIndex(committed.log_id.index())),
            Err(ClientWriteError::ForwardToLeader(_)) if Mutant::StaleProposal.lives() => {
                Box::pin(self.propose(self.next_reign(reign).await, facts)).await
            }
            Err(ClientWriteError::ForwardToLeader(_)) => Err(self.not_leader()),
            Err(error) => Err(unknown(error.to_string())),
        }
    }

    /// The next reign of this node, whoever reigns before it; for a planted bug.
    async fn next_reign(&self, last: Reign) -> Reign {
        let mut reign = self.reign();
        while !(reign.is_ours && reign.term > last.term) && self.reign_changed(reign).await {
            reign = self.reign();
        }
        reign
    }

    /// Answers when this node has applied all that was committed before the call, and a quorum has confirmed that the
    /// reign goes on.
    pub async fn catch_up(&self, reign: Reign) -> Result<(), ProposeError> {
        let leader = self.own(reign)?;
        let read = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        let read = read.map_err(|_| self.not_leader())?;
        if *read.read_log_id().log_id().committed_leader_id() != leader {
            return Err(self.not_leader());
        }
        read.await_ready(&self.raft).await.map_err(|error| ProposeError::Unknown(error.to_string()))?;
        Ok(())
    }

    /// How openraft names a reign of this node.
    fn own(&self, reign: Reign) -> Result<LeaderId<u64, RaftId>, ProposeError> {
        match reign.leader {
            Some(leader) if reign.is_ours => Ok(LeaderId { term: reign.term, node_id: leader }),
            _ => Err(self.not_leader()),
        }
    }

    fn not_leader(&self) -> ProposeError {
        ProposeError::NotLeader { leader: self.leader().map(|member| member.address) }
    }

    /// Who leads the quorum, and where it is found.
    pub fn leader(&self) -> Option<Member> {
        let seen = self.raft.server_metrics();
        let seen = seen.borrow_watched();
        let leader = seen.current_leader?;
        if leader == self.me {
            return Some(Member::clone(&self.myself));
        }
        seen.membership_config.membership().get_node(&leader).cloned()
    }

    /// Whether a quorum has heard us as its leader since then.
    pub fn confirmed_since(&self, moment: Instant) -> bool {
        let heard = self.raft.as_leader().ok().and_then(|leader| leader.last_quorum_acked());
        heard.is_some_and(|heard| heard.elapsed() < moment.elapsed())
    }

    /// Whether we lead, and a quorum has heard so a moment ago.
    pub fn rules(&self) -> bool {
        let moment = Duration::from_millis(RULE_CONFIRMED_MS_MAX);
        let is_alone = || self.raft.voter_ids().eq([self.me]);
        let is_confirmed = || Instant::now().checked_sub(moment).is_some_and(|since| self.confirmed_since(since));
        self.reign().is_ours && (is_alone() || is_confirmed())
    }

    /// Who this voter is.
    pub fn me(&self) -> RaftId {
        self.me
    }

    /// Keeps the connections to the other voters up, and has elections not wait for a leader that is seen to die.
    pub fn hasten(&self, world: &World) -> Task {
        world.executor.spawn("quorum.haste", Box::pin(haste::watch(Arc::clone(&world.network), self.clone())))
    }

    /// The other voters.
    pub(super) fn fellows(&self) -> Vec<Fellow> {
        let seen = self.raft.server_metrics();
        let seen = seen.borrow_watched();
        let membership = seen.membership_config.membership();
        let others = membership.voter_ids().filter(|voter| *voter != self.me);
        let fellow = |id| {
            let address = membership.get_node(&id)?.address.clone();
            Some(Fellow { id, peer: self.ways.peer(id, &address), address })
        };
        others.filter_map(fellow).collect()
    }

    /// How far every voter's log reaches, as far as this node knows: of others only a leader does.
    pub(super) fn progress(&self) -> Vec<Progress> {
        let seen = self.raft.metrics();
        let seen = seen.borrow_watched();
        let membership = seen.membership_config.membership();
        let of = |voter: RaftId| {
            if voter == self.me {
                let last = seen.last_log_index.map(MetadataIndex);
                return Some(Progress { member: Member::clone(&self.myself), last, heard: Some(Duration::ZERO) });
            }
            let matching = seen.replication.as_ref().and_then(|all| all.get(&voter)?.as_ref());
            let heard = seen.heartbeat.as_ref().and_then(|all| all.get(&voter).copied().flatten());
            Some(Progress {
                member: membership.get_node(&voter)?.clone(),
                last: matching.map(|last| MetadataIndex(last.index())),
                heard: heard.map(|at| at.elapsed()),
            })
        };
        membership.voter_ids().filter_map(of).collect()
    }

    /// Waits until the voters may be others than these; false once Raft has ended.
    pub(super) async fn fellows_changed(&self, since: &[Fellow]) -> bool {
        let mut seen = self.raft.server_metrics();
        let is_same = |now: Vec<Fellow>| {
            now.len() == since.len() && now.iter().zip(since).all(|(a, b)| a.id == b.id && a.address == b.address)
        };
        while is_same(self.fellows()) {
            if seen.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Waits until Raft has ended here, and says why. An entry that cannot be applied and a store that fails end it.
    pub async fn ended(&self) -> String {
        let mut seen = self.raft.metrics();
        loop {
            if let Err(fatal) = &seen.borrow_watched().running_state {
                return fatal.to_string();
            }
            if seen.changed().await.is_err() {
                return "Raft has stopped".to_owned();
            }
        }
    }

    /// Who reigns now.
    pub fn reign(&self) -> Reign {
        let seen = self.raft.server_metrics();
        let seen = seen.borrow_watched();
        Reign {
            term: seen.vote.leader_id.term,
            leader: seen.current_leader,
            is_ours: seen.state == ServerState::Leader,
        }
    }

    /// Waits until who reigns may have changed; false once Raft has ended.
    pub async fn reign_changed(&self, since: Reign) -> bool {
        let mut seen = self.raft.server_metrics();
        while self.reign() == since {
            if seen.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Answers a leader that appends.
    pub async fn on_append(&self, request: proto::AppendRequest) -> Result<proto::AppendReply, tonic::Status> {
        addressed_to(self.me, request.to)?;
        let reply = self.raft.append_entries(codec::append_in(request).map_err(garbled)?).await;
        Ok(codec::append_reply_out(&reply.map_err(stopping)?))
    }

    /// Answers a candidate.
    pub async fn on_vote(&self, request: proto::VoteRequest) -> Result<proto::VoteReply, tonic::Status> {
        addressed_to(self.me, request.to)?;
        let reply = self.raft.vote(codec::vote_request_in(request).map_err(garbled)?).await;
        Ok(codec::vote_reply_out(&reply.map_err(stopping)?))
    }

    /// Answers who would be a candidate.
    pub async fn on_pre_vote(&self, request: proto::VoteRequest) -> Result<proto::VoteReply, tonic::Status> {
        addressed_to(self.me, request.to)?;
        let reply = self.raft.pre_vote(codec::vote_request_in(request).map_err(garbled)?).await;
        Ok(codec::vote_reply_out(&reply.map_err(stopping)?))
    }

    /// Answers a leader whose log no longer reaches back to what this node lacks.
    pub async fn on_install(&self, request: proto::InstallRequest) -> Result<proto::InstallReply, tonic::Status> {
        addressed_to(self.me, request.to)?;
        let (vote, snapshot) = codec::install_in(request).map_err(garbled)?;
        let reply = self.raft.install_full_snapshot(vote, snapshot).await;
        let reply = reply.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        Ok(proto::InstallReply { vote: Some(codec::vote_out(&reply.vote)) })
    }

    /// Answers a leader that leaves.
    pub async fn on_transfer(&self, request: proto::TransferRequest) -> Result<proto::TransferReply, tonic::Status> {
        addressed_to(self.me, request.to)?;
        let reply = self.raft.handle_transfer_leader(codec::transfer_in(request).map_err(garbled)?).await;
        let reply = reply.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        Ok(codec::transfer_reply_out(&reply))
    }

    /// Stands for election against a leader that is known to be dead, whatever its lease says; after the voters before
    /// it, who have the same evidence, so that they do not split the vote. Does nothing once there is a later vote.
    pub(super) async fn stand_against(&self, dead: RaftId) {
        let Reign { term, leader: Some(leader), is_ours: false } = self.reign() else { return };
        if leader != dead {
            return;
        }
        let rank = self.raft.voter_ids().filter(|voter| *voter != dead && *voter < self.me).count();
        sleep(Duration::from_millis(ELECTION_STAGGER_MS) * u32::try_from(rank).unwrap_or(u32::MAX)).await;
        let vote = Vote { leader_id: LeaderId { term, node_id: dead }, committed: true };
        // It fails if Raft has ended, and is refused if this node has nothing of that leader: time will tell then.
        let _ = self.raft.handle_transfer_leader(TransferLeaderRequest::new(vote, self.me, None)).await;
    }

    /// Has another voter lead, if this one does and there is another: it is leaving. Takes no longer than an election.
    pub async fn hand_over(&self) {
        let reign = self.reign();
        if let (true, Some(heir)) = (reign.is_ours, self.heir()) {
            // It fails only if Raft has ended already.
            let _ = self.raft.trigger().transfer_leader(heir).await;
            let _ = timeout(Duration::from_millis(HAND_OVER_MS_MAX), self.reign_changed(reign)).await;
        }
    }

    /// Who is to lead next: of those that were heard lately, the one that has most of the log.
    fn heir(&self) -> Option<RaftId> {
        let seen = self.raft.metrics();
        let seen = seen.borrow_watched();
        let was_heard = |member: &RaftId| {
            let heard = seen.heartbeat.as_ref().and_then(|heard| heard.get(member).copied().flatten());
            heard.is_some_and(|at| at.elapsed() < Duration::from_millis(HEIR_SILENCE_MS_MAX))
        };
        let others = seen.replication.iter().flatten().filter(|(member, _)| **member != self.me && was_heard(member));
        others.max_by_key(|(member, matching)| (**matching, **member)).map(|(member, _)| *member)
    }

    /// Ends this node's part. What was acknowledged is durable already.
    pub async fn stop(&self) {
        // It fails only if Raft has panicked, which has been reported by the panic hook.
        let _ = self.raft.shutdown().await;
    }
}

/// Each purge is a write: not one for every entry.
const PURGED_ENTRIES_AT_ONCE: u64 = 256;

fn config(tuning: Tuning) -> Result<Config, openraft::ConfigError> {
    Config {
        cluster_name: "dohle".to_owned(),
        heartbeat_interval: tuning.heartbeat_ms,
        election_timeout_min: tuning.election_ms_min,
        election_timeout_max: tuning.election_ms_max,
        enable_pre_vote: Some(true),
        // A restarted leader stands for election like anybody else: what it remembers may be out of date.
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(tuning.snapshot_after_entries),
        max_in_snapshot_log_to_keep: tuning.kept_entries,
        purge_batch_size: PURGED_ENTRIES_AT_ONCE,
        // A returning peer must not wait for the default's 200 ms steps.
        backoff: "20ms 50ms 100ms 200ms 500ms".to_owned(),
        ..Config::default()
    }
    .validate()
}

fn stopping(error: RaftError<super::Types>) -> tonic::Status {
    tonic::Status::unavailable(error.to_string())
}

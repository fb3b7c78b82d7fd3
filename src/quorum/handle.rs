//! The quorum as the rest of a node sees it: propose facts, see who reigns, answer other controllers, stop.

use std::sync::Arc;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::{Config, ServerState, SnapshotPolicy};

use super::codec;
use super::log::RaftLog;
use super::machine::Machine;
use super::network::{Ways, addressed_to, garbled};
use super::types::{Facts, Member, Raft, RaftId, Runtime, founders};
use crate::base::World;
use crate::base::ids::MetadataIndex;
use crate::rpc::raft as proto;

/// This node's part in the quorum. Clones are the same part.
#[derive(Clone)]
pub struct Quorum {
    me: RaftId,
    raft: Raft,
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
#[derive(Debug, thiserror::Error)]
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
        me: RaftId,
        log: RaftLog,
        machine: Machine,
        tuning: Tuning,
    ) -> Result<Self, QuorumError> {
        let config = config(tuning).map_err(|error| QuorumError::Start(error.to_string()))?;
        let ways = Ways { network: Arc::clone(&world.network) };
        let raft = Raft::new(me, Arc::new(config), ways, log, machine);
        let raft = Runtime::scope(world.entropy.number(), raft).await;
        Ok(Self { me, raft: raft.map_err(|error| QuorumError::Start(error.to_string()))? })
    }

    /// Makes these members the quorum. Only one of them does it, once; doing it again on the same log changes nothing.
    pub async fn found(&self, members: impl IntoIterator<Item = Member>) -> Result<(), QuorumError> {
        match self.raft.initialize(founders(members)).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(QuorumError::Found(error.to_string())),
        }
    }

    /// Has the facts committed, and answers when they are and this node has applied them.
    pub async fn propose(&self, facts: Bytes) -> Result<MetadataIndex, ProposeError> {
        match self.raft.client_write(Facts(facts)).await {
            Ok(committed) => Ok(MetadataIndex(committed.log_id.index())),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(elsewhere))) => {
                Err(ProposeError::NotLeader { leader: elsewhere.leader_node.map(|member| member.address) })
            }
            Err(error) => Err(ProposeError::Unknown(error.to_string())),
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

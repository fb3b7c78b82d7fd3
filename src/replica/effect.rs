//! What the minds ask of their caller, and the messages the two of them exchange.
//!
//! The caller does the effects in order, under the lock it called with, except what waits (sending, proposing).

use super::epochs::EpochEnd;
use super::isr::Proposal;
use super::{LogEnds, StreamId};
use crate::base::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset};
use crate::base::time::Millis;

/// What a leader wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaderEffect {
    /// The high watermark is now here: wake who waited for it, tell the followers.
    HighWatermark(Offset),
    /// Send this to the active controller and report its outcome, always: no answer in time is an outcome.
    ProposeIsr(Proposal),
    /// Call `tick` at this time; an earlier wish stays valid.
    WakeAt(Millis),
    /// This stream does not count: tell its follower, so that it opens again.
    RefuseStream(StreamId),
}

/// What a follower wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FollowerEffect {
    /// Call `open` after this many milliseconds, as soon as there is a way to the leader.
    OpenAfter { ms: u64 },
    /// Cut the log so that it ends here, then call `on_truncated`.
    Truncate { to: Offset },
    /// Drop the whole log and start an empty one here, then call `on_restarted`.
    RestartAt { log_start: Offset },
    /// Forget the leader epochs that begin at the log's end: this replica led them without taking a record, and the
    /// next record there may be of an earlier one. Kept, they would tell others that the earlier epoch ends too soon.
    ForgetEmptyEpochs,
    /// Tell the leader how far this log reaches; several may be sent as the last one.
    Ack(Ack),
    /// The local high watermark is now here.
    HighWatermark(Offset),
    /// The leader's log starts here now; what lies before may be deleted.
    LogStart(Offset),
    /// This replica stopped and keeps its data: somebody must look.
    Fault(Fault),
}

/// Why a replica stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error(
        "leader {leader} of epoch {leader_epoch} asks to truncate to {to}, below the high watermark {high_watermark}: \
         committed records would be lost; compare the replicas' logs before removing this one"
    )]
    TruncationBelowHighWatermark { leader: NodeId, leader_epoch: LeaderEpoch, to: Offset, high_watermark: Offset },
}

/// A follower asks for a partition's data from its own log's end on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    pub stream: StreamId,
    pub leader_epoch: LeaderEpoch,
    pub log_start: Offset,
    pub log_end: Offset,
    /// The epoch of the follower's last record.
    pub last_epoch: Option<LeaderEpoch>,
}

/// Who sends an [`Open`]: what the connection's handshake told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opener {
    pub id: NodeId,
    pub broker_epoch: BrokerEpoch,
}

/// The leader's answer to an [`Open`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// The follower's log is a prefix of the leader's: data follows.
    Ok { high_watermark: Offset, log_start: Offset },
    /// The logs part no later than at the end of this epoch.
    Diverged(EpochEnd),
    /// The follower ends before the leader's log starts.
    OutOfRange { log_start: Offset },
    /// The follower's leader epoch is older than the leader's.
    FencedLeaderEpoch,
    /// The follower knows a later leader epoch than the leader does.
    UnknownLeaderEpoch,
    /// The broker asked does not lead this partition.
    NotLeader,
    /// The leader does not know the follower as a replica yet, or no longer.
    NotReplica,
    /// The follower's broker has registered again since.
    StaleBrokerEpoch,
}

/// How far a follower's log reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    pub stream: StreamId,
    pub ends: LogEnds,
}

//! Frames of replication to and from the values that partitions speak.
//!
//! Invariants: what comes in is checked here for shape; what it says is for the minds to judge.

use crate::base::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId, Uuid};
use crate::net::Lane;
use crate::replica::effect::{Open, Opened};
use crate::replica::epochs::EpochEnd;
use crate::replica::follower::Marks;
use crate::replica::{LogEnds, StreamId};
use crate::rpc::replication as proto;
use crate::rpc::replication::follower_frame::Frame as Up;
use crate::rpc::replication::leader_frame::Frame as Down;

/// The version of these frames that we speak.
pub(super) const PROTOCOL_VERSION: u32 = 1;

/// A follower's name for one opening on one connection.
pub(super) type Handle = u32;

/// A frame that one of us would not send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("garbled replication frame: {0}")]
pub struct Garbled(pub(super) &'static str);

pub(super) fn up(frame: Up) -> proto::FollowerFrame {
    proto::FollowerFrame { frame: Some(frame) }
}

pub(super) fn down(frame: Down) -> proto::LeaderFrame {
    proto::LeaderFrame { frame: Some(frame) }
}

/// An id as it travels.
pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, Garbled> {
    bytes.try_into().map(Uuid).map_err(|_| Garbled("an id has 16 bytes"))
}

pub(super) fn lane_out(lane: Lane) -> proto::Lane {
    match lane {
        Lane::Live => proto::Lane::Live,
        Lane::CatchUp => proto::Lane::CatchUp,
        Lane::Control => proto::Lane::Unspecified,
    }
}

pub(super) fn open_out(handle: Handle, topic: TopicId, partition: PartitionIndex, open: &Open) -> Up {
    Up::Open(proto::Open {
        handle,
        topic_id: topic.0.0.to_vec().into(),
        partition: partition.0,
        leader_epoch: open.leader_epoch.0,
        log_start: open.log_start.0,
        log_end: open.log_end.0,
        last_epoch: open.last_epoch.map(|epoch| epoch.0),
    })
}

/// What is opened, and from where on.
pub(super) fn open_in(open: &proto::Open, stream: StreamId) -> Result<(TopicId, PartitionIndex, Open), Garbled> {
    if open.log_start < 0 || open.log_end < open.log_start {
        return Err(Garbled("a log ends after its start, and neither is negative"));
    }
    let opened = Open {
        stream,
        leader_epoch: LeaderEpoch(open.leader_epoch),
        log_start: Offset(open.log_start),
        log_end: Offset(open.log_end),
        last_epoch: open.last_epoch.map(LeaderEpoch),
    };
    Ok((TopicId(uuid(&open.topic_id)?), PartitionIndex(open.partition), opened))
}

pub(super) fn opened_out(handle: Handle, opened: Opened) -> proto::LeaderFrame {
    use proto::open_result::Result as Wire;
    let refusal = |refusal: proto::Refusal| Wire::Refusal(refusal.into());
    let result = match opened {
        Opened::Ok { high_watermark, log_start } => {
            Wire::Accepted(proto::Accepted { high_watermark: high_watermark.0, log_start: log_start.0 })
        }
        Opened::Diverged(EpochEnd { epoch, end }) => Wire::Diverged(proto::Diverged { epoch: epoch.0, end: end.0 }),
        Opened::OutOfRange { log_start } => Wire::OutOfRange(proto::OutOfRange { log_start: log_start.0 }),
        Opened::FencedLeaderEpoch => refusal(proto::Refusal::FencedLeaderEpoch),
        Opened::UnknownLeaderEpoch => refusal(proto::Refusal::UnknownLeaderEpoch),
        Opened::NotLeader => refusal(proto::Refusal::NotLeader),
        Opened::NotReplica => refusal(proto::Refusal::NotReplica),
        Opened::StaleBrokerEpoch => refusal(proto::Refusal::StaleBrokerEpoch),
    };
    down(Down::Open(proto::OpenResult { handle, result: Some(result) }))
}

pub(super) fn opened_in(result: &proto::OpenResult) -> Result<Opened, Garbled> {
    use proto::open_result::Result as Wire;
    Ok(match result.result.as_ref().ok_or(Garbled("an Open is answered by a result"))? {
        Wire::Accepted(accepted) => {
            Opened::Ok { high_watermark: offset(accepted.high_watermark)?, log_start: offset(accepted.log_start)? }
        }
        Wire::Diverged(diverged) => {
            Opened::Diverged(EpochEnd { epoch: LeaderEpoch(diverged.epoch), end: offset(diverged.end)? })
        }
        Wire::OutOfRange(range) => Opened::OutOfRange { log_start: offset(range.log_start)? },
        Wire::Refusal(refusal) => match proto::Refusal::try_from(*refusal) {
            Ok(proto::Refusal::FencedLeaderEpoch) => Opened::FencedLeaderEpoch,
            Ok(proto::Refusal::UnknownLeaderEpoch) => Opened::UnknownLeaderEpoch,
            Ok(proto::Refusal::NotReplica) => Opened::NotReplica,
            Ok(proto::Refusal::StaleBrokerEpoch) => Opened::StaleBrokerEpoch,
            // A reason that a later version gives: it passes or it does not, as when the leader is another.
            Ok(proto::Refusal::NotLeader | proto::Refusal::Unspecified) | Err(_) => Opened::NotLeader,
        },
    })
}

/// Rows of acknowledgements, from the columns they travel in.
pub(super) fn acks_in(acks: &proto::Acks) -> Result<impl Iterator<Item = (Handle, LogEnds)> + '_, Garbled> {
    let rows = acks.handle.len();
    if [acks.end.len(), acks.flushed_end.len(), acks.log_start.len()] != [rows; 3] {
        return Err(Garbled("the columns of acknowledgements have one length"));
    }
    let ends = acks.end.iter().zip(&acks.flushed_end).zip(&acks.log_start);
    let ends = ends.map(|((end, flushed_end), log_start)| LogEnds {
        log_start: Offset(*log_start),
        end: Offset(*end),
        flushed_end: Offset(*flushed_end),
    });
    Ok(acks.handle.iter().copied().zip(ends))
}

pub(super) fn acks_out(rows: impl Iterator<Item = (Handle, LogEnds)>) -> Up {
    let mut acks = proto::Acks::default();
    for (handle, ends) in rows {
        acks.handle.push(handle);
        acks.end.push(ends.end.0);
        acks.flushed_end.push(ends.flushed_end.0);
        acks.log_start.push(ends.log_start.0);
    }
    Up::Acks(acks)
}

/// Rows of marks, from the columns they travel in.
pub(super) fn marks_in(marks: &proto::Marks) -> Result<impl Iterator<Item = (Handle, Marks)> + '_, Garbled> {
    let rows = marks.handle.len();
    if [marks.high_watermark.len(), marks.log_start.len()] != [rows; 2] {
        return Err(Garbled("the columns of marks have one length"));
    }
    let columns = marks.high_watermark.iter().zip(&marks.log_start);
    let columns = columns.map(|(high_watermark, log_start)| Marks {
        high_watermark: Offset(*high_watermark),
        log_start: Offset(*log_start),
    });
    Ok(marks.handle.iter().copied().zip(columns))
}

pub(super) fn marks_out(rows: impl Iterator<Item = (Handle, Marks)>) -> proto::LeaderFrame {
    let mut marks = proto::Marks::default();
    for (handle, row) in rows {
        marks.handle.push(handle);
        marks.high_watermark.push(row.high_watermark.0);
        marks.log_start.push(row.log_start.0);
    }
    down(Down::Marks(marks))
}

fn offset(number: i64) -> Result<Offset, Garbled> {
    if number < 0 { Err(Garbled("an offset is not negative")) } else { Ok(Offset(number)) }
}

//! Raft's values as `proto/raft.proto` writes them, on disk and between controllers.
//!
//! Invariants: decoding is total; bytes that mean nothing are an error that says which part is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse};
use openraft::{EntryPayload, LogId, Membership, Vote};

use super::types::{Facts, Member, RaftId, Types};
use crate::base::ids::{DirectoryId, NodeId, Uuid};
use crate::rpc::raft as proto;

type Members = Membership<RaftId, Member>;

/// A message lacks a part that it cannot do without.
pub(super) fn missing(part: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a Raft message has no {part}"))
}

pub(super) fn vote_out(vote: &VoteOf<Types>) -> proto::Vote {
    proto::Vote { term: vote.leader_id.term, voted_for: vote.leader_id.node_id.0, committed: vote.committed }
}

pub(super) fn vote_in(vote: proto::Vote) -> VoteOf<Types> {
    Vote { leader_id: LeaderId { term: vote.term, node_id: RaftId(vote.voted_for) }, committed: vote.committed }
}

pub(super) fn log_id_out(id: &LogIdOf<Types>) -> proto::LogId {
    let leader = id.committed_leader_id();
    proto::LogId { term: leader.term, leader: leader.node_id.0, index: id.index() }
}

pub(super) fn log_id_in(id: proto::LogId) -> LogIdOf<Types> {
    LogId::new(LeaderId { term: id.term, node_id: RaftId(id.leader) }, id.index)
}

pub(super) fn entry_out(entry: EntryOf<Types>) -> proto::Entry {
    use proto::entry::Payload;
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank(proto::Blank {}),
        EntryPayload::Normal(facts) => Payload::Facts(facts.0),
        EntryPayload::Membership(membership) => Payload::Membership(membership_out(&membership)),
    };
    proto::Entry { log_id: Some(log_id_out(&entry.log_id)), payload: Some(payload) }
}

pub(super) fn entry_in(entry: proto::Entry) -> io::Result<EntryOf<Types>> {
    use proto::entry::Payload;
    let payload = match entry.payload.ok_or_else(|| missing("payload"))? {
        Payload::Blank(_) => EntryPayload::Blank,
        Payload::Facts(facts) => EntryPayload::Normal(Facts(facts)),
        Payload::Membership(membership) => EntryPayload::Membership(membership_in(membership)?),
    };
    Ok(EntryOf::<Types> { log_id: log_id_in(entry.log_id.ok_or_else(|| missing("log id"))?), payload })
}

pub(super) fn snapshot_out(snapshot: SnapshotOf<Types, Bytes>) -> proto::Snapshot {
    let members = &snapshot.meta.last_membership;
    let stored = proto::StoredMembership {
        log_id: members.log_id().as_ref().map(log_id_out),
        membership: Some(membership_out(members.membership())),
    };
    proto::Snapshot {
        last: snapshot.meta.last_log_id.as_ref().map(log_id_out),
        membership: Some(stored),
        state: snapshot.snapshot,
    }
}

pub(super) fn snapshot_in(snapshot: proto::Snapshot) -> io::Result<SnapshotOf<Types, Bytes>> {
    let stored = snapshot.membership.ok_or_else(|| missing("stored membership"))?;
    let membership = membership_in(stored.membership.ok_or_else(|| missing("membership"))?)?;
    let meta = SnapshotMetaOf::<Types> {
        last_log_id: snapshot.last.map(log_id_in),
        last_membership: StoredMembershipOf::<Types>::new(stored.log_id.map(log_id_in), membership),
    };
    Ok(SnapshotOf::<Types, Bytes> { meta, snapshot: snapshot.state })
}

fn membership_out(membership: &Members) -> proto::Membership {
    let voters = |set: &BTreeSet<RaftId>| proto::VoterSet { raft_ids: set.iter().map(|id| id.0).collect() };
    let member = |(id, member): (&RaftId, &Member)| proto::Member {
        raft_id: id.0,
        node_id: member.node.0,
        directory_id: member.directory.0.0.to_vec().into(),
        address: member.address.clone(),
    };
    proto::Membership {
        voter_sets: membership.get_joint_config().iter().map(voters).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

fn membership_in(membership: proto::Membership) -> io::Result<Members> {
    let voters = |set: proto::VoterSet| set.raft_ids.into_iter().map(RaftId).collect();
    let member = |member: proto::Member| {
        let directory = member.directory_id.as_ref().try_into().map_err(|_| missing("directory id of 16 bytes"))?;
        let found =
            Member { node: NodeId(member.node_id), directory: DirectoryId(Uuid(directory)), address: member.address };
        Ok((RaftId(member.raft_id), found))
    };
    let sets = membership.voter_sets.into_iter().map(voters).collect();
    let members = membership.members.into_iter().map(member).collect::<io::Result<BTreeMap<_, _>>>()?;
    Members::new(sets, members).map_err(io::Error::other)
}

pub(super) fn append_out(to: RaftId, request: AppendEntriesRequest<Types>) -> proto::AppendRequest {
    proto::AppendRequest {
        to: to.0,
        vote: Some(vote_out(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_out),
        entries: request.entries.into_iter().map(entry_out).collect(),
        committed: request.leader_commit.as_ref().map(log_id_out),
    }
}

pub(super) fn append_in(request: proto::AppendRequest) -> io::Result<AppendEntriesRequest<Types>> {
    Ok(AppendEntriesRequest {
        vote: vote_in(request.vote.ok_or_else(|| missing("vote"))?),
        prev_log_id: request.previous.map(log_id_in),
        entries: request.entries.into_iter().map(entry_in).collect::<io::Result<_>>()?,
        leader_commit: request.committed.map(log_id_in),
    })
}

pub(super) fn append_reply_out(reply: &AppendEntriesResponse<Types>) -> proto::AppendReply {
    use proto::append_reply::Result;
    let result = match reply {
        AppendEntriesResponse::Success => Result::Success(proto::Blank {}),
        AppendEntriesResponse::PartialSuccess(matching) => {
            Result::Partial(proto::Partial { matching: matching.as_ref().map(log_id_out) })
        }
        AppendEntriesResponse::Conflict => Result::Conflict(proto::Blank {}),
        AppendEntriesResponse::HigherVote(vote) => Result::HigherVote(vote_out(vote)),
    };
    proto::AppendReply { result: Some(result) }
}

pub(super) fn append_reply_in(reply: proto::AppendReply) -> io::Result<AppendEntriesResponse<Types>> {
    use proto::append_reply::Result;
    Ok(match reply.result.ok_or_else(|| missing("result"))? {
        Result::Success(_) => AppendEntriesResponse::Success,
        Result::Partial(partial) => AppendEntriesResponse::PartialSuccess(partial.matching.map(log_id_in)),
        Result::Conflict(_) => AppendEntriesResponse::Conflict,
        Result::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_in(vote)),
    })
}

pub(super) fn vote_request_out(to: RaftId, request: &VoteRequest<Types>) -> proto::VoteRequest {
    proto::VoteRequest {
        to: to.0,
        vote: Some(vote_out(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id_out),
        leader_is_gone: request.leadership_transfer,
    }
}

pub(super) fn vote_request_in(request: proto::VoteRequest) -> io::Result<VoteRequest<Types>> {
    Ok(VoteRequest {
        vote: vote_in(request.vote.ok_or_else(|| missing("vote"))?),
        last_log_id: request.last.map(log_id_in),
        leadership_transfer: request.leader_is_gone,
    })
}

pub(super) fn vote_reply_out(reply: &VoteResponse<Types>) -> proto::VoteReply {
    proto::VoteReply {
        vote: Some(vote_out(&reply.vote)),
        granted: reply.vote_granted,
        last: reply.last_log_id.as_ref().map(log_id_out),
    }
}

pub(super) fn vote_reply_in(reply: proto::VoteReply) -> io::Result<VoteResponse<Types>> {
    let vote = vote_in(reply.vote.ok_or_else(|| missing("vote"))?);
    Ok(VoteResponse::new(vote, reply.last.map(log_id_in), reply.granted))
}

pub(super) fn install_out(
    to: RaftId,
    vote: &VoteOf<Types>,
    snapshot: SnapshotOf<Types, Bytes>,
) -> proto::InstallRequest {
    proto::InstallRequest { to: to.0, vote: Some(vote_out(vote)), snapshot: Some(snapshot_out(snapshot)) }
}

pub(super) fn install_in(request: proto::InstallRequest) -> io::Result<(VoteOf<Types>, SnapshotOf<Types, Bytes>)> {
    let vote = vote_in(request.vote.ok_or_else(|| missing("vote"))?);
    Ok((vote, snapshot_in(request.snapshot.ok_or_else(|| missing("snapshot"))?)?))
}

pub(super) fn install_reply_in(reply: proto::InstallReply) -> io::Result<SnapshotResponse<Types>> {
    Ok(SnapshotResponse::new(vote_in(reply.vote.ok_or_else(|| missing("vote"))?)))
}

pub(super) fn transfer_out(to: RaftId, request: &TransferLeaderRequest<Types>) -> proto::TransferRequest {
    proto::TransferRequest {
        to: to.0,
        from: Some(vote_out(request.from_leader())),
        heir: request.to_node_id().0,
        last: request.last_log_id().map(log_id_out),
    }
}

pub(super) fn transfer_in(request: proto::TransferRequest) -> io::Result<TransferLeaderRequest<Types>> {
    let from = vote_in(request.from.ok_or_else(|| missing("vote"))?);
    Ok(TransferLeaderRequest::new(from, RaftId(request.heir), request.last.map(log_id_in)))
}

pub(super) fn transfer_reply_out(reply: &TransferLeaderResponse<Types>) -> proto::TransferReply {
    use proto::transfer_reply::Result;
    let result = match reply {
        Ok(()) => Result::Accepted(proto::Blank {}),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => Result::VoteChanged(vote_out(actual)),
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            Result::NotFlushed(proto::Partial { matching: actual.as_ref().map(log_id_out) })
        }
    };
    proto::TransferReply { result: Some(result) }
}

pub(super) fn transfer_reply_in(
    asked: &TransferLeaderRequest<Types>,
    reply: proto::TransferReply,
) -> io::Result<TransferLeaderResponse<Types>> {
    use proto::transfer_reply::Result;
    Ok(match reply.result.ok_or_else(|| missing("result"))? {
        Result::Accepted(_) => Ok(()),
        Result::VoteChanged(actual) => {
            Err(TransferLeaderError::VoteChanged { expected: *asked.from_leader(), actual: vote_in(actual) })
        }
        Result::NotFlushed(partial) => Err(TransferLeaderError::LogNotFlushed {
            expected: asked.last_log_id().copied(),
            actual: partial.matching.map(log_id_in),
        }),
    })
}

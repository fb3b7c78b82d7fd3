//! Raft's calls to the other controllers, over gRPC.
//!
//! Whatever openraft makes a client for, there is one connection to a member and it is kept up (`haste`), so that an
//! election finds it open: a cold one costs more round trips than the election itself. Only snapshots have their own.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::raft::{TransferLeaderRequest, TransferLeaderResponse};
use tonic::transport::Channel;

use super::codec;
use super::types::{Member, RaftId, Types};
use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::base::network::Network;
use crate::net::{Lane, Peer};
use crate::rpc::raft::raft_client::RaftClient;

/// The ways to the members. Clones share their connections.
#[derive(Clone)]
pub(super) struct Ways {
    network: Arc<dyn Network>,
    peers: Arc<Mutex<Peers>>,
}

/// A connection for each member at each address it had.
type Peers = BTreeMap<(RaftId, String), Arc<Peer>>;

impl Ways {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        Self { network, peers: Arc::default() }
    }

    /// The connection to a member.
    pub(super) fn peer(&self, to: RaftId, address: &str) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(self.apart(address));
        Arc::clone(peers.entry((to, address.to_owned())).or_insert_with(new))
    }

    /// A connection that nobody shares.
    fn apart(&self, address: &str) -> Peer {
        Peer::new(Arc::clone(&self.network), address, Lane::Control)
    }
}

impl RaftNetworkFactory<Types> for Ways {
    type Network = Way;

    async fn new_client(&mut self, to: RaftId, member: &Member) -> Way {
        Way { to, peer: self.peer(to, &member.address), bulk: self.apart(&member.address) }
    }
}

/// The way to one member.
pub(super) struct Way {
    to: RaftId,
    peer: Arc<Peer>,
    /// For snapshots, which must not hold up heartbeats.
    bulk: Peer,
}

/// Makes one call. Whatever goes wrong, the member counts as unreachable, so that Raft waits before it asks again.
async fn call<T, F>(peer: &Peer, option: &RPCOption, call: impl FnOnce(Client) -> F) -> Result<T, Unreachable<Types>>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let answer = peer.call(option.soft_ttl(), |channel| call(client(channel))).await;
    answer.map_err(|error| Unreachable::new(&error))
}

type Client = RaftClient<Channel>;

fn client(channel: Channel) -> Client {
    RaftClient::new(channel)
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

fn understood<T>(answer: io::Result<T>) -> Result<T, RPCError<Types>> {
    answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let request = codec::append_out(self.to, request);
        let reply = call(&self.peer, &option, |mut client| async move { client.append(request).await }).await?;
        understood(codec::append_reply_in(reply))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = codec::vote_request_out(self.to, &request);
        let reply = call(&self.peer, &option, |mut client| async move { client.vote(request).await }).await?;
        understood(codec::vote_reply_in(reply))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = codec::vote_request_out(self.to, &request);
        let reply = call(&self.peer, &option, |mut client| async move { client.pre_vote(request).await }).await?;
        understood(codec::vote_reply_in(reply))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let asked = codec::transfer_out(self.to, &request);
        let reply = call(&self.peer, &option, |mut client| async move { client.transfer(asked).await }).await?;
        understood(codec::transfer_reply_in(&request, reply))
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Bytes>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let request = codec::install_out(self.to, &vote, snapshot);
        let reply = call(&self.bulk, &option, |mut client| async move { client.install(request).await }).await?;
        codec::install_reply_in(reply).map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))
    }
}

/// What a member asks of us, told apart from what it asks of somebody else.
pub(super) fn addressed_to(me: RaftId, to: u64) -> Result<(), tonic::Status> {
    if to == me.0 {
        return Ok(());
    }
    let wanted = RaftId(to);
    Err(tonic::Status::failed_precondition(format!("this is voter {me}, not {wanted}: its disk was replaced or wiped")))
}

/// A request that does not make sense.
pub(super) fn garbled(error: io::Error) -> tonic::Status {
    tonic::Status::invalid_argument(error.to_string())
}

//! A gRPC channel to one peer, over the network seam.
//!
//! Absent on purpose: waiting and retrying. A call that fails drops the connection, and the next call dials again: a
//! connection that has lost bytes to a partition would otherwise stay wedged, and the caller knows best when to retry.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tonic::transport::Channel;
use tower::service_fn;

use super::Lane;
use crate::base::network::{Connection, Network};

/// Another node's peer port, and the connection to it while there is one.
pub struct Peer {
    network: Arc<dyn Network>,
    address: String,
    lane: Lane,
    channel: Mutex<Option<Channel>>,
}

/// Why a peer did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: String, cause: io::Error },
    #[error("{address} did not answer within {} ms", .after.as_millis())]
    Silent { address: String, after: Duration },
    #[error("{address} refused: {status}")]
    Refused { address: String, status: Box<tonic::Status> },
}

impl Peer {
    pub fn new(network: Arc<dyn Network>, address: impl Into<String>, lane: Lane) -> Self {
        Self { network, address: address.into(), lane, channel: Mutex::new(None) }
    }

    /// Makes one call within `patience`, dialling first if there is no connection.
    pub async fn call<T, F>(&self, patience: Duration, call: impl FnOnce(Channel) -> F) -> Result<T, PeerError>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let attempt = async {
            let channel = self.connected().await?;
            call(channel).await.map(tonic::Response::into_inner).map_err(|status| self.refused(status))
        };
        let answer = timeout(patience, attempt).await.unwrap_or_else(|_| Err(self.silent(patience)));
        if answer.is_err() {
            *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    async fn connected(&self) -> Result<Channel, PeerError> {
        let present = self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(channel) = present {
            return Ok(channel);
        }
        let unreachable = |cause| PeerError::Unreachable { address: self.address.clone(), cause };
        let connection = self.dial().await.map_err(unreachable)?;
        let channel = over(connection, self.lane).await.map_err(|error| unreachable(io::Error::other(error)))?;
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel.clone());
        Ok(channel)
    }

    async fn dial(&self) -> io::Result<Connection> {
        let mut connection = self.network.connect(&self.address).await?;
        self.lane.greet(&mut connection).await?;
        Ok(connection)
    }

    fn silent(&self, after: Duration) -> PeerError {
        PeerError::Silent { address: self.address.clone(), after }
    }

    fn refused(&self, status: tonic::Status) -> PeerError {
        PeerError::Refused { address: self.address.clone(), status: Box::new(status) }
    }
}

/// A channel over a connection that exists already; it does not outlive it.
async fn over(connection: Connection, lane: Lane) -> Result<Channel, tonic::transport::Error> {
    let mut once = Some(connection);
    let connector = service_fn(move |_: Uri| {
        let connection = once.take();
        async move { connection.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    lane.endpoint().connect_with_connector(connector).await
}

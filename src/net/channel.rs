//! A gRPC channel to one peer, over the network seam.
//!
//! Absent on purpose: waiting and retrying. A call that fails drops the connection, and the next call dials again: a
//! connection that has lost bytes to a partition would otherwise stay wedged, and the caller knows best when to retry.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
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
    present: Mutex<Option<Present>>,
}

/// A connection that was made, and whether it still stands.
#[derive(Clone)]
struct Present {
    channel: Channel,
    /// Closed when the connection has ended, from either side.
    stands: watch::Receiver<()>,
}

impl Present {
    fn has_ended(&self) -> bool {
        self.stands.has_changed().is_err()
    }
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
        Self { network, address: address.into(), lane, present: Mutex::new(None) }
    }

    /// Makes one call within `patience`, dialling first if there is no connection.
    pub async fn call<T, F>(&self, patience: Duration, call: impl FnOnce(Channel) -> F) -> Result<T, PeerError>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let attempt = async {
            let present = self.connected().await?;
            call(present.channel).await.map(tonic::Response::into_inner).map_err(|status| self.refused(status))
        };
        let answer = timeout(patience, attempt).await.unwrap_or_else(|_| Err(self.silent(patience)));
        if answer.is_err() {
            self.give_up();
        }
        answer
    }

    /// Calls from now on make a new connection; the present one ends with the last call on it.
    pub fn give_up(&self) {
        *self.present() = None;
    }

    /// Holds a connection, dialling first if there is none, and returns when it has ended: however the process at the
    /// other end dies, the operating system closes what it had open.
    pub async fn hold(&self, patience: Duration) -> Result<(), PeerError> {
        let connected = timeout(patience, self.connected()).await;
        let Present { mut stands, channel } = connected.unwrap_or_else(|_| Err(self.silent(patience)))?;
        // Only the peer's own keeps it up, so that a call that fails still ends it.
        drop(channel);
        // Nothing is ever sent: it ends with the connection.
        let _ = stands.changed().await;
        Ok(())
    }

    async fn connected(&self) -> Result<Present, PeerError> {
        let known = self.present().clone();
        if let Some(present) = known.filter(|present| !present.has_ended()) {
            return Ok(present);
        }
        let unreachable = |cause| PeerError::Unreachable { address: self.address.clone(), cause };
        let connection = self.dial().await.map_err(unreachable)?;
        let (ended, stands) = watch::channel(());
        let connection = Told { connection, _ended: ended };
        let channel = over(connection, self.lane).await.map_err(|error| unreachable(io::Error::other(error)))?;
        let present = Present { channel, stands };
        *self.present() = Some(present.clone());
        Ok(present)
    }

    fn present(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A connection that tells when it is dropped, as HTTP/2 does as soon as it has ended.
struct Told {
    connection: Connection,
    _ended: watch::Sender<()>,
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Told {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

/// A channel over a connection that exists already; it does not outlive it.
pub async fn over<C>(connection: C, lane: Lane) -> Result<Channel, tonic::transport::Error>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut once = Some(connection);
    let connector = service_fn(move |_: Uri| {
        let connection = once.take();
        async move { connection.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    lane.endpoint().connect_with_connector(connector).await
}

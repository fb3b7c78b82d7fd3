//! Serving gRPC on connections that somebody else has accepted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use crate::base::limits::ACCEPTED_CONNECTIONS_QUEUE_MAX;
use crate::base::network::Connection;

/// The connections of one server: what an acceptor puts in comes out on tonic's side.
pub struct Incoming(mpsc::Receiver<Connection>);

impl Incoming {
    /// A queue of accepted connections, and the server's end of it.
    pub fn queue() -> (mpsc::Sender<Connection>, Self) {
        let (accepted, incoming) = mpsc::channel(ACCEPTED_CONNECTIONS_QUEUE_MAX);
        (accepted, Self(incoming))
    }

    /// One connection, and no more.
    pub fn one(connection: Connection) -> Self {
        let (accepted, incoming) = mpsc::channel(1);
        // There is room for it.
        drop(accepted.try_send(connection));
        Self(incoming)
    }
}

impl Stream for Incoming {
    type Item = io::Result<Served>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|connection| connection.map(|connection| Ok(Served(connection))))
    }
}

/// A connection in the form tonic serves.
pub struct Served(Connection);

impl Served {
    pub fn new(connection: Connection) -> Self {
        Self(connection)
    }
}

impl Connected for Served {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Served {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Served {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

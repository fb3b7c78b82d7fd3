//! The network seam over turmoil: the same streams, on links that the simulation delays, cuts and resets.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use dohle::base::executor::BoxFuture;
use dohle::base::network::{Connection, Detached, Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use super::trace::Trace;

pub struct SimNetwork {
    pub trace: Trace,
}

impl Network for SimNetwork {
    fn listen<'a>(&'a self, at: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let at = if at.starts_with(':') { format!("0.0.0.0{at}") } else { at.to_owned() };
        Box::pin(async move { Ok(Box::new(SimListener(TcpListener::bind(at).await?)) as Box<dyn Listener>) })
    }

    fn connect<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let connected = TcpStream::connect(to).await;
            self.trace.event(format_args!("connect {to} {}", if connected.is_ok() { "ok" } else { "refused" }));
            Ok(Box::new(SimStream(connected?)) as Connection)
        })
    }
}

struct SimListener(TcpListener);

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { Ok(Box::new(SimStream(self.0.accept().await?.0)) as Connection) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct SimStream(TcpStream);

impl Stream for SimStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(self) // one simulated host is one runtime
    }
}

impl Detached for SimStream {
    fn attach(self: Box<Self>) -> io::Result<Connection> {
        Ok(self)
    }
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SimStream {
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

//! The network: listening and dialling, over real sockets or simulated ones.
//!
//! A connection belongs to the runtime it was made on. [`Stream::detach`] takes it off that runtime, so that an
//! acceptor can hand it to another one ([`Detached::attach`]).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::disk::{FileRange, cut_short};
use super::executor::BoxFuture;

/// What is read at once of a file that is sent by hand.
const CHUNK_BYTES: usize = 64 * 1024;

/// Makes connections and waits for them.
pub trait Network: Send + Sync + 'static {
    /// Listens at `host:port`. No host is every address of the machine, IPv4 and IPv6; port 0 takes a free one.
    fn listen<'a>(&'a self, at: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `host:port`, trying every address the name has.
    fn connect<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<Connection>>;
}

/// Waits for connections at one address.
pub trait Listener: Send + 'static {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;

    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Two directions of bytes between two addresses.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Writes from a file, of which the bytes should be in memory; says how many were taken. Where the operating system
    /// can do it alone, they never come to this process. A file that was cut meanwhile is an error.
    fn poll_send(self: Pin<&mut Self>, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        poll_copy(self, cx, range)
    }

    /// Takes the stream off the runtime it was made on.
    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>>;
}

/// A stream of either kind.
pub type Connection = Box<dyn Stream>;

/// A stream that is on no runtime at the moment.
pub trait Detached: Send + 'static {
    /// Puts the stream on the current runtime.
    fn attach(self: Box<Self>) -> io::Result<Connection>;
}

/// Writes from a file by reading it.
pub fn poll_copy(
    stream: Pin<&mut (impl AsyncWrite + ?Sized)>,
    cx: &mut Context<'_>,
    range: &FileRange,
) -> Poll<io::Result<usize>> {
    let mut chunk = vec![0; range.length.min(CHUNK_BYTES)];
    if range.file.read_at(&mut chunk, range.position)? < chunk.len() {
        return Poll::Ready(Err(cut_short()));
    }
    stream.poll_write(cx, &chunk)
}

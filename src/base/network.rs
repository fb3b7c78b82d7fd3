//! The network: listening and dialling, over real sockets or simulated ones.
//!
//! A connection belongs to the runtime it was made on. [`Stream::detach`] takes it off that runtime, so that an
//! acceptor can hand it to another one ([`Detached::attach`]).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use super::executor::BoxFuture;

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

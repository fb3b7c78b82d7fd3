//! TCP sockets of the operating system.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::base::disk::{FileRange, cut_short};
use crate::base::executor::BoxFuture;
use crate::base::network::{Connection, Detached, Listener, Network, Stream, poll_copy};

pub(super) struct Sockets;

impl Network for Sockets {
    fn listen<'a>(&'a self, at: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = match at.strip_prefix(':') {
                Some(port) => everywhere(port).await?,
                None => TcpListener::bind(at).await?,
            };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move { Ok(prepared(TcpStream::connect(to).await?)) })
    }
}

/// Both families by one socket, or IPv4 alone on a machine that has no IPv6.
async fn everywhere(port: &str) -> io::Result<TcpListener> {
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        bound => bound,
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { Ok(prepared(Self::accept(self).await?.0)) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// A stream with Nagle's delay off: every write here is a whole message that somebody waits for.
fn prepared(socket: TcpStream) -> Connection {
    // A peer that has hung up already makes this fail; the first read says so better.
    let _ = socket.set_nodelay(true);
    Box::new(Socket(socket))
}

struct Socket(TcpStream);

impl Stream for Socket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn poll_send(self: Pin<&mut Self>, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<usize>> {
        let Some(file) = range.file.descriptor() else { return poll_copy(self, cx, range) };
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            let send = || loop {
                match rustix::fs::sendfile(&self.0, file, Some(&mut range.position.clone()), range.length) {
                    Err(Errno::INTR) => {}
                    sent => return Ok(sent?),
                }
            };
            match self.0.try_io(Interest::WRITABLE, send) {
                Ok(0) if range.length > 0 => return Poll::Ready(Err(cut_short())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(Box::new(DetachedSocket(self.0.into_std()?)))
    }
}

struct DetachedSocket(std::net::TcpStream);

impl Detached for DetachedSocket {
    fn attach(self: Box<Self>) -> io::Result<Connection> {
        Ok(Box::new(Socket(TcpStream::from_std(self.0)?)))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::base::disk::{Disk, Open};
    use crate::host::disk::Files;

    #[tokio::test]
    async fn the_system_sends_from_a_file_what_is_there_and_says_when_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = Files.open(&folder.path().join("log"), Open::CreateNew).unwrap();
        let bytes: Vec<u8> = (0..3_000_000).map(|at| (at / 11) as u8).collect();
        file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
        let mut listener = Sockets.listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (client, server) = tokio::join!(Sockets.connect(&address), listener.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap());

        let mut range = FileRange { file: Arc::clone(&file), position: 1000, length: 2_500_000 };
        assert!(range.is_cached().unwrap());
        let (wanted, mut came) = (bytes[1000..2_501_000].to_vec(), vec![0; 2_500_000]);
        let send = async {
            while range.length > 0 {
                let sent = poll_fn(|cx| Pin::new(&mut *server).poll_send(cx, &range)).await.unwrap();
                range.advance(sent);
            }
        };
        let (_, read) = tokio::join!(send, client.read_exact(&mut came));
        read.unwrap();
        assert!(came == wanted, "other bytes came");

        let beyond = FileRange { file: Arc::clone(&file), position: 2_900_000, length: 100_000 };
        file.set_len(2_900_000).unwrap();
        assert!(!beyond.is_cached().unwrap());
        assert_eq!(beyond.load().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let sent = poll_fn(|cx| Pin::new(&mut *server).poll_send(cx, &beyond)).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

//! Conversations with clients that a test plays, in a time that a test winds on.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::time::{Instant, advance, timeout};

use super::*;
use crate::base::executor::{BoxFuture, Job};
use crate::base::limits::{KAFKA_CONNECTION_BYTES_FREE, KAFKA_FRAME_PATIENCE_MS, KAFKA_MEMORY_WAIT_MS_MAX};
use crate::base::network::{Detached, Stream};
use crate::server::kafka::answers::Answer;
use crate::server::kafka::memory::Memory;
use crate::wire::messages::api_versions::ApiVersionsResponse;
use crate::wire::{ApiKey, Frame, RequestHeader, Writer};

const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const TERMS: Terms = Terms { request_bytes_max: 1 << 20, idle_max: None };

/// One end of a pipe.
pub struct Pipe(pub DuplexStream);

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Stream for Pipe {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(NOBODY)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(NOBODY)
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A pipe that counts how often it is written to.
struct Counted(Pipe, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.poll_write(cx, &whole)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Stream for Counted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Box::new(self.0).detach()
    }
}

/// Does what it is given at once.
struct AtOnce;

impl Worker for AtOnce {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        job();
        Box::pin(std::future::ready(()))
    }
}

/// Answers a request of one byte `n` with its number, when the `n`-th sender says so; others at once.
#[derive(Default)]
struct Waiter(VecDeque<oneshot::Receiver<()>>);

impl Answerer for Waiter {
    fn take(&mut self, frame: Bytes, answers: &mut Answers) -> Result<(), Hangup> {
        let answer = numbered(frame.first().copied().unwrap_or_default());
        answers.push(match self.0.pop_front() {
            Some(told) => Answer::Later(Box::pin(async move {
                told.await.expect("the test tells everybody");
                Ok(answer)
            })),
            None => Answer::Ready(answer),
        });
        Ok(())
    }

    fn settle(&mut self, _: &mut Answers) -> Result<(), Hangup> {
        Ok(())
    }
}

/// A frame that can be told from others by its correlation id.
fn numbered(number: u8) -> Frame {
    let header = RequestHeader {
        api: ApiKey::ApiVersions,
        version: 0,
        correlation_id: number.into(),
        client_id: None,
        tagged_fields: Default::default(),
    };
    Frame::response(&mut Writer::new(), &header, &ApiVersionsResponse::default()).expect("it is small")
}

fn request(number: u8) -> [u8; 5] {
    [0, 0, 0, 1, number]
}

async fn read_number(client: &mut DuplexStream) -> u8 {
    let mut length = [0; 4];
    client.read_exact(&mut length).await.unwrap();
    let mut frame = vec![0; i32::from_be_bytes(length) as usize];
    client.read_exact(&mut frame).await.unwrap();
    frame[3]
}

/// A client's end of a conversation, and the conversation.
fn conversation(
    answerer: Waiter,
    memory: &Memory,
    terms: Terms,
) -> (DuplexStream, impl Future<Output = Hangup> + use<>) {
    let (client, server) = duplex(1 << 20);
    (client, serve(Box::new(Pipe(server)), answerer, memory.share(), terms, LastUse::now(), Arc::new(AtOnce)))
}

#[tokio::test(start_paused = true)]
async fn what_came_together_is_answered_together_and_what_said_goodbye_still_is() {
    const REQUESTS: u8 = 5;
    let (mut client, server) = duplex(1 << 20);
    // More than is read at once.
    let request =
        |number| [&(1 + CHUNK_BYTES as i32 / 2).to_be_bytes()[..], &vec![number; 1 + CHUNK_BYTES / 2]].concat();
    for number in 0..REQUESTS {
        client.write_all(&request(number)).await.unwrap();
    }
    client.shutdown().await.unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Box::new(Counted(Pipe(server), writes.clone()));
    let share = Memory::new(1 << 20).share();
    let hangup = serve(stream, Waiter::default(), share, TERMS, LastUse::now(), Arc::new(AtOnce)).await;
    assert!(matches!(hangup, Hangup::ByPeer), "{hangup}");
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    for number in 0..REQUESTS {
        assert_eq!(read_number(&mut client).await, number);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_of_the_requests() {
    let ((tell_first, first), (tell_second, second)) = (oneshot::channel(), oneshot::channel());
    let (mut client, serving) = conversation(Waiter([first, second].into()), &Memory::new(1 << 20), TERMS);
    let talking = async {
        for number in 1..=3 {
            client.write_all(&request(number)).await.unwrap();
        }
        tell_second.send(()).unwrap();
        assert!(timeout(Duration::from_secs(1), read_number(&mut client)).await.is_err(), "the first is not done");
        tell_first.send(()).unwrap();
        for number in 1..=3 {
            assert_eq!(read_number(&mut client).await, number);
        }
        drop(client);
    };
    let (hangup, ()) = tokio::join!(serving, talking);
    assert!(matches!(hangup, Hangup::ByPeer), "{hangup}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_grow_ends_the_connection() {
    for (pause_ms, bytes) in [(1_000, 0), (1_000, 1), (5_000, 100)] {
        let (mut client, serving) = conversation(Waiter::default(), &Memory::new(1 << 20), TERMS);
        let trickling = async {
            client.write_all(&1_000_000_i32.to_be_bytes()).await.unwrap();
            loop {
                advance(Duration::from_millis(pause_ms)).await;
                if client.write_all(&vec![0; bytes]).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let start = Instant::now();
        let hangup = tokio::select! {
            biased;
            hangup = serving => hangup,
            () = trickling => unreachable!("it goes on for ever"),
        };
        assert!(matches!(hangup, Hangup::Slow { .. }), "{hangup}");
        let patience = Duration::from_millis(KAFKA_FRAME_PATIENCE_MS);
        assert!((patience..2 * patience).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_request_that_comes_fast_enough_may_take_its_time() {
    let (mut client, serving) = conversation(Waiter::default(), &Memory::new(2 << 20), TERMS);
    let sending = async {
        client.write_all(&500_000_i32.to_be_bytes()).await.unwrap();
        for _ in 0..100 {
            advance(Duration::from_secs(2)).await;
            if client.write_all(&[7; 5_000]).await.is_err() {
                return; // and why is told by the other side
            }
        }
        assert_eq!(read_number(&mut client).await, 7);
        drop(client);
    };
    let (hangup, ()) = tokio::join!(serving, sending);
    assert!(matches!(hangup, Hangup::ByPeer), "{hangup}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_only_between_requests() {
    let idle_max = Duration::from_secs(60);
    let (tell, told) = oneshot::channel();
    let terms = Terms { idle_max: Some(idle_max), ..TERMS };
    let (mut client, serving) = conversation(Waiter([told].into()), &Memory::new(1 << 20), terms);
    let talking = async {
        client.write_all(&request(1)).await.unwrap();
        advance(10 * idle_max).await;
        tell.send(()).unwrap();
        assert_eq!(read_number(&mut client).await, 1, "it was we who were silent");
        let start = Instant::now();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        start.elapsed()
    };
    let (hangup, silence) = tokio::join!(serving, talking);
    assert!(matches!(hangup, Hangup::Idle(_)), "{hangup}");
    assert!((idle_max..2 * idle_max).contains(&silence), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_memory_but_not_for_ever() {
    let memory = Memory::new(2 * KAFKA_CONNECTION_BYTES_FREE); // enough for one of them
    let large = vec![0; 2 * KAFKA_CONNECTION_BYTES_FREE - 1_000];
    let (mut first, serving_first) = conversation(Waiter::default(), &memory, TERMS);
    let (mut second, serving_second) = conversation(Waiter::default(), &memory, TERMS);
    let sending = async {
        // Each has more than its allowance and waits for the rest of it.
        for client in [&mut first, &mut second] {
            client.write_all(&1_000_000_i32.to_be_bytes()).await.unwrap();
            client.write_all(&large).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    let hangup = tokio::select! {
        biased;
        hangup = serving_first => hangup,
        hangup = serving_second => hangup,
        () = sending => unreachable!("it goes on for ever"),
    };
    assert!(matches!(hangup, Hangup::NoMemory), "{hangup}");
    let patience = Duration::from_millis(KAFKA_MEMORY_WAIT_MS_MAX);
    assert!((patience..2 * patience).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_much_at_once_is_not_read_from() {
    let waiting: Vec<_> = (0..2 * KAFKA_REQUESTS_IN_FLIGHT_MAX).map(|_| oneshot::channel::<()>()).collect();
    let (tell, told): (Vec<_>, VecDeque<_>) = waiting.into_iter().unzip();
    let mut conversation = {
        let (mut client, server) = duplex(1 << 20);
        for number in 0..2 * KAFKA_REQUESTS_IN_FLIGHT_MAX {
            client.write_all(&request(number as u8)).await.unwrap();
        }
        let share = Memory::new(1 << 20).share();
        Conversation::new(Box::new(Pipe(server)), Waiter(told), share, TERMS, LastUse::now(), Arc::new(AtOnce))
    };
    tokio::task::yield_now().await; // so much writing has used up what one poll may do
    poll_fn(|cx| {
        assert!(conversation.poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(conversation.answers.len(), KAFKA_REQUESTS_IN_FLIGHT_MAX);
    drop(tell);
}

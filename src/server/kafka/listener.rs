//! The Kafka port: accepts clients on every listener and hands each to a reactor, in turn.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::client::Client;
use super::connection::{Terms, serve};
use super::dispatch::Dispatch;
use super::door::Door;
use super::fetching::Sessions;
use super::hangup::Hangup;
use super::memory::Memory;
use super::places::{Entrance, Limits, OF_ONE, Place, Places};
use super::values::Values;
use crate::base::executor::{Reactor, Task};
use crate::base::limits::{ACCEPT_RETRY_MS, KAFKA_REQUEST_BYTES_MAX};
use crate::base::network::{Connection, Detached, Listener};
use crate::broker::Broker;
use crate::config::Resolved;
use crate::metadata::Image;

/// The open Kafka port, all listeners together; dropping it closes them and their connections.
pub struct KafkaPort {
    _accepting: Vec<Task>,
    _limiting: Task,
    _open: watch::Sender<()>,
}

/// A listener that is bound, and the name it has in `listeners`.
pub struct Bound {
    pub name: String,
    /// What this broker has registered for it is a guess.
    pub is_guessed: bool,
    pub listener: Box<dyn Listener>,
}

impl KafkaPort {
    /// Opens the port. Connections live on the reactors, of which there is at least one.
    pub fn open(broker: &Broker, reactors: &[Arc<dyn Reactor>], listeners: Vec<Bound>) -> Self {
        assert!(!reactors.is_empty(), "the caller starts a reactor before it opens a door to it");
        let (world, settings) = (broker.world(), broker.settings());
        let (open, closing) = watch::channel(());
        let cold_reads = world.executor.worker("cold-read");
        let slots = settings.number("max.incremental.fetch.session.cache.slots");
        let sessions = Sessions::new(usize::try_from(slots).unwrap_or(0));
        let house = House { memory: Memory::new(KAFKA_REQUEST_BYTES_MAX), terms: terms(settings), closing };
        let names: Vec<String> = listeners.iter().map(|bound| bound.name.clone()).collect();
        let places = Places::new(limits(broker, &broker.image(), &names));
        let accepting = listeners.into_iter().map(|Bound { name, is_guessed, listener }| {
            let (cold_reads, sessions, memory) = (cold_reads.clone(), sessions.clone(), house.memory.clone());
            let entrance = places.at(&name);
            let door = Arc::new(Door::new(broker.clone(), name, is_guessed, cold_reads, sessions, memory));
            let reception = Reception { reactors: reactors.to_vec(), next: 0, entrance, door, house: house.clone() };
            world.executor.spawn("kafka.accept", Box::pin(reception.accept(listener)))
        });
        let accepting = accepting.collect();
        let limiting = world.executor.spawn("kafka.limits", Box::pin(follow_limits(broker.clone(), places, names)));
        Self { _accepting: accepting, _limiting: limiting, _open: open }
    }
}

/// Has the limits of connections follow what is set while the node runs.
async fn follow_limits(broker: Broker, places: Places, listeners: Vec<String>) {
    let mut image = broker.image();
    loop {
        places.limit(limits(&broker, &image, &listeners));
        image = broker.image_after(image.applied()).await;
    }
}

fn limits(broker: &Broker, image: &Image, listeners: &[String]) -> Limits {
    Limits::of(&Values { image, settings: broker.settings(), node: broker.node() }, listeners)
}

fn terms(settings: &Resolved) -> Terms {
    let request_bytes_max = usize::try_from(settings.number("socket.request.max.bytes")).unwrap_or(0);
    let idle_ms = u64::try_from(settings.number("connections.max.idle.ms")).ok().filter(|ms| *ms > 0);
    Terms {
        request_bytes_max: request_bytes_max.min(KAFKA_REQUEST_BYTES_MAX / 2),
        idle_max: idle_ms.map(Duration::from_millis),
    }
}

/// What all connections of a broker share.
#[derive(Clone)]
struct House {
    memory: Memory,
    terms: Terms,
    /// Ends when the port is closed.
    closing: watch::Receiver<()>,
}

/// Who accepts at one listener.
struct Reception {
    reactors: Vec<Arc<dyn Reactor>>,
    next: usize,
    entrance: Entrance,
    door: Arc<Door>,
    house: House,
}

impl Reception {
    async fn accept(mut self, mut listener: Box<dyn Listener>) {
        loop {
            match listener.accept().await.and_then(arrived) {
                Ok((from, stream)) => self.hand_over(from, stream).await,
                Err(error) => {
                    warn!(event = "kafka.accept_failed", %error, "a connection could not be accepted");
                    sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                }
            }
        }
    }

    /// Takes as long as there is no place for the connection, and nobody else is accepted meanwhile.
    async fn hand_over(&mut self, from: SocketAddr, stream: Box<dyn Detached>) {
        let Ok(place) = self.entrance.place(from.ip()).await else {
            return warn!(event = "kafka.too_many_connections", %from, "a connection was closed: see {OF_ONE}");
        };
        let (door, house) = (self.door.clone(), self.house.clone());
        self.next = (self.next + 1) % self.reactors.len();
        let make = move || -> crate::base::executor::LocalFuture { Box::pin(talk(from, stream, door, house, place)) };
        self.reactors[self.next].run(Box::new(make)).await;
    }
}

/// A connection off the acceptor's runtime, and where it comes from.
fn arrived(stream: Connection) -> io::Result<(SocketAddr, Box<dyn Detached>)> {
    Ok((stream.peer_addr()?, stream.detach()?))
}

/// Serves one connection, on its reactor, until it ends or the port is closed.
async fn talk(from: SocketAddr, stream: Box<dyn Detached>, door: Arc<Door>, house: House, place: Place) {
    let House { memory, terms, mut closing, .. } = house;
    let (stream, dialled) = match stream.attach().and_then(|stream| Ok((stream.local_addr()?, stream))) {
        Ok((dialled, stream)) => (stream, dialled),
        Err(error) => return debug!(event = "kafka.connection_ended", %from, %error, "a connection ended at once"),
    };
    let cold_reads = Arc::clone(&door.cold_reads);
    let client = Rc::new(Client::new(door, dialled));
    let conversation = serve(stream, Dispatch::new(client), memory.share(), terms, place.used(), cold_reads);
    tokio::select! {
        biased;
        hangup = conversation => hangup.report(from),
        () = place.lost() => Hangup::NoPlace.report(from),
        // Nothing is ever sent: it ends when the port is dropped.
        _ = closing.changed() => {}
    }
}

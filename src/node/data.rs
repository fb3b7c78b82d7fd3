//! A node's part in the data plane: its broker, and the Kafka port in front of it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::{Place, StartError, listen, session};
use crate::base::World;
use crate::base::disk::Disk;
use crate::base::executor::{Reactor, Task, Worker};
use crate::base::ids::{BrokerEpoch, IncarnationId};
use crate::base::limits::FAREWELL_MS;
use crate::broker::{Broker, Identity, Joining, Note, Running};
use crate::config::NodeConfig;
use crate::config::listener::Listener;
use crate::log::{After, DirMeta};
use crate::metadata::nodes::{Boot, Listener as Advertised, Registration};
use crate::metadata::record::FeatureLevel;
use crate::server::kafka::listener::{Bound, KafkaPort};
use crate::telemetry::{Condition, Health};

/// The running data plane: the door first, then what is behind it.
pub(super) struct DataPlane {
    port: KafkaPort,
    running: Running,
    addresses: String,
    _health: Task,
}

impl DataPlane {
    /// Binds the Kafka listeners, joins the cluster as a broker, and opens the door.
    pub(super) async fn start(
        world: &World,
        config: &NodeConfig,
        place: &Place,
        admin_address: &str,
        health: &Health,
        reactors: &[Arc<dyn Reactor>],
    ) -> Result<Self, StartError> {
        let mut bound = Vec::new();
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for listener in &config.listeners {
            let (socket, address) = listen(world, "a Kafka listener", &listener.bind).await?;
            listeners.push(advertised(listener, address.port(), config.hostname.as_deref()));
            addresses.push(address.to_string());
            let is_guessed = is_guessed(listener);
            bound.push(Bound { name: listener.name.clone(), is_guessed, listener: socket });
        }
        let notes = Notes::of(world, config, place);
        let identity = identity(config, place, listeners, admin_address, &notes);
        let running = Running::start(world, identity, &config.settings, reactors)
            .map_err(|cause| StartError::LogDirs { cause: cause.to_string() })?;
        let port = KafkaPort::open(&running.broker, reactors, bound);
        let recovered = (notes.recovered, world.executor.worker("note"));
        let watching = watch_standing(running.broker.clone(), place.incarnation, health.clone(), recovered);
        let watching = world.executor.spawn("broker.health", Box::pin(watching));
        Ok(Self { port, running, addresses: addresses.join(","), _health: watching })
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.running.broker
    }

    /// Where Kafka clients are really waited for.
    pub(super) fn addresses(&self) -> &str {
        &self.addresses
    }

    /// Has other brokers lead, and tells the clients so for a while.
    pub(super) async fn hand_over(&self) {
        let is_wanted = self.running.broker.settings().boolean("controlled.shutdown.enable");
        if is_wanted && self.running.broker.hand_over().await {
            sleep(Duration::from_millis(FAREWELL_MS)).await;
        }
    }

    /// Takes no more requests, says goodbye and closes the logs.
    pub(super) async fn stop(self, world: &World, config: &NodeConfig, incarnation: IncarnationId) {
        drop(self.port);
        let Some(epoch) = self.running.stop().await else { return };
        if let Err(error) = session::note_clean(&*world.disk, &config.data_dir, epoch, incarnation) {
            warn!(event = "node.not_noted", %error, "the next start will take this stop for a crash");
        }
    }
}

/// Keeps the node's health informed of whether the cluster has let its broker in.
async fn watch_standing(
    broker: Broker,
    ours: IncarnationId,
    health: Health,
    (recovered, worker): (Note, Arc<dyn Worker>),
) {
    let mut image = broker.image();
    let mut recovered = Some(recovered);
    loop {
        let me = image.nodes().get(broker.node());
        let is_in = me.is_some_and(|me| me.is_active() && me.registration.incarnation == ours);
        health.set(Condition::Broker, is_in);
        // An image with this run in it is seen once every log that it gives this broker has been opened.
        if let Some(epoch) = broker.epoch().filter(|_| is_in)
            && let Some(note) = recovered.take()
            && let Err(error) = worker.call(move || note(epoch)).await
        {
            warn!(event = "node.not_noted", %error, "the next start will take a crash for one of the machine");
        }
        image = broker.image_after(image.applied()).await;
    }
}

/// The reactors of a node, for its Kafka connections and its replication.
pub(super) fn reactors(world: &World) -> Vec<Arc<dyn Reactor>> {
    REACTORS.iter().take(world.executor.cores()).map(|name| world.executor.reactor(name)).collect()
}

/// The names of the reactors' threads; as many run as there are cores, and no more than there are names.
const REACTORS: [&str; 16] = [
    "reactor-0",
    "reactor-1",
    "reactor-2",
    "reactor-3",
    "reactor-4",
    "reactor-5",
    "reactor-6",
    "reactor-7",
    "reactor-8",
    "reactor-9",
    "reactor-10",
    "reactor-11",
    "reactor-12",
    "reactor-13",
    "reactor-14",
    "reactor-15",
];

fn identity(
    config: &NodeConfig,
    place: &Place,
    listeners: Vec<Advertised>,
    admin_address: &str,
    notes: &Notes,
) -> Identity {
    let registration = Registration {
        incarnation: place.incarnation,
        directories: vec![place.directory],
        boot: place.before.boot,
        roles: config.roles,
        listeners,
        peer_address: place.peer_address.clone(),
        admin_address: admin_address.to_owned(),
        rack: config.settings.optional_text("broker.rack").map(str::to_owned),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feature_level_max: FeatureLevel::MAX,
    };
    Identity {
        node: place.node,
        cluster: place.cluster,
        directory: DirMeta { cluster: place.cluster.to_string(), node: place.node, directory: place.directory },
        log_dirs: config.log_dirs.clone(),
        last_run: match place.before.boot {
            // A clean stop leaves its mark in each log dir; where that is missing, this dir was not part of it.
            Boot::Clean | Boot::ProcessCrash => After::ProcessCrash,
            Boot::MachineCrash => After::MachineCrash,
        },
        controllers: place.controllers.iter().map(|member| member.address.clone()).collect(),
        joining: Joining {
            registration,
            previous_epoch: place.before.epoch,
            note: Arc::clone(&notes.registered),
            disown: Arc::clone(&notes.doubtful),
        },
    }
}

/// What a run leaves for the next one to know. After a crash of the machine nobody vouches for the page cache before
/// every log has been recovered: if the process dies earlier, the next one must not trust what the first crash tore.
struct Notes {
    registered: Note,
    recovered: Note,
    /// The disk failed. Nothing that is noted later takes that back.
    doubtful: Note,
}

type WriteNote = fn(&dyn Disk, &Path, BrokerEpoch, IncarnationId) -> io::Result<()>;

impl Notes {
    fn of(world: &World, config: &NodeConfig, place: &Place) -> Self {
        let has_failed = Arc::new(Mutex::new(false));
        let note = |fails: bool, write: WriteNote| -> Note {
            let (disk, folder): (Arc<dyn Disk>, _) = (Arc::clone(&world.disk), config.data_dir.clone());
            let (incarnation, has_failed) = (place.incarnation, Arc::clone(&has_failed));
            Arc::new(move |epoch| {
                let mut has_failed = has_failed.lock().unwrap_or_else(PoisonError::into_inner);
                *has_failed |= fails;
                let write = if *has_failed { session::note_doubtful } else { write };
                write(&*disk, &folder, epoch, incarnation)
            })
        };
        let registered = match place.before.boot {
            Boot::MachineCrash => note(false, session::note_doubtful),
            Boot::Clean | Boot::ProcessCrash => note(false, session::note_registered),
        };
        Self {
            registered,
            recovered: note(false, session::note_registered),
            doubtful: note(true, session::note_doubtful),
        }
    }
}

/// What clients are told of a listener: what was set, where it listens, or what the machine is called.
fn advertised(listener: &Listener, port: u16, hostname: Option<&str>) -> Advertised {
    let host = match &listener.advertised {
        Some(set) => &set.host,
        None if is_guessed(listener) => hostname.unwrap_or(LOCALHOST),
        None => &listener.bind.host,
    };
    let set_port = listener.advertised.as_ref().map_or(0, |set| set.port);
    if is_guessed(listener) {
        warn!(
            event = "kafka.advertises_guess",
            listener = %listener.name,
            host,
            "other brokers will tell clients to find this one there; set advertised.listeners or --advertise"
        );
    }
    Advertised {
        name: listener.name.clone(),
        host: host.to_owned(),
        port: if set_port == 0 { port } else { set_port },
        protocol: listener.protocol,
    }
}

/// Whether nobody has said where clients find a listener.
fn is_guessed(listener: &Listener) -> bool {
    listener.advertised.is_none() && listener.bind.is_wildcard()
}

const LOCALHOST: &str = "localhost";

//! Places for connections, against a real server: how many there are, how fast they are given, and that both can be
//! changed while clients are there.

use std::time::{Duration, Instant};

use dohle::wire::messages::api_versions::ApiVersionsRequest;
use dohle::wire::{ApiKey, ErrorCode};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::admin::{BROKER, DELETE, SET, alter, change};
use super::limits::greet;
use super::wire::{Wire, header};
use crate::cluster::Cluster;
use crate::process::PATIENCE;

#[test]
fn there_are_only_so_many_places() {
    // The test's own clients come from one address; the server's probe of itself is over before.
    let cluster = Cluster::start(1, &["max.connections.per.ip=20"]);
    let mut wires: Vec<Wire> = Vec::new();
    while let Some(wire) = let_in(&cluster) {
        wires.push(wire);
        assert!(wires.len() <= 20, "the limit is 20");
    }
    let places = wires.len();
    assert!(places >= 10, "only {places} were let in");
    wires.truncate(places / 2);
    // The server hears of those that left when it gets round to it.
    let deadline = Instant::now() + PATIENCE;
    while let_in(&cluster).is_none() {
        assert!(Instant::now() < deadline, "there is room again, and nobody is let in");
    }
}

#[test]
fn who_comes_when_all_places_are_taken_waits_for_one() {
    const PLACES: usize = 20;
    // Those who looked whether the server is ready may not all be gone.
    let mut cluster = Cluster::start(1, &["max.connections=20"]);
    let mut guests: Vec<Wire> = (0..PLACES).map(|_| Wire::to(&cluster.bootstrap())).collect();
    guests.iter_mut().for_each(greet);
    let mut late = Wire::to(&cluster.bootstrap());
    cluster.event(1, "kafka.no_place");
    guests.pop();
    greet(&mut late);
}

/// Sets a key of broker 1, or with no value deletes it.
fn set(wire: &mut Wire, key: &str, value: Option<&str>) {
    let operation = if value.is_some() { SET } else { DELETE };
    assert_eq!(alter(wire, vec![change(BROKER, "1", &[(key, operation, value)])]), [ErrorCode::None]);
}

/// As in Kafka, as many connections end as there are too many; and who waits is let in as soon as there is room.
#[test]
fn places_are_taken_away_and_given_back_while_clients_are_there() {
    const GUESTS: usize = 20;
    const PLACES: usize = 8;
    let mut cluster = Cluster::start(1, &[]);
    let mut guests: Vec<Wire> = (0..GUESTS).map(|_| Wire::to(&cluster.bootstrap())).collect();
    guests.iter_mut().for_each(greet);
    let mut administrator = Wire::to(&cluster.bootstrap());
    set(&mut administrator, "max.connections", Some(&PLACES.to_string()));
    cluster.until("there are as many as there are places", || {
        guests.retain_mut(is_answered);
        guests.len() + 1 == PLACES
    });
    let mut late = Wire::to(&cluster.bootstrap());
    cluster.event(1, "kafka.no_place");
    set(&mut administrator, "max.connections", None);
    greet(&mut late);
    assert!(guests.iter_mut().all(is_answered), "nobody else had to go");
}

/// librdkafka's administrator: one number for every address, and another for this one.
#[test]
fn an_address_is_given_more_or_fewer_places_while_clients_are_there() {
    let cluster = Cluster::start(1, &[]);
    let admin: AdminClient<DefaultClientContext> = cluster.client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let replace = |configs: &[(&str, &str)]| {
        let resource = AlterConfig::new(ResourceSpecifier::Broker(1));
        let resource = configs.iter().fold(resource, |resource, (key, value)| resource.set(key, value));
        let altered = runtime.block_on(admin.alter_configs([&resource], &AdminOptions::new())).unwrap();
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    };
    replace(&[("max.connections.per.ip", "20")]);
    let mut wires: Vec<Wire> = std::iter::from_fn(|| let_in(&cluster)).take(25).collect();
    assert!((10..=20).contains(&wires.len()), "{} were let in", wires.len());
    let overrides = format!("{}:30", wires[0].from());
    replace(&[("max.connections.per.ip", "20"), ("max.connections.per.ip.overrides", &overrides)]);
    wires.extend(std::iter::from_fn(|| let_in(&cluster)).take(25));
    assert!((20..=30).contains(&wires.len()), "{} were let in", wires.len());
    replace(&[]);
    wires.extend(std::iter::from_fn(|| let_in(&cluster)).take(25));
    assert!(wires.len() > 30, "only {} were let in", wires.len());
}

/// Nobody is refused, as in Kafka: who comes too soon is accepted later.
#[test]
fn connections_are_accepted_no_faster_than_the_broker_and_the_listener_allow() {
    const PER_SECOND: usize = 50;
    /// What a second's worth after the first takes at least; the first was counted a little earlier.
    const SECOND: Duration = Duration::from_millis(950);
    const RATE: &str = "max.connection.creation.rate";
    let cluster = Cluster::start(1, &[]);
    let mut administrator = Wire::to(&cluster.bootstrap());
    greet(&mut administrator);
    let accepted = |count: usize| {
        let start = Instant::now();
        (0..count).for_each(|_| greet(&mut Wire::to(&cluster.bootstrap())));
        start.elapsed()
    };
    let free = accepted(2 * PER_SECOND);
    for key in [RATE.to_owned(), format!("listener.name.plaintext.{RATE}")] {
        set(&mut administrator, &key, Some(&PER_SECOND.to_string()));
        // A second's worth may come at once; those before may have used it up.
        let limited = accepted(2 * PER_SECOND);
        println!("{} connections take {free:?}, and with {key}={PER_SECOND} {limited:?}", 2 * PER_SECOND);
        assert!(limited >= SECOND, "{limited:?}");
        set(&mut administrator, &key, None);
        let deadline = Instant::now() + PATIENCE;
        while accepted(2 * PER_SECOND) >= SECOND {
            assert!(Instant::now() < deadline, "what was taken away holds no longer");
        }
    }
}

/// A connection that was answered. Who is refused may find out when it writes, or when it reads.
fn let_in(cluster: &Cluster) -> Option<Wire> {
    let mut wire = Wire::to(&cluster.bootstrap());
    is_answered(&mut wire).then_some(wire)
}

fn is_answered(wire: &mut Wire) -> bool {
    let (header, request) = (header(ApiKey::ApiVersions, 0, 1), ApiVersionsRequest::default());
    let frame = dohle::wire::Frame::request(&mut dohle::wire::Writer::new(), &header, &request).unwrap();
    wire.send_frame(&frame.body()).is_ok() && wire.receive().is_some()
}

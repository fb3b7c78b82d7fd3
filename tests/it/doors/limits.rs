//! Clients that mean no good, against a real server process: what they cost it is read from the operating system.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use dohle::wire::messages::api_versions::ApiVersionsRequest;
use dohle::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::wire::{Wire, batch, produce_request};
use crate::cluster::Cluster;
use crate::wire_filler::Random;
use crate::wire_frames::{mutate, recorded_requests};

const MIB: usize = 1024 * 1024;

/// The memory of a process that is really there, in bytes.
fn resident(process: u32) -> usize {
    memory(process, "VmRSS:")
}

/// What the system knows of a process's memory.
fn memory(process: u32, what: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Waits until the server has read everything that was sent to it before: it answers in turn on each reactor.
fn settle(cluster: &Cluster) {
    const REACTORS_MAX: usize = 64;
    for _ in 0..REACTORS_MAX {
        greet(&mut Wire::to(&cluster.bootstrap()));
    }
}

pub fn greet(wire: &mut Wire) {
    let greeting = ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    assert!(!wire.ask_newest(&greeting).error_code.is_error());
}

#[test]
fn what_a_frame_says_about_its_length_costs_nothing() {
    const ATTACKERS: usize = 500;
    const DECLARED: i32 = 50 * MIB as i32;
    let cluster = Cluster::start(1, &[]);
    settle(&cluster);
    let before = resident(cluster.process(1));
    let mut attackers: Vec<Wire> = (0..ATTACKERS).map(|_| Wire::to(&cluster.bootstrap())).collect();
    for attacker in &mut attackers {
        attacker.send_bytes(&DECLARED.to_be_bytes()).unwrap();
        attacker.send_bytes(&[0; 1_000]).unwrap();
    }
    settle(&cluster);
    let grown = resident(cluster.process(1)).saturating_sub(before);
    println!("{ATTACKERS} connections that declare {DECLARED} bytes each cost {} KiB", grown / 1024);
    assert!(grown <= 64 * MIB, "{} MiB", grown / MIB);
    // And whoever sends what it has declared is served meanwhile.
    greet(&mut attackers.pop().map(|_| Wire::to(&cluster.bootstrap())).unwrap());
}

#[test]
fn a_frame_larger_than_is_allowed_ends_the_connection_at_once() {
    let cluster = Cluster::start(1, &["socket.request.max.bytes=1000"]);
    for first in [1_001_i32.to_be_bytes(), (-1_i32).to_be_bytes(), *b"GET ", [22, 3, 1, 2]] {
        let mut wire = Wire::to(&cluster.bootstrap());
        wire.send_bytes(&first).unwrap();
        assert_eq!(wire.receive(), None, "{first:?}");
    }
    greet(&mut Wire::to(&cluster.bootstrap()));
}

#[test]
fn who_says_nothing_is_asked_to_leave() {
    let cluster = Cluster::start(1, &["connections.max.idle.ms=1000"]);
    let mut silent = Wire::to(&cluster.bootstrap());
    greet(&mut silent);
    assert_eq!(silent.receive(), None, "the server has hung up");
    let mut never_heard_of = Wire::to(&cluster.bootstrap());
    assert_eq!(never_heard_of.receive(), None);
}

/// Frames of real clients, each spoilt in one to three places: nothing of them makes the server stop, or grow.
#[test]
fn a_flood_of_spoilt_frames_leaves_the_server_as_it_was() {
    const FRAMES: usize = 20_000;
    const AT_A_TIME: usize = 50;
    let seed = 20_261_121;
    println!("seed {seed}");
    let cluster = Cluster::start(1, &["auto.create.topics.enable=false"]);
    create(&cluster, "a", 5);
    // These do what they say, and topics have a right to their memory.
    let does_nothing_lasting = |frame: &Bytes| ![19, 37].contains(&i16::from_be_bytes([frame[0], frame[1]]));
    let originals: Vec<_> = recorded_requests().into_iter().filter(does_nothing_lasting).collect();
    let mut random = Random::new(seed);
    let mut flood = |count: usize| {
        let mut open: Vec<TcpStream> = Vec::new();
        for _ in 0..count {
            let frame = mutate(&originals[random.below(originals.len())], &mut random);
            let mut wire = Wire::to(&cluster.bootstrap());
            drop(wire.send_frame(&frame)); // the server may have hung up on its first bytes
            let stream = wire.into_stream();
            drop(stream.shutdown(Shutdown::Write));
            open.push(stream);
            if open.len() == AT_A_TIME {
                open.drain(..).for_each(read_to_the_end);
            }
        }
        open.into_iter().for_each(read_to_the_end);
        settle(&cluster);
        resident(cluster.process(1))
    };
    let warm = flood(FRAMES / 10);
    let end = flood(FRAMES);
    println!("{FRAMES} spoilt frames: {} MiB before, {} MiB after", warm / MIB, end / MIB);
    assert!(end <= warm + 32 * MIB, "it has grown from {} to {} MiB", warm / MIB, end / MIB);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic = wire.topic_id("a");
    wire.produce(topic, 0, b"all is well");
}

/// Reads whatever comes until the server hangs up; one that has it wait for news is left alone.
fn read_to_the_end(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = [0; 4096];
    while stream.read(&mut answer).is_ok_and(|read| read > 0) {}
}

fn create(cluster: &Cluster, name: &str, num_partitions: i32) {
    let topic = CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let created = Wire::to(&cluster.bootstrap()).ask_newest(&request);
    assert!(!created.topics[0].error_code.is_error(), "{created:?}");
}

/// A batch that is small on the wire and opened for its topic's sake is opened so far and no further.
#[test]
fn a_batch_that_would_burst_is_refused() {
    const OPENED: usize = 256 * MIB;
    const AT_A_TIME: usize = 300 * MIB;
    let cluster = Cluster::start(1, &["compression.type=zstd"]);
    create(&cluster, "opened", 1);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic_id = wire.topic_id("opened");
    wire.produce(topic_id, 0, b"as a rule");
    let before = memory(cluster.process(1), "VmRSS:");
    let bomb = bomb(OPENED);
    assert!(bomb.len() < MIB, "{} bytes on the wire", bomb.len());
    for _ in 0..5 {
        let response = wire.ask_newest(&produce_request(topic_id, 0, bomb.clone()));
        let told = &response.responses[0].partition_responses[0];
        assert!(told.error_code.is_error() && told.base_offset == -1, "{told:?}");
    }
    let [peak, end] = ["VmHWM:", "VmRSS:"].map(|what| memory(cluster.process(1), what).saturating_sub(before));
    println!("{} MiB behind {} bytes cost {} MiB, and {} after", OPENED / MIB, bomb.len(), peak / MIB, end / MIB);
    assert!(peak <= AT_A_TIME && end <= 64 * MIB, "{} MiB, and {} after", peak / MIB, end / MIB);
    wire.produce(topic_id, 0, b"and goes on");
}

/// A gzip batch with as many zeros where its records should be, and a checksum that is right.
fn bomb(zeros: usize) -> Bytes {
    const CRC: std::ops::Range<usize> = 17..21;
    const ATTRIBUTES: std::ops::Range<usize> = 21..23;
    const BODY: usize = 61;
    let mut bomb = batch(b"x")[..BODY].to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![0; MIB];
    (0..zeros / MIB).for_each(|_| gzip.write_all(&chunk).unwrap());
    bomb.extend(gzip.finish().unwrap());
    let length = i32::try_from(bomb.len() - 12).unwrap();
    bomb[8..12].copy_from_slice(&length.to_be_bytes());
    bomb[ATTRIBUTES].copy_from_slice(&1_i16.to_be_bytes());
    let crc = crc32c::crc32c(&bomb[ATTRIBUTES.start..]);
    bomb[CRC].copy_from_slice(&crc.to_be_bytes());
    bomb.into()
}

/// Readers that ask for much and read nothing: what is kept for them has a bound.
#[test]
fn answers_that_nobody_reads_do_not_fill_the_memory() {
    use dohle::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
    const READERS: usize = 60;
    const REQUESTS: usize = 20;
    let cluster = Cluster::start(1, &[]);
    create(&cluster, "long", 1);
    let mut wire = Wire::to(&cluster.bootstrap());
    let topic_id = wire.topic_id("long");
    let value = vec![b'x'; MIB - 1000];
    assert!(batch(&value).len() > MIB / 2);
    (0..50).for_each(|_| wire.produce(topic_id, 0, &value));
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..Default::default() };
    let topics = vec![FetchTopic { topic_id, partitions: vec![partition], ..Default::default() }];
    let request = FetchRequest { topics, max_bytes: i32::MAX, min_bytes: 1, ..Default::default() };
    settle(&cluster);
    let before = resident(cluster.process(1));
    let mut readers: Vec<Wire> = (0..READERS).map(|_| Wire::to(&cluster.bootstrap())).collect();
    for reader in &mut readers {
        (0..REQUESTS).for_each(|_| reader.send(18, &request));
    }
    settle(&cluster);
    let [peak, end] = ["VmHWM:", "VmRSS:"].map(|what| memory(cluster.process(1), what).saturating_sub(before) / MIB);
    let before = before / MIB;
    println!("{READERS} readers who read nothing cost {peak} MiB beside {before} MiB, and {end} MiB in the end");
    assert!(peak <= 900, "{peak} MiB"); // without a bound they cost 3000 MiB at least
    greet(&mut Wire::to(&cluster.bootstrap()));
}

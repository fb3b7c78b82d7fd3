//! Appends that come together, on a simulated disk: each has the outcome that it would have had alone, and the log has
//! the same bytes; but they are one write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use dohle::base::clock::WallMillis;
use dohle::base::ids::{DirectoryId, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, Uuid};
use dohle::broker::{Duty, Folders, Partition, PartitionError, Produced, Surroundings, TopicSettings};
use dohle::log::{After, DirMeta, LogOptions};
use dohle::record::{Batch, BatchBuilder, BatchHeader};
use dohle::replica::Durability;
use dohle::replica::isr::Policy;
use dohle::replica::leader::Acks;

use super::cluster::settings;
use super::folders;
use crate::wire_filler::Random;
use crate::world::Machine;
use crate::world::dice::Dice;
use crate::world::trace::Trace;

/// A partition led on a machine of its own.
struct Led {
    machine: Machine,
    trace: Trace,
    partition: Arc<Partition>,
}

impl Led {
    fn new(settings: TopicSettings) -> Self {
        let trace = Trace::default();
        let machine = Machine::new("machine", &Dice::new(1), &trace);
        let world = machine.boot_process();
        let around = Arc::new(Surroundings::new(NodeId(1), world.clone()));
        let meta = DirMeta { cluster: "lab".into(), node: NodeId(1), directory: DirectoryId(Uuid([1; 16])) };
        let folders = Folders::open(&world, &["/log".into()], &meta, After::ProcessCrash).unwrap();
        let key = (TopicId(Uuid([7; 16])), "orders".into(), PartitionIndex(0));
        let partition = folders.open_partition(&around, key, settings).unwrap();
        partition.take_up(&Duty::Lead(folders::alone())).unwrap();
        Self { machine, trace, partition }
    }

    fn segments(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut segments = BTreeMap::new();
        self.machine.disk.look(Path::new("/log/orders-0"), |path, bytes| {
            if path.extension().is_some_and(|extension| extension == "log") {
                segments.insert(path.to_owned(), bytes.to_vec());
            }
        });
        segments
    }

    /// The bytes of the log, whatever segments they are in.
    fn log(&self) -> Vec<u8> {
        self.segments().into_values().flatten().collect()
    }

    fn writes(&self) -> usize {
        self.trace.text().lines().filter(|line| line.contains("write /log/orders-0/") && line.contains(".log ")).count()
    }
}

type Outcome = Result<(Offset, bool), PartitionError>;

fn outcome(produced: Result<Produced, PartitionError>) -> Outcome {
    produced.map(|produced| (produced.base, produced.committed.is_some()))
}

/// Producers that are mostly right, some of them.
struct Producers {
    random: Random,
    /// Epoch and next sequence of each.
    known: [(i16, i32); 3],
}

impl Producers {
    fn batch(&mut self) -> Batch {
        let records = 1 + self.random.below(3);
        let who = self.random.below(4);
        let mut batch = BatchBuilder::new();
        if let Some((epoch, next)) = self.known.get_mut(who) {
            let sent = match self.random.below(20) {
                0 => (*epoch, next.saturating_sub(records as i32)), // again, or something like it
                1 => (*epoch, *next + 1),
                2 => (*epoch - 1, *next),
                3 => {
                    (*epoch, *next) = (*epoch + 1, records as i32);
                    (*epoch, 0)
                }
                _ => {
                    *next += records as i32;
                    (*epoch, *next - records as i32)
                }
            };
            batch = BatchBuilder::idempotent(ProducerId(who as i64), ProducerEpoch(sent.0), sent.1.max(0));
        }
        let value = vec![7; self.random.below(300)];
        (0..records).for_each(|_| batch.push(WallMillis(1), None, Some(&value), &[]));
        batch.build()
    }
}

#[test]
fn each_has_the_outcome_that_it_would_have_had_alone() {
    let (mut seen, mut waiting) = ([0; 4], 0);
    for seed in 0..200 {
        let log = LogOptions { segment_bytes: if seed % 2 == 0 { 1 << 30 } else { 2_000 }, ..LogOptions::default() };
        let durability = if seed % 3 == 0 { Durability::Fsync } else { Durability::Replicated };
        let policy = Policy { durability, ..settings().policy };
        let settings = TopicSettings { policy, ..settings() };
        let (together, one_by_one) = (Led::new(TopicSettings { log, ..settings }), Led::new(settings));
        let mut producers = Producers { random: Random::new(seed), known: [(0, 0); 3] };
        for _ in 0..20 {
            let batches: Vec<Batch> = (0..1 + producers.random.below(8)).map(|_| producers.batch()).collect();
            // Where segments end decides what else needs room.
            let left = if seed % 4 == 0 { producers.random.below(4_000) as u64 } else { u64::MAX / 2 };
            [&together, &one_by_one].iter().for_each(|led| led.machine.disk.fill(left));
            let acks = if producers.random.one_in(2) { Acks::All } else { Acks::Leader };
            let alone = |batch: &Batch| outcome(one_by_one.partition.produce(vec![batch.clone()], acks));
            let expected: Vec<Outcome> = batches.iter().map(alone).collect();
            let came: Vec<Outcome> = together.partition.produce_each(batches, acks).into_iter().map(outcome).collect();
            assert_eq!(came, expected, "seed {seed}");
            waiting += came.iter().filter(|outcome| matches!(outcome, Ok((_, true)))).count();
            for outcome in came {
                seen[match outcome {
                    Ok(_) => 0,
                    Err(PartitionError::OutOfOrderSequence { .. }) => 1,
                    Err(PartitionError::InvalidProducerEpoch) => 2,
                    Err(_) => 3,
                }] += 1;
            }
        }
        assert_eq!(together.log(), one_by_one.log(), "seed {seed}");
    }
    assert!(seen.iter().all(|seen| *seen > 100) && waiting > 100, "everything is met: {seen:?}, {waiting} wait");
}

#[test]
fn what_one_segment_cannot_number_is_not_written_into_one() {
    let led = Led::new(settings());
    // As a client may claim whose records nobody opens, because they are compressed.
    let batch = BatchBuilder::new().record(WallMillis(1), None, None, &[]).build();
    let header = BatchHeader { last_offset_delta: i32::MAX - 1, count: i32::MAX, ..*batch.header() };
    let mut bytes = Bytes::from([&header.encode()[..], batch.parts()[1]].concat());
    let batch = Batch::split_from(&mut bytes).unwrap();
    let produced = led.partition.produce_each(vec![batch.clone(), batch], Acks::All);
    let bases: Vec<_> = produced.into_iter().map(|produced| produced.unwrap().base.0).collect();
    assert_eq!(bases, [0, i64::from(i32::MAX)]);
    assert_eq!((led.writes(), led.segments().len()), (2, 2));
}

#[test]
fn what_comes_together_is_one_write() {
    let led = Led::new(settings());
    let mut producers = Producers { random: Random::new(1), known: [(0, 0); 3] };
    let plain = |producers: &mut Producers| -> Vec<Batch> {
        let all = std::iter::repeat_with(|| producers.batch());
        all.filter(|batch| !batch.header().has_producer()).take(8).collect()
    };
    for writes in 1..=10 {
        let batches = plain(&mut producers);
        assert!(led.partition.produce_each(batches, Acks::All).iter().all(Result::is_ok));
        assert_eq!(led.writes(), writes);
    }
}

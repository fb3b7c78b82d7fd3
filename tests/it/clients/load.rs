//! Open-loop producers: they send a numbered record when it is due, whether or not the ones before were acked, so that
//! a pause of the cluster is not hidden by a client that politely waits.
//!
//! librdkafka does so in this process, other clients in processes of their own, which write a line about each record:
//! `sent 7`, `acked 7 3 42` (partition, offset), `failed 7 why`; they end when their input does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::checker::Record;
use super::failover::{PARTITIONS, RECORD_BYTES, TOPIC};
use super::numbered;
use crate::process::PATIENCE;

const INTERVAL: Duration = Duration::from_millis(2);

/// A producer that sends a numbered record every [`INTERVAL`] until it is told to finish.
pub struct Load {
    pub acks: Acks,
    sent: Arc<AtomicU64>,
    producer: Producing,
}

enum Producing {
    Here { stop: Stop, thread: JoinHandle<()> },
    Elsewhere { program: Child, reader: JoinHandle<()> },
}

impl Load {
    /// librdkafka, idempotent and otherwise as it is by itself.
    pub fn of_librdkafka(client: &ClientConfig) -> Self {
        let mut config = client.clone();
        config.set("enable.idempotence", "true").set("acks", "all");
        let acks = Acks::default();
        let producer: BaseProducer<Acks> = config.create_with_context(acks.clone()).unwrap();
        let (sent, stop) = (Arc::default(), Stop::default());
        let (counter, told) = (Arc::clone(&sent), Arc::clone(&stop.0));
        let thread = std::thread::spawn(move || send_until(&producer, &counter, &told));
        Self { acks, sent, producer: Producing::Here { stop, thread } }
    }

    /// Another client.
    pub fn of_program(command: &mut Command, bootstrap: &str) -> Self {
        command.args([bootstrap, TOPIC, &PARTITIONS.to_string()]);
        command.args([INTERVAL.as_millis().to_string(), RECORD_BYTES.to_string()]);
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (acks, sent) = (Acks::default(), Arc::default());
        let (output, notes, counter) = (program.stdout.take().unwrap(), acks.clone(), Arc::clone(&sent));
        let reader = std::thread::spawn(move || take_down(output, &notes, &counter));
        Self { acks, sent, producer: Producing::Elsewhere { program, reader } }
    }

    /// How many records have been sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends no more, waits until each record has its outcome, and says how many there were and which were acked.
    pub fn finish(self) -> (u64, Acks) {
        match self.producer {
            Producing::Here { stop, thread } => {
                stop.now();
                thread.join().unwrap();
            }
            Producing::Elsewhere { mut program, reader } => {
                drop(program.stdin.take());
                assert!(program.wait().unwrap().success());
                reader.join().unwrap();
            }
        }
        (self.sent.load(Ordering::Relaxed), self.acks)
    }
}

/// Reads what a program says of its records.
fn take_down(output: ChildStdout, acks: &Acks, sent: &AtomicU64) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').collect();
        let number = words[1].parse().unwrap();
        match words[0] {
            "sent" => sent.store(number + 1, Ordering::Relaxed),
            "acked" => acks.note(Ok(Record {
                number,
                partition: words[2].parse().unwrap(),
                offset: words[3].parse().unwrap(),
            })),
            _ => acks.note(Err(line)),
        }
    }
}

fn send_until(producer: &BaseProducer<Acks>, sent: &AtomicU64, told: &AtomicBool) {
    let start = Instant::now();
    while !told.load(Ordering::Relaxed) {
        let number = sent.load(Ordering::Relaxed);
        let due = start + INTERVAL * u32::try_from(number).unwrap();
        producer.poll(due.saturating_duration_since(Instant::now()));
        let partition = i32::try_from(number % PARTITIONS as u64).unwrap();
        let payload = format!("{number:<RECORD_BYTES$}");
        match producer.send(BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&payload)) {
            Ok(()) => sent.store(number + 1, Ordering::Relaxed),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => producer.poll(INTERVAL),
            Err((error, _)) => panic!("{error}"),
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Ends a thread at its next look, also when the test has failed.
#[derive(Default)]
pub struct Stop(pub Arc<AtomicBool>);

impl Stop {
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
    }
}

/// What the producer was told, and when.
#[derive(Clone, Default)]
pub struct Acks(Arc<(Mutex<Told>, Condvar)>);

#[derive(Default)]
struct Told {
    acks: Vec<(Instant, Record)>,
    failures: Vec<String>,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.note(result.as_ref().map(numbered).map_err(|(error, _)| error.to_string()));
    }
}

impl Acks {
    fn note(&self, outcome: Result<Record, String>) {
        let (told, more) = &*self.0;
        let mut told = told.lock().unwrap();
        match outcome {
            Ok(record) => told.acks.push((Instant::now(), record)),
            Err(error) => told.failures.push(error),
        }
        more.notify_all();
    }

    pub fn count(&self) -> usize {
        self.0.0.lock().unwrap().acks.len()
    }

    pub fn wait_for(&self, count: usize) {
        self.wait_until("records are acked before a kill", |acks| acks.len() >= count);
    }

    pub fn wait_for_every_partition_past(&self, number: u64) {
        self.wait_until("every partition takes records again", |acks| {
            let is_new = |(_, record): &&(Instant, Record)| record.number >= number;
            let mut partitions: Vec<_> = acks.iter().filter(is_new).map(|(_, record)| record.partition).collect();
            partitions.sort_unstable();
            partitions.dedup();
            partitions.len() == PARTITIONS as usize
        });
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&[(Instant, Record)]) -> bool) {
        let (told, more) = &*self.0;
        let waits = |told: &mut Told| !holds(&told.acks);
        let (told, waited) = more.wait_timeout_while(told.lock().unwrap(), PATIENCE, waits).unwrap();
        let (acks, failures) = (told.acks.len(), told.failures.clone());
        drop(told);
        assert!(!waited.timed_out(), "in vain: {what}; {acks} acks, failures: {failures:?}");
    }

    pub fn records(&self) -> Vec<Record> {
        self.0.0.lock().unwrap().acks.iter().map(|(_, record)| *record).collect()
    }

    pub fn failures(&self) -> Vec<String> {
        self.0.0.lock().unwrap().failures.clone()
    }

    /// The longest time without an ack in each partition, of those that reach into a span of time.
    pub fn gaps(&self, from: Instant, to: Instant) -> Vec<u128> {
        let mut before = BTreeMap::new();
        let mut gaps = BTreeMap::<i32, Duration>::new();
        for (at, record) in &self.0.0.lock().unwrap().acks {
            let last = before.insert(record.partition, *at).unwrap_or(*at);
            let longest = gaps.entry(record.partition).or_default();
            if *at >= from && last <= to {
                *longest = (*longest).max(*at - last);
            }
        }
        gaps.values().map(Duration::as_millis).collect()
    }
}

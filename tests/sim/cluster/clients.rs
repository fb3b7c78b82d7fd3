//! Who writes and who reads, all through the Kafka port and with our own client.

use std::sync::Arc;
use std::time::Duration;

use dohle::base::ids::{Offset, PartitionIndex};
use dohle::client::{Cluster as Client, Consumer, Producer, ProducerOptions, Seams, TopicPartition, TopicSpec};
use dohle::wire::Text;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::history::Written;
use super::node::{KAFKA_PORT, NAMES};
use super::{Cluster, PARTITIONS, Phase, TOPIC};
use crate::world::Machine;
use crate::world::dice::Dice;

/// Who reads along while the cluster is tormented, and who reads all of it in the end.
pub const FOLLOWING: &str = "along";
pub const AFTERWARDS: &str = "after";

const WRITERS: u16 = 3;
const OUTSTANDING_PER_WRITER_MAX: usize = 150;
const PATIENCE: Duration = Duration::from_secs(20);
const OPTIONS: ProducerOptions =
    ProducerOptions { delivery_patience: PATIENCE, request_patience: Duration::from_secs(5), batch_bytes: 16 * 1024 };

fn client(machine: &Machine, name: &str) -> Client {
    let bootstrap = NAMES.iter().map(|name| format!("{name}:{KAFKA_PORT}")).collect();
    Client::new(Seams::from(&machine.boot_process()), bootstrap, name)
}

fn everything() -> impl Iterator<Item = (TopicPartition, Offset)> {
    let partition = |index| TopicPartition::new(&Text::from_static(TOPIC), PartitionIndex(index));
    (0..PARTITIONS).map(partition).map(|partition| (partition, Offset(0)))
}

/// Makes the topic, then writes to it until the calm.
pub async fn write(cluster: Arc<Cluster>, machine: Machine, dice: Dice) -> turmoil::Result {
    let client = client(&machine, "writer");
    let topic = TopicSpec {
        name: Text::from_static(TOPIC),
        partitions: PARTITIONS,
        replication_factor: NAMES.len() as i16,
        configs: cluster.plan.topic_configs(),
    };
    let made = match client.brokers_up(NAMES.len(), PATIENCE).await {
        Ok(()) => client.create_topic(&topic, PATIENCE).await,
        Err(error) => Err(error),
    };
    if let Err(error) = made {
        cluster.violated(format!("there is no topic: {error}"));
        return Ok(());
    }
    cluster.enter(Phase::Storm);
    let writers = (0..WRITERS).map(|writer| one_writer(&cluster, &client, writer, dice.fork()));
    writers.collect::<FuturesUnordered<_>>().collect::<Vec<()>>().await;
    Ok(())
}

async fn one_writer(cluster: &Cluster, client: &Client, writer: u16, dice: Dice) {
    let trace = cluster.trace.of("writer");
    let producer = Producer::new(client, OPTIONS);
    let mut deliveries = FuturesUnordered::new();
    let mut number = 0;
    loop {
        let is_writing = cluster.phase() <= Phase::Calm;
        if cluster.phase() == Phase::Over || !is_writing && deliveries.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            Some((written, told)) = deliveries.next(), if !deliveries.is_empty() => {
                trace.event(format_args!("{written} is told {told:?}"));
                cluster.on_told(written, told);
            }
            () = sleep(Duration::from_millis(dice.between(2, 40))), if is_writing => {
                // What is written after the last moment would not be waited for.
                if cluster.phase() <= Phase::Calm && deliveries.len() < OUTSTANDING_PER_WRITER_MAX {
                    let partition = PartitionIndex(dice.below(PARTITIONS as u64) as i32);
                    let written = Written { writer, partition, number };
                    let value = written.value(dice.below(cluster.plan.padding_max) as usize);
                    let key = cluster.plan.is_compacted.then(|| written.value(0));
                    number += 1;
                    cluster.history().outstanding += 1;
                    let delivery = producer.send(&Text::from_static(TOPIC), partition, key, Some(value));
                    deliveries.push(async move { (written, delivery.await) });
                }
            }
        }
    }
}

/// Reads along from the beginning, then, when all is calm, reads everything anew with another consumer.
pub async fn read(cluster: Arc<Cluster>, machine: Machine) -> turmoil::Result {
    let client = client(&machine, "reader");
    while cluster.phase() < Phase::Storm {
        sleep(Duration::from_millis(50)).await;
    }
    read_as(&cluster, Consumer::assign(&client, everything()), FOLLOWING).await;
    read_as(&cluster, Consumer::assign(&client, everything()), AFTERWARDS).await;
    cluster.enter(Phase::Over);
    Ok(())
}

/// Reads until everything has been read that there will ever be.
async fn read_as(cluster: &Cluster, mut consumer: Consumer, reader: &'static str) {
    let trace = cluster.trace.of(reader);
    loop {
        if cluster.has_read_all(reader) || cluster.phase() == Phase::Over {
            return;
        }
        tokio::select! {
            biased;
            fetched = consumer.next() => match fetched {
                Ok(fetched) => {
                    let partition = fetched.partition.index;
                    trace.event(format_args!("{partition}: {} up to {}", fetched.records.len(), fetched.next));
                    for record in &fetched.records {
                        let value = record.value.as_deref().unwrap_or_default();
                        let read = cluster.history().on_read(reader, partition, record.offset, value);
                        cluster.hold(read);
                    }
                }
                Err(error) => return cluster.violated(format!("{reader} cannot read on: {error}")),
            },
            () = sleep(Duration::from_millis(50)) => {}
        }
    }
}

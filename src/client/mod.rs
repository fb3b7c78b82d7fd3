//! A small Kafka client of our own: for the lab, for benchmarks, and for simulated runs, where every choice must come
//! from a seed. Never part of a server.
//!
//! ```text
//!   Producer ──┐                       ┌── Connection ⇢ broker 1
//!              ├── Links (by leader) ──┤
//!   Consumer ──┘         │             └── Connection ⇢ broker 2
//!                     Cluster: who leads what; asks any broker when that is in doubt
//! ```
//!
//! A [`Cluster`] knows where brokers are and which of them leads which partition. [`Producer`] and [`Consumer`] are
//! one task each, with connections of their own, so that a fetch that waits for records holds up no produce request.
//! Both learn of a new leader in three ways: by the hint in a refusal (KIP-951), by asking when a connection breaks,
//! and by asking when a broker has been silent for a while.
//!
//! What the producer promises, per partition: records are written in the order they were sent, and each at most once,
//! whatever breaks in between. A record that is acknowledged was written; one that is given up may have been.
//!
//! Absent on purpose: consumer groups, transactions, compression, TLS and SASL, jitter (there are few of us, and runs
//! are repeated), partitioners (the caller names the partition), metrics.
//!
//! Reading order: errors, one connection, the cluster, links, then who uses them.

mod error;
pub use error::ClientError;

mod connection;
pub use connection::{Connection, Reply};

mod view;
pub use view::{Leader, PartitionView, TopicPartition, TopicView};

mod cluster;
pub use cluster::Cluster;

mod links;

mod producer;
pub use producer::{Delivery, Producer, ProducerOptions};

mod consumer;
pub use consumer::{Consumer, Fetched};

mod admin;
pub use admin::TopicSpec;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::base::World;
use crate::base::clock::WallClock;
use crate::base::executor::Executor;
use crate::base::network::Network;

/// The seams a client needs.
#[derive(Clone)]
pub struct Seams {
    pub network: Arc<dyn Network>,
    pub executor: Arc<dyn Executor>,
    pub clock: Arc<dyn WallClock>,
}

impl From<&World> for Seams {
    fn from(world: &World) -> Self {
        Self { network: world.network.clone(), executor: world.executor.clone(), clock: world.clock.clone() }
    }
}

/// How long to wait before trying again what has failed so many times in a row.
fn backoff(failures: u32) -> Duration {
    const FIRST_MS: u64 = 20;
    const LONGEST_MS: u64 = 200;
    Duration::from_millis((FIRST_MS << failures.saturating_sub(1).min(10)).min(LONGEST_MS))
}

//! What the handlers of one listener share: the broker, and a worker for reads that wait for the disk.

use std::sync::Arc;

use super::fetching::Sessions;
use super::memory::Memory;
use crate::base::executor::Worker;
use crate::broker::Broker;

/// One listener's view of the house.
pub struct Door {
    pub broker: Broker,
    /// The name in `listeners`: other brokers are told by what they have registered under the same name.
    pub listener: String,
    /// What this broker has registered under that name is a guess: who dialled it knows better.
    pub is_guessed: bool,
    pub cold_reads: Arc<dyn Worker>,
    /// The same for all listeners: a session may go on at another one.
    pub sessions: Sessions,
    pub memory: Memory,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: usize,
    /// `auto.create.topics.enable`
    pub creates_topics: bool,
}

impl Door {
    pub fn new(
        broker: Broker,
        listener: String,
        is_guessed: bool,
        cold_reads: Arc<dyn Worker>,
        sessions: Sessions,
        memory: Memory,
    ) -> Self {
        let settings = broker.settings();
        let fetch_bytes_max = usize::try_from(settings.number("fetch.max.bytes")).unwrap_or(0);
        let creates_topics = settings.boolean("auto.create.topics.enable");
        Self { broker, listener, is_guessed, cold_reads, sessions, memory, fetch_bytes_max, creates_topics }
    }
}

//! Links: the connections of one producer or consumer, one per broker, made when first wanted.
//!
//! Invariants: at most one attempt to connect to a broker is under way, and none sooner after a failure than its
//! backoff allows.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::{ClientError, Connection, backoff};
use crate::base::ids::NodeId;

/// The connections, by broker.
#[derive(Default)]
pub(super) struct Links(BTreeMap<NodeId, Link>);

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// When each request that has no answer yet was sent, oldest first.
    sent: VecDeque<Instant>,
    is_dialling: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

impl Links {
    /// The connection to a broker, if it has fewer than `most` requests without an answer.
    pub(super) fn ready(&self, node: NodeId, most: usize) -> Option<Connection> {
        let link = self.0.get(&node)?;
        let connection = link.connection.as_ref()?;
        (connection.is_open() && link.sent.len() < most).then(|| connection.clone())
    }

    /// Whether the broker could not be reached lately.
    pub(super) fn is_failing(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|link| link.failures > 0)
    }

    /// Whether the caller should connect now; it then must, and say how it went.
    pub(super) fn should_dial(&mut self, node: NodeId, now: Instant) -> bool {
        let link = self.0.entry(node).or_default();
        let is_open = link.connection.as_ref().is_some_and(Connection::is_open);
        let is_due = link.retry_at.is_none_or(|retry_at| retry_at <= now);
        // Answers of the old connection must be in, so that they are not counted for the new one.
        let is_wanted = !is_open && !link.is_dialling && link.sent.is_empty() && is_due;
        link.is_dialling |= is_wanted;
        is_wanted
    }

    pub(super) fn on_dialled(&mut self, node: NodeId, result: Result<Connection, ClientError>, now: Instant) {
        let link = self.0.entry(node).or_default();
        link.is_dialling = false;
        match result {
            Ok(connection) => {
                link.connection = Some(connection);
                link.failures = 0;
            }
            Err(_) => {
                link.failures += 1;
                link.retry_at = Some(now + backoff(link.failures));
            }
        }
    }

    pub(super) fn on_sent(&mut self, node: NodeId, now: Instant) {
        self.0.entry(node).or_default().sent.push_back(now);
    }

    pub(super) fn on_answered(&mut self, node: NodeId) {
        self.0.entry(node).or_default().sent.pop_front();
    }

    /// Whether a broker has left a request unanswered since before `then`.
    pub(super) fn is_silent_since(&self, then: Instant) -> bool {
        self.0.values().any(|link| link.sent.front().is_some_and(|sent| *sent < then))
    }

    /// Ends the connection to a broker; its requests fail.
    pub(super) fn close(&self, node: NodeId) {
        if let Some(connection) = self.0.get(&node).and_then(|link| link.connection.as_ref()) {
            connection.close();
        }
    }
}

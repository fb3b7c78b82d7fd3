//! An idempotent producer with several requests in flight, which retries in order until it is answered.

use std::collections::VecDeque;

use crate::base::ids::*;
use crate::replica::producers::{BatchInfo, Sequence, Stamp};

/// Kafka's `max.in.flight.requests.per.connection`.
const IN_FLIGHT_MAX: usize = 5;

/// One record in the log; every batch holds one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) producer: ProducerId,
    pub(super) producer_epoch: ProducerEpoch,
    pub(super) sequence: Sequence,
}

impl Entry {
    pub(super) fn batch(&self, base_offset: Offset) -> BatchInfo {
        let stamp = Stamp { id: self.producer, epoch: self.producer_epoch, first_sequence: self.sequence };
        BatchInfo {
            base_offset,
            last_offset_delta: 0,
            stamp: Some(stamp),
            max_timestamp: 0,
            is_control: false,
            is_transactional: false,
        }
    }
}

/// Which request a broker answers: of an older connection the client hears nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) client: usize,
    pub(super) connection: u32,
    pub(super) sequence: Sequence,
    /// Where the record is, once it is in a log.
    pub(super) offset: Offset,
}

pub(super) struct Client {
    id: ProducerId,
    epoch: ProducerEpoch,
    next_sequence: Sequence,
    /// Not answered yet, in order; the first `sent` of them are under way on this connection.
    pending: VecDeque<Sequence>,
    sent: usize,
    pub(super) connection: u32,
    pub(super) broker: NodeId,
    /// A producer nobody knows may begin anywhere, so its first record goes alone.
    known: bool,
    pub(super) stops: bool,
}

impl Client {
    pub(super) fn new(id: i64, first_sequence: i32) -> Self {
        Self {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            next_sequence: Sequence(first_sequence),
            pending: VecDeque::new(),
            sent: 0,
            connection: 0,
            broker: NodeId(0),
            known: false,
            stops: false,
        }
    }

    /// The next record to send on this connection, if there is one.
    pub(super) fn next(&mut self) -> Option<Entry> {
        let in_flight_max = if self.known { IN_FLIGHT_MAX } else { 1 };
        if self.sent == self.pending.len() && !self.stops && self.pending.len() < in_flight_max {
            self.pending.push_back(self.next_sequence);
            self.next_sequence = self.next_sequence.plus(1);
        }
        let sequence = *self.pending.get(self.sent)?;
        self.sent += 1;
        let (producer, producer_epoch) = (self.id, self.epoch);
        Some(Entry { leader_epoch: LeaderEpoch(-1), producer, producer_epoch, sequence })
    }

    /// Starts over on another connection: everything unanswered is sent again, in order.
    pub(super) fn reconnect(&mut self, broker: NodeId) {
        self.connection += 1;
        self.sent = 0;
        self.broker = broker;
    }

    /// The oldest unanswered record is acknowledged; what it is, to compare with what was committed.
    pub(super) fn acknowledged(&mut self, sequence: Sequence) -> (ProducerId, ProducerEpoch, Sequence) {
        assert_eq!(self.pending.pop_front(), Some(sequence), "answers come in order of requests");
        self.sent -= 1;
        self.known = true;
        (self.id, self.epoch, sequence)
    }

    /// A new incarnation gives up what was not answered.
    pub(super) fn restart(&mut self) {
        self.epoch = ProducerEpoch(self.epoch.0 + 1);
        self.next_sequence = Sequence(0);
        self.pending.clear();
        self.reconnect(self.broker);
    }

    pub(super) fn is_done(&self) -> bool {
        self.pending.is_empty()
    }
}

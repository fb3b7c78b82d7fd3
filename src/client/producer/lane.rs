//! A lane: the records for one partition, from waiting to delivered. Judges only; the sender carries.
//!
//! ```text
//!  waiting records ──take──► outstanding batches, in the order of their sequences ──► delivered, or given up
//!                            [in flight, in flight, …]      a failure brings them all back:
//!                            [not, not, …]                  first every answer, then the pause, then in order again
//! ```
//!
//! Invariants: a batch gets its sequence when it is first sent and keeps it for ever. Batches are sent in the order of
//! their sequences, and are in flight to one broker at a time. At most as many are outstanding as a broker remembers,
//! so a repeated batch is always recognised. The first batch of an epoch is in flight alone: a broker that knows
//! nothing of a producer takes any sequence for its first (KIP-360), and could take the second batch for it.
//!
//! A batch that is given up leaves a question: was it written? While that is open nothing new is sent, since a gap in
//! the sequences would be refused. When all that was outstanding is settled the lane begins a new epoch: the broker
//! then accepts sequence 0, and refuses whatever of the old epoch may still be under way to it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Receipt, Unsent};
use crate::base::ids::{Offset, ProducerEpoch, ProducerId};
use crate::base::limits::PRODUCE_REQUESTS_IN_FLIGHT_MAX;
use crate::client::{ClientError, Leader, backoff};
use crate::record::BatchBuilder;
use crate::wire::ErrorCode;

/// Who writes, in the broker's eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// The sequence number of the first record of a batch: what tells the batches of a lane apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sequence(pub(super) i32);

impl Sequence {
    /// The sequence `count` records later; it begins again at 0.
    fn plus(self, count: i32) -> Self {
        Self((i64::from(self.0) + i64::from(count)).rem_euclid(1 << 31) as i32)
    }
}

pub(super) struct Lane {
    waiting: VecDeque<Unsent>,
    outstanding: VecDeque<Outstanding>,
    identity: Option<Identity>,
    next: Sequence,
    /// Whether the broker has written a batch of this epoch.
    is_known: bool,
    /// Whether a batch was given up in this epoch.
    is_broken: bool,
    /// Whether batches came back, and the others must before any is sent again.
    is_recovering: bool,
    last_leader: Option<Leader>,
    failures: u32,
    retry_at: Option<Instant>,
    last_error: Option<ClientError>,
}

struct Outstanding {
    sequence: Sequence,
    batch: Bytes,
    receipts: Vec<Receipt>,
    deadline: Instant,
    is_in_flight: bool,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            outstanding: VecDeque::new(),
            identity: None,
            next: Sequence(0),
            is_known: false,
            is_broken: false,
            is_recovering: false,
            last_leader: None,
            failures: 0,
            retry_at: None,
            last_error: None,
        }
    }

    pub(super) fn push(&mut self, record: Unsent) {
        self.waiting.push_back(record);
    }

    /// Whether nothing is to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.outstanding.is_empty()
    }

    pub(super) fn needs_identity(&self) -> bool {
        self.identity.is_none() && !self.waiting.is_empty()
    }

    pub(super) fn identify(&mut self, identity: Identity) {
        assert!(self.outstanding.is_empty(), "a lane with batches under way has an identity already");
        self.begin(Some(identity));
    }

    fn begin(&mut self, identity: Option<Identity>) {
        self.identity = identity;
        self.next = Sequence(0);
        self.is_known = false;
        self.is_broken = false;
    }

    /// Whether there is a batch to send, as far as the lane goes.
    pub(super) fn has_something_to_send(&self) -> bool {
        self.has_returned() || self.may_form()
    }

    /// Remembers what keeps the records waiting, for those that wait in vain.
    pub(super) fn note(&mut self, error: &ClientError) {
        self.last_error = Some(error.clone());
    }

    /// The broker at which batches are in flight.
    pub(super) fn in_flight_at(&self) -> Option<Leader> {
        self.last_leader.filter(|_| self.has_in_flight())
    }

    /// The next batch for this leader, if it is time for it.
    pub(super) fn take(&mut self, to: Leader, batch_bytes: usize, now: Instant) -> Option<(Sequence, Bytes)> {
        if !self.may_send(to, now) {
            return None;
        }
        if !self.has_returned() {
            self.form(batch_bytes)?;
        }
        let batch = self.outstanding.iter_mut().find(|batch| !batch.is_in_flight)?;
        batch.is_in_flight = true;
        self.last_leader = Some(to);
        Some((batch.sequence, batch.batch.clone()))
    }

    fn may_send(&self, to: Leader, now: Instant) -> bool {
        if self.has_in_flight() {
            // Two brokers must not have batches of one lane at the same time: the order would be left to chance.
            return !self.is_recovering && self.last_leader.is_some_and(|last| last.node == to.node);
        }
        let is_new_leader = self.last_leader.is_none_or(|last| last.epoch < to.epoch);
        is_new_leader || self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// Whether a batch that was sent before waits to be sent again.
    fn has_returned(&self) -> bool {
        self.outstanding.iter().any(|batch| !batch.is_in_flight)
    }

    fn has_in_flight(&self) -> bool {
        self.outstanding.iter().any(|batch| batch.is_in_flight)
    }

    fn may_form(&self) -> bool {
        let most = if self.is_known { PRODUCE_REQUESTS_IN_FLIGHT_MAX } else { 1 };
        let has_room = self.outstanding.len() < most;
        self.identity.is_some() && !self.is_broken && has_room && !self.waiting.is_empty()
    }

    /// Makes a batch of the records that wait.
    fn form(&mut self, batch_bytes: usize) -> Option<()> {
        if !self.may_form() {
            return None;
        }
        let identity = self.identity?;
        let deadline = self.waiting.front()?.deadline;
        let mut builder = BatchBuilder::idempotent(identity.id, identity.epoch, self.next.0);
        let mut receipts = Vec::new();
        while let Some(record) =
            self.waiting.pop_front_if(|record| receipts.is_empty() || builder.size() + record.size() <= batch_bytes)
        {
            builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &[]);
            receipts.push(record.receipt);
        }
        let count = builder.count();
        let batch = builder.build();
        let mut bytes = BytesMut::with_capacity(batch.size());
        batch.parts().into_iter().for_each(|part| bytes.extend_from_slice(part));
        let batch = bytes.freeze();
        self.outstanding.push_back(Outstanding { sequence: self.next, batch, receipts, deadline, is_in_flight: false });
        self.next = self.next.plus(count);
        Some(())
    }

    /// A batch was answered for, or failed on its way. Says whether it will be sent again.
    pub(super) fn on_result(&mut self, sequence: Sequence, result: Result<Offset, ClientError>, now: Instant) -> bool {
        let Some(place) = self.outstanding.iter().position(|batch| batch.sequence == sequence) else { return false };
        let again = match result {
            Ok(base) => {
                self.failures = 0;
                self.is_known = true;
                self.finish(place, Ok(base));
                false
            }
            Err(error) if is_worth_repeating(&error, place) => {
                self.bring_back(place, error, now);
                true
            }
            Err(error) => {
                self.is_broken = true;
                self.finish(place, Err(error));
                false
            }
        };
        self.settle();
        again
    }

    fn bring_back(&mut self, place: usize, error: ClientError, now: Instant) {
        if !self.is_recovering {
            self.is_recovering = true;
            self.failures += 1;
            self.retry_at = Some(now + backoff(self.failures));
        }
        if let Some(batch) = self.outstanding.get_mut(place) {
            batch.is_in_flight = false;
        }
        self.last_error = Some(error);
    }

    /// Gives up whatever is too old; a batch in flight is left to its answer.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(place) = self.outstanding.iter().position(|batch| !batch.is_in_flight && batch.deadline <= now) {
            self.is_broken = true;
            self.finish(place, Err(self.expired()));
        }
        while let Some(record) = self.waiting.pop_front_if(|record| record.deadline <= now) {
            record.receipt.tell(Err(self.expired()));
        }
        self.settle();
    }

    fn expired(&self) -> ClientError {
        ClientError::Expired { last: Box::new(self.last_error.clone().unwrap_or(ClientError::Unanswered)) }
    }

    /// Tells the records of a batch how it went.
    fn finish(&mut self, place: usize, result: Result<Offset, ClientError>) {
        let Some(batch) = self.outstanding.remove(place) else { return };
        for (delta, receipt) in (0..).zip(batch.receipts) {
            receipt.tell(result.clone().map(|base| base.plus(delta)));
        }
    }

    fn settle(&mut self) {
        if !self.has_in_flight() {
            self.is_recovering = false;
        }
        if self.is_broken && self.outstanding.is_empty() {
            let next_epoch =
                |old: Identity| Some(Identity { epoch: ProducerEpoch(old.epoch.0.checked_add(1)?), ..old });
            self.begin(self.identity.and_then(next_epoch)); // after the last one, a new id is asked for
        }
    }

    /// Whether another broker has taken over from the one at which batches are in flight.
    pub(super) fn is_led_elsewhere(&self, leader: Option<Leader>) -> bool {
        let (Some(last), Some(leader)) = (self.in_flight_at(), leader) else { return false };
        leader.node != last.node && leader.epoch > last.epoch
    }
}

/// Whether a batch that failed should be sent again; `place` is how many are before it.
fn is_worth_repeating(error: &ClientError, place: usize) -> bool {
    match error.code() {
        // The batch before it was not written, and will be sent again first.
        Some(ErrorCode::OutOfOrderSequenceNumber) => place > 0,
        _ => error.is_retriable(),
    }
}

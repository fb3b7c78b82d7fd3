//! What clients ask of pretend brokers, and brokers of the pretend controller.

use super::broker::Role;
use super::client::{Entry, Request};
use super::world::{CLIENTS, World};
use crate::base::ids::*;
use crate::replica::isr::{Outcome, Proposal};
use crate::replica::leader::Acks;
use crate::replica::producers::Verdict;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Done,
    TryAgain,
}

/// A proposal under way to the controller; it may arrive after its sender gave up.
pub(super) struct Flight {
    pub(super) from: NodeId,
    pub(super) broker_epoch: BrokerEpoch,
    pub(super) proposal: Proposal,
    pub(super) given_up: bool,
}

impl World {
    pub(super) fn produce(&mut self) {
        let at = self.below(CLIENTS);
        let client = &mut self.clients[at];
        let Some(entry) = client.next() else { return };
        let sequence = entry.sequence;
        let mut request = Request { client: at, connection: client.connection, sequence, offset: Offset(-1) };
        let id = client.broker.0 as usize;
        let broker = &mut self.brokers[id];
        let Role::Leader(leader) = &mut broker.role else {
            return self.answers.push((request, Answer::TryAgain));
        };
        if leader.may_append(Acks::All).is_err() {
            return self.answers.push((request, Answer::TryAgain));
        }
        let mut effects = Vec::new();
        let base_offset = broker.log.end();
        let batch = entry.batch(base_offset);
        match broker.producers.check(&[batch], leader.high_watermark()) {
            Verdict::Append => {
                let leader_epoch = leader.leader_epoch();
                broker.log.append(Entry { leader_epoch, ..entry });
                broker.producers.record(&batch, leader.high_watermark(), self.now);
                request.offset = base_offset;
                broker.waiters.wait(base_offset, request);
                leader.on_appended(broker.log.end(), self.now, &mut effects);
            }
            Verdict::Duplicate { base_offset, last_offset, .. } => {
                self.tally.duplicates += 1;
                request.offset = base_offset;
                broker.waiters.wait(last_offset, request);
                let answers = &mut self.answers;
                let high_watermark = leader.high_watermark();
                broker.waiters.on_high_watermark(high_watermark, |request| answers.push((request, Answer::Done)));
            }
            _ => self.answers.push((request, Answer::TryAgain)),
        }
        self.do_leader(id, effects);
    }

    /// The oldest answer of some client arrives.
    pub(super) fn answer(&mut self) {
        let at = self.below(CLIENTS);
        let Some(place) = self.answers.iter().position(|(request, _)| request.client == at) else {
            return;
        };
        let (request, answer) = self.answers.remove(place);
        if request.connection != self.clients[at].connection {
            return;
        }
        match answer {
            Answer::TryAgain => self.point_client(at),
            Answer::Done => {
                let (producer, epoch, sequence) = self.clients[at].acknowledged(request.sequence);
                let stored = self.committed.get(request.offset.0 as usize);
                let same = |entry: &&Entry| {
                    (entry.producer, entry.producer_epoch, entry.sequence) == (producer, epoch, sequence)
                };
                assert!(stored.filter(same).is_some(), "acknowledged at {}, not committed there", request.offset);
                self.tally.acked += 1;
            }
        }
    }

    pub(super) fn trouble_clients(&mut self) {
        let at = self.below(CLIENTS);
        match self.below(8) {
            0 => self.clients[at].restart(),
            _ => self.point_client(at),
        }
    }

    /// Somewhere, mostly at the present leader.
    pub(super) fn point_client(&mut self, at: usize) {
        let somewhere = NodeId(self.any_broker() as i32);
        let known = if self.below(4) == 0 { None } else { self.controller.now().leader };
        self.clients[at].reconnect(known.unwrap_or(somewhere));
    }

    pub(super) fn deliver_proposal(&mut self) {
        if self.proposals.is_empty() {
            return;
        }
        let place = self.below(self.proposals.len());
        let stray = self.proposals[place].given_up && !self.healed;
        if stray && self.below(20) != 0 {
            return;
        }
        let flight = self.proposals.swap_remove(place);
        let before = self.controller.now().isr.len();
        let outcome = self.controller.alter(flight.from, &flight.proposal);
        self.tally.joins += u64::from(self.controller.now().isr.len() > before);
        let lost = self.below(8) == 0;
        let heard = if lost && !flight.given_up { Outcome::Unknown } else { outcome };
        self.tally.doubts += u64::from(heard == Outcome::Unknown);
        self.outcomes.push((flight.from, flight.broker_epoch, flight.proposal, heard));
    }

    /// Its sender stops waiting; it may still arrive.
    pub(super) fn give_up_proposal(&mut self) {
        if let Some(flight) = self.proposals.iter_mut().find(|flight| !flight.given_up) {
            flight.given_up = true;
            self.tally.doubts += 1;
            self.outcomes.push((flight.from, flight.broker_epoch, flight.proposal.clone(), Outcome::Unknown));
        }
    }

    pub(super) fn deliver_outcome(&mut self) {
        if self.outcomes.is_empty() {
            return;
        }
        let place = self.below(self.outcomes.len());
        let (to, broker_epoch, proposal, outcome) = self.outcomes.swap_remove(place);
        let id = to.0 as usize;
        let broker = &mut self.brokers[id];
        let mut effects = Vec::new();
        if let Role::Leader(leader) = &mut broker.role
            && broker.epoch == broker_epoch
        {
            leader.on_proposal_outcome(&proposal, outcome, self.now, &mut effects);
        }
        self.do_leader(id, effects);
    }
}

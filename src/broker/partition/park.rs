//! Parking: what a client asks of a replica that does not lead, but may in a moment; or of one that leads, but not for
//! long.
//!
//! The leader's connection has just broken off and nobody has been elected yet. To refuse now would send the client to
//! a dead broker, or to a back-off longer than the election. So an append waits here, in the order of arrival, and is
//! made before any other once this replica leads; when somebody else does, the refusal names them. A leader that stops
//! parks for whoever comes next, too (`broker/passing.rs`).
//!
//! Invariants: what is parked is appended once or refused, and its client is told which; an idempotent producer's
//! batches keep their order; the bytes are bounded.
//! Absent on purpose: a clock. How long a client is held is the door's to say.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::after::After;
use super::{Partition, PartitionError, Produced, Role, State};
use crate::base::ids::{LeaderEpoch, NodeId};
use crate::base::limits::PARKED_BYTES_MAX;
use crate::broker::passing::HandOver;
use crate::record::Batch;
use crate::replica::leader::Acks;

/// Appends that wait, the first one first.
#[derive(Default)]
pub(super) struct ParkedAppends {
    waiting: VecDeque<Append>,
    bytes: usize,
    seen: u64,
}

struct Append {
    number: u64,
    batches: Vec<Batch>,
    acks: Acks,
    bytes: usize,
    outcome: oneshot::Sender<Result<Produced, PartitionError>>,
}

/// An append that waits for its partition to be led again. Dropping it takes it back.
pub struct Parked {
    partition: Arc<Partition>,
    number: u64,
    outcome: oneshot::Receiver<Result<Produced, PartitionError>>,
}

impl Partition {
    /// Whether a client should be held rather than refused: the leader may just have died, and nobody has taken over.
    pub fn awaits_leader(&self) -> bool {
        self.leader().is_some_and(|(leader, _)| self.around.suspects.contains(leader, self.around.now()))
    }

    /// Whether this replica leads until another one does in a moment, and appends nothing more.
    pub fn holds(&self) -> bool {
        self.around.hand_over.holds() && self.lock().is_held(&self.around.hand_over)
    }

    /// Appends what was held, if it was in vain.
    pub fn release(self: &Arc<Self>) {
        self.within(|state, after| {
            if matches!(state.role, Role::Leading(_)) {
                state.append_parked(self, after);
            }
        });
    }

    /// Has batches appended once this replica leads; at once, if it does already and is to go on.
    pub fn park(self: &Arc<Self>, mut batches: Vec<Batch>, acks: Acks) -> Result<Parked, PartitionError> {
        self.within(|state, after| {
            let (answer, outcome) = oneshot::channel();
            state.parked.seen += 1;
            let number = state.parked.seen;
            if matches!(state.role, Role::Leading(_)) && !state.is_held(&self.around.hand_over) {
                let produced = state.produce(self, &mut batches, acks, after);
                after.produced(answer, produced);
            } else {
                let bytes: usize = batches.iter().map(Batch::size).sum();
                if state.parked.bytes + bytes > PARKED_BYTES_MAX {
                    return Err(PartitionError::NotLeader { hint: state.leader_hint });
                }
                state.parked.bytes += bytes;
                state.parked.waiting.push_back(Append { number, batches, acks, bytes, outcome: answer });
            }
            Ok(Parked { partition: Arc::clone(self), number, outcome })
        })
    }
}

impl Parked {
    /// Waits until the append is made or refused.
    pub async fn outcome(&mut self) -> Result<Produced, PartitionError> {
        let refused = Err(PartitionError::NotLeader { hint: None });
        (&mut self.outcome).await.unwrap_or(refused)
    }

    /// Waits no longer: what became of the append by now, or a refusal, after which it is never made.
    pub fn give_up(mut self) -> Result<Produced, PartitionError> {
        let hint = self.partition.take_back(self.number);
        self.outcome.try_recv().unwrap_or(Err(PartitionError::NotLeader { hint }))
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.partition.take_back(self.number);
    }
}

impl Partition {
    /// Takes an append back if it still waits; says who leads.
    fn take_back(&self, number: u64) -> Option<(NodeId, LeaderEpoch)> {
        let mut state = self.lock();
        if let Some(at) = state.parked.waiting.iter().position(|append| append.number == number)
            && let Some(append) = state.parked.waiting.remove(at)
        {
            state.parked.bytes -= append.bytes;
        }
        state.leader_hint
    }
}

impl State {
    /// Without another in-sync replica nobody can take over.
    fn is_held(&self, hand_over: &HandOver) -> bool {
        let Role::Leading(leader) = &self.role else { return false };
        hand_over.holds() && leader.isr().len() > 1
    }

    /// This replica leads: what waited for it comes first.
    pub(super) fn append_parked(&mut self, partition: &Arc<Partition>, after: &mut After) {
        for Append { mut batches, acks, outcome, .. } in std::mem::take(&mut self.parked.waiting) {
            let produced = self.produce(partition, &mut batches, acks, after);
            after.produced(outcome, produced);
        }
        self.parked.bytes = 0;
        self.watches.fire(after);
    }

    /// Somebody else leads, or nobody.
    pub(super) fn refuse_parked(&mut self, after: &mut After) {
        let hint = self.leader_hint;
        for Append { outcome, .. } in std::mem::take(&mut self.parked.waiting) {
            after.produced(outcome, Err(PartitionError::NotLeader { hint }));
        }
        self.parked.bytes = 0;
        self.watches.fire(after);
    }
}

//! Leading: what followers ask of a partition, and what is sent to them.
//!
//! Nothing is sent under the lock. A partition with something new tells each stream's lane so, once; the lane comes for
//! it when it has room (`pull`), and gets whatever has gathered by then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::after::After;
use super::{Epochs, Partition, PartitionError, Role, State};
use crate::base::ids::{LeaderEpoch, NodeId, Offset};
use crate::base::limits::TAIL_BYTES_ALONE_MAX;
use crate::broker::Errand;
use crate::log::{Read, ReadRequest, Reading, Slice};
use crate::replica::StreamId;
use crate::replica::effect::{Ack, LeaderEffect, Open, Opened, Opener};
use crate::replica::follower::Marks;

/// The partitions that have something for one lane to a follower, each at most once.
#[derive(Default)]
pub struct LaneQueue {
    offered: Mutex<VecDeque<(StreamId, Arc<Partition>)>>,
    arrived: Notify,
}

impl LaneQueue {
    pub(in crate::broker) fn push(&self, stream: StreamId, partition: Arc<Partition>) {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).push_back((stream, partition));
        self.arrived.notify_one();
    }

    /// The next stream with something to send.
    pub async fn next(&self) -> (StreamId, Arc<Partition>) {
        loop {
            let first = self.offered.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(first) = first {
                return first;
            }
            self.arrived.notified().await;
        }
    }
}

/// A follower's open stream.
pub(super) struct Stream {
    pub(super) id: StreamId,
    lane: Arc<LaneQueue>,
    sent_end: Offset,
    sent: Marks,
    /// The lane knows that there is something.
    offered: bool,
}

/// What is to be sent on a stream.
pub struct Pulled {
    pub leader_epoch: LeaderEpoch,
    pub base_offset: Offset,
    pub marks: Marks,
    /// Whole batches from `base_offset` on; empty if only the marks are news. After a cold read, say `sent_to`.
    pub records: Read,
}

/// A read for a stream, and what is to be sent with it.
type Begun = (Reading, ReadRequest, Pulled);

impl Partition {
    /// A follower opens the partition on a stream of this lane.
    pub fn on_open(self: &Arc<Self>, from: Opener, open: &Open, lane: &Arc<LaneQueue>) -> Opened {
        let now = self.around.now();
        self.within(|state, after| {
            let Role::Leading(leader) = &mut state.role else { return Opened::NotLeader };
            let opened = leader.on_open(from, open, &Epochs(&state.log), now, &mut state.leader_effects);
            if let Opened::Ok { high_watermark, log_start } = opened {
                state.streams.push(Stream {
                    id: open.stream,
                    lane: Arc::clone(lane),
                    sent_end: open.log_end,
                    sent: Marks { high_watermark, log_start },
                    offered: false,
                });
                state.offer_to_followers(self, after);
            }
            opened
        })
    }

    pub fn on_ack(self: &Arc<Self>, from: NodeId, ack: &Ack) {
        let now = self.around.now();
        self.within(|state, after| match &mut state.role {
            Role::Leading(leader) => leader.on_ack(from, ack, now, &mut state.leader_effects),
            _ => after.refuse(ack.stream),
        });
    }

    /// A stream ended, by its connection or its follower.
    pub fn on_follower_gone(self: &Arc<Self>, stream: StreamId) {
        let now = self.around.now();
        self.within(|state, _| {
            state.streams.retain(|open| open.id != stream);
            if let Role::Leading(leader) = &mut state.role {
                leader.on_stream_closed(stream, now, &mut state.leader_effects);
            }
        });
    }

    /// What there is to send on a stream; nothing if it is no longer open or has everything.
    pub fn pull(self: &Arc<Self>, stream: StreamId, bytes_max: usize) -> Result<Option<Pulled>, PartitionError> {
        let Some((reading, request, pulled)) = self.begin_pull(stream, bytes_max)? else { return Ok(None) };
        let records = self.read_on(reading, request)?;
        if let Read::Ready(slice) = &records {
            // Without records the follower stays where it is, whatever offsets compaction has emptied after it.
            self.sent_to(stream, if slice.size > 0 { slice.next } else { pulled.base_offset });
        }
        Ok(Some(Pulled { records, ..pulled }))
    }

    /// Under the lock it is only found out where the records are.
    fn begin_pull(&self, stream: StreamId, bytes_max: usize) -> Result<Option<Begun>, PartitionError> {
        let mut state = self.lock();
        let state = &mut *state;
        let Role::Leading(leader) = &state.role else { return Ok(None) };
        let Some(open) = state.streams.iter_mut().find(|open| open.id == stream) else { return Ok(None) };
        let marks = Marks { high_watermark: leader.high_watermark(), log_start: state.log.log_start() };
        let (leader_epoch, base_offset, until) = (leader.leader_epoch(), open.sent_end, state.log.log_end());
        if marks == open.sent && base_offset >= until {
            open.offered = false;
            return Ok(None);
        }
        let request = ReadRequest { from: base_offset, until, bytes_max, at_least_one: true };
        let reading = state.log.read(&request)?;
        open.sent = marks;
        let records = Read::Ready(Slice::empty(base_offset));
        Ok(Some((reading, request, Pulled { leader_epoch, base_offset, marks, records })))
    }

    /// What was read for this stream has been sent, up to here: it may be offered again.
    pub fn sent_to(self: &Arc<Self>, stream: StreamId, end: Offset) {
        self.within(|state, after| {
            if let Some(open) = state.streams.iter_mut().find(|open| open.id == stream) {
                open.sent_end = end;
                open.offered = false;
            }
            state.offer_to_followers(self, after);
        });
    }
}

impl State {
    /// Tells the lanes of all streams that lack something.
    pub(super) fn offer_to_followers(&mut self, partition: &Arc<Partition>, after: &mut After) {
        let Role::Leading(leader) = &self.role else { return };
        let marks = Marks { high_watermark: leader.high_watermark(), log_start: self.log.log_start() };
        let end = self.log.log_end();
        for open in self.streams.iter_mut().filter(|open| !open.offered) {
            if open.sent_end < end || open.sent != marks {
                open.offered = true;
                after.send_on(Arc::clone(&open.lane), open.id, partition);
            }
        }
    }

    pub(super) fn settle_leading(&mut self, partition: &Arc<Partition>, after: &mut After) {
        let mut effects = std::mem::take(&mut self.leader_effects);
        for effect in effects.drain(..) {
            match effect {
                LeaderEffect::HighWatermark(committed) => {
                    self.writers.on_high_watermark(committed, |writer| after.answer(writer, Ok(())));
                    self.watches.fire(after);
                    self.offer_to_followers(partition, after);
                }
                LeaderEffect::ProposeIsr(proposal) => after.errand(Errand::Propose(Arc::clone(partition), proposal)),
                LeaderEffect::WakeAt(at) => after.errand(Errand::WakeAt(Arc::clone(partition), at)),
                LeaderEffect::RefuseStream(stream) => {
                    self.streams.retain(|open| open.id != stream);
                    after.refuse(stream);
                }
            }
        }
        self.leader_effects = effects;
        self.log.keep_tail(if self.streams.is_empty() { TAIL_BYTES_ALONE_MAX } else { usize::MAX });
    }
}

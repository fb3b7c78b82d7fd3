//! What waits to be sent to a leader: opens and closes in order, acknowledgements by stream, credit as a sum.
//!
//! Whatever gathers while the connection has no room becomes one frame. Bounded by the streams that are open.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::base::limits::{REPLICATION_CREDIT_BYTES, REPLICATION_ROWS_MAX};
use crate::broker::frames::{self, Handle};
use crate::replica::effect::Ack;
use crate::replica::{LogEnds, StreamId};
use crate::rpc::replication as proto;
use crate::rpc::replication::follower_frame::Frame as Up;

/// Credit is granted in pieces of this size; the leader always has more than the rest.
const CREDIT_PIECE_BYTES: u32 = REPLICATION_CREDIT_BYTES / 8;

pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    control: VecDeque<Up>,
    handles: BTreeMap<StreamId, Handle>,
    acks: BTreeMap<Handle, LogEnds>,
    credit: u32,
    ended: bool,
}

impl Outbox {
    pub(super) fn new(hello: proto::Hello) -> Self {
        let waiting = Waiting { control: VecDeque::from([Up::Hello(hello)]), ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), changed: Notify::new() }
    }

    /// The next frame; none once this has ended.
    pub(super) async fn next(&self) -> Option<proto::FollowerFrame> {
        loop {
            {
                let mut waiting = self.lock();
                if waiting.ended {
                    return None;
                }
                if let Some(frame) = waiting.take() {
                    return Some(frames::up(frame));
                }
            }
            self.changed.notified().await;
        }
    }

    pub(super) fn open(&self, stream: StreamId, handle: Handle, open: Up) {
        let mut waiting = self.lock();
        waiting.handles.insert(stream, handle);
        waiting.control.push_back(open);
        self.changed.notify_one();
    }

    /// The stream has ended here, and at the leader too unless it is told.
    pub(super) fn close(&self, stream: StreamId, handle: Handle, tell: bool) {
        let mut waiting = self.lock();
        waiting.handles.remove(&stream);
        waiting.acks.remove(&handle);
        if tell {
            waiting.control.push_back(Up::Close(proto::Close { handle }));
            self.changed.notify_one();
        }
    }

    pub(super) fn acknowledge(&self, ack: &Ack) {
        let mut waiting = self.lock();
        if let Some(handle) = waiting.handles.get(&ack.stream).copied() {
            waiting.acks.insert(handle, ack.ends);
            self.changed.notify_one();
        }
    }

    /// So many bytes of records have been dealt with.
    pub(super) fn grant(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.credit = waiting.credit.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if waiting.credit >= CREDIT_PIECE_BYTES {
            self.changed.notify_one();
        }
    }

    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Up> {
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        if !self.acks.is_empty() {
            let mut rows = std::mem::take(&mut self.acks);
            let next = rows.keys().nth(REPLICATION_ROWS_MAX).copied();
            self.acks = next.map(|next| rows.split_off(&next)).unwrap_or_default();
            return Some(frames::acks_out(rows.into_iter()));
        }
        if self.credit >= CREDIT_PIECE_BYTES {
            return Some(Up::Credit(proto::Credit { bytes: std::mem::take(&mut self.credit) }));
        }
        None
    }
}

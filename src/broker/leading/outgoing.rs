//! What goes out to a follower: answers first, then records as long as there is credit, then marks.
//!
//! Invariants: one task makes all frames of a connection, so a stream's data follow the answer to its Open, and nothing
//! follows its refusal; of a stream one read at most waits for the disk.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{Connection, Leading, Request, lock};
use crate::base::executor::{BoxFuture, Task};
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::limits::{
    REPLICATION_COLD_READS_MAX, REPLICATION_FRAME_BYTES, REPLICATION_MARKS_DELAY_MS, REPLICATION_ROWS_MAX,
};
use crate::broker::frames::{self, Handle};
use crate::broker::{LaneQueue, Partition, Pulled};
use crate::log::{ColdRead, LogError, Read, Slice};
use crate::replica::StreamId;
use crate::replica::effect::Opened;
use crate::replica::follower::Marks;
use crate::rpc::replication as proto;
use crate::rpc::replication::leader_frame::Frame as Down;

/// The outgoing direction of one connection. Dropping it ends the connection's streams.
pub(super) struct Outgoing {
    leading: Arc<Leading>,
    connection: Arc<Connection>,
    greeting: Option<proto::HelloAck>,
    asked: mpsc::Receiver<Request>,
    /// The partitions that have something to send.
    lane: Arc<LaneQueue>,
    reading: FuturesUnordered<BoxFuture<'static, ColdRecords>>,
    /// The streams with a read under way, and whether they have offered themselves again since.
    waiting: BTreeMap<StreamId, bool>,
    marks: BTreeMap<Handle, Marks>,
    marks_due: Option<Instant>,
    _receiving: Task,
}

/// What a read from the disk found.
struct ColdRecords {
    stream: StreamId,
    partition: Arc<Partition>,
    head: Head,
    found: Result<Slice, LogError>,
}

/// What is said of records besides the records.
#[derive(Clone, Copy)]
struct Head {
    leader_epoch: LeaderEpoch,
    base_offset: Offset,
    marks: Marks,
}

enum Event {
    Asked(Option<Request>),
    Changed,
    Read(Option<ColdRecords>),
    Offered(StreamId, Arc<Partition>),
    MarksDue,
}

impl Outgoing {
    pub(super) fn new(
        leading: Arc<Leading>,
        connection: Arc<Connection>,
        greeting: proto::HelloAck,
        asked: mpsc::Receiver<Request>,
        receiving: Task,
    ) -> Self {
        Self {
            leading,
            connection,
            greeting: Some(greeting),
            asked,
            lane: Arc::default(),
            reading: FuturesUnordered::new(),
            waiting: BTreeMap::new(),
            marks: BTreeMap::new(),
            marks_due: None,
            _receiving: receiving,
        }
    }

    /// The next frame, when there is one; none once the follower has gone.
    pub(super) async fn next(&mut self) -> Option<proto::LeaderFrame> {
        loop {
            if let Some(frame) = self.at_once() {
                return Some(frame);
            }
            let frame = match self.event().await {
                Event::Asked(None) => return None,
                Event::Asked(Some(Request::Open(open))) => Some(self.open(&open)?),
                Event::Asked(Some(Request::Close(handle))) => self.close(handle),
                Event::Read(Some(records)) => self.cold(records),
                Event::Offered(stream, partition) => self.pull(stream, &partition),
                Event::Changed | Event::Read(None) | Event::MarksDue => None,
            };
            if frame.is_some() {
                return frame;
            }
        }
    }

    async fn event(&mut self) -> Event {
        let may_send =
            self.connection.credit.load(Ordering::Relaxed) > 0 && self.reading.len() < REPLICATION_COLD_READS_MAX;
        tokio::select! {
            biased;
            // What ends or begins streams, before what is sent on them.
            asked = self.asked.recv() => Event::Asked(asked),
            () = self.connection.changed.notified() => Event::Changed,
            // Reads that were waited for, before others are begun.
            read = self.reading.next(), if !self.reading.is_empty() => Event::Read(read),
            (stream, partition) = self.lane.next(), if may_send => Event::Offered(stream, partition),
            () = until(self.marks_due) => Event::MarksDue,
        }
    }

    /// What waits for nothing.
    fn at_once(&mut self) -> Option<proto::LeaderFrame> {
        if let Some(greeting) = self.greeting.take() {
            return Some(frames::down(Down::Hello(greeting)));
        }
        let refused = lock(&self.connection.streams).next_refused();
        if let Some(handle) = refused {
            return Some(self.refused(handle));
        }
        if self.marks_due.is_some_and(|due| due <= Instant::now()) {
            return self.gathered_marks();
        }
        None
    }

    /// None if the follower asks for what makes no sense: that ends the connection.
    fn open(&mut self, open: &proto::Open) -> Option<proto::LeaderFrame> {
        let handle = open.handle;
        drop(self.close(handle));
        let stream = self.leading.around.fresh_stream();
        let (topic, index, asked) = frames::open_in(open, stream).ok()?;
        let Some(partition) = self.leading.home.partition(topic, index) else {
            return Some(frames::opened_out(handle, Opened::NotLeader));
        };
        let opened = partition.on_open(self.connection.follower, &asked, &self.lane);
        if matches!(opened, Opened::Ok { .. }) {
            lock(&self.connection.streams).insert(handle, stream, partition);
        }
        Some(frames::opened_out(handle, opened))
    }

    fn close(&mut self, handle: Handle) -> Option<proto::LeaderFrame> {
        self.marks.remove(&handle);
        let closed = lock(&self.connection.streams).remove(handle);
        if let Some((stream, partition)) = closed {
            partition.on_follower_gone(stream);
        }
        None
    }

    fn refused(&mut self, handle: Handle) -> proto::LeaderFrame {
        self.marks.remove(&handle);
        frames::down(Down::Refused(proto::StreamRefused { handle }))
    }

    fn pull(&mut self, stream: StreamId, partition: &Arc<Partition>) -> Option<proto::LeaderFrame> {
        let handle = lock(&self.connection.streams).handles.get(&stream).copied()?;
        if let Some(again) = self.waiting.get_mut(&stream) {
            *again = true;
            return None;
        }
        let credit = usize::try_from(self.connection.credit.load(Ordering::Relaxed)).unwrap_or(0);
        match partition.pull(stream, REPLICATION_FRAME_BYTES.min(credit)) {
            Ok(Some(pulled)) => self.pulled(handle, stream, partition, pulled),
            Ok(None) => None,
            Err(error) => {
                debug!(event = "replication.read_failed", topic = %partition.name, partition = %partition.index, %error,
                    "a follower cannot be sent what it needs, and must open again");
                self.close(handle);
                Some(self.refused(handle))
            }
        }
    }

    fn pulled(
        &mut self,
        handle: Handle,
        stream: StreamId,
        partition: &Arc<Partition>,
        pulled: Pulled,
    ) -> Option<proto::LeaderFrame> {
        let Pulled { leader_epoch, base_offset, marks, records } = pulled;
        let head = Head { leader_epoch, base_offset, marks };
        match records {
            Read::Ready(slice) if slice.size == 0 => {
                self.marks.insert(handle, marks);
                self.marks_due
                    .get_or_insert_with(|| Instant::now() + Duration::from_millis(REPLICATION_MARKS_DELAY_MS));
                None
            }
            Read::Ready(slice) => Some(self.data(handle, head, slice)),
            Read::Cold(read) => {
                self.read(stream, Arc::clone(partition), head, read);
                None
            }
        }
    }

    fn data(&mut self, handle: Handle, head: Head, slice: Slice) -> proto::LeaderFrame {
        self.marks.remove(&handle);
        self.connection.credit.fetch_sub(i64::try_from(slice.size).unwrap_or(i64::MAX), Ordering::Relaxed);
        frames::down(Down::Data(proto::Data {
            handle,
            leader_epoch: head.leader_epoch.0,
            base_offset: head.base_offset.0,
            high_watermark: head.marks.high_watermark.0,
            log_start: head.marks.log_start.0,
            records: joined(slice),
        }))
    }

    /// Has a worker read what is not in memory, while other partitions go on.
    fn read(&mut self, stream: StreamId, partition: Arc<Partition>, head: Head, read: ColdRead) {
        self.waiting.insert(stream, false);
        let worker = Arc::clone(&self.leading.reads);
        self.reading.push(Box::pin(async move {
            let found = worker.call(move || read.run()).await;
            ColdRecords { stream, partition, head, found }
        }));
    }

    fn cold(&mut self, records: ColdRecords) -> Option<proto::LeaderFrame> {
        let ColdRecords { stream, partition, head, found } = records;
        let offered_again = self.waiting.remove(&stream).unwrap_or(false);
        let handle = lock(&self.connection.streams).handles.get(&stream).copied()?;
        match found {
            // A log that was led in one epoch all the while was not truncated under the read.
            Ok(slice) if slice.size > 0 && partition.led_epoch() == Some(head.leader_epoch) => {
                partition.sent_to(stream, slice.next);
                if offered_again {
                    self.lane.push(stream, partition);
                }
                Some(self.data(handle, head, slice))
            }
            found => {
                let error = found.err().map(|error| error.to_string());
                debug!(event = "replication.read_failed", topic = %partition.name, partition = %partition.index, error,
                    "a follower cannot be sent what it needs, and must open again");
                self.close(handle);
                Some(self.refused(handle))
            }
        }
    }

    /// None if all of them have travelled with records meanwhile.
    fn gathered_marks(&mut self) -> Option<proto::LeaderFrame> {
        let mut rows = std::mem::take(&mut self.marks);
        let next = rows.keys().nth(REPLICATION_ROWS_MAX).copied();
        self.marks = next.map(|next| rows.split_off(&next)).unwrap_or_default();
        if self.marks.is_empty() {
            self.marks_due = None;
        }
        (!rows.is_empty()).then(|| frames::marks_out(rows.into_iter()))
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let streams = std::mem::take(&mut *lock(&self.connection.streams));
        for (stream, partition) in streams.by_handle.into_values() {
            partition.on_follower_gone(stream);
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// The parts as one piece.
fn joined(mut slice: Slice) -> Bytes {
    if let [_] = slice.parts[..] {
        return slice.parts.swap_remove(0);
    }
    let mut whole = BytesMut::with_capacity(slice.size);
    slice.parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

//! A connection to a leader: opens what waits, and gives every frame to its partition.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;
use tracing::{debug, warn};

use super::lane::{Lane, Way};
use super::outbox::Outbox;
use super::wishes::{Key, key_of};
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::limits::{REPLICATION_LINGER_MS, REPLICATION_OPENS_MAX};
use crate::broker::frames::{self, Garbled, Handle};
use crate::broker::{Partition, PartitionError};
use crate::net::Peer;
use crate::record::{Batch, RecordError, check};
use crate::replica::StreamId;
use crate::replica::effect::Opened;
use crate::replica::follower::{Data, Marks};
use crate::rpc::replication as proto;
use crate::rpc::replication::leader_frame::Frame as Down;

pub(super) struct Connection {
    /// Kept for the connection that it has made.
    _peer: Peer,
    frames: Streaming<proto::LeaderFrame>,
    outbox: Arc<Outbox>,
    streams: BTreeMap<Handle, (StreamId, Arc<Partition>)>,
    by_partition: BTreeMap<Key, Handle>,
    last_handle: Handle,
    opens_unanswered: usize,
}

/// Why records that a leader sent were not written.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Partition(#[from] PartitionError),
    #[error("a batch is of the leader epoch {batch}, later than that of its leader, {leader}")]
    LaterEpoch { batch: LeaderEpoch, leader: LeaderEpoch },
    #[error("there are no records in it")]
    Empty,
}

enum Event {
    Metadata,
    Wishes,
    Idle,
    Frame(Option<proto::LeaderFrame>),
}

impl Connection {
    pub(super) fn new(peer: Peer, frames: Streaming<proto::LeaderFrame>, outbox: Arc<Outbox>) -> Self {
        Self {
            _peer: peer,
            frames,
            outbox,
            streams: BTreeMap::new(),
            by_partition: BTreeMap::new(),
            last_handle: 0,
            opens_unanswered: 0,
        }
    }

    /// Runs until the connection ends, is of no use any more, or leads to where the leader no longer is. True if it
    /// broke off.
    pub(super) async fn serve(mut self, lane: &mut Lane, way: &Way) -> bool {
        loop {
            let next_due = self.open_due(lane);
            match self.event(lane, next_due).await {
                Event::Metadata if lane.way().as_ref() == Some(way) => {}
                Event::Wishes => {}
                Event::Frame(Some(frame)) => {
                    if let Err(error) = self.on_frame(frame) {
                        warn!(event = "replication.garbled", leader = %lane.leader, %error,
                            "the connection to a leader is closed");
                        return false;
                    }
                }
                Event::Metadata | Event::Idle => return false,
                Event::Frame(None) => return true,
            }
        }
    }

    async fn event(&mut self, lane: &mut Lane, next_due: Option<Instant>) -> Event {
        let idle = self.streams.is_empty() && next_due.is_none();
        let linger = idle.then(|| Instant::now() + Duration::from_millis(REPLICATION_LINGER_MS));
        tokio::select! {
            biased;
            // Rare, and it may make all the rest pointless.
            _ = lane.metadata.changed() => Event::Metadata,
            () = lane.wished.notified() => Event::Wishes,
            () = until(next_due) => Event::Wishes,
            frame = self.frames.message() => Event::Frame(frame.ok().flatten()),
            () = until(linger) => Event::Idle,
        }
    }

    /// Opens what is due; returns when to look again.
    fn open_due(&mut self, lane: &Lane) -> Option<Instant> {
        let room = REPLICATION_OPENS_MAX.saturating_sub(self.opens_unanswered);
        if room == 0 {
            return None; // an answer will make room
        }
        let due = lane
            .shared
            .with(lane.leader, |entry| (entry.wishes.take_due(Instant::now(), room), entry.wishes.next_due()));
        let (due, next_due) = due.unwrap_or_default();
        for partition in due {
            match partition.leader() {
                Some((leader, _)) if leader == lane.leader => self.open(lane, &partition),
                _ => lane.shared.open(&partition, 0),
            }
        }
        next_due
    }

    fn open(&mut self, lane: &Lane, partition: &Arc<Partition>) {
        if let Some(handle) = self.by_partition.get(&key_of(partition)).copied() {
            self.close(handle, true);
        }
        let stream = lane.shared.around.fresh_stream();
        let Some(open) = partition.open(stream) else { return };
        let handle = self.fresh_handle();
        self.outbox.open(stream, handle, frames::open_out(handle, partition.topic, partition.index, &open));
        self.streams.insert(handle, (stream, Arc::clone(partition)));
        self.by_partition.insert(key_of(partition), handle);
        self.opens_unanswered += 1;
    }

    fn fresh_handle(&mut self) -> Handle {
        loop {
            self.last_handle = self.last_handle.wrapping_add(1);
            if !self.streams.contains_key(&self.last_handle) {
                return self.last_handle;
            }
        }
    }

    fn close(&mut self, handle: Handle, tell: bool) -> Option<(StreamId, Arc<Partition>)> {
        let (stream, partition) = self.streams.remove(&handle)?;
        self.by_partition.remove(&key_of(&partition));
        self.outbox.close(stream, handle, tell);
        Some((stream, partition))
    }

    fn on_frame(&mut self, frame: proto::LeaderFrame) -> Result<(), Garbled> {
        match frame.frame {
            Some(Down::Data(data)) => self.on_data(data),
            Some(Down::Marks(marks)) => return self.on_marks(&marks),
            Some(Down::Open(result)) => return self.on_opened(&result),
            Some(Down::Refused(refused)) => {
                if let Some((stream, partition)) = self.close(refused.handle, false) {
                    partition.on_leader_gone(stream);
                }
            }
            Some(Down::Hello(_)) => return Err(Garbled("a second HelloAck")),
            None => {} // of a later version, which knows that we may not understand it
        }
        Ok(())
    }

    fn on_opened(&mut self, result: &proto::OpenResult) -> Result<(), Garbled> {
        let opened = frames::opened_in(result)?;
        self.opens_unanswered = self.opens_unanswered.saturating_sub(1);
        let found = match opened {
            Opened::Ok { .. } => self.streams.get(&result.handle).cloned(),
            _ => self.close(result.handle, false),
        };
        if let Some((stream, partition)) = found {
            partition.on_opened(stream, opened);
        }
        Ok(())
    }

    fn on_marks(&mut self, marks: &proto::Marks) -> Result<(), Garbled> {
        for (handle, marks) in frames::marks_in(marks)? {
            if let Some((stream, partition)) = self.streams.get(&handle) {
                partition.on_marks(*stream, marks);
            }
        }
        Ok(())
    }

    fn on_data(&mut self, data: proto::Data) {
        let (handle, bytes) = (data.handle, data.records.len());
        if let Some((stream, partition)) = self.streams.get(&handle).cloned()
            && let Err(error) = write(stream, &partition, data)
        {
            warn!(event = "replication.unusable", topic = %partition.name, partition = %partition.index, %error,
                "what a leader sent could not be written; it is asked again");
            self.close(handle, true);
            partition.on_leader_gone(stream);
        }
        self.outbox.grant(bytes);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox.end();
        let streams = std::mem::take(&mut self.streams);
        debug!(event = "replication.disconnected", streams = streams.len(), "a connection to a leader has ended");
        for (stream, partition) in streams.into_values() {
            partition.on_leader_gone(stream);
        }
    }
}

fn write(stream: StreamId, partition: &Arc<Partition>, data: proto::Data) -> Result<(), Unusable> {
    let leader_epoch = LeaderEpoch(data.leader_epoch);
    let marks = Marks { high_watermark: Offset(data.high_watermark), log_start: Offset(data.log_start) };
    let batches = batches(data.records, leader_epoch)?;
    let data = Data { stream, leader_epoch, base_offset: Offset(data.base_offset) };
    Ok(partition.on_data(&data, marks, &batches)?)
}

fn batches(records: Bytes, leader_epoch: LeaderEpoch) -> Result<Vec<Batch>, Unusable> {
    let batches = check::from_leader(records)?;
    if batches.is_empty() {
        return Err(Unusable::Empty);
    }
    let later = batches.iter().map(|batch| batch.header().leader_epoch).find(|epoch| *epoch > leader_epoch);
    later.map_or(Ok(batches), |batch| Err(Unusable::LaterEpoch { batch, leader: leader_epoch }))
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

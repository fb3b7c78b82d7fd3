//! What is done after a partition's lock was let go of: answers, wake-ups, errands.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Produced;
use super::lead::LaneQueue;
use super::watch::Watch;
use crate::broker::{Errand, Errands, Partition, PartitionError};
use crate::log::LogError;
use crate::replica::StreamId;

/// A producer that waits.
type Writer = oneshot::Sender<Result<(), PartitionError>>;

/// A producer whose append was parked.
type Appender = oneshot::Sender<Result<Produced, PartitionError>>;

/// Gathered under the lock, carried out after it. Empty lists cost nothing.
#[derive(Default)]
pub(super) struct After {
    answers: Vec<(Writer, Result<(), PartitionError>)>,
    appends: Vec<(Appender, Result<Produced, PartitionError>)>,
    watches: Vec<Arc<Watch>>,
    lanes: Vec<(Arc<LaneQueue>, StreamId, Arc<Partition>)>,
    errands: Vec<Errand>,
}

impl After {
    pub(super) fn answer(&mut self, writer: Writer, answer: Result<(), PartitionError>) {
        self.answers.push((writer, answer));
    }

    pub(super) fn produced(&mut self, appender: Appender, outcome: Result<Produced, PartitionError>) {
        self.appends.push((appender, outcome));
    }

    /// A reader has news of this partition.
    pub(super) fn tell(&mut self, watch: Arc<Watch>) {
        self.watches.push(watch);
    }

    pub(super) fn errand(&mut self, errand: Errand) {
        self.errands.push(errand);
    }

    /// A write that failed for want of anything but room leaves nobody sure of what is on the disk.
    pub(super) fn on_log_error(&mut self, error: &LogError, partition: &Arc<Partition>) {
        if let LogError::Io { path, source } = error {
            let (path, source) = (path.clone(), io::Error::new(source.kind(), source.to_string()));
            self.errand(Errand::DiskFailed(Arc::clone(partition), LogError::Io { path, source }));
        }
    }

    pub(super) fn refuse(&mut self, stream: StreamId) {
        self.errands.push(Errand::RefuseStream(stream));
    }

    /// There is something to send on this stream.
    pub(super) fn send_on(&mut self, lane: Arc<LaneQueue>, stream: StreamId, partition: &Arc<Partition>) {
        self.lanes.push((lane, stream, Arc::clone(partition)));
    }

    pub(super) fn carry_out(self, errands: &Errands) {
        for (lane, stream, partition) in self.lanes {
            lane.push(stream, partition);
        }
        for (writer, answer) in self.answers {
            // A client that has gone away waits for nothing.
            drop(writer.send(answer));
        }
        for (appender, outcome) in self.appends {
            drop(appender.send(outcome));
        }
        self.watches.iter().for_each(|watch| watch.fire());
        if !self.errands.is_empty() {
            errands.push(self.errands);
        }
    }
}

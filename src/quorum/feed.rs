//! The metadata feed: committed entries, from any place on, for as long as somebody listens.
//!
//! A subscriber is a position and nothing else. It is answered when it asks for more, from the Raft log: the newest
//! entries lie in memory, older ones are read from the store. So a slow subscriber holds nothing, and one that is so
//! far behind that the log has been purged gets the image.
//!
//! Invariants: entries come in their order, without gaps but for those that Raft keeps for itself; only what is
//! applied here is sent.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use openraft::entry::RaftEntry;
use openraft::{EntryPayload, RaftLogReader};
use tokio::time::timeout;

use super::handle::Quorum;
use super::image::Published;
use super::log::RaftLog;
use crate::base::ids::MetadataIndex;
use crate::base::limits::{FEED_ENTRIES_MAX, FEED_FRAME_BYTES_MAX, FEED_QUIET_MS_MAX, FEED_SNAPSHOT_FACTS_MAX};
use crate::metadata::{Fact, Image, codec, snapshot};
use crate::rpc::controller as proto;
use proto::feed_frame::Frame;

/// Where one subscriber stands.
pub(super) struct Subscriber {
    quorum: Quorum,
    log: RaftLog,
    image: Published,
    /// The first entry it does not have.
    next: MetadataIndex,
    ready: VecDeque<Frame>,
    /// It has been told who rules and how far the log reaches.
    is_told: bool,
}

impl Subscriber {
    pub fn new(quorum: Quorum, log: RaftLog, image: Published, next: MetadataIndex) -> Self {
        Self { quorum, log, image, next, ready: VecDeque::new(), is_told: false }
    }

    /// What it is sent, one frame each time it asks; ends when this controller does.
    pub fn frames(self) -> impl Stream<Item = io::Result<proto::FeedFrame>> {
        stream::try_unfold(self, |mut subscriber| async move {
            let frame = subscriber.next_frame().await?;
            Ok(frame.map(|frame| (proto::FeedFrame { frame: Some(frame) }, subscriber)))
        })
    }

    async fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let image = Arc::clone(&self.image.borrow_and_update());
            if self.next <= image.applied() {
                self.read(&image).await?;
            } else if !std::mem::replace(&mut self.is_told, true) {
                return Ok(Some(self.progress(&image)));
            } else if !self.wait().await {
                return Ok(None);
            }
        }
    }

    /// Fetches the next entries, or the image where they are purged.
    async fn read(&mut self, image: &Image) -> io::Result<()> {
        let (from, applied) = (self.next.0, image.applied().0);
        let until = (applied + 1).min(from + FEED_ENTRIES_MAX);
        let entries = self.log.try_get_log_entries(from..until).await?;
        self.is_told = false;
        if entries.first().is_none_or(|first| first.index() != from) {
            self.ready = whole(image);
            self.next = MetadataIndex(applied + 1);
            return Ok(());
        }
        let mut frame = proto::Batches::default();
        let mut bytes = 0;
        for entry in entries {
            let EntryPayload::Normal(facts) = &entry.payload else { continue };
            bytes += facts.0.len();
            frame.entries.push(proto::Entry { index: entry.index(), batch: facts.0.clone() });
            if bytes >= FEED_FRAME_BYTES_MAX {
                self.ready.push_back(Frame::Batches(std::mem::take(&mut frame)));
                bytes = 0;
            }
        }
        if !frame.entries.is_empty() {
            self.ready.push_back(Frame::Batches(frame));
        }
        self.next = MetadataIndex(until);
        Ok(())
    }

    /// Waits for news of any kind, or until it is time to say that there is none; false when nothing can come.
    async fn wait(&mut self) -> bool {
        let reign = self.quorum.reign();
        let quiet = Duration::from_millis(FEED_QUIET_MS_MAX);
        tokio::select! {
            biased;
            changed = self.image.changed() => changed.is_ok(),
            waited = timeout(quiet, self.quorum.reign_changed(reign)) => {
                self.is_told = false;
                waited != Ok(false)
            }
        }
    }

    fn progress(&self, image: &Image) -> Frame {
        let active = self.quorum.leader();
        let active = active.map(|member| proto::ControllerAddress { node_id: member.node.0, address: member.address });
        Frame::Progress(proto::Progress { committed: image.applied().0, active })
    }
}

/// The whole image, in frames.
fn whole(image: &Image) -> VecDeque<Frame> {
    let mut frames = VecDeque::new();
    let mut facts = snapshot::facts(image).peekable();
    while facts.peek().is_some() {
        let some: Vec<Fact> = facts.by_ref().take(FEED_SNAPSHOT_FACTS_MAX).collect();
        frames.push_back(Frame::Snapshot(proto::Snapshot {
            index: image.applied().0,
            chunk: codec::encode_chunk(&some),
            is_last: facts.peek().is_none(),
            state_hash: image.hash().0,
        }));
    }
    frames
}

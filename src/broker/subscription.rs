//! Follows the metadata log: applies what is committed, makes this node so, then publishes the image.
//!
//! Invariants: entries are applied in order, each once; the image that others see is one this node already acts on;
//! nothing is acted on before this run's own registration (a restarted leader that took up its old leadership would
//! have others cut what was committed without it).

use std::io;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{debug, error};

use super::Broker;
use super::link::{ControllerLink, client};
use crate::base::ids::MetadataIndex;
use crate::base::limits::{CONTROLLER_RETRY_MS, FEED_SILENCE_MS_MAX};
use crate::metadata::codec::{decode, decode_chunk};
use crate::metadata::{Delta, Fact, Image, snapshot};
use crate::net::Peer;
use crate::rpc::controller as proto;

/// Follows for ever, one controller after another.
pub(super) async fn follow(broker: Broker) {
    let mut following = Following { broker, image: Image::default(), chunks: Vec::new() };
    loop {
        if let Err(why) = following.listen().await {
            debug!(event = "feed.interrupted", why, "the metadata feed is taken up elsewhere");
        }
        sleep(Duration::from_millis(CONTROLLER_RETRY_MS)).await;
    }
}

struct Following {
    broker: Broker,
    /// All that was applied; what others see may be older by one step.
    image: Image,
    /// Of a snapshot that is arriving.
    chunks: Vec<Fact>,
}

impl Following {
    /// Listens to one controller until it falls silent.
    async fn listen(&mut self) -> Result<(), String> {
        let broker = self.broker.clone();
        let link = &broker.0.link;
        let (address, peer) = link.next();
        let outcome = self.listen_to(link, &address, &peer).await;
        peer.give_up(); // what the feed leaves behind on the connection is nobody's
        outcome
    }

    async fn listen_to(&mut self, link: &ControllerLink, address: &str, peer: &Peer) -> Result<(), String> {
        let silence = Duration::from_millis(FEED_SILENCE_MS_MAX);
        let request = proto::FeedRequest {
            cluster_id: link.cluster().0.0.to_vec().into(),
            next_index: self.image.applied().0 + 1,
        };
        let call = |channel| async move { client(channel).feed(request).await };
        let mut frames = link.unless_doubted(address, peer.call(silence, call)).await?.map_err(|error| {
            link.note_active(None);
            error.to_string()
        })?;
        loop {
            let frame = link.unless_doubted(address, timeout(silence, frames.message())).await?;
            let frame = frame.map_err(|_| format!("{address} fell silent"))?;
            match frame.map_err(|status| status.to_string())?.and_then(|frame| frame.frame) {
                Some(frame) => self.take(frame).await.map_err(|error| error.to_string())?,
                None => return Err(format!("{address} ended the feed")),
            }
        }
    }

    async fn take(&mut self, frame: proto::feed_frame::Frame) -> io::Result<()> {
        use proto::feed_frame::Frame;
        match frame {
            Frame::Progress(progress) => {
                self.broker.0.link.note_active(progress.active.map(|active| active.address));
                self.broker.open_what_wants_room().await;
                Ok(())
            }
            Frame::Batches(batches) => {
                for entry in batches.entries {
                    self.apply(MetadataIndex(entry.index), entry.batch).await?;
                }
                Ok(())
            }
            Frame::Snapshot(part) => self.take_snapshot(part).await,
        }
    }

    async fn apply(&mut self, index: MetadataIndex, bytes: bytes::Bytes) -> io::Result<()> {
        if index <= self.image.applied() {
            return Ok(());
        }
        let mut image = self.image.clone();
        let batch = decode(index, bytes).map_err(|error| misunderstood(&error))?;
        let delta = image.apply_batch(index, &batch).map_err(|error| misunderstood(&error))?;
        self.image = image;
        self.broker.act_on(self.image.clone(), delta).await;
        Ok(())
    }

    async fn take_snapshot(&mut self, part: proto::Snapshot) -> io::Result<()> {
        let index = MetadataIndex(part.index);
        self.chunks.extend(decode_chunk(index, part.chunk).map_err(|error| misunderstood(&error))?);
        if part.is_last {
            let image = snapshot::rebuild(index, std::mem::take(&mut self.chunks));
            let delta = Delta::between(&self.image, &image);
            self.image = image;
            self.broker.act_on(self.image.clone(), delta).await;
        }
        Ok(())
    }
}

/// Metadata of a later version, or damaged: going on without it would be going astray.
fn misunderstood(why: &dyn std::fmt::Display) -> io::Error {
    error!(event = "feed.misunderstood", %why, "this node cannot read the metadata log any further");
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

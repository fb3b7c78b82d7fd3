//! The image of a controller: what Raft applies facts to, published to whoever decides or watches.
//!
//! Invariants: every entry is applied whole or ends the node with its position: an unknown kind of fact, a feature
//! level above ours and a wrong state hash are never passed over.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;

use super::machine::{Encode, State};
use super::types::Facts;
use crate::base::ids::MetadataIndex;
use crate::metadata::{Image, StateHash, codec, snapshot};
use crate::rpc::controller as proto;

/// An image as somebody else may look at it: always the newest one that is applied here.
pub type Published = watch::Receiver<Arc<Image>>;

/// The image as Raft's state.
pub struct Metadata {
    image: watch::Sender<Arc<Image>>,
}

impl Metadata {
    /// An empty image, and where its successors appear.
    pub fn new() -> (Self, Published) {
        let (image, published) = watch::channel(Arc::default());
        (Self { image }, published)
    }
}

impl State for Metadata {
    fn apply(&mut self, index: MetadataIndex, facts: &Facts) -> io::Result<()> {
        let batch = codec::decode(index, facts.0.clone()).map_err(damaged)?;
        let mut image = Image::clone(&self.image.borrow());
        image.apply_batch(index, &batch).map_err(damaged)?;
        self.image.send_replace(Arc::new(image));
        Ok(())
    }

    fn snapshot(&self) -> Encode {
        let image = Arc::clone(&self.image.borrow());
        Box::new(move || {
            let facts: Vec<_> = snapshot::facts(&image).collect();
            let whole = proto::Snapshot {
                index: image.applied().0,
                chunk: codec::encode_chunk(&facts),
                is_last: true,
                state_hash: image.hash().0,
            };
            whole.encode_to_vec().into()
        })
    }

    fn restore(&mut self, bytes: &Bytes) -> io::Result<()> {
        let whole = proto::Snapshot::decode(bytes.clone())?;
        let index = MetadataIndex(whole.index);
        let image = snapshot::rebuild(index, codec::decode_chunk(index, whole.chunk).map_err(damaged)?);
        if image.hash() != StateHash(whole.state_hash) {
            let (found, expected) = (image.hash(), StateHash(whole.state_hash));
            return Err(damaged(format!("the snapshot of entry {index} makes state {found}, it says {expected}")));
        }
        self.image.send_replace(Arc::new(image));
        Ok(())
    }
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

//! What the lanes between brokers ask of the broker they belong to.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Partition, Partitions};
use crate::base::ids::{PartitionIndex, TopicId};
use crate::metadata::Image;

/// The broker as its lanes see it.
pub trait Home: Send + Sync + 'static {
    /// Metadata as this broker knows it.
    fn image(&self) -> Arc<Image>;

    /// This broker's replica of a partition.
    fn partition(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<Partition>>;
}

/// A view of a broker that does not keep it alive.
pub(super) struct View {
    pub(super) image: watch::Receiver<Arc<Image>>,
    pub(super) partitions: Arc<Partitions>,
}

impl Home for View {
    fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    fn partition(&self, topic: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        self.partitions.get(topic, index)
    }
}

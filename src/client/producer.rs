//! An idempotent producer with `acks=all`: every record is written at most once, in the order of sending per partition.
//!
//! Open loop: [`Producer::send`] never waits. Records go at once while a broker has fewer than five requests to answer,
//! and gather into batches while it has not. What fails is sent again, with the same sequence numbers, until its time
//! is up.

mod lane;
mod sender;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::{ClientError, Cluster, TopicPartition};
use crate::base::clock::WallMillis;
use crate::base::executor::Task;
use crate::base::ids::{Offset, PartitionIndex};
use crate::base::limits::{PRODUCER_BYTES_MAX, PRODUCER_INBOX_RECORDS_MAX};
use crate::wire::Text;

#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// How long a record may take from `send` to its acknowledgement before it is given up.
    pub delivery_patience: Duration,
    /// How long a broker may take for one request.
    pub request_patience: Duration,
    /// What a batch may hold before the next one is begun; a larger record is a batch of its own.
    pub batch_bytes: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            delivery_patience: Duration::from_secs(120),
            request_patience: Duration::from_secs(10),
            batch_bytes: 64 * 1024,
        }
    }
}

/// Writes records. Dropping it gives up whatever is not delivered yet.
pub struct Producer {
    cluster: Cluster,
    options: ProducerOptions,
    inbox: mpsc::Sender<(TopicPartition, Unsent)>,
    room: Arc<Semaphore>,
    _sender: Task,
}

impl Producer {
    pub fn new(cluster: &Cluster, options: ProducerOptions) -> Self {
        let (inbox, records) = mpsc::channel(PRODUCER_INBOX_RECORDS_MAX);
        let sender = sender::Sender::new(cluster.clone(), options, records);
        Self {
            cluster: cluster.clone(),
            options,
            inbox,
            room: Arc::new(Semaphore::new(PRODUCER_BYTES_MAX)),
            _sender: cluster.seams().executor.spawn("client.producer", Box::pin(sender.run())),
        }
    }

    /// Sends a record; what comes back says where it was written.
    pub fn send(&self, topic: &Text, partition: PartitionIndex, key: Option<Bytes>, value: Option<Bytes>) -> Delivery {
        let (told, delivery) = oneshot::channel();
        let size = key.as_ref().map_or(0, Bytes::len) + value.as_ref().map_or(0, Bytes::len);
        let room = u32::try_from(size).ok().and_then(|size| self.room.clone().try_acquire_many_owned(size).ok());
        let Some(room) = room else { return Delivery::refused(ClientError::Full) };
        let record = Unsent {
            timestamp: self.cluster.seams().clock.now(),
            key,
            value,
            deadline: Instant::now() + self.options.delivery_patience,
            receipt: Receipt { told, _room: room },
        };
        if let Err(error) = self.inbox.try_send((TopicPartition::new(topic, partition), record)) {
            let (mpsc::error::TrySendError::Full(refused) | mpsc::error::TrySendError::Closed(refused)) = error;
            refused.1.receipt.tell(Err(ClientError::Full));
        }
        Delivery(delivery)
    }
}

/// A record that is in no batch yet.
struct Unsent {
    timestamp: WallMillis,
    key: Option<Bytes>,
    value: Option<Bytes>,
    deadline: Instant,
    receipt: Receipt,
}

impl Unsent {
    fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// What a sender of a record holds of it until it can tell how it went.
struct Receipt {
    told: oneshot::Sender<Result<Offset, ClientError>>,
    _room: OwnedSemaphorePermit,
}

impl Receipt {
    fn tell(self, result: Result<Offset, ClientError>) {
        let _ = self.told.send(result); // whoever does not want to know has dropped the delivery
    }
}

/// Becomes the offset a record was written at. An error that is not the broker's refusal leaves open whether it was.
#[must_use = "it says whether the record was written"]
pub struct Delivery(oneshot::Receiver<Result<Offset, ClientError>>);

impl Delivery {
    fn refused(why: ClientError) -> Self {
        let (told, delivery) = oneshot::channel();
        let _ = told.send(Err(why)); // the receiver is right here
        Self(delivery)
    }
}

impl Future for Delivery {
    type Output = Result<Offset, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(told.unwrap_or(Err(ClientError::Closed)))
    }
}

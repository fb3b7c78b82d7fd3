//! The records of control batches: how a transaction ended.

use bytes::{Buf, BufMut};

use super::batch::Batch;
use crate::base::clock::WallMillis;
use crate::base::ids::{ProducerEpoch, ProducerId};

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TxnOutcome {
    Abort,
    Commit,
}

/// The record that ends a transaction of a producer in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTxnMarker {
    pub outcome: TxnOutcome,
    /// The transaction coordinator's leader epoch: markers of an older one are refused.
    pub coordinator_epoch: i32,
}

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

impl EndTxnMarker {
    /// The marker in a batch, if it is a control batch that ends a transaction.
    pub fn of(batch: &Batch) -> Option<Self> {
        if !batch.header().attributes.is_control() {
            return None;
        }
        let record = batch.records().ok()?.next()?.ok()?;
        let (mut key, mut value) = (record.key?, record.value?);
        if key.len() < 4 || value.len() < 6 {
            return None;
        }
        key.advance(2); // version: later ones only add fields
        let outcome = match key.get_i16() {
            ABORT => TxnOutcome::Abort,
            COMMIT => TxnOutcome::Commit,
            _ => return None,
        };
        value.advance(2);
        Some(Self { outcome, coordinator_epoch: value.get_i32() })
    }

    /// The control batch that writes this marker for a producer.
    pub fn batch(self, id: ProducerId, epoch: ProducerEpoch, now: WallMillis) -> Batch {
        let (mut key, mut value) = (Vec::with_capacity(4), Vec::with_capacity(6));
        key.put_i16(VERSION);
        key.put_i16(match self.outcome {
            TxnOutcome::Abort => ABORT,
            TxnOutcome::Commit => COMMIT,
        });
        value.put_i16(VERSION);
        value.put_i32(self.coordinator_epoch);
        super::BatchBuilder::control(id, epoch).record(now, Some(&key), Some(&value), &[]).build()
    }
}

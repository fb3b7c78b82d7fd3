//! Judges batches where they enter: from clients at the leader, from leaders at the follower.
//!
//! Invariants: what is accepted here no consumer stumbles over later, as far as can be seen without decompressing
//! needlessly; the work is bounded by the bytes that were sent, and nothing is allocated unless they are decompressed.
//!
//! Absent on purpose: sequences and epochs of producers (the replica knows them).

use bytes::Bytes;

use super::batch::{Batch, BatchHeader, Codec, NO_TIMESTAMP};
use super::compression::Compression;
use super::error::{RecordError, Rejected, Rejection};
use super::records::RawRecord;
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;

/// What compressed records may expand to: far more than any client packs into a batch, and little enough to hold.
pub const EXPANDED_BYTES_MAX: usize = 128 << 20;

/// How many records of a batch are named when their topic does not take them: as many as librdkafka packs into one.
const REJECTED_MAX: usize = 10_000;

/// What a topic asks of the batches that clients send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `max.message.bytes`
    pub bytes_max: usize,
    /// A compacted topic needs the key of every record.
    pub keys_required: bool,
    pub timestamps: Timestamps,
    /// `compression.type`, unless it is `producer`.
    pub compression: Option<Compression>,
    pub now: WallMillis,
}

impl Rules {
    /// Whether compressed records must be opened: to be packed otherwise, for their keys, or for their oldest time.
    fn open(&self, codec: Codec) -> bool {
        let old = matches!(self.timestamps, Timestamps::Create { before_max_ms, .. } if before_max_ms < i64::MAX);
        self.repack(codec).is_some() || self.keys_required || old
    }

    /// How a batch of this codec is to be packed anew, if it is.
    fn repack(&self, codec: Codec) -> Option<Compression> {
        self.compression.filter(|wanted| wanted.codec != codec)
    }

    /// What this topic has against a record.
    fn rejection(&self, record: &RawRecord<'_>, timestamp: WallMillis) -> Option<Rejection> {
        if self.keys_required && record.key.is_none() {
            return Some(Rejection::NoKey);
        }
        self.is_far(timestamp).then_some(Rejection::Timestamp(timestamp.0))
    }

    /// Whether a timestamp is further from now than is allowed.
    fn is_far(&self, timestamp: WallMillis) -> bool {
        let Timestamps::Create { before_max_ms, after_max_ms } = self.timestamps else { return false };
        let ahead = timestamp.0.saturating_sub(self.now.0);
        let behind = self.now.0.saturating_sub(timestamp.0);
        timestamp != NO_TIMESTAMP && (ahead > after_max_ms || behind > before_max_ms)
    }
}

/// `message.timestamp.type`, and what goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timestamps {
    /// The producer's, within `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` of now.
    Create { before_max_ms: i64, after_max_ms: i64 },
    /// The time of the append.
    Append,
}

/// The one batch that a client sent for a partition.
///
/// A compressed batch is not opened unless a rule asks for it: its timestamps are believed as its header tells them.
pub fn from_client(mut records: Bytes, rules: &Rules) -> Result<Batch, RecordError> {
    let mut batch = Batch::split_from(&mut records)?;
    if !records.is_empty() {
        return Err(RecordError::MoreThanOneBatch(records.len()));
    }
    check_size(&batch, rules)?;
    batch.verify()?;
    check_header(batch.header())?;
    let codec = batch.header().attributes.codec()?;
    let mut max_timestamp = batch.header().max_timestamp;
    if codec == Codec::None || rules.open(codec) {
        let body = batch.opened_body(EXPANDED_BYTES_MAX)?;
        max_timestamp = walk(batch.header(), &body, rules)?;
        if let Some(compression) = rules.repack(codec) {
            batch = Batch::packed(*batch.header(), body, compression);
            check_size(&batch, rules)?; // it may have grown
        }
    }
    match rules.timestamps {
        Timestamps::Append => batch.stamp(rules.now),
        Timestamps::Create { .. } => {
            if batch.header().attributes.has_append_time() {
                return Err(RecordError::AppendTime);
            }
            if rules.is_far(max_timestamp) {
                return Err(RecordError::Timestamp(max_timestamp.0));
            }
            if max_timestamp != batch.header().max_timestamp {
                batch.correct_max_timestamp(max_timestamp);
            }
        }
    }
    Ok(batch)
}

/// The whole batches that a leader sent, offsets and epochs assigned. Their records were judged when they came to it.
pub fn from_leader(mut records: Bytes) -> Result<Vec<Batch>, RecordError> {
    let mut batches = Vec::new();
    while !records.is_empty() {
        let batch = Batch::split_from(&mut records)?;
        batch.verify()?;
        if batch.header().last_offset_delta < 0 {
            let BatchHeader { last_offset_delta, count, .. } = *batch.header();
            return Err(RecordError::OffsetRange { last_offset_delta, count });
        }
        batches.push(batch);
    }
    Ok(batches)
}

fn check_size(batch: &Batch, rules: &Rules) -> Result<(), RecordError> {
    if batch.size() > rules.bytes_max {
        return Err(RecordError::TooLarge { bytes: batch.size(), most: rules.bytes_max });
    }
    Ok(())
}

fn check_header(header: &BatchHeader) -> Result<(), RecordError> {
    if header.base_offset != Offset(0) {
        return Err(RecordError::BaseOffset(header.base_offset.0));
    }
    if header.count <= 0 {
        return Err(RecordError::Count(header.count));
    }
    if header.last_offset_delta != header.count - 1 {
        return Err(RecordError::OffsetRange { last_offset_delta: header.last_offset_delta, count: header.count });
    }
    if header.attributes.is_control() {
        return Err(RecordError::ControlBatch);
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(RecordError::Sequence(header.base_sequence));
    }
    Ok(())
}

/// Walks the records once. Returns the largest timestamp among them.
fn walk(header: &BatchHeader, body: &[u8], rules: &Rules) -> Result<WallMillis, RecordError> {
    let mut rest = body;
    let mut max_timestamp = NO_TIMESTAMP;
    let mut rejected = Vec::new();
    // Ends early on a count that is too large: a record takes at least one byte.
    for record in 0..header.count {
        let raw = RawRecord::take(&mut rest).map_err(|what| RecordError::Malformed { record, what })?;
        if raw.offset_delta != record {
            return Err(RecordError::OffsetDelta { record, offset_delta: raw.offset_delta });
        }
        let timestamp = WallMillis(header.base_timestamp.0.wrapping_add(raw.timestamp_delta));
        // A client tells its user for every record whether that one was wrong, so all of them are looked for.
        if let Some(why) = rules.rejection(&raw, timestamp)
            && rejected.len() < REJECTED_MAX
        {
            rejected.push(Rejected { record, why });
        }
        max_timestamp = max_timestamp.max(timestamp);
    }
    if !rest.is_empty() {
        return Err(RecordError::Malformed { record: header.count, what: "bytes follow the last record" });
    }
    if !rejected.is_empty() {
        return Err(RecordError::Rejected(rejected));
    }
    Ok(max_timestamp)
}

#[cfg(test)]
mod tests;

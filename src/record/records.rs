//! The records of an uncompressed batch, one after the other, without copying them.
//!
//! Invariants: nothing is allocated for what a length claims; every length is checked against the bytes that are there.

use bytes::Bytes;

use super::batch::{BatchHeader, Codec};
use super::{RecordError, varint};
use crate::base::clock::WallMillis;
use crate::base::ids::Offset;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: WallMillis,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

/// The headers of a record, still encoded; iterate to read them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Headers {
    rest: Bytes,
    count: i32,
}

/// One header of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Iterates over the records of a batch; ends after the first that is malformed.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    rest: Bytes,
    next: i32,
}

impl Records {
    pub(super) fn of(header: &BatchHeader, body: &Bytes) -> Result<Self, RecordError> {
        match header.attributes.codec()? {
            Codec::None => Ok(Self::over(header, body)),
            _ => Err(RecordError::Compressed),
        }
    }

    /// The records in a body that is not, or no longer, compressed.
    pub(super) fn over(header: &BatchHeader, body: &Bytes) -> Self {
        Self { header: *header, rest: body.clone(), next: 0 }
    }

    fn own(&self, raw: &RawRecord<'_>) -> Record {
        let timestamp = if self.header.attributes.has_append_time() {
            self.header.max_timestamp
        } else {
            WallMillis(self.header.base_timestamp.0.wrapping_add(raw.timestamp_delta))
        };
        Record {
            offset: Offset(self.header.base_offset.0.wrapping_add(i64::from(raw.offset_delta))),
            timestamp,
            key: raw.key.map(|key| self.rest.slice_ref(key)),
            value: raw.value.map(|value| self.rest.slice_ref(value)),
            headers: Headers { rest: self.rest.slice_ref(raw.headers), count: raw.header_count },
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.header.count {
            return None;
        }
        let mut input = &self.rest[..];
        let record = match RawRecord::take(&mut input) {
            Ok(raw) => Ok(self.own(&raw)),
            Err(what) => Err(RecordError::Malformed { record: self.next, what }),
        };
        self.next = if record.is_ok() { self.next + 1 } else { self.header.count };
        let rest = input.len();
        drop(self.rest.split_to(self.rest.len() - rest));
        Some(record)
    }
}

impl Iterator for Headers {
    type Item = Header;

    fn next(&mut self) -> Option<Header> {
        if self.count == 0 {
            return None;
        }
        let mut input = &self.rest[..];
        let (key, value) = take_header(&mut input).expect("headers were walked when their record was");
        let header = Header { key: self.rest.slice_ref(key), value: value.map(|value| self.rest.slice_ref(value)) };
        self.count -= 1;
        self.rest = self.rest.slice_ref(input);
        Some(header)
    }
}

/// A record as it lies in the bytes.
pub(super) struct RawRecord<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// All of it, its length included; and what follows its timestamp.
    pub whole: &'a [u8],
    pub after_timestamp: &'a [u8],
    headers: &'a [u8],
    header_count: i32,
}

impl<'a> RawRecord<'a> {
    /// Takes the next record off the front, or says what is wrong with it.
    pub(super) fn take(input: &mut &'a [u8]) -> Result<Self, &'static str> {
        let from = *input;
        let length = varint::take_i32(input).ok_or("its length is cut off")?;
        let mut body = take_bytes(input, length).ok_or("it is longer than the batch")?;
        let (_attributes, rest) = body.split_first().ok_or("it is empty")?;
        body = rest;
        let whole = &from[..from.len() - input.len()];
        let timestamp_delta = varint::take_i64(&mut body).ok_or("its timestamp is cut off")?;
        let after_timestamp = body;
        let offset_delta = varint::take_i32(&mut body).ok_or("its offset delta is cut off")?;
        let key = take_nullable(&mut body).ok_or("its key is longer than the record")?;
        let value = take_nullable(&mut body).ok_or("its value is longer than the record")?;
        let header_count = varint::take_i32(&mut body).ok_or("its header count is cut off")?;
        let headers = body;
        if header_count < 0 || header_count as usize > body.len() {
            return Err("it cannot have that many headers");
        }
        for _ in 0..header_count {
            take_header(&mut body).ok_or("a header is longer than the record")?;
        }
        if !body.is_empty() {
            return Err("bytes follow its last field");
        }
        Ok(Self { timestamp_delta, offset_delta, key, value, whole, after_timestamp, headers, header_count })
    }
}

fn take_header<'a>(input: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let key_len = varint::take_i32(input)?;
    let key = take_bytes(input, key_len)?;
    Some((key, take_nullable(input)?))
}

/// Takes a length and as many bytes; the length -1 stands for null.
fn take_nullable<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint::take_i32(input)? {
        -1 => Some(None),
        len => Some(Some(take_bytes(input, len)?)),
    }
}

fn take_bytes<'a>(input: &mut &'a [u8], len: i32) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(usize::try_from(len).ok()?)?;
    *input = rest;
    Some(taken)
}

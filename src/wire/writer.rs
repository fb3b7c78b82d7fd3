//! Writes the protocol's primitive types into frames.
//!
//! Small things are copied into one buffer. Large ones, in practice records, are not: the frame remembers where they
//! belong and hands them out as segments of their own, for one vectored write.
//!
//! ```text
//! buffer    length header fields | fields | fields
//! spliced                        ^ 64 KiB ^ 1 MiB
//! ```
//!
//! Writing never fails half-way. What cannot be said makes [`Writer::finish`] refuse the whole frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::error::ErrorCode;
use super::frame::Frame;
use super::tagged::{KnownTags, TaggedFields};
use super::text::Text;
use super::{Records, Uuid};

/// From here on a separate segment is cheaper than a copy.
const SPLICE_BYTES_MIN: usize = 4 * 1024;

/// What most frames fit in; the buffer is taken back once its frames are sent.
const FRAME_BYTES_USUAL: usize = 512;

const LENGTH_BYTES: usize = 4;

/// Writes one frame after the other; a connection keeps one and so reuses its memory.
#[derive(Default)]
pub struct Writer {
    buffer: BytesMut,
    /// Where in the buffer which bytes come in, in order.
    splices: Vec<(usize, Records)>,
    spliced_bytes: usize,
    flexible: bool,
    /// Inside tagged fields nothing is spliced: their size is the distance in the buffer.
    tag_depth: u32,
    message: (&'static str, i16),
    refusal: Option<Refusal>,
}

/// Declares the methods for numbers of a fixed width.
macro_rules! fixed {
    ($($name:ident($type:ty) = $put:ident;)*) => {
        $(
            #[inline]
            pub fn $name(&mut self, value: $type) {
                self.buffer.$put(value);
            }
        )*
    };
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a frame; what belongs to one that was not finished is forgotten.
    pub(super) fn begin(&mut self) {
        self.reset();
        self.buffer.reserve(FRAME_BYTES_USUAL);
        self.buffer.put_bytes(0, LENGTH_BYTES);
    }

    /// The message that follows: for errors, and whether its version is flexible.
    pub(super) fn message(&mut self, name: &'static str, version: i16, flexible: bool) {
        self.message = (name, version);
        self.flexible = flexible;
    }

    /// The frame that was begun, its length filled in.
    pub(super) fn finish(&mut self) -> Result<Frame, EncodeError> {
        let bytes = self.buffer.len() - LENGTH_BYTES + self.spliced_bytes;
        let length = i32::try_from(bytes);
        let refusal = self.refusal.take().or_else(|| length.is_err().then_some(Refusal::FrameTooLong { bytes }));
        if let Some(refusal) = refusal {
            let (message, version) = self.message;
            self.reset();
            return Err(EncodeError { message, version, refusal });
        }
        self.buffer[..LENGTH_BYTES].copy_from_slice(&length.unwrap_or_default().to_be_bytes());
        self.spliced_bytes = 0;
        Ok(Frame::new(self.buffer.split().freeze(), std::mem::take(&mut self.splices)))
    }

    fn reset(&mut self) {
        self.buffer.clear();
        self.splices.clear();
        self.spliced_bytes = 0;
        self.refusal = None;
    }

    fixed! {
        int8(i8) = put_i8;
        int16(i16) = put_i16;
        uint16(u16) = put_u16;
        int32(i32) = put_i32;
        int64(i64) = put_i64;
        float64(f64) = put_f64;
    }

    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.buffer.put_u8(value.into());
    }

    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.0);
    }

    #[inline]
    pub fn error(&mut self, value: ErrorCode) {
        self.buffer.put_i16(value.number());
    }

    #[inline]
    pub fn text(&mut self, text: &Text) {
        self.nullable_text(Some(text));
    }

    #[inline]
    pub fn nullable_text(&mut self, text: Option<&Text>) {
        let bytes = text.map_or(&[][..], Text::as_bytes);
        if self.flexible {
            self.compact_length(text.map(|text| text.as_bytes().len()));
        } else if text.is_none() {
            self.buffer.put_i16(-1);
        } else if let Ok(length) = i16::try_from(bytes.len()) {
            self.buffer.put_i16(length);
        } else {
            self.refusal.get_or_insert(Refusal::TextTooLong { bytes: bytes.len() });
        }
        self.buffer.put_slice(bytes);
    }

    #[inline]
    pub fn bytes(&mut self, bytes: &Bytes) {
        self.nullable_bytes(Some(bytes));
    }

    #[inline]
    pub fn nullable_bytes(&mut self, bytes: Option<&Bytes>) {
        self.wide_length(bytes.map(Bytes::len));
        if let Some(bytes) = bytes {
            self.splice_or_copy(bytes);
        }
    }

    #[inline]
    pub fn records(&mut self, records: &Records) {
        self.nullable_records(Some(records));
    }

    #[inline]
    pub fn nullable_records(&mut self, records: Option<&Records>) {
        self.wide_length(records.map(Records::len));
        match records {
            Some(Records::Memory(bytes)) => self.splice_or_copy(bytes),
            Some(stored) => self.splice(stored.clone()),
            None => {}
        }
    }

    #[inline]
    pub fn array<T>(&mut self, elements: &[T], write: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(elements), write);
    }

    #[inline]
    pub fn nullable_array<T>(&mut self, elements: Option<&[T]>, mut write: impl FnMut(&mut Self, &T)) {
        self.wide_length(elements.map(<[T]>::len));
        for element in elements.unwrap_or_default() {
            write(self, element);
        }
    }

    /// A structure behind a byte that says whether it is there.
    #[inline]
    pub fn nullable_structure<T>(&mut self, structure: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        match structure {
            None => self.int8(-1),
            Some(structure) => {
                self.int8(1);
                write(self, structure);
            }
        }
    }

    /// The tagged fields of a structure of which the schema knows none.
    #[inline]
    pub fn tagged_fields(&mut self, unknown: &TaggedFields) {
        self.known_and_tagged_fields(KnownTags::default(), unknown, |_, _| {});
    }

    /// `write` is called for each of the known fields, and must write the one whose tag it is given.
    #[inline]
    pub fn known_and_tagged_fields(
        &mut self,
        known: KnownTags,
        unknown: &TaggedFields,
        write: impl FnMut(&mut Self, u32),
    ) {
        if !self.flexible {
            return;
        }
        if known.count() == 0 && unknown.is_empty() {
            return self.buffer.put_u8(0);
        }
        self.some_tagged_fields(known, unknown, write);
    }

    fn some_tagged_fields(&mut self, known: KnownTags, unknown: &TaggedFields, mut write: impl FnMut(&mut Self, u32)) {
        // A field that was unknown in the version it came in may be known in the one it goes out in.
        let mut unknown = unknown.iter().filter(|field| !known.contain(field.tag)).peekable();
        let count = known.count() + length_u32(unknown.clone().count());
        self.unsigned_varint(count);
        for tag in known.iter() {
            while let Some(before) = unknown.next_if(|field| field.tag < tag) {
                self.tagged_field(before.tag, |w| w.buffer.put_slice(&before.bytes));
            }
            self.tagged_field(tag, |w| write(w, tag));
        }
        for after in unknown {
            self.tagged_field(after.tag, |w| w.buffer.put_slice(&after.bytes));
        }
    }

    fn tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.unsigned_varint(tag);
        let size_at = self.buffer.len();
        self.buffer.put_u8(0);
        self.tag_depth += 1;
        write(self);
        self.tag_depth -= 1;

        let size = self.buffer.len() - size_at - 1;
        let (prefix, width) = unsigned_varint(length_u32(size));
        let wider = width - 1;
        self.buffer.put_bytes(0, wider);
        self.buffer.copy_within(size_at + 1..size_at + 1 + size, size_at + width);
        self.buffer[size_at..size_at + width].copy_from_slice(&prefix[..width]);
    }

    /// Notes that `field` is set, but has no place in this version although it matters.
    #[cold]
    pub fn refuse(&mut self, field: &'static str) {
        self.refusal.get_or_insert(Refusal::NoSuchField { field });
    }

    fn splice_or_copy(&mut self, bytes: &Bytes) {
        if bytes.len() >= SPLICE_BYTES_MIN && self.tag_depth == 0 {
            self.splice(bytes.clone().into());
        } else {
            self.buffer.put_slice(bytes);
        }
    }

    fn splice(&mut self, records: Records) {
        assert!(self.tag_depth == 0, "the schemas put no records into tagged fields");
        self.spliced_bytes += records.len();
        self.splices.push((self.buffer.len(), records));
    }

    #[inline]
    fn wide_length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact_length(length);
        } else {
            self.buffer.put_i32(length.map_or(-1, |length| length_u32(length) as i32));
        }
    }

    #[inline]
    fn compact_length(&mut self, length: Option<usize>) {
        self.unsigned_varint(length.map_or(0, |length| length_u32(length) + 1));
    }

    #[inline]
    fn unsigned_varint(&mut self, value: u32) {
        if value < 0x80 {
            return self.buffer.put_u8(value as u8);
        }
        let (bytes, width) = unsigned_varint(value);
        self.buffer.put_slice(&bytes[..width]);
    }
}

/// A length as the protocol says it. Beyond 31 bits the frame is refused anyway, by its own length.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).map_or(i32::MAX as u32, |length| length.min(i32::MAX as u32))
}

/// Seven bits a byte, the lowest first; how many bytes it takes.
fn unsigned_varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut width = 0;
    loop {
        bytes[width] = (value & 0x7f) as u8;
        value >>= 7;
        width += 1;
        if value == 0 {
            return (bytes, width);
        }
        bytes[width - 1] |= 0x80;
    }
}

/// Values that cannot be said in this version of a message, or at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} v{version}: {refusal}")]
pub struct EncodeError {
    message: &'static str,
    version: i16,
    refusal: Refusal,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("no field for {field} in this version, and without it another thing would be asked for")]
    NoSuchField { field: &'static str },
    #[error("a text of {bytes} bytes, at most 32767 fit in this version")]
    TextTooLong { bytes: usize },
    #[error("a frame of {bytes} bytes, at most 2147483647 can be sent")]
    FrameTooLong { bytes: usize },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::api_versions::ApiVersionsResponse;
    use crate::wire::messages::describe_groups::{DescribeGroupsResponse, DescribedGroup};
    use crate::wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::wire::tagged::TaggedField;
    use crate::wire::{ApiKey, Frame, Message, RequestHeader};

    fn header(api: ApiKey, version: i16) -> RequestHeader {
        let tagged_fields = TaggedFields::default();
        RequestHeader { api, version, correlation_id: 7, client_id: None, tagged_fields }
    }

    #[test]
    fn large_records_are_spliced_and_the_length_counts_them() {
        let partitions = [3, 10_000, 4, 20_000].map(|size| Bytes::from(vec![size as u8; size]));
        let of = |records: &Bytes| PartitionData { records: Some(records.clone().into()), ..Default::default() };
        let topic = FetchableTopicResponse { partitions: partitions.iter().map(of).collect(), ..Default::default() };
        let response = FetchResponse { responses: vec![topic], ..Default::default() };

        let mut w = Writer::new();
        let frame = Frame::response(&mut w, &header(ApiKey::Fetch, 18), &response).unwrap();
        let segments: Vec<Bytes> = frame.segments().map(|segment| segment.bytes().clone()).collect();
        assert_eq!(segments.len(), 5);
        assert_eq!((segments[1].as_ptr(), segments[3].as_ptr()), (partitions[1].as_ptr(), partitions[3].as_ptr()));
        assert_eq!(segments[0][..4], (frame.size() as i32 - 4).to_be_bytes());
        assert_eq!(segments.iter().map(Bytes::len).sum::<usize>(), frame.size());

        let body = frame.body().slice(5..); // behind the correlation id and no tagged fields
        assert_eq!(FetchResponse::decode(18, body), Ok(response));
    }

    #[test]
    fn tagged_fields_go_out_in_order_with_the_shortest_sizes() {
        let mut response = ApiVersionsResponse { finalized_features_epoch: 5, ..Default::default() };
        let field = |tag, size| TaggedField { tag, bytes: Bytes::from(vec![b'x'; size]) };
        response.tagged_fields = vec![field(0, 1), field(2, 300), field(9, 0)].into();

        let mut w = Writer::new();
        let body = Frame::response(&mut w, &header(ApiKey::ApiVersions, 3), &response).unwrap().body();
        let tail = &body[4 + 2 + 1 + 4..]; // correlation id, error, no APIs, throttle time
        assert_eq!(tail[..4], [4, 0, 1, b'x']);
        assert_eq!(tail[4..14], [1, 8, 0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(tail[14..18], [2, 0xac, 0x02, b'x']);
        assert_eq!(tail[tail.len() - 2..], [9, 0]);
    }

    #[test]
    fn what_cannot_be_said_refuses_the_frame_and_leaves_the_writer_clean() {
        let mut w = Writer::new();
        let mut request = FetchRequest { replica_id: 3, ..Default::default() };
        let error = Frame::request(&mut w, &header(ApiKey::Fetch, 18), &request).unwrap_err();
        assert_eq!(
            error.to_string(),
            "FetchRequest v18: no field for FetchRequest.replica_id in this version, \
             and without it another thing would be asked for"
        );

        let group = DescribedGroup { group_id: "g".repeat(40_000).into(), ..Default::default() };
        let response = DescribeGroupsResponse { groups: vec![group], ..Default::default() };
        let error = Frame::response(&mut w, &header(ApiKey::DescribeGroups, 2), &response).unwrap_err();
        assert!(error.to_string().ends_with("a text of 40000 bytes, at most 32767 fit in this version"), "{error}");
        assert!(Frame::response(&mut w, &header(ApiKey::DescribeGroups, 5), &response).is_ok());

        request.replica_id = -1;
        let frame = Frame::request(&mut w, &header(ApiKey::Fetch, 18), &request).unwrap();
        assert_eq!(frame.size(), frame.segments().next().unwrap().len());
    }
}

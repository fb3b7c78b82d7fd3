//! Reads the protocol's primitive types out of a frame, without copying and without trusting a single length.
//!
//! Invariants: no call panics, whatever the bytes; no declared length allocates more than a page or so, only bytes that
//! are there do; what is handed out as [`Bytes`] or [`Text`] shares the frame's memory.
//!
//! Every method takes the name of the field it reads, for the error only; the good case never looks at it.

use std::fmt;

use bytes::Bytes;

use super::error::ErrorCode;
use super::tagged::{TaggedField, TaggedFields};
use super::text::Text;
use super::{Records, Uuid};

/// What an array reserves on its count alone. Beyond that it grows with the elements that are really there: a count
/// that just fits would otherwise be paid for at every level of nesting.
const RESERVED_BYTES_MAX: usize = 64 * 1024;

/// A cursor over the body of a message.
pub struct Reader {
    bytes: Bytes,
    at: usize,
    /// Where reading stops: the end of the bytes, or of the tagged field being read.
    end: usize,
    flexible: bool,
}

/// Declares the methods for numbers of a fixed width.
macro_rules! fixed {
    ($($name:ident -> $type:ty = $from:expr;)*) => {
        $(
            #[inline]
            pub fn $name(&mut self, field: &'static str) -> Result<$type, DecodeError> {
                self.take(field).map($from)
            }
        )*
    };
}

/// Declares the two methods of a type that carries its length: one that refuses null, one that takes it.
macro_rules! sized {
    ($($name:ident, $nullable:ident -> $type:ty = $read:ident;)*) => {
        $(
            #[inline]
            pub fn $name(&mut self, field: &'static str) -> Result<$type, DecodeError> {
                match self.$read(field)? {
                    Some(value) => Ok(value.into()),
                    None => Err(self.fault(field, Fault::Null)),
                }
            }

            #[inline]
            pub fn $nullable(&mut self, field: &'static str) -> Result<Option<$type>, DecodeError> {
                Ok(self.$read(field)?.map(Into::into))
            }
        )*
    };
}

impl Reader {
    /// `flexible` versions have compact lengths and tagged fields.
    pub fn new(bytes: Bytes, flexible: bool) -> Self {
        Self { at: 0, end: bytes.len(), bytes, flexible }
    }

    /// What has not been read.
    pub fn rest(self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    fixed! {
        boolean -> bool = |[byte]: [u8; 1]| byte != 0;
        int8 -> i8 = i8::from_be_bytes;
        int16 -> i16 = i16::from_be_bytes;
        uint16 -> u16 = u16::from_be_bytes;
        int32 -> i32 = i32::from_be_bytes;
        int64 -> i64 = i64::from_be_bytes;
        float64 -> f64 = f64::from_be_bytes;
        uuid -> Uuid = Uuid;
        error -> ErrorCode = |bytes| ErrorCode::from_number(i16::from_be_bytes(bytes));
    }

    sized! {
        text, nullable_text -> Text = some_text;
        bytes, nullable_bytes -> Bytes = some_bytes;
        records, nullable_records -> Records = some_bytes;
    }

    /// An array whose elements take at least `bytes_min` bytes each: a count that cannot be true is refused at once.
    #[inline]
    pub fn array<T>(
        &mut self,
        field: &'static str,
        bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        match self.nullable_array(field, bytes_min, element)? {
            Some(elements) => Ok(elements),
            None => Err(self.fault(field, Fault::Null)),
        }
    }

    #[inline]
    pub fn nullable_array<T>(
        &mut self,
        field: &'static str,
        bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.wide_length(field)? else { return Ok(None) };
        if count > self.left() / bytes_min.max(1) {
            return Err(self.fault(field, Fault::Count { declared: count, left: self.left() }));
        }
        let mut elements = Vec::with_capacity(count.min(RESERVED_BYTES_MAX / size_of::<T>().max(1)));
        for index in 0..count {
            let read = element(self);
            elements.push(read.map_err(|error| error.within(Step::Element(index)).within(Step::Field(field)))?);
        }
        Ok(Some(elements))
    }

    #[inline]
    pub fn structure<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        read(self).map_err(|error| error.within(Step::Field(field)))
    }

    /// A structure behind a byte that says whether it is there.
    #[inline]
    pub fn nullable_structure<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.int8(field)? {
            -1 => Ok(None),
            1 => self.structure(field, read).map(Some),
            other => Err(self.fault(field, Fault::Presence(other))),
        }
    }

    /// The tagged fields that end a structure. `known` reads those it knows and says false to the others, which are
    /// kept. In a version without tagged fields there are none.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<TaggedFields, DecodeError> {
        if !self.flexible {
            return Ok(TaggedFields::default());
        }
        match self.unsigned_varint("tagged_fields")? {
            0 => Ok(TaggedFields::default()),
            count => self.some_tagged_fields(count, known),
        }
    }

    fn some_tagged_fields(
        &mut self,
        count: u32,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<TaggedFields, DecodeError> {
        const FIELD: &str = "tagged_fields";
        let mut unknown = Vec::new();
        let mut before = None;
        for _ in 0..count {
            let tag = self.unsigned_varint(FIELD)?;
            if before.is_some_and(|before| tag <= before) {
                return Err(self.fault(FIELD, Fault::TagOrder(tag))); // KIP-482: ascending, so that none comes twice
            }
            before = Some(tag);

            let size = self.unsigned_varint(FIELD)? as usize;
            if size > self.left() {
                return Err(self.fault(FIELD, Fault::Length { declared: size, left: self.left() }));
            }
            let end_around = std::mem::replace(&mut self.end, self.at + size);
            if !known(self, tag)? {
                unknown.push(TaggedField { tag, bytes: self.slice(size) });
            }
            if self.at != self.end {
                return Err(self.fault(FIELD, Fault::TagSize { tag, left: self.left() }));
            }
            self.end = end_around;
        }
        Ok(unknown.into())
    }

    fn left(&self) -> usize {
        self.end - self.at
    }

    #[inline]
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.at..self.end).and_then(<[u8]>::first_chunk) {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.fault(field, Fault::Length { declared: N, left: self.left() })),
        }
    }

    /// The next `size` bytes, which the caller has made sure of.
    fn slice(&mut self, size: usize) -> Bytes {
        let slice = self.bytes.slice(self.at..self.at + size);
        self.at += size;
        slice
    }

    #[inline]
    fn some_text(&mut self, field: &'static str) -> Result<Option<Text>, DecodeError> {
        let length = if self.flexible { self.compact_length(field)? } else { self.short_length(field)? };
        match self.some_slice(field, length)?.map(Text::try_from) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(self.fault(field, Fault::NotUtf8)),
        }
    }

    #[inline]
    fn some_bytes(&mut self, field: &'static str) -> Result<Option<Bytes>, DecodeError> {
        let length = self.wide_length(field)?;
        self.some_slice(field, length)
    }

    #[inline]
    fn some_slice(&mut self, field: &'static str, length: Option<usize>) -> Result<Option<Bytes>, DecodeError> {
        match length {
            None => Ok(None),
            Some(length) if length <= self.left() => Ok(Some(self.slice(length))),
            Some(declared) => Err(self.fault(field, Fault::Length { declared, left: self.left() })),
        }
    }

    /// Of strings in versions that are not flexible.
    fn short_length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        let length = self.int16(field)?;
        self.length(field, length.into())
    }

    /// Of everything but strings.
    #[inline]
    fn wide_length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length(field);
        }
        let length = self.int32(field)?;
        self.length(field, length)
    }

    #[inline]
    fn compact_length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        Ok((self.unsigned_varint(field)? as usize).checked_sub(1))
    }

    #[inline]
    fn length(&self, field: &'static str, length: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.fault(field, Fault::Negative(length))),
        }
    }

    #[inline]
    fn unsigned_varint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let [first] = self.take(field)?;
        if first < 0x80 { Ok(first.into()) } else { self.long_varint(field, first) }
    }

    fn long_varint(&mut self, field: &'static str, first: u8) -> Result<u32, DecodeError> {
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let [byte] = self.take(field)?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault(field, Fault::Varint))
    }

    #[cold]
    fn fault(&self, field: &'static str, fault: Fault) -> DecodeError {
        let place = Place { message: "", version: 0, path: Vec::new(), at: self.at, fault };
        DecodeError(Box::new(place)).within(Step::Field(field))
    }
}

/// Bytes that are not the message they should be: which message, which field, where, and what is wrong.
///
/// Boxed, so that in the good case a `Result` stays as small as what was read.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Place>);

#[derive(Debug, PartialEq, Eq)]
struct Place {
    message: &'static str,
    version: i16,
    /// From the inside out.
    path: Vec<Step>,
    at: usize,
    fault: Fault,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(&'static str),
    Element(usize),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("this version is not spoken here")]
    Version,
    #[error("declared {declared} elements, {left} bytes left")]
    Count { declared: usize, left: usize },
    #[error("needs {declared} bytes, {left} left")]
    Length { declared: usize, left: usize },
    #[error("declared the length {0}")]
    Negative(i32),
    #[error("null, where this version wants a value")]
    Null,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("a number of variable length goes on beyond 32 bits")]
    Varint,
    #[error("the byte before a structure says {0}: expected 1 (there) or -1 (null)")]
    Presence(i8),
    #[error("tag {0} is out of order")]
    TagOrder(u32),
    #[error("tag {tag} has {left} bytes more than its field")]
    TagSize { tag: u32, left: usize },
}

impl DecodeError {
    #[cold]
    pub(super) fn version(message: &'static str, version: i16) -> Self {
        Self(Box::new(Place { message, version, path: Vec::new(), at: 0, fault: Fault::Version }))
    }

    #[cold]
    pub(super) fn in_message(mut self, message: &'static str, version: i16) -> Self {
        self.0.message = message;
        self.0.version = version;
        self
    }

    #[cold]
    fn within(mut self, step: Step) -> Self {
        if step != Step::Field("") {
            self.0.path.push(step); // elements that are no structures have no field of their own
        }
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { message, version, path, at, fault } = &*self.0;
        write!(f, "{message} v{version}: ")?;
        for (place, step) in path.iter().rev().enumerate() {
            match step {
                Step::Field(field) if place == 0 => write!(f, "{field}")?,
                Step::Field(field) => write!(f, ".{field}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, "{colon}{fault} (at byte {at})")
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::produce::ProduceRequest;
    use crate::wire::{ApiKey, Frame, Message, RequestHeader, Writer};

    #[test]
    fn an_error_names_message_version_path_and_place() {
        let mut body = Vec::new();
        body.extend([0, 0xff, 0xff, 0, 0, 0, 1]); // no transactional id, acks -1, one millisecond
        body.extend([3, 2, b'a', 1, 0, 2, b'b']); // two topics: `a` without partitions, then `b`
        body.extend([0xff, 0xff, 0xff, 0xff, 0x07]); // with 2147483646 partitions
        let error = ProduceRequest::decode(9, body.into()).unwrap_err();
        let says = "ProduceRequest v9: topic_data[1].partition_data: declared 2147483646 elements, 0 bytes left";
        assert_eq!(error.to_string(), format!("{says} (at byte 19)"));
        assert_eq!(size_of::<DecodeError>(), size_of::<usize>());
    }

    #[test]
    fn a_version_that_is_not_spoken_is_an_error() {
        let error = ProduceRequest::decode(2, Bytes::new()).unwrap_err();
        assert_eq!(error.to_string(), "ProduceRequest v2: this version is not spoken here (at byte 0)");
    }

    #[test]
    fn numbers_of_variable_length_end_at_32_bits() {
        let read = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes), true).unsigned_varint("n");
        assert_eq!(read(&[0x7f]), Ok(127));
        assert_eq!(read(&[0x80, 0x01]), Ok(128));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        for wrong in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01], &[0x80], &[]] {
            assert!(read(wrong).is_err(), "{wrong:?} is no number");
        }
    }

    #[test]
    fn tags_ascend_and_fields_fill_their_size() {
        let read = |bytes: &'static [u8]| {
            let mut r = Reader::new(Bytes::from_static(bytes), true);
            r.tagged_fields(|r, tag| if tag == 1 { r.int8("one").map(|_| true) } else { Ok(false) })
        };
        let unknown = read(&[2, 1, 1, 42, 7, 2, b'h', b'i']).unwrap();
        assert_eq!(unknown.iter().map(|field| (field.tag, &field.bytes[..])).collect::<Vec<_>>(), [(7, &b"hi"[..])]);
        for (wrong, says) in [
            (&[2, 7, 0, 7, 0][..], "tag 7 is out of order"),
            (&[1, 1, 2, 42, 43], "tag 1 has 1 bytes more than its field"),
            (&[1, 1, 0, 42], "one: needs 1 bytes, 0 left"),
            (&[1, 7, 9, 42], "needs 9 bytes, 1 left"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn records_are_slices_of_the_frame() {
        let (mut w, api) = (Writer::new(), ApiKey::Produce);
        let header = RequestHeader {
            api,
            version: 9,
            correlation_id: 1,
            client_id: None,
            tagged_fields: TaggedFields::default(),
        };
        let mut request = ProduceRequest::default();
        request.topic_data.push(Default::default());
        request.topic_data[0].partition_data.push(Default::default());
        request.topic_data[0].partition_data[0].records = Some(vec![7; 100].into());

        let frame = Frame::request(&mut w, &header, &request).unwrap().body();
        let (_, body) = RequestHeader::decode(frame.clone()).unwrap();
        let decoded = ProduceRequest::decode(9, body).unwrap();
        let records = decoded.topic_data[0].partition_data[0].records.as_ref().unwrap();
        assert!(frame.as_ptr_range().contains(&records.bytes().as_ptr()), "the records were copied");
    }
}

//! What stands before every request and response.
//!
//! ```text
//! request   v1   api key i16, version i16, correlation id i32, client id string?
//!           v2   the same, then tagged fields; the client id stays as it was in v1
//! response  v0   correlation id i32
//!           v1   the same, then tagged fields
//! ```
//!
//! A version of a message that is flexible has the newer header. The one exception is the response of ApiVersions: its
//! header is always v0, since the client does not know yet what we speak (KIP-511).
//!
//! Absent on purpose: request header v0 (no client id). Only ControlledShutdown v0 had it, which Kafka 4 does not know.

use bytes::Bytes;

use super::api::ApiKey;
use super::reader::{DecodeError, Reader};
use super::tagged::TaggedFields;
use super::text::Text;
use super::writer::Writer;

const REQUEST: &str = "request header";
const RESPONSE: &str = "response header";

/// Who asks what, in which version.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestHeader {
    pub api: ApiKey,
    pub version: i16,
    /// Chosen by the client, and given back to it.
    pub correlation_id: i32,
    pub client_id: Option<Text>,
    pub tagged_fields: TaggedFields,
}

impl RequestHeader {
    /// The header of a frame, and the body behind it.
    pub fn decode(frame: Bytes) -> Result<(Self, Bytes), HeaderError> {
        let mut r = Reader::new(frame, false);
        let (key, version, correlation_id) = Self::fixed_part(&mut r).map_err(in_request(1))?;
        let Some(api) = ApiKey::from_number(key) else {
            return Err(HeaderError::UnknownApi { key, version });
        };
        if !api.entry().versions.contain(version) {
            return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
        }
        let client_id = r.nullable_text("client_id").map_err(in_request(1))?;
        let flexible = api.is_flexible(version);
        let mut r = Reader::new(r.rest(), flexible);
        let tagged_fields = r.tagged_fields(|_, _| Ok(false)).map_err(in_request(2))?;
        Ok((Self { api, version, correlation_id, client_id, tagged_fields }, r.rest()))
    }

    fn fixed_part(r: &mut Reader) -> Result<(i16, i16, i32), DecodeError> {
        Ok((r.int16("api_key")?, r.int16("api_version")?, r.int32("correlation_id")?))
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.message(REQUEST, 1, false);
        w.int16(self.api.number());
        w.int16(self.version);
        w.int32(self.correlation_id);
        w.nullable_text(self.client_id.as_ref());
        w.message(REQUEST, 2, self.api.is_flexible(self.version));
        w.tagged_fields(&self.tagged_fields);
    }
}

fn in_request(version: i16) -> impl Fn(DecodeError) -> HeaderError {
    move |error| HeaderError::Malformed(error.in_message(REQUEST, version))
}

/// Why a request goes no further than its header.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("no api has the key {key} (version {version})")]
    UnknownApi { key: i16, version: i16 },
    /// The correlation id is there because ApiVersions is answered even so.
    #[error("{} has no version {version} here, but {}", api.name(), api.entry().versions)]
    UnsupportedVersion { api: ApiKey, version: i16, correlation_id: i32 },
    #[error(transparent)]
    Malformed(DecodeError),
}

/// Which request is answered.
#[derive(Clone, PartialEq, Debug)]
pub struct ResponseHeader {
    pub correlation_id: i32,
    pub tagged_fields: TaggedFields,
}

impl ResponseHeader {
    pub fn to(request: &RequestHeader) -> Self {
        Self { correlation_id: request.correlation_id, tagged_fields: TaggedFields::default() }
    }

    /// The header of a frame that answers a request of this API and version, and the body behind it.
    pub fn decode(api: ApiKey, version: i16, frame: Bytes) -> Result<(Self, Bytes), DecodeError> {
        let mut r = Reader::new(frame, Self::is_flexible(api, version));
        let correlation_id = r.int32("correlation_id").map_err(|error| error.in_message(RESPONSE, 0))?;
        let tagged_fields = r.tagged_fields(|_, _| Ok(false)).map_err(|error| error.in_message(RESPONSE, 1))?;
        Ok((Self { correlation_id, tagged_fields }, r.rest()))
    }

    pub(super) fn write(&self, api: ApiKey, version: i16, w: &mut Writer) {
        let flexible = Self::is_flexible(api, version);
        w.message(RESPONSE, flexible.into(), flexible);
        w.int32(self.correlation_id);
        w.tagged_fields(&self.tagged_fields);
    }

    fn is_flexible(api: ApiKey, version: i16) -> bool {
        api != ApiKey::ApiVersions && api.is_flexible(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_nobody_can_read_is_named() {
        let decode = |bytes: &'static [u8]| RequestHeader::decode(Bytes::from_static(bytes)).unwrap_err().to_string();
        assert_eq!(decode(&[0, 52, 0, 1, 0, 0, 0, 7]), "no api has the key 52 (version 1)");
        assert_eq!(decode(&[0, 0, 0, 2, 0, 0, 0, 7]), "Produce has no version 2 here, but 3-13");
        assert_eq!(decode(&[0, 0, 0]), "request header v1: api_version: needs 2 bytes, 1 left (at byte 2)");
        assert_eq!(
            decode(&[0, 0, 0, 3, 0, 0, 0, 7]),
            "request header v1: client_id: needs 2 bytes, 0 left (at byte 8)"
        );
    }

    #[test]
    fn the_client_id_is_not_compact_even_where_all_else_is() {
        let frame = Bytes::from_static(&[0, 0, 0, 9, 0, 0, 0, 7, 0, 2, b'm', b'e', 0, b'!']);
        let (header, body) = RequestHeader::decode(frame).unwrap();
        assert_eq!((header.client_id, header.correlation_id), (Some("me".into()), 7));
        assert_eq!(body, "!");
    }
}

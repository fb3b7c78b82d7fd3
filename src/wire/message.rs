//! What every generated message can do.

use std::fmt;

use bytes::Bytes;

use super::api::ApiKey;
use super::reader::{DecodeError, Reader};
use super::writer::Writer;

/// A request or a response, with the fields of all its versions.
pub trait Message: Clone + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// `ProduceRequest`.
    const NAME: &'static str;
    const API: ApiKey;

    /// Reads the fields that `version` has; the others get their defaults. The generated half of [`Self::decode`].
    fn read(version: i16, r: &mut Reader) -> Result<Self, DecodeError>;

    /// Writes the fields that `version` has. The generated half of [`Self::encode`].
    fn write(&self, version: i16, w: &mut Writer);

    /// Reads a body, that is, what stands behind the header. Bytes behind the last field are ignored, as Kafka does.
    fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        Self::decode_with_rest(version, body).map(|(message, _)| message)
    }

    /// Reads a body and gives back what stands behind its last field: nothing, from any client we know.
    fn decode_with_rest(version: i16, body: Bytes) -> Result<(Self, Bytes), DecodeError> {
        if !Self::API.entry().versions.contain(version) {
            return Err(DecodeError::version(Self::NAME, version));
        }
        let mut r = Reader::new(body, Self::API.is_flexible(version));
        match Self::read(version, &mut r) {
            Ok(message) => Ok((message, r.rest())),
            Err(error) => Err(error.in_message(Self::NAME, version)),
        }
    }

    /// Writes a body. A field that `version` does not have is left out; the schema says where that is refused.
    fn encode(&self, version: i16, w: &mut Writer) {
        let spoken = Self::API.entry().versions;
        assert!(spoken.contain(version), "{} v{version}: the caller must choose among {spoken}", Self::NAME);
        w.message(Self::NAME, version, Self::API.is_flexible(version));
        self.write(version, w);
    }
}

/// A message that asks for another.
pub trait Request: Message {
    type Response: Message;
}

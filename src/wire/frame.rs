//! Frames: four bytes of length, then a request or a response.

use bytes::{Buf, Bytes, BytesMut};

use super::header::{RequestHeader, ResponseHeader};
use super::message::{Message, Request};
use super::records::Records;
use super::writer::{EncodeError, Writer};

const LENGTH_BYTES: usize = 4;

/// A frame to be sent: its own bytes with its length, and what is spliced in without having been copied.
#[derive(Clone, Debug)]
pub struct Frame {
    own: Bytes,
    /// Where in `own` which bytes come in, in order.
    splices: Vec<(usize, Records)>,
}

impl Frame {
    /// Answers the request of this header.
    pub fn response<M: Message>(w: &mut Writer, to: &RequestHeader, message: &M) -> Result<Self, EncodeError> {
        assert!(M::API == to.api, "{} is no answer to {:?}", M::NAME, to.api);
        w.begin();
        ResponseHeader::to(to).write(M::API, to.version, w);
        message.encode(to.version, w);
        w.finish()
    }

    /// Asks. The header says in which version.
    pub fn request<M: Request>(w: &mut Writer, header: &RequestHeader, message: &M) -> Result<Self, EncodeError> {
        assert!(M::API == header.api, "{} under the header of {:?}", M::NAME, header.api);
        w.begin();
        header.write(w);
        message.encode(header.version, w);
        w.finish()
    }

    pub(super) fn new(own: Bytes, splices: Vec<(usize, Records)>) -> Self {
        Self { own, splices }
    }

    /// In bytes, the length in front included.
    pub fn size(&self) -> usize {
        self.own.len() + self.splices.iter().map(|(_, records)| records.len()).sum::<usize>()
    }

    /// How many of its bytes are in memory; the others lie in files.
    pub fn memory(&self) -> usize {
        let stored = |(_, records): &(usize, Records)| matches!(records, Records::Stored(_)).then(|| records.len());
        self.size() - self.splices.iter().filter_map(stored).sum::<usize>()
    }

    /// What to send, in order.
    pub fn segments(&self) -> impl Iterator<Item = Records> {
        let starts = std::iter::once(0).chain(self.splices.iter().map(|(at, _)| *at));
        let ends = self.splices.iter().map(|(at, _)| *at).chain([self.own.len()]);
        let spliced = self.splices.iter().map(|(_, records)| records.clone()).chain([Records::default()]);
        let own = starts.zip(ends).map(|(start, end)| self.own.slice(start..end).into());
        own.zip(spliced).flat_map(|(own, spliced)| [own, spliced]).filter(|segment| !segment.is_empty())
    }

    /// All in one piece, without the length: for those who look at frames rather than send them.
    pub fn body(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(self.size());
        for segment in self.segments() {
            body.extend_from_slice(segment.bytes());
        }
        body.advance(LENGTH_BYTES);
        body.freeze()
    }
}

/// How long the first frame is, without its length; `None` if that is not all there.
pub fn length_of(received: &[u8], bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    match usize::try_from(i32::from_be_bytes(*prefix)) {
        Ok(bytes) if bytes <= bytes_max => Ok(Some(bytes)),
        _ => Err(FrameError::of(*prefix, bytes_max)),
    }
}

/// Takes the first complete frame out of what has been received, without its length; `None` if it is not all there.
pub fn next_frame(received: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(bytes) = length_of(received, bytes_max)?.filter(|bytes| received.len() - LENGTH_BYTES >= *bytes) else {
        return Ok(None);
    };
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(bytes).freeze()))
}

/// Four bytes that are not the length of a frame we would take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    #[error("this is TLS, and a listener without it")]
    Tls,
    #[error("this is HTTP, and a listener that speaks Kafka's protocol")]
    Http,
    #[error("declared a frame of {length} bytes")]
    Negative { length: i32 },
    #[error("declared a frame of {length} bytes, at most {bytes_max} are taken: see socket.request.max.bytes")]
    TooLong { length: i32, bytes_max: usize },
}

impl FrameError {
    /// Read as a length, the first bytes of the usual strangers are far beyond any limit; so they can be told apart.
    fn of(prefix: [u8; LENGTH_BYTES], bytes_max: usize) -> Self {
        const TLS_HANDSHAKE: [u8; 2] = [22, 3];
        let length = i32::from_be_bytes(prefix);
        match &prefix {
            b"GET " | b"HEAD" | b"POST" | b"PUT " | b"OPTI" | b"PRI " => Self::Http,
            [first, second, ..] if [*first, *second] == TLS_HANDSHAKE => Self::Tls,
            _ if length < 0 => Self::Negative { length },
            _ => Self::TooLong { length, bytes_max },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1000;

    #[test]
    fn frames_come_out_as_soon_as_they_are_complete() {
        let mut received = BytesMut::from(&b"\0\0\0\x02hi\0\0\0\0\0\0\0\x03yo"[..]);
        assert_eq!(next_frame(&mut received, BYTES_MAX), Ok(Some(Bytes::from_static(b"hi"))));
        assert_eq!(next_frame(&mut received, BYTES_MAX), Ok(Some(Bytes::new())));
        assert_eq!(next_frame(&mut received, BYTES_MAX), Ok(None));
        received.extend_from_slice(b"u");
        assert_eq!(next_frame(&mut received, BYTES_MAX), Ok(Some(Bytes::from_static(b"you"))));
        assert_eq!(next_frame(&mut received, BYTES_MAX), Ok(None));
    }

    #[test]
    fn strangers_are_recognised_by_their_first_bytes() {
        let refused = |first: &[u8]| next_frame(&mut BytesMut::from(first), BYTES_MAX).unwrap_err();
        assert_eq!(refused(b"GET / HTTP/1.1"), FrameError::Http);
        assert_eq!(refused(&[22, 3, 1, 2, 0, 1]), FrameError::Tls);
        assert_eq!(refused(&[0xff, 0xff, 0xff, 0xfe]), FrameError::Negative { length: -2 });
        assert_eq!(refused(&[0, 0, 3, 0xe9]), FrameError::TooLong { length: 1001, bytes_max: BYTES_MAX });
    }
}

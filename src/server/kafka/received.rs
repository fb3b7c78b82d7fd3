//! What a client has sent and nobody has taken yet: whole requests, and the beginning of one.
//!
//! Invariants: a request has memory of its own, exactly as much as it is long, so that who keeps a piece of it keeps
//! nothing else; nothing is allocated because a frame says that it will be large.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::wire::frame::{FrameError, length_of};

const LENGTH_BYTES: usize = 4;

/// By what a buffer grows at least when it is known that more of a frame has to come: few steps, and little unused.
const GROWTH_FACTOR: usize = 4;

/// Requests in the order they came.
#[derive(Default)]
pub struct Received {
    whole: VecDeque<Bytes>,
    whole_bytes: usize,
    /// Of a frame, its length in front.
    partial: BytesMut,
}

impl Received {
    /// The next request, without its length.
    pub fn next(&mut self) -> Option<Bytes> {
        let next = self.whole.pop_front()?;
        self.whole_bytes -= next.len();
        if self.whole.is_empty() {
            self.whole = VecDeque::new();
        }
        Some(next)
    }

    pub fn has_next(&self) -> bool {
        !self.whole.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.partial.is_empty()
    }

    /// How many bytes of an unfinished request there are.
    pub fn partial(&self) -> usize {
        self.partial.len()
    }

    /// How much memory is held.
    pub fn held(&self) -> usize {
        self.whole_bytes + self.whole.len() * size_of::<Bytes>() + self.partial.capacity()
    }

    /// Where to put what is missing of a large frame, so that it stays there: as much as may come now, but not far more
    /// than has come.
    pub fn large(&mut self, than: usize) -> Option<usize> {
        let room = self.missing().min(self.partial.len() * (GROWTH_FACTOR - 1));
        (room > than).then_some(room)
    }

    /// The buffer for what `large` has said.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.partial
    }

    /// Looks whether what has been put into the buffer completes the request.
    pub fn complete(&mut self) {
        if self.partial.len() >= LENGTH_BYTES && self.missing() == 0 {
            let frame = std::mem::take(&mut self.partial).freeze().slice(LENGTH_BYTES..);
            self.push(frame);
        }
    }

    /// Takes in what has come, whatever it is a piece of.
    pub fn take(&mut self, mut piece: &[u8], bytes_max: usize) -> Result<(), FrameError> {
        while !piece.is_empty() {
            if self.partial.is_empty()
                && let Some(length) = length_of(piece, bytes_max)?
                && let Some(frame) = piece.get(LENGTH_BYTES..LENGTH_BYTES + length)
            {
                self.push(Bytes::copy_from_slice(frame));
                piece = &piece[LENGTH_BYTES + length..];
                continue;
            }
            let wanted = match self.partial.len() {
                known @ 0..LENGTH_BYTES => LENGTH_BYTES - known,
                _ => self.missing(),
            };
            let (taken, rest) = piece.split_at(wanted.min(piece.len()));
            self.partial.extend_from_slice(taken);
            length_of(&self.partial, bytes_max)?;
            self.complete();
            piece = rest;
        }
        Ok(())
    }

    /// How many bytes of the unfinished request have not come; none if its length has not.
    fn missing(&self) -> usize {
        let length = self.partial.first_chunk::<LENGTH_BYTES>().map_or(0, |prefix| i32::from_be_bytes(*prefix));
        (usize::try_from(length).unwrap_or(0) + LENGTH_BYTES).saturating_sub(self.partial.len())
    }

    fn push(&mut self, frame: Bytes) {
        self.whole_bytes += frame.len();
        self.whole.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1000;

    fn sent(frames: &[Vec<u8>]) -> Vec<u8> {
        frames.iter().flat_map(|frame| (frame.len() as i32).to_be_bytes().into_iter().chain(frame.clone())).collect()
    }

    #[test]
    fn requests_come_out_whole_whatever_the_pieces_they_come_in() {
        let frames: Vec<Vec<u8>> = [3, 0, 700, 1, 20, 0, 0, 999].map(|size| vec![size as u8; size]).into();
        let sent = sent(&frames);
        for piece in 1..sent.len() {
            let (mut received, mut came) = (Received::default(), Vec::new());
            for piece in sent.chunks(piece) {
                received.take(piece, BYTES_MAX).unwrap();
                came.extend(std::iter::from_fn(|| received.next()));
            }
            assert_eq!(came, frames, "in pieces of {piece}");
            assert!(received.is_empty() && received.held() == 0, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_large_request_is_read_to_where_it_stays_in_steps_that_follow_what_has_come() {
        let frame = vec![7; 900];
        let sent = sent(std::slice::from_ref(&frame));
        let mut received = Received::default();
        received.take(&sent[..20], BYTES_MAX).unwrap();
        assert_eq!((received.large(100), received.large(50)), (None, Some(60)));
        received.take(&sent[20..300], BYTES_MAX).unwrap();
        assert_eq!(received.large(100), Some(604));
        received.buffer().extend_from_slice(&sent[300..]);
        received.complete();
        assert_eq!(received.next().unwrap(), frame);
        assert!(received.is_empty());
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_as_soon_as_it_is_there() {
        let refused = |pieces: &[&[u8]]| {
            let mut received = Received::default();
            pieces.iter().try_for_each(|piece| received.take(piece, BYTES_MAX)).unwrap_err()
        };
        assert_eq!(refused(&[b"GET / HTTP/1.1"]), FrameError::Http);
        assert_eq!(refused(&[b"GE", b"T "]), FrameError::Http);
        assert_eq!(refused(&[&[0, 0, 0, 1, 9, 0, 0, 3, 0xe9]]), FrameError::TooLong { length: 1001, bytes_max: 1000 });
    }
}

//! Compression of batches: the four codecs, in the framings that Kafka's clients use.
//!
//! | codec | framing |
//! |---|---|
//! | gzip | gzip |
//! | snappy | Java's blocks behind a magic (also Dohle's), or one bare block, as librdkafka sends |
//! | lz4 | LZ4 frames; Kafka's readers know only independent blocks |
//! | zstd | zstd frames |
//!
//! Invariants: what comes out is bounded by the caller, whatever the bytes claim; nothing is allocated for a claim.
//!
//! Absent on purpose: lz4's levels: the library has one, the fast one, which is what Kafka's default stands for.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::batch::Codec;
use super::error::RecordError;

/// How a topic wants its batches: a codec, and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    pub codec: Codec,
    /// Of gzip and zstd; otherwise of no meaning.
    pub level: i32,
}

impl Compression {
    /// As this codec does by itself.
    pub fn of(codec: Codec) -> Self {
        let level = match codec {
            Codec::Gzip => GZIP_LEVEL,
            Codec::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
            Codec::None | Codec::Snappy | Codec::Lz4 => 0,
        };
        Self { codec, level }
    }
}

/// gzip's own choice, which Kafka calls -1.
const GZIP_LEVEL: i32 = 6;

/// What Java's snappy streams begin with; then two versions, then blocks behind their lengths.
const SNAPPY_MAGIC: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;
/// No snappy block grows more than its densest copies do: 64 bytes out of three.
const SNAPPY_GROWTH_MAX: usize = 22;

/// The records of a batch as they were before they were compressed: at most `most` bytes, or it is refused.
pub(super) fn decompress(codec: Codec, bytes: &[u8], most: usize) -> Result<Vec<u8>, RecordError> {
    let read = |reader: &mut dyn Read| drain(reader, most);
    match codec {
        Codec::None => read(&mut &*bytes),
        Codec::Gzip => read(&mut MultiGzDecoder::new(bytes)),
        Codec::Snappy => unsnappy(bytes, most),
        Codec::Lz4 => read(&mut FrameDecoder::new(bytes)),
        Codec::Zstd => read(&mut zstd::Decoder::with_buffer(bytes).map_err(|error| garbled(&error))?),
    }
}

/// The records of a batch, compressed.
pub(super) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let written = match compression.codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => gzip(compression.level, bytes),
        Codec::Snappy => Ok(snappy(bytes)),
        Codec::Lz4 => lz4(bytes),
        Codec::Zstd => zstd::bulk::compress(bytes, compression.level),
    };
    written.expect("memory takes what is written to it, and levels are checked where they are set")
}

fn drain(reader: &mut dyn Read, most: usize) -> Result<Vec<u8>, RecordError> {
    let mut whole = Vec::new();
    let read = reader.take(most as u64 + 1).read_to_end(&mut whole).map_err(|error| garbled(&error))?;
    if read > most { Err(RecordError::Expands { most }) } else { Ok(whole) }
}

fn garbled(error: &io::Error) -> RecordError {
    RecordError::NotDecompressed(error.to_string())
}

fn gzip(level: i32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = u32::try_from(level).unwrap_or(GZIP_LEVEL.unsigned_abs());
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn lz4(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(io::Error::other)
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = [SNAPPY_MAGIC, &SNAPPY_VERSIONS].concat();
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(SNAPPY_BLOCK_BYTES) {
        let block = encoder.compress_vec(block).expect("a block is far below snappy's bound");
        out.extend((block.len() as u32).to_be_bytes());
        out.extend(block);
    }
    out
}

fn unsnappy(bytes: &[u8], most: usize) -> Result<Vec<u8>, RecordError> {
    let Some(blocks) = bytes.strip_prefix(SNAPPY_MAGIC) else {
        let mut whole = Vec::new();
        return unsnappy_block(bytes, &mut whole, most).map(|()| whole);
    };
    let cut_off = || RecordError::NotDecompressed("a snappy block is cut off".to_owned());
    let mut rest = blocks.get(SNAPPY_VERSIONS.len()..).ok_or_else(cut_off)?;
    let mut whole = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        // A stream may be several ones, each with its head.
        if let Some(next) = rest.strip_prefix(SNAPPY_MAGIC) {
            rest = next.get(SNAPPY_VERSIONS.len()..).ok_or_else(cut_off)?;
            continue;
        }
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        unsnappy_block(block, &mut whole, most)?;
        rest = after;
    }
    if rest.is_empty() { Ok(whole) } else { Err(cut_off()) }
}

fn unsnappy_block(block: &[u8], whole: &mut Vec<u8>, most: usize) -> Result<(), RecordError> {
    let garbled = |error: snap::Error| RecordError::NotDecompressed(error.to_string());
    let claimed = snap::raw::decompress_len(block).map_err(garbled)?;
    if claimed > most.saturating_sub(whole.len()) {
        return Err(RecordError::Expands { most });
    }
    if claimed > block.len().saturating_mul(SNAPPY_GROWTH_MAX) {
        return Err(RecordError::NotDecompressed("a snappy block claims more than it can hold".to_owned()));
    }
    let from = whole.len();
    whole.resize(from + claimed, 0);
    let out = whole.get_mut(from..).expect("it was just made as long");
    snap::raw::Decoder::new().decompress(block, out).map(drop).map_err(garbled)
}

#[cfg(test)]
mod tests;

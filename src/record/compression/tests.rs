//! All codecs, there and back, with what clients sent and with what nobody should.

use bytes::Bytes;

use super::*;
use crate::base::clock::WallMillis;
use crate::record::{Batch, BatchBuilder};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const MOST: usize = 1 << 20;

macro_rules! recorded {
    ($name:literal) => {
        &include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames/batches/", $name, ".batch"))[..]
    };
}

/// Some text, some noise, and more than one block of any codec.
fn records() -> Vec<u8> {
    let mut bytes = b"the jackdaw is the bird on the sign ".repeat(5_000);
    let mut state = 7u32;
    bytes.extend((0..50_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    bytes
}

#[test]
fn what_was_compressed_comes_back() {
    for codec in CODECS {
        for bytes in [records(), b"x".to_vec(), Vec::new()] {
            let packed = compress(Compression::of(codec), &bytes);
            assert_eq!(decompress(codec, &packed, MOST).as_ref(), Ok(&bytes), "{codec:?}");
            if codec != Codec::None && bytes.len() > 1_000 {
                assert!(packed.len() < bytes.len() / 2, "{codec:?} made {} of {}", packed.len(), bytes.len());
            }
        }
    }
}

#[test]
fn what_clients_compressed_can_be_read() {
    for (name, recorded, codec) in [
        ("librdkafka", recorded!("librdkafka-gzip"), Codec::Gzip),
        ("Java", recorded!("java-snappy"), Codec::Snappy),
        ("a broker", recorded!("stored-lz4"), Codec::Lz4),
        ("a broker", recorded!("stored-zstd"), Codec::Zstd),
    ] {
        let batch = Batch::split_from(&mut Bytes::from_static(recorded)).expect("recorded");
        assert_eq!(batch.header().attributes.codec(), Ok(codec), "{name}");
        let records: Vec<_> = batch.opened(MOST).expect("compressed by its client").collect();
        assert_eq!(records.len(), batch.header().count as usize, "{name}");
        for (at, record) in records.into_iter().enumerate() {
            let record = record.expect("whole");
            assert_eq!(record.offset, batch.header().base_offset.plus(at as i64), "{name}");
        }
    }
}

/// librdkafka's framing, which is none.
#[test]
fn a_bare_snappy_block_is_read_as_one() {
    let block = snap::raw::Encoder::new().compress_vec(&records()).expect("room");
    assert_eq!(decompress(Codec::Snappy, &block, MOST), Ok(records()));
}

#[test]
fn a_small_batch_cannot_fill_the_memory() {
    let bomb = vec![0; MOST + 1];
    for codec in CODECS {
        let packed = compress(Compression::of(codec), &bomb);
        assert_eq!(decompress(codec, &packed, MOST), Err(RecordError::Expands { most: MOST }), "{codec:?}");
        assert_eq!(decompress(codec, &packed, MOST + 1).map(|bytes| bytes.len()), Ok(MOST + 1), "{codec:?}");
    }
    // A block that claims a megabyte and has nothing to make it of.
    let claim = [0x80, 0x80, 0x40, 0];
    assert!(matches!(decompress(Codec::Snappy, &claim, MOST), Err(RecordError::NotDecompressed(_))));
}

#[test]
fn damage_is_told_and_not_passed_on() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let packed = compress(Compression::of(codec), &records());
        let cut = decompress(codec, &packed[..packed.len() / 2], MOST);
        assert!(!matches!(&cut, Ok(whole) if *whole == records()), "{codec:?}");
        for at in (0..packed.len()).step_by(97) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            // Whether a codec notices is its own affair, the batch's checksum does; but it must end, and in bounds.
            if let Ok(whole) = decompress(codec, &damaged, MOST) {
                assert!(whole.len() <= MOST, "{codec:?}");
            }
        }
    }
}

#[test]
fn a_batch_is_packed_otherwise_and_stays_the_same() {
    let mut plain = BatchBuilder::new();
    for number in 0..100 {
        let value = format!("value {number}").repeat(10);
        plain.push(WallMillis(1_000 + number), Some(b"key"), Some(value.as_bytes()), &[("h", Some(b"x"))]);
    }
    let plain = plain.build();
    let of = |batch: &Batch| batch.opened(MOST).expect("sound").collect::<Result<Vec<_>, _>>().expect("sound");
    for codec in CODECS {
        let packed = plain.repacked(Compression::of(codec), MOST).expect("sound");
        packed.verify().expect("its checksum is its own");
        assert_eq!(packed.header().attributes.codec(), Ok(codec));
        assert_eq!(of(&packed), of(&plain), "{codec:?}");
        assert_eq!(packed.repacked(Compression::of(Codec::None), MOST), Ok(plain.clone()), "{codec:?}");
    }
}

//! Every check refuses its planted defect.

use super::*;
use crate::base::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
use crate::base::tests::seeds;
use crate::record::{BatchBuilder, EndTxnMarker, HEADER_LEN, RecordErrorKind, TxnOutcome};

const NOW: WallMillis = WallMillis(1_700_000_000_000);

const RULES: Rules = Rules {
    bytes_max: 1 << 20,
    keys_required: false,
    timestamps: Timestamps::Create { before_max_ms: i64::MAX, after_max_ms: 3_600_000 },
    compression: None,
    now: NOW,
};

/// Three records: with key and header, with a null value, with a null key.
fn sound() -> BatchBuilder {
    BatchBuilder::idempotent(ProducerId(4), ProducerEpoch(0), 0)
        .record(NOW, Some(b"k"), Some(b"one"), &[("h", Some(b"x")), ("null", None)])
        .record(WallMillis(NOW.0 + 5), Some(b"k"), None, &[])
        .record(WallMillis(NOW.0 - 5), None, Some(b"three"), &[])
}

fn bytes(batch: &Batch) -> Vec<u8> {
    batch.parts().map(|part| &part[..]).concat()
}

/// Plants a defect in the sound batch, makes the checksum right again, and asks for a judgement.
fn planted(plant: impl FnOnce(&mut Vec<u8>)) -> RecordError {
    let mut bytes = bytes(&sound().build());
    plant(&mut bytes);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    from_client(Bytes::from(bytes), &RULES).expect_err("the defect was not seen")
}

fn put_i32(bytes: &mut [u8], at: usize, value: i32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

#[test]
fn a_sound_batch_is_taken_as_it_is() {
    let sent = sound().build();
    let taken = from_client(Bytes::from(bytes(&sent)), &RULES).expect("sound");
    assert_eq!(taken, sent);
    assert_eq!(taken.header().max_timestamp, WallMillis(NOW.0 + 5));
}

#[test]
fn each_defect_of_a_header_is_refused() {
    assert_eq!(planted(|b| b[7] = 1), RecordError::BaseOffset(1));
    assert_eq!(planted(|b| put_i32(b, 57, 0)), RecordError::Count(0));
    assert_eq!(planted(|b| put_i32(b, 57, -1)), RecordError::Count(-1));
    assert_eq!(planted(|b| put_i32(b, 23, 3)), RecordError::OffsetRange { last_offset_delta: 3, count: 3 });
    assert_eq!(planted(|b| b[22] |= 0x20), RecordError::ControlBatch);
    assert_eq!(planted(|b| b[22] |= 0x05), RecordError::UnknownCodec(5));
    assert_eq!(planted(|b| b[22] |= 0x08), RecordError::AppendTime);
    assert_eq!(planted(|b| put_i32(b, 53, -1)), RecordError::Sequence(-1));
    assert_eq!(planted(|b| b[16] = 1), RecordError::OldFormat(1));
}

#[test]
fn each_defect_of_a_record_is_refused() {
    let malformed = |record, what| RecordError::Malformed { record, what };
    let first = HEADER_LEN; // length, attributes, timestamp, offset, key length…
    assert_eq!(planted(|b| b[first + 3] = 2), RecordError::OffsetDelta { record: 0, offset_delta: 1 });
    assert_eq!(planted(|b| b[first] += 2), malformed(0, "bytes follow its last field"));
    assert_eq!(planted(|b| b[first] = 0), malformed(0, "it is empty"));
    assert_eq!(planted(|b| b[first] = 0x7e), malformed(0, "it is longer than the batch"));
    assert_eq!(planted(|b| b[first + 4] = 0x7e), malformed(0, "its key is longer than the record"));
    assert_eq!(planted(|b| b[first + 4] = 3), malformed(0, "its key is longer than the record"), "a length of -2");
    assert_eq!(planted(|b| b[first + 10] = 0x7e), malformed(0, "it cannot have that many headers"));
    assert_eq!(planted(|b| b[first + 10] = 1), malformed(0, "it cannot have that many headers"));
    assert_eq!(planted(|b| b[first + 11] = 0x7e), malformed(0, "a header is longer than the record"));
    assert_eq!(planted(|b| b.push(0)), malformed(3, "bytes follow the last record"));
    assert_eq!(planted(|b| b.truncate(b.len() - 1)), malformed(2, "it is longer than the batch"));
    let more = |b: &mut Vec<u8>| {
        put_i32(b, 57, i32::MAX);
        put_i32(b, 23, i32::MAX - 1);
    };
    assert_eq!(planted(more), malformed(3, "its length is cut off"), "a count of two thousand million is no work");
}

#[test]
fn a_flipped_bit_is_seen_by_the_checksum() {
    let sound = bytes(&sound().build());
    for at in 17..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x10;
        let error = from_client(Bytes::from(flipped), &RULES).expect_err("flipped");
        assert!(matches!(error, RecordError::Crc { .. }), "byte {at}: {error}");
        assert_eq!(error.kind(), RecordErrorKind::Corrupt);
    }
}

#[test]
fn size_number_and_keys_are_as_the_topic_says() {
    let one = Bytes::from(bytes(&sound().build()));
    let small = Rules { bytes_max: one.len() - 1, ..RULES };
    assert_eq!(from_client(one.clone(), &small).expect_err("large").kind(), RecordErrorKind::TooLarge);
    assert_eq!(
        from_client(one.clone(), &Rules { bytes_max: one.len(), ..RULES }).map(|batch| batch.size()),
        Ok(one.len())
    );

    let two = Bytes::from([&one[..], &one[..]].concat());
    assert_eq!(from_client(two, &RULES), Err(RecordError::MoreThanOneBatch(one.len())));

    let compacted = Rules { keys_required: true, ..RULES };
    let refused = from_client(one, &compacted).expect_err("the third record has no key");
    assert_eq!((refused.kind(), to_blame(&refused)), (RecordErrorKind::Invalid, vec![2]));
}

#[test]
fn every_record_that_its_topic_does_not_take_is_named() {
    let (key, far) = (Some(&b"k"[..]), WallMillis(NOW.0 + 11));
    let batch = BatchBuilder::new()
        .record(NOW, None, None, &[])
        .record(NOW, key, None, &[])
        .record(far, key, None, &[])
        .record(far, None, None, &[])
        .build();
    let sent = Bytes::from(bytes(&batch));
    let timestamps = Timestamps::Create { before_max_ms: i64::MAX, after_max_ms: 10 };
    let told = |rules| {
        let refused = from_client(sent.clone(), &rules).expect_err("not all of them are taken");
        (refused.kind(), to_blame(&refused), refused.to_string())
    };
    let (kind, records, says) = told(Rules { keys_required: true, ..RULES });
    assert_eq!((kind, records), (RecordErrorKind::Invalid, vec![0, 3]));
    assert_eq!(says, "record 0 has no key, and the topic is compacted, and 1 more are refused");
    let (kind, records, _) = told(Rules { keys_required: true, timestamps, ..RULES });
    assert_eq!((kind, records), (RecordErrorKind::InvalidTimestamp, vec![0, 2, 3]));

    let packed = packed(&batch, Codec::Lz4);
    let unopened = from_client(packed, &Rules { timestamps, ..RULES }).expect_err("its header tells");
    assert_eq!((unopened.kind(), to_blame(&unopened)), (RecordErrorKind::InvalidTimestamp, vec![]));
}

fn to_blame(refused: &RecordError) -> Vec<i32> {
    refused.blamed().into_iter().map(|(record, _)| record).collect()
}

#[test]
fn timestamps_stay_near_now_as_far_as_the_topic_wants_it() {
    let at = |timestamp| {
        let batch = BatchBuilder::new().record(NOW, None, None, &[]).record(timestamp, None, None, &[]).build();
        Bytes::from(bytes(&batch))
    };
    let rules = Rules { timestamps: Timestamps::Create { before_max_ms: 1000, after_max_ms: 10 }, ..RULES };
    for fine in [NOW.0 - 1000, NOW.0 + 10, NO_TIMESTAMP.0] {
        assert!(from_client(at(WallMillis(fine)), &rules).is_ok(), "{fine}");
    }
    for off in [NOW.0 - 1001, NOW.0 + 11, i64::MIN, i64::MAX, 0] {
        let refused = from_client(at(WallMillis(off)), &rules).expect_err("too far");
        assert_eq!((refused.kind(), to_blame(&refused)), (RecordErrorKind::InvalidTimestamp, vec![1]), "{off}");
    }

    let append = Rules { timestamps: Timestamps::Append, ..RULES };
    let stamped = from_client(at(WallMillis(0)), &append).expect("any timestamp will do");
    assert_eq!(stamped.verify(), Ok(()));
    assert!(stamped.header().attributes.has_append_time());
    assert_eq!(stamped.header().max_timestamp, NOW);
}

#[test]
fn a_largest_timestamp_that_no_record_has_is_corrected() {
    let mut sent = sound().build();
    sent.correct_max_timestamp(WallMillis(NOW.0 + 1_000_000));
    let taken = from_client(Bytes::from(bytes(&sent)), &RULES).expect("sound otherwise");
    assert_eq!(taken, sound().build());
}

#[test]
fn a_follower_takes_many_batches_and_markers_too() {
    let mut data = sound().build();
    data.assign(Offset(10), LeaderEpoch(2));
    let marker = EndTxnMarker { outcome: TxnOutcome::Commit, coordinator_epoch: 3 };
    let mut end = marker.batch(ProducerId(4), ProducerEpoch(0), NOW);
    end.assign(Offset(13), LeaderEpoch(2));

    let sent = Bytes::from([bytes(&data), bytes(&end)].concat());
    let taken = from_leader(sent.clone()).expect("both are whole");
    assert_eq!(taken, [data, end]);
    assert_eq!(EndTxnMarker::of(&taken[0]), None);
    assert_eq!(EndTxnMarker::of(&taken[1]), Some(marker));

    let mut damaged = sent.to_vec();
    *damaged.last_mut().expect("not empty") ^= 1;
    assert_eq!(from_leader(Bytes::from(damaged)).expect_err("damaged").kind(), RecordErrorKind::Corrupt);
}

/// xorshift: enough to vary inputs, and the same everywhere.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

/// `DOHLE_FUZZ_SECONDS=600 cargo test --lib no_mutation_of_a_batch` searches on.
#[test]
fn no_mutation_of_a_batch_brings_a_judge_down() {
    let sound = bytes(&sound().build());
    for seed in seeds(20_000) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mutant = sound.clone();
        for _ in 0..=random(&mut state) % 4 {
            let at = random(&mut state) % mutant.len();
            match random(&mut state) % 4 {
                0 => mutant[at] = random(&mut state) as u8,
                1 => mutant.truncate(at.max(1)),
                2 => mutant.insert(at, random(&mut state) as u8),
                _ => mutant[at] ^= 1 << (random(&mut state) % 8),
            }
        }
        if mutant.len() > 21 && seed % 4 != 0 {
            let crc = crc32c::crc32c(&mutant[21..]);
            mutant[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        if let Ok(batch) = from_client(Bytes::from(mutant.clone()), &RULES)
            && let Ok(records) = batch.records()
        {
            for record in records {
                let record = record.unwrap_or_else(|error| panic!("seed {seed}: {error} in an accepted batch"));
                assert!(record.headers.count() <= mutant.len(), "seed {seed}");
            }
        }
        let _ = from_leader(Bytes::from(mutant));
    }
}

fn packed(batch: &Batch, codec: Codec) -> Bytes {
    Bytes::from(bytes(&batch.repacked(Compression::of(codec), 1 << 20).expect("sound")))
}

#[test]
fn a_topic_packs_batches_as_it_wants_them() {
    let sent = sound().build();
    for wanted in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let rules = Rules { compression: Some(Compression::of(wanted)), ..RULES };
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let taken = from_client(packed(&sent, codec), &rules).expect("sound");
            taken.verify().expect("its checksum is its own");
            assert_eq!(taken.header().attributes.codec(), Ok(wanted), "{codec:?}");
            let records = |batch: &Batch| batch.opened(1 << 20).expect("sound").collect::<Result<Vec<_>, _>>();
            assert_eq!(records(&taken), records(&sent), "{codec:?} to {wanted:?}");
        }
    }
    let small = Rules { compression: Some(Compression::of(Codec::None)), bytes_max: 150, ..RULES };
    let text = BatchBuilder::new().record(NOW, None, Some(&[b'a'; 1_000]), &[]).build();
    let zstd = packed(&text, Codec::Zstd);
    assert!(zstd.len() <= 150, "{} bytes", zstd.len());
    assert!(matches!(from_client(zstd, &small), Err(RecordError::TooLarge { most: 150, .. })));
}

#[test]
fn compressed_records_are_looked_at_where_a_rule_asks_for_it() {
    let sent = packed(&sound().build(), Codec::Lz4);
    from_client(sent.clone(), &RULES).expect("nobody asks");
    let keys = Rules { keys_required: true, ..RULES };
    let refused = Rejected { record: 2, why: Rejection::NoKey };
    assert_eq!(from_client(sent.clone(), &keys), Err(RecordError::Rejected(vec![refused])));
    let old = Rules { timestamps: Timestamps::Create { before_max_ms: 4, after_max_ms: 5 }, ..RULES };
    let refused = Rejected { record: 2, why: Rejection::Timestamp(NOW.0 - 5) };
    assert_eq!(from_client(sent.clone(), &old), Err(RecordError::Rejected(vec![refused])));
}

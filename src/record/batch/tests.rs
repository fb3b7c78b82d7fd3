//! Headers that are read, written and patched.

use super::*;
use crate::record::{RecordErrorKind, check};

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames/batches/", $name, ".batch"))
    };
}

/// What real clients sent, and what Apache Kafka stored and served: name, bytes, codec, records.
const RECORDED: [(&str, &[u8], Codec, i32); 11] = [
    ("aiokafka", recorded!("aiokafka-none"), Codec::None, 1),
    ("java", recorded!("java-none"), Codec::None, 50),
    ("java, snappy", recorded!("java-snappy"), Codec::Snappy, 50),
    ("kafka-python", recorded!("kafka-python-none"), Codec::None, 30),
    ("kafkajs", recorded!("kafkajs-none"), Codec::None, 15),
    ("librdkafka", recorded!("librdkafka-none"), Codec::None, 26),
    ("librdkafka, gzip", recorded!("librdkafka-gzip"), Codec::Gzip, 26),
    ("librdkafka, transactional", recorded!("librdkafka-transactional"), Codec::None, 1),
    ("stored by Kafka, lz4", recorded!("stored-lz4"), Codec::Lz4, 26),
    ("stored by Kafka, none", recorded!("stored-none"), Codec::None, 1),
    ("stored by Kafka, zstd", recorded!("stored-zstd"), Codec::Zstd, 26),
];

fn whole(bytes: &'static [u8]) -> Batch {
    let mut rest = Bytes::from_static(bytes);
    let batch = Batch::split_from(&mut rest).expect("a recorded batch");
    assert!(rest.is_empty());
    batch
}

#[test]
fn recorded_batches_are_read_and_written_back_byte_for_byte() {
    for (who, bytes, codec, count) in RECORDED {
        let batch = whole(bytes);
        assert_eq!(batch.verify(), Ok(()), "{who}");
        assert_eq!(batch.header().attributes.codec(), Ok(codec), "{who}");
        assert_eq!(batch.header().count, count, "{who}");
        assert_eq!(batch.size(), bytes.len(), "{who}");
        assert_eq!(batch.parts().map(|part| &part[..]).concat(), bytes, "{who}");
        assert_eq!(batch.header().encode(), bytes[..HEADER_LEN], "{who}");
    }
}

#[test]
fn the_records_of_a_recorded_batch_are_those_its_client_sent() {
    let values = |bytes| {
        let records = whole(bytes).records().expect("not compressed");
        records.map(|record| record.expect("whole").value.expect("a value")).collect::<Vec<_>>()
    };
    assert_eq!(values(recorded!("aiokafka-none")), ["0"]);
    assert_eq!(values(recorded!("stored-none")), ["7"]);
    assert_eq!(values(recorded!("java-none")), (1..=50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(values(recorded!("kafka-python-none")), (0..30).map(|n| format!("x{n}")).collect::<Vec<_>>());

    let mut records = whole(recorded!("kafkajs-none")).records().expect("not compressed");
    let second = records.nth(1).expect("15 records").expect("whole");
    assert_eq!((second.key.as_deref(), second.value.as_deref()), (Some(&b"2"[..]), Some(&b"v2"[..])));
    assert_eq!(second.offset, Offset(1));
    assert_eq!(records.count(), 13);
}

#[test]
fn compressed_records_are_not_opened() {
    let batch = whole(recorded!("stored-zstd"));
    assert_eq!(batch.records().expect_err("compressed").kind(), RecordErrorKind::UnsupportedCompression);
}

#[test]
fn a_leader_assigns_offsets_and_epoch_without_touching_what_the_checksum_covers() {
    let sent = whole(recorded!("java-none"));
    let mut stored = sent.clone();
    stored.assign(Offset(1 << 40), LeaderEpoch(7));

    assert_eq!(stored.verify(), Ok(()));
    assert_eq!(stored.header().last_offset(), Offset((1 << 40) + 49));
    assert_eq!(stored.header().leader_epoch, LeaderEpoch(7));
    let (sent, stored) = (sent.parts().map(|p| &p[..]).concat(), stored.parts().map(|p| &p[..]).concat());
    assert_eq!(sent[CHECKED_FROM..], stored[CHECKED_FROM..]);
}

#[test]
fn an_append_time_replaces_the_time_of_every_record() {
    let mut batch = whole(recorded!("kafka-python-none"));
    batch.stamp(WallMillis(1_700_000_000_000));
    assert_eq!(batch.verify(), Ok(()), "the checksum is made anew");
    for record in batch.records().expect("not compressed") {
        assert_eq!(record.expect("whole").timestamp, WallMillis(1_700_000_000_000));
    }
}

#[test]
fn several_batches_are_split_one_by_one_and_a_torn_one_is_refused() {
    let mut bytes = Bytes::from([recorded!("aiokafka-none").as_slice(), recorded!("java-none")].concat());
    let torn = bytes.slice(..bytes.len() - 1);
    assert_eq!(Batch::split_from(&mut bytes).map(|batch| batch.size()), Ok(69));
    assert_eq!(Batch::split_from(&mut bytes).map(|batch| batch.size()), Ok(502));
    assert!(bytes.is_empty());
    assert_eq!(check::from_leader(torn), Err(RecordError::Truncated { needed: 502, there: 501 }));
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let java = recorded!("java-none");
    let with = |at: usize, byte: u8| {
        let mut bytes = java.to_vec();
        bytes[at] = byte;
        BatchHeader::parse(&bytes)
    };
    assert_eq!(with(MAGIC_AT, 0), Err(RecordError::OldFormat(0)));
    assert_eq!(with(MAGIC_AT, 1), Err(RecordError::OldFormat(1)));
    assert_eq!(with(MAGIC_AT, 3), Err(RecordError::UnknownFormat(3)));
    assert_eq!(with(8, 0x80).expect_err("a negative length").kind(), RecordErrorKind::Corrupt);
    assert_eq!(BatchHeader::parse(&java[..60]), Err(RecordError::Truncated { needed: 61, there: 60 }));
    assert_eq!(BatchHeader::parse(&[]), Err(RecordError::Truncated { needed: 61, there: 0 }));
}

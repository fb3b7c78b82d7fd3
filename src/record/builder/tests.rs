//! Batches that are built, and what is read from them.

use super::*;
use crate::record::check::{Rules, Timestamps, from_client};

#[test]
fn what_is_built_is_what_is_read() {
    let long = vec![b'v'; 300];
    let batch = BatchBuilder::transactional(ProducerId(9), ProducerEpoch(2), 77)
        .record(WallMillis(1000), None, None, &[])
        .record(WallMillis(400), Some(b""), Some(&long), &[("trace", Some(b"1")), ("trace", None)])
        .record(WallMillis(1 << 40), Some(&long), Some(b""), &[])
        .build();

    let header = batch.header();
    assert_eq!((header.count, header.last_offset_delta, header.base_sequence), (3, 2, 77));
    assert_eq!((header.base_timestamp, header.max_timestamp), (WallMillis(1000), WallMillis(1 << 40)));
    assert!(header.attributes.is_transactional() && header.has_producer());

    let records: Vec<_> = batch.records().expect("not compressed").map(|record| record.expect("whole")).collect();
    let seen: Vec<_> =
        records.iter().map(|r| (r.offset.0, r.timestamp.0, r.key.as_deref(), r.value.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (0, 1000, None, None),
            (1, 400, Some(&b""[..]), Some(&long[..])),
            (2, 1 << 40, Some(&long[..]), Some(&b""[..])),
        ]
    );
    let headers: Vec<_> = records[1].headers.clone().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("trace".into(), Some("1".into())), ("trace".into(), None)]);
}

#[test]
fn what_is_built_is_accepted() {
    let mut builder = BatchBuilder::new();
    for n in 0..1000 {
        builder.push(WallMillis(n), Some(&n.to_be_bytes()), Some(b"value"), &[]);
    }
    let size = builder.size();
    let sent = builder.build().parts().map(|part| &part[..]).concat();
    assert_eq!(sent.len(), size);
    let rules = Rules {
        bytes_max: size,
        keys_required: true,
        timestamps: Timestamps::Create { before_max_ms: i64::MAX, after_max_ms: 0 },
        compression: None,
        now: WallMillis(999),
    };
    assert_eq!(from_client(Bytes::from(sent), &rules).map(|batch| batch.header().count), Ok(1000));
}

//! Records: Kafka's record batch, format 2, as it travels and as it lies on the disk. One format, never rewritten.
//!
//! A batch is 61 bytes of header and then its records, which may be compressed as a whole:
//!
//! ```text
//!  at  bytes
//!   0   8   base offset            the leader's to write
//!   8   4   length of the rest, from byte 12 on
//!  12   4   leader epoch           the leader's to write
//!  16   1   magic, 2
//!  17   4   CRC-32C of everything from byte 21 on
//!  21   2   attributes             bits 0-2 codec, 3 append time, 4 transactional, 5 control, 6 delete horizon
//!  23   4   last offset delta      records - 1 when a client sends it; compaction may leave fewer records
//!  27   8   base timestamp
//!  35   8   largest timestamp
//!  43   8   producer id            -1: none
//!  51   2   producer epoch
//!  53   4   base sequence
//!  57   4   number of records
//!  61       records: zigzag varints of length, timestamp delta, offset delta; then key, value, headers
//! ```
//!
//! What a leader writes lies outside the checksum. So a batch is checked once, where it enters the cluster, and the
//! same bytes then serve the disk, the followers and the consumers.
//!
//! Compressed records pass through unopened, unless a topic's settings or a look at the records ask for more.
//!
//! Absent on purpose: formats 0 and 1 (refused by name).
//!
//! Reading order: the batch, how one is judged, its records, how one is made.

mod batch;
pub use batch::{Attributes, Batch, BatchHeader, Codec, HEADER_LEN, NO_TIMESTAMP};

mod error;
pub use error::{RecordError, RecordErrorKind};

pub mod check;

mod records;
pub use records::{Header, Headers, Record, Records};

pub mod compression;

mod rebuild;
pub use rebuild::{Glance, Unpacked};

mod builder;
pub use builder::BatchBuilder;

mod control;
pub use control::{EndTxnMarker, TxnOutcome};

mod varint;

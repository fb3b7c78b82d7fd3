//! Every bound of the system, with its reason: what is not listed here is not bounded, and that is a bug.

/// Jobs that may wait for one worker. More would only hide that the disk cannot keep up.
pub const WORKER_QUEUE_JOBS_MAX: usize = 1024;

/// How long a fresh connection to the peer port may take to say its lane.
pub const LANE_GREETING_MS_MAX: u64 = 1_000;

/// Accepted connections that may wait for their server; further ones wait in the kernel.
pub const ACCEPTED_CONNECTIONS_QUEUE_MAX: usize = 64;

/// Bytes of recent Raft entries kept in memory, where replication reads them without a disk.
pub const RAFT_TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Entries that one read of the Raft log fetches from the store.
pub const RAFT_READ_ENTRIES_MAX: usize = 1024;

/// Bytes of one message between nodes; metadata entries are far below, and what is above is not from one of us.
pub const PEER_MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Connections to the peer port that may be about to say their lane.
pub const PEER_GREETINGS_MAX: usize = 64;

/// Pause after a connection could not be accepted: with no file descriptors left, trying at once only burns a core.
pub const ACCEPT_RETRY_MS: u64 = 50;
/// Partitions that one request may create; Kafka's bound. More would make one log entry that delays all others.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Partitions that change leader in one decision when many go back where they belong: brokers and clients follow in
/// steps instead of all at once.
pub const ELECTIONS_PER_DECISION_MAX: usize = 2_000;

/// Producers that one partition remembers; idle ones are forgotten first, and none whose retry may be under way.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;

/// Bytes of records that a leader may have sent on one replication lane and its follower not dealt with.
pub const REPLICATION_CREDIT_BYTES: u32 = 16 * 1024 * 1024;

/// Bytes of records in one frame of replication, unless one batch is larger: enough that the cost of a frame does not
/// count, and little enough that many partitions share a lane fairly.
pub const REPLICATION_FRAME_BYTES: usize = 1024 * 1024;

/// HTTP/2's windows on a replication lane: at least the credit, so that the credit alone throttles.
pub const REPLICATION_STREAM_WINDOW_BYTES: u32 = REPLICATION_CREDIT_BYTES;
pub const REPLICATION_CONNECTION_WINDOW_BYTES: u32 = 2 * REPLICATION_STREAM_WINDOW_BYTES;

/// HTTP/2's frames on a replication lane; its default of 16 KiB costs a quarter more CPU.
pub const REPLICATION_HTTP2_FRAME_BYTES: u32 = 1024 * 1024;

/// A connection between brokers that says nothing for this long is asked whether it is alive ...
pub const REPLICATION_KEEPALIVE_MS: u64 = 1_000;
/// ... and given up when it does not answer for this long.
pub const REPLICATION_KEEPALIVE_PATIENCE_MS: u64 = 3_000;

/// How long two brokers may take to connect and greet each other.
pub const REPLICATION_HELLO_MS_MAX: u64 = 3_000;

/// How long a follower waits before it dials a leader again; doubled from the first to the last.
pub const REPLICATION_REDIAL_MS: u64 = 20;
pub const REPLICATION_REDIAL_MS_MAX: u64 = 1_000;

/// How long a follower keeps a connection on which nothing is open.
pub const REPLICATION_LINGER_MS: u64 = 10_000;

/// Partitions that one lane may be about to open.
pub const REPLICATION_OPENS_MAX: usize = 1024;

/// Partitions in one frame of acknowledgements or marks.
pub const REPLICATION_ROWS_MAX: usize = 4096;

/// How long news of the high watermark may wait for others, or for records to travel with.
pub const REPLICATION_MARKS_DELAY_MS: u64 = 10;

/// Reads from the disk that one lane may wait for at a time.
pub const REPLICATION_COLD_READS_MAX: usize = 4;

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

/// Requests that may wait in one of our client's connections to be written.
pub const CLIENT_PIPELINE_REQUESTS_MAX: usize = 64;

/// Produce requests without an answer that one connection of our producer has: as many batches as a broker remembers
/// per producer and partition. With more, it could no longer tell a repeated batch from a new one.
pub const PRODUCE_REQUESTS_IN_FLIGHT_MAX: usize = 5;

/// Answers our client takes; a fetch asks for far less, but its first batch comes whole.
pub const CLIENT_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Records that may be on their way from callers into our producer.
pub const PRODUCER_INBOX_RECORDS_MAX: usize = 64 * 1024;

/// Bytes of keys and values our producer holds until they are delivered.
pub const PRODUCER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes our consumer asks of one broker, and of one partition, at a time.
pub const CONSUMER_FETCH_BYTES_MAX: i32 = 4 * 1024 * 1024;
pub const CONSUMER_PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// Pieces of partitions that were fetched and wait for the caller; while they do, nothing more is fetched.
pub const CONSUMER_FETCHED_MAX: usize = 64;

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

/// Commands that may wait for the active controller; who asks further ones waits until there is room.
pub const COMMANDS_QUEUE_MAX: usize = 1024;

/// Commands that one entry of the metadata log answers.
pub const COMMANDS_PER_ENTRY_MAX: usize = 512;

/// Bytes of facts after which an entry of the metadata log takes no further command. One command may exceed it.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// How long a new leader may take to confirm its reign before it tries again.
pub const CATCH_UP_MS_MAX: u64 = 1_000;

/// Pause after a reign could not begin, or stumbled and goes on.
pub const REIGN_RETRY_MS: u64 = 20;

/// How long a leader that stops waits for another to take over.
pub const HAND_OVER_MS_MAX: u64 = 500;

/// Entries that a subscriber of the metadata feed is sent at once.
pub const FEED_ENTRIES_MAX: u64 = 64;

/// Bytes after which a frame of the feed takes no further entry.
pub const FEED_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Facts of a snapshot in one frame; a fact holds some 50 kB at most.
pub const FEED_SNAPSHOT_FACTS_MAX: usize = 64;

/// How long a feed may be quiet before it says that there is no news.
pub const FEED_QUIET_MS_MAX: u64 = 1_000;

/// Events of sessions that may wait to be counted.
pub const SESSION_EVENTS_QUEUE_MAX: usize = 1024;

/// How long a probe of a node that may be dead waits for its port.
pub const PROBE_MS_MAX: u64 = 500;

/// Pause between two probes: a process that is being replaced refuses for a moment.
pub const PROBE_PAUSE_MS: u64 = 10;

/// How long a seed may take to answer while a cluster is being founded.
pub const SEED_ANSWER_MS_MAX: u64 = 500;

/// Pause between two rounds of asking all seeds.
pub const SEED_ROUND_MS: u64 = 50;

/// How often it is said what a node still waits for.
pub const STILL_WAITING_MS: u64 = 5_000;

/// Members of a cluster that is being founded; a Raft quorum of more would be slower and no safer.
pub const FOUNDERS_MAX: usize = 15;

/// Partitions that one request may create; Kafka's bound. More would make one log entry that delays all others.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Partitions that change leader in one decision when many go back where they belong: brokers and clients follow in
/// steps instead of all at once.
pub const ELECTIONS_PER_DECISION_MAX: usize = 2_000;

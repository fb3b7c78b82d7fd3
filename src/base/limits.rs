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

/// How long one attempt at a command to a controller may take before another controller is asked.
pub const COMMAND_ATTEMPT_MS_MAX: u64 = 2_000;

/// How long a broker waits for an active controller before it says so.
pub const COMMAND_PATIENCE_MS: u64 = 5_000;

/// Pause before a controller is asked again.
pub const CONTROLLER_RETRY_MS: u64 = 20;

/// A controller that says nothing for so long on a feed or session is asked elsewhere, or anew.
pub const FEED_SILENCE_MS_MAX: u64 = 2_000;

/// How often a broker says that it is alive.
pub const HEARTBEAT_MS: u64 = 200;

/// Messages of a session that may wait to be sent.
pub const SESSION_MESSAGES_QUEUE_MAX: usize = 8;

/// How often high watermarks and recovery points are written down; what comes after is found again in the logs.
pub const CHECKPOINT_MS: u64 = 5_000;

/// Producer ids that a broker may give out before it asks for a new block.
pub const PRODUCER_IDS_PATIENCE_MS: u64 = 5_000;

/// Events of the cluster that a node remembers for whoever asks what happened; some 200 bytes each.
pub const EVENTS_KEPT_MAX: usize = 4_096;

/// Events that are told at once before others get their turn: a broker's end may be a hundred thousand of them.
pub const EVENTS_AT_ONCE: usize = 256;

/// Readers that may watch a node's events at the same time.
pub const EVENT_READERS_MAX: usize = 64;

/// How often the health that a reader watches is looked at.
pub const HEALTH_WATCH_MS: u64 = 1_000;

/// How long the command line waits for a node to accept its connection, and then for an answer: longer than a node
/// waits for an active controller.
pub const ADMIN_CONNECT_MS_MAX: u64 = 5_000;
pub const ADMIN_ANSWER_MS_MAX: u64 = 15_000;

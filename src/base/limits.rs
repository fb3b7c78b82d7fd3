//! Every bound of the system, with its reason: what is not listed here is not bounded, and that is a bug.

/// What a log without followers keeps of its end in memory: who reads there wants the last few records, and more comes
/// from the page cache at no cost. What is kept in memory for nobody makes every append write to memory that is cold.
pub const TAIL_BYTES_ALONE_MAX: usize = 64 * 1024;

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

/// How long a voter waits for each one before it to be elected in a dead leader's place: some round trips.
pub const ELECTION_STAGGER_MS: u64 = 25;

/// Pause before a connection to another voter that broke off, or could not be made, is made again.
pub const FELLOW_REDIAL_MS: u64 = 20;

/// How long a connection to another voter may take.
pub const FELLOW_DIAL_MS_MAX: u64 = 1_000;

/// A voter that has said nothing to its leader for so long is not handed the leadership.
pub const HEIR_SILENCE_MS_MAX: u64 = 500;

/// How long ago a quorum may have confirmed a leader that says so to brokers.
pub const RULE_CONFIRMED_MS_MAX: u64 = 1_000;

/// How long whoever leads and stops waits for another to take over.
pub const HAND_OVER_MS_MAX: u64 = 500;

/// How long a leader that stops holds what it should append, while another one is to come.
pub const HELD_MS_MAX: u64 = 200;

/// How long after that it passes on what comes late: until clients have been told.
pub const PASSED_ON_MS: u64 = 150;

/// How long the answer to what was passed on waits at most for others, to be given together with them.
pub const PASSED_ON_GATHER_MS: u64 = 10;

/// How long the next leader may take for what is passed on to it: less than clients are held.
pub const PASSED_ON_PATIENCE_MS: u32 = 250;

/// How long a broker that stops goes on telling clients who leads now: a connection that closes says nothing, and they
/// would have to find out.
pub const FAREWELL_MS: u64 = 300;

/// How long a broker that stops waits for the controllers to hear its goodbye.
pub const GOODBYE_MS_MAX: u64 = 300;

/// Entries that a subscriber of the metadata feed is sent at once.
pub const FEED_ENTRIES_MAX: u64 = 64;

/// Bytes after which a frame of the feed takes no further entry.
pub const FEED_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Facts of a snapshot in one frame; a fact holds some 50 kB at most.
pub const FEED_SNAPSHOT_FACTS_MAX: usize = 64;

/// How long a feed may be quiet before it says that there is no news.
pub const FEED_QUIET_MS_MAX: u64 = 1_000;

/// Events of sessions that may wait to be counted. Every open session keeps one place, so that its end is never lost.
pub const SESSION_EVENTS_QUEUE_MAX: usize = 16 * 1024;

/// How long a probe of a node that may be dead waits for its port.
pub const PROBE_MS_MAX: u64 = 500;

/// Pause between two probes: a process that is being replaced refuses for a moment.
pub const PROBE_PAUSE_MS: u64 = 10;

/// Pause before a node is probed again whose stream broke off, but whose port did not refuse: the system closes what a
/// dead process had open one after the other, and its port may be the last.
pub const PROBE_AGAIN_MS: u64 = 10;

/// How long one node waits for another to prove that its process runs: so many of its own ticks, because who gets no
/// processor himself has not waited.
pub const INQUIRY_TICKS: u32 = 20;
pub const INQUIRY_TICK_MS: u64 = 20;

/// Silent nodes that are looked for at the same time; with more of them, the network near the one who looks has failed.
pub const INQUIRIES_MAX: usize = 16;

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

/// A controller that has left heartbeats unanswered for so long is passed over as long as there is another.
pub const CONTROLLER_DOUBT_MS: u64 = 600;

/// How often a broker says that it is alive.
pub const HEARTBEAT_MS: u64 = 200;

/// Messages of a session that may wait to be sent.
pub const SESSION_MESSAGES_QUEUE_MAX: usize = 8;

/// How long a broker is suspected of having died after a connection with it broke off, unless there is news of it.
pub const SUSPICION_MS: u64 = 1_000;

/// How long clients are still told of a broker that was fenced: until those that were connected to it have been told
/// who leads now.
pub const DEPARTED_TOLD_MS: u64 = 3_000;

/// How long a replica that may soon lead holds what clients ask of it, instead of sending them to a dead leader.
pub const PARKED_MS_MAX: u64 = 300;

/// Bytes of batches that one partition holds so; further ones are refused at once.
pub const PARKED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long Metadata waits for news of a leader that may have died.
pub const METADATA_HELD_MS_MAX: u64 = 100;

/// How often high watermarks and recovery points are written down; what comes after is found again in the logs.
pub const CHECKPOINT_MS: u64 = 5_000;

/// How long a record may wait to be flushed where durability=interval and flush.ms says nothing.
pub const FLUSH_INTERVAL_MS: u64 = 1_000;

/// Threads that open logs, and recover them after a crash: one log waits for the disk while another's records are
/// checked.
pub const LOG_OPENERS: usize = 4;

/// Threads that flush logs. A file system writes its journal once for all that ask at the same time.
pub const FLUSHERS: usize = 4;

/// Pause between two rounds of upkeep: what came in one moment is looked at in one round.
pub const UPKEEP_PAUSE_MS: u64 = 100;

/// How long a partition goes unused before it gives back its memory and descriptors.
pub const UPKEEP_IDLE_MS: u64 = 60_000;

/// After how long a partition with records is looked at again whatever its next time says: clocks are changed.
pub const UPKEEP_MS_MAX: u64 = 3_600_000;

/// Producer ids that a broker may give out before it asks for a new block.
pub const PRODUCER_IDS_PATIENCE_MS: u64 = 5_000;

/// Tasks that may wait to be started on one reactor.
pub const REACTOR_QUEUE_TASKS_MAX: usize = 64;

/// Requests of one Kafka connection that may wait for their answers; then reading stops.
pub const KAFKA_REQUESTS_IN_FLIGHT_MAX: usize = 64;

/// Bytes of one Kafka connection's requests and answers that may be on their way; then reading stops. One request or
/// answer alone may be larger.
pub const KAFKA_BYTES_IN_FLIGHT_MAX: usize = 32 * 1024 * 1024;

/// Appends to one partition that are made together, under its lock: what clients have on their way at once, and more.
pub const APPENDS_TOGETHER_MAX: usize = 64;

/// Bytes of requests that each Kafka connection may always hold: what is read at once, and some that wait.
pub const KAFKA_CONNECTION_BYTES_FREE: usize = 192 * 1024;

/// Bytes of requests that all Kafka connections together may hold beyond that; who needs more waits.
pub const KAFKA_REQUEST_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of answers to all Kafka connections together after which nobody is given a second one, and reads are small.
pub const KAFKA_ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// How long a Kafka connection may wait for a part of those bytes in the middle of a request. It holds some itself, so
/// if all waited longer, none could go on.
pub const KAFKA_MEMORY_WAIT_MS_MAX: u64 = 10_000;

/// How long a request may take to arrive, however small it is ...
pub const KAFKA_FRAME_PATIENCE_MS: u64 = 30_000;
/// ... and how fast the bytes of a large one must come.
pub const KAFKA_FRAME_BYTES_PER_SECOND_MIN: usize = 1024;

/// How often it is checked whether a Kafka connection is idle or slow.
pub const KAFKA_WATCH_MS: u64 = 5_000;

/// Kafka connections of one broker, whatever `max.connections` says.
pub const KAFKA_CONNECTIONS_MAX: usize = 1_000_000;

/// How long a client may have us wait for an active controller.
pub const KAFKA_COMMAND_PATIENCE_MS_MAX: u64 = 5 * 60_000;

/// A fetch session that was used within this time is not driven out by others; Kafka's number.
pub const KAFKA_FETCH_SESSION_SAFE_MS: u64 = 120_000;

/// How long a change of configuration waits for an active controller: its requests do not say.
pub const KAFKA_ALTER_PATIENCE_MS: i32 = 30_000;

/// How long a question about the quorum waits for an active controller: its requests do not say either.
pub const KAFKA_QUORUM_PATIENCE_MS: u64 = 5_000;

/// How long a client that asks for a topic which is not there waits for its creation.
pub const KAFKA_AUTO_CREATE_PATIENCE_MS: i32 = 2_000;
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

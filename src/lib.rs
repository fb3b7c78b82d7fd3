//! Dohle: a Kafka-compatible broker cluster in one binary. This page is the map of the house.
//!
//! # Bird's eye
//!
//! A cluster is a handful of processes of one program. Some are *controllers*: they agree, by Raft, on one log of facts
//! about the cluster. Some are *brokers*: they follow that log, keep partitions as Kafka's files, copy them from leader
//! to follower over gRPC, and talk Kafka's protocol to clients. Most are both.
//!
//! # Floors
//!
//! Rooms stand on floors, and a room imports only what is below it (`tests/tidy.rs` checks it; `tests/tidy/law.rs` is
//! the law). Reading from the ground up, everything a page mentions has been met before.
//!
//! | floor | rooms | what is there |
//! |---|---|---|
//! | 0 ground | `base` | ids, limits, and the six seams to the world outside |
//! | 1 formats | `config` `record` `rpc` `telemetry` `wire` | bytes and texts to values and back; logs and health |
//! | 2 facts | `metadata` | everything that can become so, and the image it makes |
//! | 3 minds | `controller` `replica` | pure judgement: no IO, no clock, no chance |
//! | 4 stores and sockets | `host` `log` `net` | the real machine; partitions' files; connections between nodes |
//! | 5 bodies | `quorum` `broker` `client` | tasks, each state with one owner |
//! | 6 doors | `server` | decode, ask one body, encode |
//! | 7 roof | `node` `cli` | a node assembled; the command line |
//!
//! The control plane is `controller` (mind) and `quorum` (body); the data plane is `replica` (mind), `broker` (body)
//! and `log` (disk). They meet only through `rpc`, also inside one process.
//!
//! # How things live
//!
//! - **A start**: `cli` reads the settings (`config`), builds the world (`host`) and starts a `node`: directory, ports,
//!   quorum, broker, doors, in the order of the floors. `node` stops them in the reverse order.
//! - **Produce, acks=all**: `server/kafka/connection.rs` reads a frame → `dispatch.rs` → `api/produce.rs` checks the
//!   batch (`record/check.rs`) → `broker/partition/produce.rs`: under one short lock the mind judges (`replica`), the
//!   log appends (`log`) → followers' lanes are told (`broker/leading.rs`) ⇢ they append and acknowledge
//!   (`broker/following.rs`) → the high watermark moves, whoever waited is answered.
//! - **Fetch**: `api/fetch.rs` takes the reader's session out of its cache (`fetching/cache.rs`); it looks only at the
//!   partitions that have news (`fetching/session.rs` → `broker/partition/fetch.rs`); the others are watched
//!   (`broker/partition/watch.rs`) and say so when their high watermark moves.
//! - **CreateTopics**: `api/create_topics.rs` → `broker/link.rs` ⇢ `server/grpc/controller.rs` → `quorum/active.rs`
//!   decides on a draft (`controller/topics.rs`) → facts become one Raft entry (`quorum/log.rs`, `network.rs`) →
//!   committed → `quorum/feed.rs` ⇢ every broker's `subscription.rs` → its `partitions.rs` open logs, lead, follow.
//! - **A broker dies**: its session breaks and its port refuses, or nobody gets an answer from its process
//!   (`quorum/sessions.rs`, `broker/witness.rs`, judged by `controller/liveness.rs`) → it is fenced, new leaders are
//!   elected (`controller/elections.rs`) in one entry → the feed tells every broker. Meanwhile clients are held rather
//!   than sent astray (`broker/partition/park.rs`). Was it the active controller, then the same evidence elects another
//!   one first (`quorum/haste.rs`).
//! - **A broker stops**: it asks to be replaced, holds what clients send meanwhile, and passes it on to whoever leads
//!   then (`broker/passing.rs`); after that the quorum's leader hands over, and the node stops from the roof down.
//! - **A disk fails**: its log dir is given up (`broker/folders.rs`), the replicas in it go offline
//!   (`broker/partitions.rs`), the controller is told (`broker/session.rs`) and has others lead them
//!   (`controller/offline.rs`); the node goes on with its other dirs.
//! - **A record grows old**: `broker/upkeep.rs` looks at its partition when the time has come; whole segments go
//!   (`log/retention.rs`), or of each key the last record stays (`broker/compaction.rs`, `log/compaction/`).
//! - **A test of all that**: `tests/it` with real processes and clients; `tests/sim` on simulated seams, by seed.
//!
//! # Absent on purpose
//!
//! No global state: whatever a room needs is passed to it (but for which bug is planted, in builds for the tests that
//! look for planted bugs: `base/mutants.rs`). No way around the seams: only `host` touches files, sockets,
//! threads, clocks and dice. No lease reads. No unbounded queues. No memory maps.

// Floor 0, ground: knows nothing of us.
pub mod base;

// Floor 1, formats: bytes <-> values, no state.
pub mod config;
pub mod record;
pub mod rpc;
pub mod telemetry;
pub mod wire;

// Floor 2, facts: pure.
pub mod metadata;

// Floor 3, minds: pure and deterministic.
pub mod controller;
pub mod replica;

// Floor 4, stores and sockets: IO, no judgement.
pub mod host;
pub mod log;
mod net;

// Floor 5, bodies: tasks, each state with one owner.
pub mod broker;
pub mod client;
pub mod quorum;

// Floor 6, doors: decode, authorise, ask one body, encode.
pub mod server;

// Floor 7, roof: assembly.
pub mod cli;
pub mod node;

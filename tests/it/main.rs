//! Tests from outside: real nodes, real sockets, one binary for all of them.
#![allow(clippy::disallowed_methods, reason = "tests look at the node from the world outside")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say why they skip or fail")]
#![allow(clippy::unwrap_used, clippy::missing_assert_message, reason = "a failed test shows its line")]

mod admin;
mod allocations;
mod bench;
mod clients;
mod cluster;
mod controller;
mod doors;
mod lab;
mod process;
mod quorum;
mod replication;
mod seams;
mod server;
mod wire_filler;
mod wire_frames;
mod wire_language;

#[path = "../sim/world/mod.rs"]
#[allow(dead_code, reason = "the simulator uses all of it")]
mod world;

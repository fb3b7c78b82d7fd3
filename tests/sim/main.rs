//! The simulator: whole clusters in one thread, from one seed, and the proof that a seed decides everything.
//!
//! Every run is a process of its own, because runs inside one process were seen to influence each other. Two runs of a
//! seed must write the same trace, byte by byte. A set of runs counts only if enough happened in it.
//!
//!     cargo test --test sim            twenty clusters and a few quorums, as part of `cargo test`
//!     cargo sim --seeds 1000 --once    more of them, without the repetition, in an optimised build
//!     cargo sim --from 7               one seed again
//!     cargo sim --trace 7              the event trace of one seed
//!     cargo sim --quorum …             the same of the quorum alone
//!     cargo sim --mutants              whether each bug of `src/base/mutants.rs` is found, by which seed and check
//!     cargo sim --mutants --mutant X   the same of one of them
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "it is the world outside")]

mod cluster;
mod quorum;
mod runner;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    runner::main(&arguments)
}

//! The ground: words and seams that everything stands on, and that know nothing of Kafka, Raft or us.
//!
//! A *seam* is a place where the program touches the world outside: the network, the disk, the metadata store, other
//! threads, the wall clock, randomness. There are six, each a small trait, gathered in one [`World`] that is
//! built once (by `cli` from `host`, or by the simulator) and passed down. Nothing else touches the outside, which is
//! why a whole cluster can run in one thread from one seed.
//!
//! Monotonic time is not a seam: `tokio::time` is used directly and is paused by the simulator.
//!
//! Reading order: ids, time and limits, the shape of everything that decides, then the seams, then the world that holds
//! them.

pub mod ids;
pub mod limits;
pub mod time;

pub mod machine;
pub mod mutants;

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod executor;
pub mod network;
pub mod store;

pub mod world;

#[cfg(test)]
pub mod tests;

pub use world::World;

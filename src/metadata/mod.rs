//! The cluster as everybody knows it: an image, and the facts that change it.
//!
//! The active controller decides facts, Raft keeps them in order, every node applies them to its own [`Image`]. So a
//! broker and a controller look at the same value, and equal hashes prove it.
//!
//! ```text
//!  Batch ──codec──► bytes ──Raft, feed──► bytes ──codec──► Batch ──► image.apply_batch() ──► Delta
//!  Image ──snapshot::facts()──► facts ──► the same Image, the same hash
//! ```
//!
//! An image is a persistent value: a clone is a few pointers, and a change copies the path to what it changes.
//! Partitions sit in chunks of 64 behind an `Arc`. With 100,000 partitions, a clone and one change cost 1.8 µs when
//! every partition is a topic of its own; a plain `BTreeMap` behind an `Arc` took 8.8 ms there.
//!
//! Reading order: what can happen (`record`), what is (`image` and its nouns), how one becomes the other (`apply`),
//! what to do about it (`delta`), and their forms on disk and on the wire (`codec`, `snapshot`).

pub mod record;

pub mod cluster;
pub mod configs;
pub mod image;
pub mod nodes;
pub mod partitions;
pub mod topics;

mod apply;
pub mod delta;
mod hash;

pub mod codec;
mod columns;
pub mod snapshot;

pub use delta::Delta;
pub use hash::StateHash;
pub use image::Image;
pub use record::{Batch, Fact};

#[cfg(test)]
mod tests;

//! The wall clock: what time people say it is. Only for timestamps that people read and for Kafka's record times.
//!
//! Invariants: nothing decides safety by it; it may jump in both directions. Durations and timeouts use `tokio::time`.

/// Milliseconds since 1970, as Kafka counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct WallMillis(pub i64);

/// The wall clock of this node.
pub trait WallClock: Send + Sync + 'static {
    fn now(&self) -> WallMillis;
}

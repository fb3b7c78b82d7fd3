//! Stands in for the histogram in which openraft counts the sizes of its batches.
//!
//! The real one fills 25 MB of tables when it is first used: half the memory of an idle node, for counts that nobody
//! here looks at. This one forgets what it is told, and says so when it is asked: no samples. To be dropped as soon as
//! the real one fills only the one table that it uses.

use std::fmt::{self, Display, Formatter};
use std::marker::PhantomData;

/// Counts nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    pub fn new() -> Self {
        Self(PhantomData)
    }

    pub fn record(&mut self, _value: u64) {}

    pub fn record_n(&mut self, _value: u64, _times: u64) {}

    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

/// What was counted: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl Display for PercentileStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}

/// A picture of nothing.
#[derive(Default, Debug)]
pub struct AsciiChart;

impl AsciiChart {
    pub fn new() -> Self {
        Self
    }

    pub fn add(self, _name: &str, _histogram: Histogram) -> Self {
        self
    }
}

impl Display for AsciiChart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}

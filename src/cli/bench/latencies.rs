//! How long requests took: counted in buckets that are a 64th of their value wide, so that a day of them needs 30 KiB.

use std::time::Duration;

/// Buckets for each doubling.
const FINE: u64 = 64;
const FINE_BITS: u32 = FINE.ilog2();
/// Enough for 2^40 ns, which is 18 minutes; what takes longer is counted as that.
const BUCKETS: usize = (40 - FINE_BITS as usize + 1) * FINE as usize;

/// A histogram of durations.
#[derive(Clone)]
pub(super) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Latencies {
    pub(super) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos).min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// What so many thousandths of the requests stayed below; nothing, if there were none.
    pub(super) fn below(&self, thousandths: u64) -> Option<Duration> {
        let wanted = (self.total * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(|bucket| Duration::from_nanos(end(bucket)))
    }
}

/// Where a value is counted: below 64 each has its own bucket, above that each doubling has 64.
fn bucket(nanos: u64) -> usize {
    let doublings = (nanos | 1).ilog2().saturating_sub(FINE_BITS);
    (u64::from(doublings) * FINE + (nanos >> doublings)) as usize
}

/// The largest value that is counted there.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / FINE).saturating_sub(1);
    ((bucket - doublings * FINE + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_ends_at_most_a_64th_above_it() {
        let values = (0..5000).chain((0..34).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]));
        for value in values {
            let end = end(bucket(value));
            assert!(end >= value && end - value <= value / FINE, "{value} is counted up to {end}");
        }
    }

    #[test]
    fn quantiles_are_those_of_all_that_were_added() {
        let (mut all, mut others) = (Latencies::default(), Latencies::default());
        assert_eq!(all.below(500), None);
        (1..=990).for_each(|_| all.record(Duration::from_nanos(10)));
        (1..=10).for_each(|_| others.record(Duration::from_nanos(50)));
        all.add(&others);
        assert_eq!(all.below(500), Some(Duration::from_nanos(10)));
        assert_eq!(all.below(990), Some(Duration::from_nanos(10)));
        assert_eq!(all.below(991), Some(Duration::from_nanos(50)));
        all.record(Duration::from_secs(86_400));
        assert!(all.below(1000) > Some(Duration::from_secs(1000)), "too long is not lost");
    }
}

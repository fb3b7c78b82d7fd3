//! For tests of any room: how long a search for bad inputs goes on. A few rounds by default, or as many seconds as
//! `DOHLE_FUZZ_SECONDS` says; with `DOHLE_SEED` it begins elsewhere.

#![allow(clippy::disallowed_methods, reason = "a search is told its time from outside, and reads a real clock")]
#![allow(clippy::print_stdout, reason = "a seed is printed, so that a failure can be repeated")]

use std::time::{Duration, Instant};

/// Hands out seeds as long as the search goes on.
pub fn seeds(rounds: u64) -> impl Iterator<Item = u64> {
    let asked = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().expect("a number"));
    let (first, seconds) = (asked("DOHLE_SEED").unwrap_or(1), asked("DOHLE_FUZZ_SECONDS"));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("seeds from {first} on");
    let goes_on = move |seed: &u64| end.map_or(*seed - first < rounds, |end| Instant::now() < end);
    (first..).take_while(goes_on).inspect(move |seed| {
        if seed % 1_000_000 == 0 {
            println!("seed {seed}");
        }
    })
}

//! The whole protocol at random: three replicas, a pretend controller, streams that delay, break and outlive their use,
//! processes and machines that crash, clients that retry. Checked after every step against what was once committed.
//!
//! `REPLICA_SEED=17 cargo test protocol` replays one seed; `REPLICA_SEEDS=5000` runs more of them.

mod acts;
mod broker;
mod client;
mod controller;
mod requests;
mod streams;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::{Tally, World};

const SEEDS: u64 = 2500;
const STEPS: usize = 6000;

#[test]
fn protocol_keeps_what_it_acknowledged() {
    let number = |key: &str| std::env::var(key).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("REPLICA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("REPLICA_SEEDS").unwrap_or(SEEDS),
    };
    let all = seeds.clone().count() as u64;
    let mut tally = Tally::default();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run(STEPS))) {
            Ok(of_seed) => tally += of_seed,
            Err(panic) => {
                eprintln!("seed {seed} failed: REPLICA_SEED={seed} replays it");
                resume_unwind(panic);
            }
        }
    }
    eprintln!("{all} seeds: {tally:?}");
    // A run in which nothing happened proves nothing.
    if all >= SEEDS {
        assert!(tally.acked > 50 * all, "too few records were acknowledged: {tally:?}");
        assert!(tally.elections > 5 * all && tally.truncations > all, "too few failovers: {tally:?}");
        assert!(tally.joins > 3 * all && tally.machine_crashes > all / 2, "too few rejoins: {tally:?}");
        assert!(tally.duplicates > all && tally.doubts > all / 4, "too few retries: {tally:?}");
    }
}

#[test]
fn one_seed_is_one_history() {
    let history = |seed| World::new(seed).run(STEPS);
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

//! Damage: whatever has become of the files of a log, opening and reading them brings nobody down.
//!
//! Bits rot, editors save, file systems come back with pages of something else. A log that was written as in
//! `crashes.rs` is spoilt in a few places, anywhere in any file, and then opened after each kind of end. It may be
//! refused or cut; what it serves afterwards is whole batches, each once, and a write goes on at its end.
//!
//! `DOHLE_FUZZ_SECONDS=600 cargo test --lib whatever_becomes_of_files` searches on; `DOHLE_SEED` begins elsewhere.

use super::crashes::Run;
use super::memory_disk::Random;
use super::{After, Log, LogError, Read, ReadRequest, Reading};
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::tests::seeds;
use crate::record::{Batch, BatchBuilder};

const STEPS: usize = 25;

#[test]
fn whatever_becomes_of_files_nobody_is_brought_down() {
    let (mut opened, mut refused) = (0, 0);
    for seed in seeds(1_500) {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step().unwrap_or_else(|error| panic!("seed {seed}, on a sound disk: {error}"));
        }
        let mut random = Random::new(!seed);
        for _ in 0..=random.below(3) {
            run.disk.spoil(&mut random);
        }
        let after = [After::ProcessCrash, After::MachineCrash, After::CleanStop][random.below(3)];
        match run.open(after) {
            Ok(_) => {
                opened += 1;
                goes_on(&mut run.log, seed);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(opened > refused && refused > 0, "{opened} opened and {refused} refused are not what damage does");
}

/// Reads all there is, and appends to it.
fn goes_on(log: &mut Log, seed: u64) {
    let mut from = log.log_start();
    while from < log.log_end() {
        match read(log, from) {
            Ok(next) => {
                assert!(next > from, "seed {seed}: a reader does not get on from {from}");
                from = next;
            }
            Err(_) => break, // who reads what is damaged is told so
        }
    }
    let end = log.log_end();
    let epoch = log.epochs().last().map_or(LeaderEpoch(0), |last| last.epoch);
    let mut batch = [BatchBuilder::new().record(WallMillis(1), Some(b"k"), Some(b"v"), &[]).build()];
    if let Ok(appended) = log.append(&mut batch, epoch, WallMillis(2)) {
        assert_eq!(appended.base, end, "seed {seed}: what is appended comes behind all there is");
    }
}

fn read(log: &mut Log, from: Offset) -> Result<Offset, LogError> {
    let request = ReadRequest { from, until: log.log_end(), bytes_max: 1 << 16, at_least_one: true };
    let slice = match log.read(&request).and_then(Reading::cached)? {
        Read::Ready(slice) => slice,
        Read::Cold(cold) => cold.run()?, // a file that ends too early looks like one that is not in memory
    };
    let mut bytes = bytes::Bytes::from(slice.parts.concat());
    while !bytes.is_empty() {
        Batch::split_from(&mut bytes).expect("whole batches");
    }
    Ok(slice.next)
}

//! The logs themselves, read from the simulated disks without asking anybody, and the rules that hold for them.
//!
//! - within a log offsets follow one another and leader epochs do not fall (I6);
//! - below the high watermark of any replica its batches are those that were committed at that place (I6, I10);
//! - whoever leads the newest epoch has everything that was ever committed (I7);
//! - in the end all replicas hold the same bytes (I10).

use std::collections::BTreeMap;
use std::path::Path;

use dohle::base::ids::PartitionIndex;

use super::node::{NAMES, Place};
use super::watch::{Watch, place_of};
use super::{PARTITIONS, TOPIC};
use crate::world::disk::SimDisk;

const LOGS: &str = "/data/log";
/// Up to and with `lastOffsetDelta`.
const HEAD: usize = 27;

/// What tells a batch from every other. The checksum covers all that is not named here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    base: i64,
    next: i64,
    epoch: i32,
    crc: u32,
}

/// What has been committed, by partition and first offset.
#[derive(Default)]
pub struct Committed {
    batches: BTreeMap<PartitionIndex, BTreeMap<i64, Batch>>,
}

impl Committed {
    /// Reads all logs of the nodes that are up, and says what is wrong with them.
    pub fn check(&mut self, places: &[Place], watch: &Watch) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, place) in places.iter().enumerate() {
            if place.inside().is_none() {
                continue;
            }
            let logs = logs_on(&place.machine.disk);
            for (index, assigned) in watch.partitions() {
                let Some(replica) = watch.replica(at, index) else { continue };
                let bytes = logs.get(&index).map_or(&[][..], Vec::as_slice);
                let batches = match batches_in(bytes) {
                    Ok(batches) => batches,
                    Err(why) => {
                        wrong.push(format!("the log of {index} on {}: {why}", place.name));
                        continue;
                    }
                };
                let committed = batches.iter().filter(|batch| batch.next <= replica.high_watermark.0);
                let leads = assigned.state.leader.map(place_of) == Some(at)
                    && replica.led_epoch == Some(assigned.state.leader_epoch);
                let known = self.batches.entry(index).or_default();
                let why = differs(known, committed).or_else(|| leads.then(|| lacks(known, &batches)).flatten());
                wrong.extend(why.map(|why| format!("{index} on {}: {why}", place.name)));
            }
        }
        wrong
    }
}

/// Compares what one replica says is committed with what is known to be, and learns what is new.
fn differs<'a>(known: &mut BTreeMap<i64, Batch>, committed: impl Iterator<Item = &'a Batch>) -> Option<String> {
    for batch in committed {
        let there = *known.entry(batch.base).or_insert(*batch);
        if there != *batch {
            return Some(format!("has {batch:?} below its high watermark, {there:?} was committed there"));
        }
        let previous = known.range(..batch.base).next_back().map(|(_, previous)| previous.next);
        if previous.is_some_and(|previous| previous > batch.base) {
            return Some(format!("has {batch:?} below its high watermark, in the middle of a committed batch"));
        }
    }
    None
}

/// What a leader lacks of all that was committed.
fn lacks(known: &BTreeMap<i64, Batch>, batches: &[Batch]) -> Option<String> {
    let has: BTreeMap<i64, Batch> = batches.iter().map(|batch| (batch.base, *batch)).collect();
    let gone = known.values().find(|batch| has.get(&batch.base) != Some(batch))?;
    Some(format!("leads without {gone:?}, which was committed"))
}

/// Whether all replicas hold the same bytes; to be asked when all is at rest.
pub fn all_equal(places: &[Place]) -> Result<(), String> {
    let logs: Vec<_> = places.iter().map(|place| logs_on(&place.machine.disk)).collect();
    for index in (0..PARTITIONS).map(PartitionIndex) {
        for (place, log) in logs.iter().enumerate().skip(1) {
            if log.get(&index) != logs[0].get(&index) {
                return Err(format!("the logs of {index} on {} and {} differ", NAMES[0], NAMES[place]));
            }
        }
    }
    Ok(())
}

/// How many segments were begun after the first ones.
pub fn rolls(places: &[Place]) -> usize {
    let mut rolls = 0;
    for place in places {
        place.machine.disk.look(Path::new(LOGS), |path, _| {
            let is_later = path.file_stem().is_some_and(|stem| stem != "00000000000000000000");
            rolls += usize::from(path.extension().is_some_and(|kind| kind == "log") && is_later);
        });
    }
    rolls
}

/// The bytes of each partition's log: its segments, one after the other.
fn logs_on(disk: &SimDisk) -> BTreeMap<PartitionIndex, Vec<u8>> {
    let mut logs: BTreeMap<PartitionIndex, Vec<u8>> = BTreeMap::new();
    disk.look(Path::new(LOGS), |path, bytes| {
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let index = folder.strip_prefix(TOPIC).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        if let Some(index) = index.filter(|_| path.extension().is_some_and(|kind| kind == "log")) {
            logs.entry(PartitionIndex(index)).or_default().extend_from_slice(bytes);
        }
    });
    logs
}

/// The batches of a log, as their heads tell, if they follow one another.
fn batches_in(mut bytes: &[u8]) -> Result<Vec<Batch>, String> {
    let mut batches: Vec<Batch> = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.first_chunk::<HEAD>().ok_or("it ends in the middle of a batch")?;
        let int = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let base = i64::from(int(0)) << 32 | i64::from(int(4) as u32);
        let (length, epoch, crc, last) = (int(8), int(12), int(17) as u32, int(23));
        let batch = Batch { base, next: base + i64::from(last) + 1, epoch, crc };
        if let Some(before) = batches.last()
            && (before.next != batch.base || before.epoch > batch.epoch)
        {
            return Err(format!("{batch:?} follows {before:?}"));
        }
        batches.push(batch);
        let size = 12 + usize::try_from(length).map_err(|_| format!("{batch:?} has no size"))?;
        bytes = bytes.get(size..).ok_or("it ends in the middle of a batch")?;
    }
    Ok(batches)
}

//! The logs themselves, read from the simulated disks without asking anybody, and the rules that hold for them.
//!
//! - within a log offsets follow one another and leader epochs do not fall (I6);
//! - below the high watermark of any replica its batches are those that were committed at that place (I6, I10);
//! - whoever leads or may, as a member of the ISR or of the ELR, has everything that was ever committed (I7);
//!   with `durability=fsync` he would have it if the power of all failed now, and also while he is down;
//! - in the end all replicas hold the same bytes (I10).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dohle::base::ids::PartitionIndex;

use super::node::{NAMES, Place};
use super::watch::{Watch, place_of};
use super::{Cluster, PARTITIONS, TOPIC};
use crate::world::disk::SimDisk;

const LOGS: &str = "/data/log";
/// What a segment is called that compaction is about to put in the place of others.
const SWAP: &str = ".log.swap";
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
    /// Reads all logs, and says what is wrong with them.
    pub fn check(&mut self, cluster: &Cluster, watch: &Watch) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, place) in cluster.places.iter().enumerate() {
            if place.inside().is_some() {
                wrong.extend(self.learn(at, place, watch));
            }
        }
        for (at, place) in cluster.places.iter().enumerate() {
            if place.inside().is_some() && !watch.has_lost_unnoticed(at) {
                wrong.extend(self.missing(watch, at, "has lost", &logs_on(&place.machine.disk)));
            }
            if cluster.plan.is_fsync && !watch.is_wiped_unnoticed(at) {
                wrong.extend(self.missing(watch, at, "has not synced", &durable_logs_on(&place.machine.disk)));
            }
        }
        wrong
    }

    /// What one replica says is committed, and what is wrong with that.
    fn learn(&mut self, at: usize, place: &Place, watch: &Watch) -> Vec<String> {
        let mut wrong = Vec::new();
        let logs = logs_on(&place.machine.disk);
        for (index, _) in watch.partitions() {
            let Some(replica) = watch.replica(at, index) else { continue };
            let (batches, why) = batches_of(&logs, index);
            wrong.extend(why.map(|why| format!("the log of {index} on {}: {why}", place.name)));
            let committed = batches.iter().filter(|batch| batch.next <= replica.high_watermark.0);
            let why = differs(self.batches.entry(index).or_default(), committed);
            wrong.extend(why.map(|why| format!("{index} on {}: {why}", place.name)));
        }
        wrong
    }

    /// What a replica that may lead lacks of all that was committed.
    fn missing(&self, watch: &Watch, at: usize, how: &str, logs: &Logs) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, assigned) in watch.partitions() {
            if !assigned.isr().chain(assigned.elr()).any(|node| place_of(node) == at) {
                continue;
            }
            let Some(known) = self.batches.get(&index) else { continue };
            let (batches, _) = batches_of(logs, index);
            let has: BTreeMap<i64, Batch> = batches.iter().map(|batch| (batch.base, *batch)).collect();
            if let Some(gone) = known.values().find(|batch| has.get(&batch.base) != Some(batch)) {
                wrong.push(format!("{} may lead {index} and {how} {gone:?}, which was committed", NAMES[at]));
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

/// Whether all replicas hold the same bytes; to be asked when all is at rest.
pub fn all_equal(places: &[Place]) -> Result<(), String> {
    let logs: Vec<_> = places.iter().map(|place| logs_on(&place.machine.disk)).collect();
    for index in (0..PARTITIONS).map(PartitionIndex) {
        for (place, log) in logs.iter().enumerate().skip(1) {
            if bytes_of(log, index) != bytes_of(&logs[0], index) {
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

/// Of how many logs some part has been compacted.
pub fn compacted(places: &[Place]) -> usize {
    let mut compacted = 0;
    for place in places {
        place.machine.disk.look(Path::new(LOGS), |path, bytes| {
            if path.ends_with("cleaner-offset-checkpoint") {
                let rows = std::str::from_utf8(bytes).unwrap_or_default().lines().skip(2);
                compacted += rows.filter(|row| row.starts_with(TOPIC) && !row.ends_with(" 0")).count();
            }
        });
    }
    compacted
}

/// The segments of each partition's log, by their paths. Those that compaction is about to put in the place of others,
/// and hold the same batches as they do, come right behind them.
type Logs = BTreeMap<PartitionIndex, BTreeMap<PathBuf, Vec<u8>>>;

fn logs_on(disk: &SimDisk) -> Logs {
    let mut logs = Logs::new();
    disk.look(Path::new(LOGS), |path, bytes| gather(&mut logs, path, bytes));
    logs
}

fn durable_logs_on(disk: &SimDisk) -> Logs {
    let mut logs = Logs::new();
    disk.look_at_durable(Path::new(LOGS), |path, bytes| gather(&mut logs, path, bytes));
    logs
}

fn gather(logs: &mut Logs, path: &Path, bytes: &[u8]) {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let index = folder.strip_prefix(TOPIC).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(index) = index.filter(|_| name.ends_with(".log") || name.ends_with(SWAP)) {
        logs.entry(PartitionIndex(index)).or_default().insert(path.to_owned(), bytes.to_vec());
    }
}

/// The bytes of a log at rest.
fn bytes_of(logs: &Logs, index: PartitionIndex) -> Vec<u8> {
    let segments: Vec<_> = logs.get(&index).into_iter().flat_map(BTreeMap::values).map(Vec::as_slice).collect();
    segments.concat()
}

/// The batches of a log; and what is wrong with it.
fn batches_of(logs: &Logs, index: PartitionIndex) -> (Vec<Batch>, Option<String>) {
    let Some(segments) = logs.get(&index) else { return (Vec::new(), None) };
    if !segments.keys().any(|path| path.to_string_lossy().ends_with(SWAP)) {
        return batches_in(&bytes_of(logs, index));
    }
    let (mut all, mut wrong) = (BTreeMap::new(), None);
    for (batches, why) in segments.values().map(|bytes| batches_in(bytes)) {
        all.extend(batches.into_iter().map(|batch| (batch.base, batch)));
        wrong = wrong.or(why);
    }
    (all.into_values().collect(), wrong)
}

/// The batches of a piece of a log, as their heads tell, as long as they follow one another; and why not, where they
/// stop.
fn batches_in(mut bytes: &[u8]) -> (Vec<Batch>, Option<String>) {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        match batch_at(bytes, batches.last()) {
            Ok((batch, size)) => {
                batches.push(batch);
                bytes = &bytes[size..];
            }
            Err(why) => return (batches, Some(why)),
        }
    }
    (batches, None)
}

/// The batch that a log goes on with, and its size.
fn batch_at(bytes: &[u8], before: Option<&Batch>) -> Result<(Batch, usize), String> {
    let head = bytes.first_chunk::<HEAD>().ok_or("it ends in the middle of a batch")?;
    let int = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let base = i64::from(int(0)) << 32 | i64::from(int(4) as u32);
    let (length, epoch, crc, last) = (int(8), int(12), int(17) as u32, int(23));
    let batch = Batch { base, next: base + i64::from(last) + 1, epoch, crc };
    if let Some(before) = before.filter(|before| before.next != batch.base || before.epoch > batch.epoch) {
        return Err(format!("{batch:?} follows {before:?}"));
    }
    let size = 12 + usize::try_from(length).map_err(|_| format!("{batch:?} has no size"))?;
    if size > bytes.len() { Err("it ends in the middle of a batch".to_owned()) } else { Ok((batch, size)) }
}

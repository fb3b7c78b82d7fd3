//! Reading: for consumers, from the leader, below the high watermark.

use std::sync::Arc;

use super::{Epochs, Partition, PartitionError, Role, Watch};
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::mutants::Mutant;
use crate::log::{Located, Read, ReadRequest, Reading, Slice, TimestampSearch};
use crate::replica::epochs::{EpochEnd, EpochLookup};
use crate::replica::leader::Leader;

/// Where and how a consumer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchFrom {
    pub offset: Offset,
    pub max_bytes: usize,
    /// One batch is given though it alone exceeds `max_bytes`.
    pub min_one: bool,
    /// The leader epoch that the consumer believes in.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the record before `offset`, if the consumer wants to know whether its log diverged.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub isolation: Isolation,
}

/// How far a consumer may read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// What was found.
pub struct Fetched {
    pub records: Located,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start: Offset,
    /// The consumer's log and this one part here; then there are no records.
    pub diverging: Option<EpochEnd>,
}

impl Partition {
    /// Looks once. Whoever brings a watch is told by it when there is more, and when another replica leads.
    pub fn fetch(&self, from: &FetchFrom, watch: Option<&Arc<Watch>>) -> Result<Fetched, PartitionError> {
        let (reading, fetched, request) = self.begin_fetch(from, watch)?;
        Ok(Fetched { records: self.locate_on(reading, request)?, ..fetched })
    }

    /// Under the lock it is only found out where the records are.
    fn begin_fetch(
        &self,
        from: &FetchFrom,
        watch: Option<&Arc<Watch>>,
    ) -> Result<(Reading, Fetched, ReadRequest), PartitionError> {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(watch) = watch {
            state.watches.arm(watch);
        }
        let leader = leading(&state.role, state.leader_hint)?;
        check_epoch(from.leader_epoch, leader.leader_epoch())?;
        let diverging = from.last_fetched_epoch.and_then(|epoch| divergence(epoch, from.offset, &Epochs(&state.log)));
        let bound = match Mutant::ReadUncommitted.lives() {
            true => state.log.log_end(),
            false => bound(leader, from.isolation),
        };
        let fetched = Fetched {
            records: Located::Here(Slice::empty(from.offset)),
            high_watermark: leader.high_watermark(),
            last_stable_offset: leader.last_stable_offset(),
            log_start: state.log.log_start(),
            diverging,
        };
        let request =
            ReadRequest { from: from.offset, until: bound, bytes_max: from.max_bytes, at_least_one: from.min_one };
        // R7: between the high watermark and the log's end there is nothing to read yet, and nothing wrong.
        let is_early = from.offset > bound && from.offset <= state.log.log_end();
        if diverging.is_some() || is_early {
            return Ok((Reading::Here(Slice::empty(from.offset)), fetched, request));
        }
        state.used = true;
        Ok((state.log.locate(&request)?, fetched, request))
    }

    /// Finds out where it lies what is to be sent on; otherwise like `read_on`.
    fn locate_on(&self, mut reading: Reading, mut request: ReadRequest) -> Result<Located, PartitionError> {
        loop {
            match reading.located()? {
                Located::Here(slice) if slice.is_emptied(&request) => {
                    request.from = slice.next;
                    reading = self.lock().log.locate(&request)?;
                }
                located => return Ok(located),
            }
        }
    }

    /// Reads what was found, without the lock. Where compaction has left nothing in a segment, the next one is looked
    /// at.
    pub(super) fn read_on(&self, mut reading: Reading, mut request: ReadRequest) -> Result<Read, PartitionError> {
        loop {
            match reading.cached()? {
                Read::Ready(slice) if slice.is_emptied(&request) => {
                    request.from = slice.next;
                    reading = self.lock().log.read(&request)?;
                }
                read => return Ok(read),
            }
        }
    }

    /// ListOffsets(EARLIEST).
    pub fn earliest(&self) -> Result<(Offset, LeaderEpoch), PartitionError> {
        let state = self.lock();
        let leader = leading(&state.role, state.leader_hint)?;
        let start = state.log.log_start();
        Ok((start, state.log.epoch_at(start).unwrap_or_else(|| leader.leader_epoch())))
    }

    /// ListOffsets(LATEST).
    pub fn latest(&self, isolation: Isolation) -> Result<(Offset, LeaderEpoch), PartitionError> {
        let state = self.lock();
        let leader = leading(&state.role, state.leader_hint)?;
        let latest = leader.latest_offset()?;
        let latest = latest.min(bound(leader, isolation).max(state.log.log_start()));
        Ok((latest, leader.leader_epoch()))
    }

    /// A search for the first record at or after a time, for a worker to run; it may find what is not committed yet.
    pub fn search_timestamp(
        &self,
        target: crate::base::clock::WallMillis,
    ) -> Result<(TimestampSearch, Offset), PartitionError> {
        let mut state = self.lock();
        let state = &mut *state;
        let leader = leading(&state.role, state.leader_hint)?;
        Ok((state.log.search_timestamp(target)?, leader.high_watermark()))
    }

    /// The largest timestamp, for a search of whose it is.
    pub fn max_timestamp(&self) -> Result<Option<crate::base::clock::WallMillis>, PartitionError> {
        let mut state = self.lock();
        let state = &mut *state;
        leading(&state.role, state.leader_hint)?;
        Ok(state.log.max_timestamp())
    }

    /// OffsetForLeaderEpoch: the largest epoch here that is not above this one, and where it ends.
    pub fn epoch_end(
        &self,
        current: Option<LeaderEpoch>,
        epoch: LeaderEpoch,
    ) -> Result<Option<EpochEnd>, PartitionError> {
        let state = self.lock();
        let leader = leading(&state.role, state.leader_hint)?;
        check_epoch(current, leader.leader_epoch())?;
        Ok(Epochs(&state.log).end_offset_for(epoch))
    }

    /// How many bytes the log has, for who describes log folders.
    pub fn size(&self) -> u64 {
        self.lock().log.size()
    }
}

fn leading(role: &Role, hint: Option<(crate::base::ids::NodeId, LeaderEpoch)>) -> Result<&Leader, PartitionError> {
    match role {
        Role::Leading(leader) => Ok(leader),
        _ => Err(PartitionError::NotLeader { hint }),
    }
}

fn bound(leader: &Leader, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => leader.high_watermark(),
        Isolation::ReadCommitted => leader.last_stable_offset(),
    }
}

fn check_epoch(theirs: Option<LeaderEpoch>, current: LeaderEpoch) -> Result<(), PartitionError> {
    match theirs {
        Some(epoch) if epoch < current => Err(PartitionError::FencedLeaderEpoch { current }),
        Some(epoch) if epoch > current => Err(PartitionError::UnknownLeaderEpoch { current }),
        _ => Ok(()),
    }
}

/// Where a consumer that last read a record of this epoch, just before `offset`, has what this log has not.
fn divergence(epoch: LeaderEpoch, offset: Offset, epochs: &dyn EpochLookup) -> Option<EpochEnd> {
    let end = epochs.end_offset_for(epoch)?;
    (end.epoch < epoch || end.end < offset).then_some(end)
}

//! Finding the first record at or after a time.

use bytes::Bytes;

use super::index::Floor;
use super::reader::{ReadRequest, Source, Wait};
use super::scan::Scan;
use super::segment::Segment;
use super::time_index::TimeEntry;
use super::{Log, LogError};
use crate::base::clock::WallMillis;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::record::check::EXPANDED_BYTES_MAX;
use crate::record::{Batch, BatchHeader};

/// The record that was looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub offset: Offset,
    pub timestamp: WallMillis,
    pub leader_epoch: LeaderEpoch,
}

/// A search that reads the log, to be run by a worker without the log's mutex.
pub struct TimestampSearch {
    target: WallMillis,
    /// Records before this offset are deleted.
    log_start: Offset,
    /// The segments that may hold the record, in order: the first that reached the time, and the next if the log starts
    /// within that one.
    places: Vec<(Floor<TimeEntry>, Source)>,
}

impl Log {
    /// A search for the first record at or after this time.
    pub fn search_timestamp(&mut self, target: WallMillis) -> Result<TimestampSearch, LogError> {
        self.check()?;
        let mut places = Vec::new();
        for at in 0..self.segments.len() {
            let segment = &mut self.segments[at];
            if segment.largest().is_none_or(|largest| largest.timestamp < target) {
                continue;
            }
            let base = segment.base();
            let times = segment.times().floor(&self.folder, |entry| entry.timestamp <= target)?;
            let from = times.known().flatten().map_or(base, |entry| entry.last_offset).max(self.log_start);
            places.push((times, self.source_in(at, &ReadRequest::all(from))?));
            if base >= self.log_start {
                break;
            }
        }
        Ok(TimestampSearch { target, log_start: self.log_start, places })
    }

    /// The largest timestamp of all records; search for it to learn whose it is.
    pub fn max_timestamp(&self) -> Option<WallMillis> {
        self.segments.iter().filter_map(Segment::largest).map(|largest| largest.timestamp).max()
    }
}

impl TimestampSearch {
    pub fn run(self) -> Result<Option<Found>, LogError> {
        for (times, source) in &self.places {
            if let Some(found) = self.search(times, source)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn search(&self, times: &Floor<TimeEntry>, source: &Source) -> Result<Option<Found>, LogError> {
        let time = times.find(Wait::Yes, |entry| entry.timestamp <= self.target).map_err(LogError::io(&source.path))?;
        let from = time.map_or(self.log_start, |entry| entry.last_offset.max(self.log_start));
        let Some((position, _)) = source.locate(from, Wait::Yes)?.map_err(LogError::io(&source.path))? else {
            return Ok(None);
        };
        let mut scan = Scan::new(source.file.clone(), position, source.size);
        while let Some(header) = scan.header().map_err(LogError::io(&source.path))? {
            let header = header.map_err(|defect| source.corrupt(scan.position(), defect))?;
            if header.max_timestamp >= self.target
                && header.next_offset() > self.log_start
                && let Some(found) = self.search_batch(source, &header, scan.position())?
            {
                return Ok(Some(found));
            }
            scan.skip(&header);
        }
        Ok(None)
    }

    fn search_batch(&self, source: &Source, header: &BatchHeader, at: u64) -> Result<Option<Found>, LogError> {
        let leader_epoch = header.leader_epoch;
        let mut bytes = vec![0; header.size()];
        let read = source.file.read_at(&mut bytes, at).map_err(LogError::io(&source.path))?;
        bytes.truncate(read);
        let batch = Batch::split_from(&mut Bytes::from(bytes)).map_err(|error| source.corrupt(at, error))?;
        for record in batch.opened(EXPANDED_BYTES_MAX).map_err(|error| source.corrupt(at, error))? {
            let record = record.map_err(|error| source.corrupt(at, error))?;
            if record.timestamp >= self.target && record.offset >= self.log_start {
                return Ok(Some(Found { offset: record.offset, timestamp: record.timestamp, leader_epoch }));
            }
        }
        Ok(None)
    }
}

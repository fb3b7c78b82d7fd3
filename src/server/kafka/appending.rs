//! Appending what produce requests ask for, and waiting for what becomes of it.
//!
//! A client that has several requests on their way has them arrive together. What they append to one partition is
//! written at once: what a write costs besides its bytes, and all that follows from it, is paid once.
//!
//! Invariants: a partition's appends are made in the order in which they are given here; each has the outcome that it
//! would have had alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::base::limits::{APPENDS_TOGETHER_MAX, PARKED_MS_MAX};
use crate::broker::{Parked, Partition, PartitionError, Produced};
use crate::record::Batch;
use crate::replica::leader::Acks;

/// What is to be appended.
pub struct Append {
    pub partition: Arc<Partition>,
    pub batch: Batch,
    pub acks: Acks,
}

/// What became of an append at once.
pub enum Appended {
    Done(Produced),
    Waits(Wait),
}

/// What an append waits for.
pub enum Wait {
    /// It is to be committed.
    Commit(Produced, oneshot::Receiver<Result<(), PartitionError>>),
    /// The partition is to be led here, and then it is to be committed.
    Lead(Parked),
}

/// How long a request waits.
#[derive(Clone, Copy)]
pub struct Deadlines {
    committed_by: Instant,
    /// By when the partition is to be led.
    led_by: Instant,
}

impl Deadlines {
    pub fn of(timeout_ms: i32) -> Self {
        let now = Instant::now();
        Self {
            committed_by: now + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)),
            led_by: now + Duration::from_millis(PARKED_MS_MAX),
        }
    }
}

/// Makes appends, those to one partition together. Their outcomes come in the order of the appends.
pub fn append_all(appends: Vec<Append>) -> impl Iterator<Item = Result<Appended, PartitionError>> {
    let mut outcomes: Vec<_> = appends.iter().map(|_| None).collect();
    let mut appends: Vec<_> = appends.into_iter().enumerate().collect();
    appends.sort_by_key(|(_, append)| (append.partition.topic, append.partition.index)); // keeps the order of each
    let mut appends = appends.into_iter().peekable();
    while let Some((place, Append { partition, batch, acks })) = appends.next() {
        let (mut places, mut batches) = (vec![place], vec![batch]);
        let goes_along = |next: &Append| Arc::ptr_eq(&next.partition, &partition) && next.acks == acks;
        while places.len() < APPENDS_TOGETHER_MAX
            && let Some((place, next)) = appends.next_if(|(_, next)| goes_along(next))
        {
            places.push(place);
            batches.push(next.batch);
        }
        for (place, outcome) in places.into_iter().zip(append(&partition, batches, acks)) {
            outcomes[place] = Some(outcome);
        }
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every append has an outcome"))
}

fn append(partition: &Arc<Partition>, batches: Vec<Batch>, acks: Acks) -> Vec<Result<Appended, PartitionError>> {
    // Without an answer there is nothing to hold back.
    if acks != Acks::None && (partition.awaits_leader() || partition.is_passed_on()) {
        let park = |batch| Ok(Appended::Waits(Wait::Lead(partition.park(vec![batch], acks)?)));
        return batches.into_iter().map(park).collect();
    }
    let produced = partition.produce_each(batches, acks).into_iter();
    produced.map(|produced| produced.map(Appended::of)).collect()
}

impl Appended {
    fn of(mut produced: Produced) -> Self {
        match produced.committed.take() {
            Some(committed) => Self::Waits(Wait::Commit(produced, committed)),
            None => Self::Done(produced),
        }
    }
}

impl Wait {
    pub async fn outcome(self, deadlines: Deadlines) -> Result<Produced, PartitionError> {
        match self {
            Self::Commit(produced, committed) => commit(committed, deadlines).await.map(|()| produced),
            Self::Lead(mut parked) => {
                let in_time = timeout_at(deadlines.led_by, parked.outcome()).await;
                let mut produced = in_time.unwrap_or_else(|_| parked.give_up())?;
                if let Some(committed) = produced.committed.take() {
                    commit(committed, deadlines).await?;
                }
                Ok(produced)
            }
        }
    }
}

async fn commit(
    committed: oneshot::Receiver<Result<(), PartitionError>>,
    deadlines: Deadlines,
) -> Result<(), PartitionError> {
    tokio::select! {
        biased;
        // A partition that drops what waits for it has been taken away from this broker.
        outcome = committed => outcome.unwrap_or(Err(PartitionError::NotLeader { hint: None })),
        () = sleep_until(deadlines.committed_by) => Err(PartitionError::RequestTimedOut),
    }
}

//! One reader's partitions: what is wanted of each, what it was told last, and which of them have to be looked at.
//!
//! Invariants: a partition that is not due is watched, and its reader knows all that was there when it was looked at; a
//! partition that had an error, or more than fitted into the answer, stays due.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::base::ids::{LeaderEpoch, Offset, Uuid};
use crate::broker::{FetchFrom, Fetched, Isolation, News, Partition, PartitionError, Watch};
use crate::log::Located;
use crate::server::kafka::client::Asked;
use crate::server::kafka::partitions::{self, Named};
use crate::wire::Text;
use crate::wire::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

/// The name of a partition, as its reader says it: by the topic's name or by its id.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub topic: Text,
    pub topic_id: Uuid,
    pub index: i32,
}

/// The partitions of one reader.
#[derive(Default)]
pub struct Session {
    /// By tag; holes are free.
    places: Vec<Option<Place>>,
    free: Vec<u32>,
    count: usize,
    /// Filled when the session is to be kept.
    tags: HashMap<Key, u32>,
    /// What has to be looked at, in order: who was given something goes to the end.
    due: Vec<u32>,
    news: Arc<News>,
    /// Whether topics are named by their ids.
    uses_ids: bool,
}

/// One partition and its reader's place in it.
struct Place {
    key: Key,
    wanted: Wanted,
    /// High watermark and log start as the reader knows them.
    told: Option<(Offset, Offset)>,
    is_due: bool,
    /// The last answer had records of it.
    was_served: bool,
    watch: Option<Arc<Watch>>,
}

/// Where a reader stands.
#[derive(Clone, Copy)]
struct Wanted {
    offset: Offset,
    bytes_max: usize,
    leader_epoch: Option<LeaderEpoch>,
    last_fetched_epoch: Option<LeaderEpoch>,
}

/// What one request says of all its partitions.
#[derive(Clone, Copy)]
pub struct Terms {
    pub isolation: Isolation,
    pub bytes_max: usize,
    /// Until then nobody is told of a leader that may just have died.
    pub held_until: Instant,
}

/// What one look at all that is due has found.
#[derive(Default)]
pub struct Look {
    /// In the order in which they are answered; without those that have nothing to tell.
    pub outcomes: Vec<(u32, Result<Fetched, PartitionError>)>,
    pub bytes: usize,
    /// Something that the client should know now.
    pub is_urgent: bool,
    /// Some of it has to be read from the disk.
    pub has_cold: bool,
    /// Some of it is not told yet.
    pub has_held: bool,
}

impl Session {
    pub fn new(topics: &[FetchTopic], uses_ids: bool) -> Self {
        let mut session = Self { uses_ids, ..Self::default() };
        let count = topics.iter().map(|topic| topic.partitions.len()).sum();
        session.places.reserve_exact(count);
        session.due.reserve_exact(count);
        for topic in topics {
            for partition in &topic.partitions {
                session.add(key(&topic.topic, topic.topic_id, partition.partition), partition);
            }
        }
        session
    }

    /// Makes the session last: from now on partitions are found by their names.
    pub fn keep(&mut self) {
        let mut name = Text::default();
        for tag in 0..self.places.len() {
            let Some(place) = &mut self.places[tag] else { continue };
            if place.key.topic != name {
                name = place.key.topic.detached(); // or the whole request would be kept with it
            }
            place.key.topic = name.clone();
            if let Some(before) = self.tags.insert(place.key.clone(), tag as u32) {
                self.remove(before); // named twice: the later one counts
            }
        }
    }

    /// Takes up what a request says has changed.
    pub fn update(&mut self, topics: &[FetchTopic], forgotten: &[ForgottenTopic]) {
        for topic in topics {
            for partition in &topic.partitions {
                let key = key(&topic.topic, topic.topic_id, partition.partition);
                match self.tags.get(&key) {
                    Some(tag) => self.renew(*tag, partition),
                    None => {
                        let key = Key { topic: key.topic.detached(), ..key };
                        let tag = self.add(key.clone(), partition);
                        self.tags.insert(key, tag);
                    }
                }
            }
        }
        for topic in forgotten {
            for index in &topic.partitions {
                if let Some(tag) = self.tags.remove(&key(&topic.topic, topic.topic_id, *index)) {
                    self.remove(tag);
                }
            }
        }
    }

    pub fn uses_ids(&self) -> bool {
        self.uses_ids
    }

    /// How many partitions are wanted.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn key(&self, tag: u32) -> &Key {
        &self.place(tag).expect("an outcome is of a partition that is wanted").key
    }

    /// Waits until a partition that is watched may have something; perhaps it has not.
    pub async fn news(&self) {
        self.news.arrive().await;
    }

    /// Looks once at what is due. Who watches is told by `news` of whatever comes after this look.
    pub fn look(&mut self, asked: &Asked, terms: &Terms, watches: bool) -> Look {
        for tag in self.news.take() {
            self.make_due(tag); // or another that has its place by now, which does no harm
        }
        let image = asked.image();
        let mut look = Look::default();
        let mut due = std::mem::take(&mut self.due);
        due.retain(|tag| {
            let Some(place) = self.places[*tag as usize].as_mut() else {
                self.free.push(*tag); // not before nothing refers to it any more
                return false;
            };
            if watches && place.watch.is_none() {
                place.watch = Some(Watch::new(*tag, &self.news));
            }
            let from = place.from(terms, look.bytes);
            let named = place.key.named(self.uses_ids);
            let found = partitions::topic(&image, named);
            let partition = found.and_then(|topic| partitions::partition(asked, topic, place.key.index));
            let outcome = match &partition {
                Ok(partition) => partition.fetch(&from, place.watch.as_ref()),
                Err(error) => Err(error.clone()),
            };
            if is_held(&partition, &outcome, terms) {
                look.has_held = true;
            } else {
                look.note(&outcome, from.max_bytes);
            }
            if watches && let Some(fetched) = place.knows(&outcome) {
                place.is_due = place.wanted.offset < readable_end(fetched, terms.isolation); // there was no room for it
                return place.is_due;
            }
            look.outcomes.push((*tag, outcome));
            true
        });
        self.due = due;
        look
    }

    /// The reader is being told this: high watermark and log start, or an error, which it will be told again.
    pub fn told(&mut self, tag: u32, told: Option<(Offset, Offset)>, has_records: bool) {
        if let Some(place) = self.places[tag as usize].as_mut() {
            place.told = told;
            place.was_served = has_records;
        }
    }

    /// Puts what was served behind the others, so that they get their turn when there is not room for all.
    pub fn rotate(&mut self) {
        let was_served = |tag: &u32| self.places[*tag as usize].as_ref().is_some_and(|place| place.was_served);
        self.due.sort_by_key(was_served);
    }

    fn add(&mut self, key: Key, partition: &FetchPartition) -> u32 {
        let wanted = Wanted::from(partition);
        let place = Place { key, wanted, told: None, is_due: true, was_served: false, watch: None };
        self.count += 1;
        let tag = match self.free.pop() {
            Some(tag) => {
                self.places[tag as usize] = Some(place);
                tag
            }
            None => {
                self.places.push(Some(place));
                (self.places.len() - 1) as u32
            }
        };
        self.due.push(tag);
        tag
    }

    fn renew(&mut self, tag: u32, partition: &FetchPartition) {
        if let Some(place) = self.places[tag as usize].as_mut() {
            place.wanted = Wanted::from(partition);
        }
        self.make_due(tag);
    }

    fn remove(&mut self, tag: u32) {
        let Some(place) = self.places[tag as usize].take() else { return };
        self.count -= 1;
        if !place.is_due {
            self.free.push(tag);
        }
    }

    fn make_due(&mut self, tag: u32) {
        if let Some(place) = self.places[tag as usize].as_mut().filter(|place| !place.is_due) {
            place.is_due = true;
            self.due.push(tag);
        }
    }

    fn place(&self, tag: u32) -> Option<&Place> {
        self.places.get(tag as usize)?.as_ref()
    }
}

impl Place {
    /// What to ask of the partition when so many bytes have been read of others.
    fn from(&self, terms: &Terms, bytes_read: usize) -> FetchFrom {
        let Wanted { offset, bytes_max, leader_epoch, last_fetched_epoch } = self.wanted;
        let max_bytes = bytes_max.min(terms.bytes_max.saturating_sub(bytes_read));
        let (min_one, isolation) = (bytes_read == 0, terms.isolation);
        FetchFrom { offset, max_bytes, min_one, leader_epoch, last_fetched_epoch, isolation }
    }

    /// What was found, if there is nothing in it that the reader does not know.
    fn knows<'a>(&self, outcome: &'a Result<Fetched, PartitionError>) -> Option<&'a Fetched> {
        let fetched = outcome.as_ref().ok().filter(|fetched| fetched.diverging.is_none())?;
        let is_empty = fetched.records.size() == 0 && !matches!(fetched.records, Located::Cold(_));
        (is_empty && self.told == Some((fetched.high_watermark, fetched.log_start))).then_some(fetched)
    }
}

impl Look {
    fn note(&mut self, outcome: &Result<Fetched, PartitionError>, max_bytes: usize) {
        match outcome {
            Err(_) => self.is_urgent = true,
            Ok(fetched) => {
                self.is_urgent |= fetched.diverging.is_some();
                self.bytes += fetched.records.size();
                if matches!(fetched.records, Located::Cold(_)) {
                    self.has_cold = true;
                    self.bytes += max_bytes.max(1); // what it may become; there is something
                }
            }
        }
    }
}

impl Key {
    fn named(&self, uses_ids: bool) -> Named<'_> {
        if uses_ids { Named::Id(self.topic_id) } else { Named::Name(&self.topic) }
    }
}

impl From<&FetchPartition> for Wanted {
    fn from(partition: &FetchPartition) -> Self {
        Self {
            offset: Offset(partition.fetch_offset),
            bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
            leader_epoch: partitions::epoch(partition.current_leader_epoch),
            last_fetched_epoch: partitions::epoch(partition.last_fetched_epoch),
        }
    }
}

/// Whether an outcome is kept back, because it would send the client to a leader that may just have died.
fn is_held(
    partition: &Result<Arc<Partition>, PartitionError>,
    outcome: &Result<Fetched, PartitionError>,
    terms: &Terms,
) -> bool {
    let (Ok(partition), Err(PartitionError::NotLeader { .. })) = (partition, outcome) else { return false };
    partition.awaits_leader() && Instant::now() < terms.held_until
}

/// How far a reader may read.
fn readable_end(fetched: &Fetched, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => fetched.high_watermark,
        Isolation::ReadCommitted => fetched.last_stable_offset,
    }
}

fn key(topic: &Text, topic_id: Uuid, index: i32) -> Key {
    Key { topic: topic.clone(), topic_id, index }
}

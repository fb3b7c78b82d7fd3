//! Events: what changes in the cluster, remembered for a while and told to whoever watches.
//!
//! Invariants: events are numbered without gaps, and the last [`EVENTS_KEPT_MAX`] are kept; a reader that is slower
//! than that loses events, which the numbers show, and holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::yield_now;
use tonic::{Request, Response, Status};

use super::{Door, changes};
use crate::base::clock::WallClock;
use crate::base::limits::{EVENT_READERS_MAX, EVENTS_AT_ONCE, EVENTS_KEPT_MAX};
use crate::broker::Broker;
use crate::metadata::{Delta, Image};
use crate::rpc::admin::event::What;
use crate::rpc::admin::events_server::Events;
use crate::rpc::admin::{Event, WatchRequest};

#[tonic::async_trait]
impl Events for Door {
    type WatchStream = BoxStream<'static, Result<Event, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let history = Arc::clone(&self.behind()?.history);
        let many = |_| Status::resource_exhausted(format!("{EVENT_READERS_MAX} readers watch this node already"));
        let place = Arc::clone(&history.readers).try_acquire_owned().map_err(many)?;
        let reader = Reader { history, seen: 0, follows: request.into_inner().follow, _place: place };
        let events = stream::unfold(reader, |mut reader| async move { Some((Ok(reader.next().await?), reader)) });
        Ok(Response::new(events.boxed()))
    }
}

/// The last events.
pub(super) struct History {
    kept: Mutex<VecDeque<Event>>,
    /// The number of the last one; 0 before the first.
    newest: watch::Sender<u64>,
    readers: Arc<Semaphore>,
}

impl History {
    pub(super) fn new() -> Self {
        let readers = Arc::new(Semaphore::new(EVENT_READERS_MAX));
        Self { kept: Mutex::default(), newest: watch::Sender::new(0), readers }
    }

    /// Remembers some events, and forgets as many of the oldest as there is no room for.
    fn add(&self, events: impl Iterator<Item = Event>) {
        let mut number = *self.newest.borrow();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            number += 1;
            if kept.len() == EVENTS_KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(Event { number, ..event });
        }
        drop(kept);
        self.newest.send_replace(number);
    }

    /// The first event after this one that is still known.
    fn after(&self, seen: u64) -> Option<Event> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.front()?.number;
        let place = (seen + 1).saturating_sub(first);
        kept.get(usize::try_from(place).ok()?).cloned()
    }
}

/// Someone who watches.
struct Reader {
    history: Arc<History>,
    seen: u64,
    follows: bool,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.history.after(self.seen) {
                self.seen = event.number;
                return Some(event);
            }
            if !self.follows {
                return None;
            }
            let mut newest = self.history.newest.subscribe();
            newest.wait_for(|newest| *newest > self.seen).await.ok()?;
        }
    }
}

/// Compares each image with the one before, as long as there are any.
pub(super) async fn record(
    history: Arc<History>,
    mut images: watch::Receiver<Arc<Image>>,
    broker: Option<Broker>,
    clock: Arc<dyn WallClock>,
) {
    let mut old = Arc::clone(&images.borrow_and_update());
    while images.changed().await.is_ok() {
        let new = Arc::clone(&images.borrow_and_update());
        if broker.as_ref().is_none_or(|broker| has_caught_up(broker, &old)) {
            tell(&history, &old, &new, clock.now().0).await;
        }
        old = new;
    }
}

/// Whether a broker has read the log up to its own registration: what comes before is not news.
fn has_caught_up(broker: &Broker, image: &Image) -> bool {
    let registered = image.nodes().get(broker.node()).map(|node| node.epoch);
    registered.is_some() && registered == broker.epoch()
}

async fn tell(history: &History, old: &Image, new: &Image, seen_ms: i64) {
    let delta = Delta::between(old, new);
    let event = |what: What| Event { number: 0, seen_ms, applied: new.applied().0, what: Some(what) };
    let mut events = changes::between(old, new, &delta).map(event).peekable();
    while events.peek().is_some() {
        history.add(events.by_ref().take(EVENTS_AT_ONCE));
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(history: &Arc<History>, follows: bool) -> Reader {
        let place = Arc::clone(&history.readers).try_acquire_owned().expect("there are few readers");
        Reader { history: Arc::clone(history), seen: 0, follows, _place: place }
    }

    fn some(count: usize) -> impl Iterator<Item = Event> {
        std::iter::repeat_n(Event::default(), count)
    }

    async fn numbers(mut reader: Reader) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(event) = reader.next().await {
            numbers.push(event.number);
        }
        numbers
    }

    #[tokio::test]
    async fn a_reader_that_does_not_follow_is_told_what_is_kept_and_no_more() {
        let history = Arc::new(History::new());
        assert_eq!(numbers(reader(&history, false)).await, [0_u64; 0]);
        history.add(some(3));
        assert_eq!(numbers(reader(&history, false)).await, [1, 2, 3]);
        history.add(some(EVENTS_KEPT_MAX));
        let kept = numbers(reader(&history, false)).await;
        assert_eq!((kept[0], kept.len()), (4, EVENTS_KEPT_MAX), "the oldest are forgotten first");
    }

    #[tokio::test]
    async fn a_reader_that_follows_waits_for_news_and_sees_a_gap_when_it_was_too_slow() {
        let history = Arc::new(History::new());
        let mut reader = reader(&history, true);
        let (first, ()) = tokio::join!(reader.next(), async { history.add(some(1)) });
        assert_eq!(first.map(|event| event.number), Some(1));
        history.add(some(EVENTS_KEPT_MAX + 5));
        assert_eq!(reader.next().await.map(|event| event.number), Some(7), "2 to 6 are gone");
    }
}

//! Places for connections: so many in all, so many at a listener, and so many for one address; and how fast they are
//! given away.
//!
//! As in Kafka who finds no place in all or at the listener waits for one, and who comes after waits with him: nobody
//! is accepted there meanwhile. So does who comes too soon after others. Whose address has taken too many is not let
//! in. All listeners count together, and an address may have a number of its own (`max.connections.per.ip.overrides`).
//!
//! All limits may change while connections are open. If there are then more in all than there are places, those that
//! were not used for longest are asked to leave; limits of listeners and addresses are for those who come.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::patience::LastUse;

mod limits;
mod pace;
#[cfg(test)]
mod tests;

pub use limits::{IN_ALL, Limits, OF_ONE};
use pace::Pace;

/// The places of a broker. Clones are the same.
#[derive(Clone)]
pub struct Places(Arc<House>);

/// The places as one listener gives them away.
pub struct Entrance {
    listener: String,
    places: Places,
}

/// One place; its drop makes room for another.
pub struct Place {
    number: u64,
    from: IpAddr,
    listener: String,
    guest: Arc<Guest>,
    places: Places,
}

/// An address has as many connections as it may have.
#[derive(PartialEq, Eq, Debug)]
pub struct TooMany;

struct House {
    books: Mutex<Books>,
    /// There is a free place, or another number of them.
    changed: Notify,
}

/// Who is there.
struct Books {
    limits: Limits,
    guests: BTreeMap<u64, Seated>,
    next_number: u64,
    at_listener: BTreeMap<String, AtListener>,
    of_address: BTreeMap<IpAddr, usize>,
    pace: Pace,
}

#[derive(Default)]
struct AtListener {
    taken: usize,
    pace: Pace,
}

struct Seated {
    guest: Arc<Guest>,
    is_leaving: bool,
}

struct Guest {
    used: LastUse,
    leave: Notify,
}

impl Places {
    pub fn new(limits: Limits) -> Self {
        limits.warn_of_names();
        let at_listener = limits.listeners().map(|name| (name.to_owned(), AtListener::default())).collect();
        let books = Books {
            limits,
            guests: BTreeMap::new(),
            next_number: 0,
            at_listener,
            of_address: BTreeMap::new(),
            pace: Pace::default(),
        };
        Self(Arc::new(House { books: Mutex::new(books), changed: Notify::new() }))
    }

    /// The entrance from one of the listeners that have limits.
    pub fn at(&self, listener: &str) -> Entrance {
        assert!(self.books().at_listener.contains_key(listener), "the caller names another listener than before");
        Entrance { listener: listener.to_owned(), places: self.clone() }
    }

    /// Has other limits from now on.
    pub fn limit(&self, limits: Limits) {
        let mut books = self.books();
        if books.limits != limits {
            limits.warn_of_names();
            books.limits = limits;
            books.dismiss_surplus();
            self.0.changed.notify_waiters();
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entrance {
    /// Waits until it is time for another connection and there is a place.
    pub async fn place(&self, from: IpAddr) -> Result<Place, TooMany> {
        let listener = &self.listener;
        let delay = self.places.books().delay(listener, Instant::now());
        if !delay.is_zero() {
            debug!(event = "kafka.accept_delayed", listener, ms = delay.as_millis(), "connections come too fast");
            sleep(delay).await;
        }
        let mut is_told = false;
        loop {
            let mut changed = pin!(self.places.0.changed.notified());
            changed.as_mut().enable(); // what changes from here on is not missed
            if let Some(outcome) = self.try_place(from.to_canonical()) {
                return outcome;
            }
            if !std::mem::replace(&mut is_told, true) {
                warn!(event = "kafka.no_place", listener, "nobody is accepted until a connection closes: see {IN_ALL}");
            }
            changed.await;
        }
    }

    /// Nothing while there is no place.
    fn try_place(&self, from: IpAddr) -> Option<Result<Place, TooMany>> {
        let mut books = self.places.books();
        if !books.has_place(&self.listener) {
            return None;
        }
        if books.of_address.get(&from).copied().unwrap_or(0) >= books.limits.of_address(from) {
            return Some(Err(TooMany));
        }
        let (number, guest) = books.seat(&self.listener, from);
        Some(Ok(Place { number, from, listener: self.listener.clone(), guest, places: self.places.clone() }))
    }
}

impl Place {
    /// To be told whenever the connection is used.
    pub fn used(&self) -> LastUse {
        self.guest.used.clone()
    }

    /// Waits until there is no place for this connection any longer.
    pub async fn lost(&self) {
        self.guest.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.books().leave(self.number, &self.listener, self.from);
        self.places.0.changed.notify_waiters();
    }
}

impl Books {
    /// Counts a connection that comes now, and says how long it has to wait.
    fn delay(&mut self, listener: &str, now: Instant) -> Duration {
        let own = self.at_listener.get_mut(listener).expect("an entrance is at one of the listeners");
        let [in_all, at_listener] = self.limits.per_second(listener);
        self.pace.delay(in_all, now).max(own.pace.delay(at_listener, now))
    }

    fn has_place(&self, listener: &str) -> bool {
        self.guests.len() < self.limits.in_all() && self.at_listener[listener].taken < self.limits.at_listener(listener)
    }

    fn seat(&mut self, listener: &str, from: IpAddr) -> (u64, Arc<Guest>) {
        let guest = Arc::new(Guest { used: LastUse::now(), leave: Notify::new() });
        let number = self.next_number;
        self.next_number += 1;
        self.guests.insert(number, Seated { guest: Arc::clone(&guest), is_leaving: false });
        self.at_listener.get_mut(listener).expect("it was found when a place was looked for").taken += 1;
        *self.of_address.entry(from).or_default() += 1;
        (number, guest)
    }

    fn leave(&mut self, number: u64, listener: &str, from: IpAddr) {
        self.guests.remove(&number);
        self.at_listener.get_mut(listener).expect("listeners stay as long as their connections").taken -= 1;
        if let Some(by) = self.of_address.get_mut(&from) {
            *by -= 1;
            if *by == 0 {
                self.of_address.remove(&from);
            }
        }
    }

    /// As many as there are too many are asked to leave, those first that were not used for longest.
    fn dismiss_surplus(&mut self) {
        let mut staying: Vec<_> = self.guests.values_mut().filter(|seated| !seated.is_leaving).collect();
        let surplus = staying.len().saturating_sub(self.limits.in_all());
        staying.sort_by_key(|seated| seated.guest.used.at());
        for seated in staying.into_iter().take(surplus) {
            seated.is_leaving = true;
            seated.guest.leave.notify_one();
        }
    }
}

//! Places for connections: so many in all, so many at a listener, and so many for one address.
//!
//! As in Kafka who finds no place in all or at the listener waits for one, and who comes after waits with him: nobody
//! is accepted there meanwhile. Whose address has taken too many is not let in. All listeners count together, and an
//! address may have a number of its own (`max.connections.per.ip.overrides`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::base::limits::KAFKA_CONNECTIONS_MAX;
use crate::config::{Resolved, Value};

/// The places of a broker. Clones are the same.
#[derive(Clone)]
pub struct Places {
    in_all: Arc<Semaphore>,
    by_address: Arc<ByAddress>,
}

/// The places as one listener gives them away.
pub struct Entrance {
    listener: String,
    at_listener: Arc<Semaphore>,
    places: Places,
}

/// One place; its drop makes room for another.
pub struct Place {
    _seats: [OwnedSemaphorePermit; 2],
    _of_address: OfAddress,
}

/// An address has as many connections as [`OF_ONE`] or [`OF_SOME`] allow it.
#[derive(PartialEq, Eq, Debug)]
pub struct TooMany;

struct ByAddress {
    most: usize,
    /// Instead of `most`.
    most_of_some: BTreeMap<IpAddr, usize>,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A place as its address counts it.
struct OfAddress {
    from: IpAddr,
    among: Arc<ByAddress>,
}

const IN_ALL: &str = "max.connections";
pub const OF_ONE: &str = "max.connections.per.ip";
const OF_SOME: &str = "max.connections.per.ip.overrides";

impl Places {
    pub fn new(settings: &Resolved) -> Self {
        let by_address = ByAddress {
            most: count(settings.number(OF_ONE)),
            most_of_some: overrides(settings.text(OF_SOME)),
            taken: Mutex::default(),
        };
        Self { in_all: seats(settings.number(IN_ALL)), by_address: Arc::new(by_address) }
    }

    /// A listener may have a limit of its own, besides that of the broker.
    pub fn at(&self, listener: &str, settings: &Resolved) -> Entrance {
        let own = settings.setting(&format!("listener.name.{}.{IN_ALL}", listener.to_lowercase()));
        let most = match own.map(|setting| &setting.value) {
            Some(Value::Whole(most)) => *most,
            _ => i64::MAX,
        };
        Entrance { listener: listener.to_owned(), at_listener: seats(most), places: self.clone() }
    }
}

impl Entrance {
    /// Waits until there is a place.
    pub async fn place(&self, from: IpAddr) -> Result<Place, TooMany> {
        let seats = [self.seat(&self.at_listener).await, self.seat(&self.places.in_all).await];
        Ok(Place { _seats: seats, _of_address: self.places.by_address.take(from.to_canonical())? })
    }

    async fn seat(&self, seats: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
            return seat;
        }
        let listener = &self.listener;
        warn!(event = "kafka.no_place", listener, "nobody is accepted until a connection closes: see {IN_ALL}");
        Arc::clone(seats).acquire_owned().await.expect("nobody closes the semaphore")
    }
}

impl ByAddress {
    fn take(self: &Arc<Self>, from: IpAddr) -> Result<OfAddress, TooMany> {
        let most = self.most_of_some.get(&from).copied().unwrap_or(self.most);
        let mut taken = self.taken();
        if most == 0 || taken.get(&from).is_some_and(|taken| *taken >= most) {
            return Err(TooMany);
        }
        *taken.entry(from).or_default() += 1;
        Ok(OfAddress { from, among: Arc::clone(self) })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut taken = self.among.taken();
        if let Some(by) = taken.get_mut(&self.from) {
            *by -= 1;
            if *by == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

fn seats(most: i64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count(most).min(KAFKA_CONNECTIONS_MAX)))
}

fn count(most: i64) -> usize {
    usize::try_from(most).unwrap_or(0)
}

/// Reads `ADDRESS:COUNT` with commas between them. What cannot be read is no reason not to start.
fn overrides(text: &str) -> BTreeMap<IpAddr, usize> {
    let mut limits = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let pair = item.rsplit_once(':');
        let pair = pair.and_then(|(ip, count)| Some((ip.trim_matches(['[', ']']).parse().ok()?, count.parse().ok()?)));
        match pair {
            Some((ip, count)) => drop(limits.insert(ip, count)),
            None => warn!(event = "kafka.override_ignored", item, "{OF_SOME} wants an address and a number"),
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::config::{Given, load};

    fn settings(given: &[&str]) -> Resolved {
        let given: Vec<_> = given.iter().map(|setting| Given::set(setting).expect("key=value")).collect();
        load(None, [], &given).0
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// What comes of a connection at once.
    fn arrives(at: &Entrance, from: &str) -> Poll<Result<Place, TooMany>> {
        poll(pin!(at.place(from.parse().expect("an address"))))
    }

    #[test]
    fn an_address_has_so_many_places_and_no_more() {
        let of_some = format!("{OF_SOME}=10.0.0.9:3, nonsense, [::1]:1, 10.0.0.8:0");
        let settings = settings(&["max.connections.per.ip=2", &of_some]);
        let door = Places::new(&settings).at("PLAINTEXT", &settings);
        let enters = |from| match arrives(&door, from) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("{from} has to wait"),
        };
        let _two = [enters("10.0.0.1").unwrap(), enters("::ffff:10.0.0.1").unwrap()];
        assert!(enters("10.0.0.1").is_err() && enters("10.0.0.8").is_err());
        let one = enters("::1").unwrap();
        assert!(enters("::1").is_err());
        drop(one);
        assert!(enters("::1").is_ok(), "a place that was left is free");
        let _three = [(); 3].map(|()| enters("10.0.0.9").unwrap());
        assert!(enters("10.0.0.9").is_err());
    }

    #[test]
    fn who_finds_no_place_waits_until_somebody_leaves() {
        let settings = settings(&["max.connections=3", "listener.name.outside.max.connections=1"]);
        let places = Places::new(&settings);
        let (inside, outside) = (places.at("INSIDE", &settings), places.at("OUTSIDE", &settings));
        let Poll::Ready(Ok(stranger)) = arrives(&outside, "10.0.0.1") else { panic!("there is room") };
        assert!(arrives(&outside, "10.0.0.2").is_pending(), "one outside is as many as its listener takes");
        let Poll::Ready(Ok(friend)) = arrives(&inside, "10.0.0.3") else { panic!("inside there is room") };
        let Poll::Ready(Ok(_another)) = arrives(&inside, "10.0.0.4") else { panic!("inside there is room") };
        let mut next = pin!(inside.place("10.0.0.5".parse().unwrap()));
        assert!(poll(next.as_mut()).is_pending(), "three are as many as the broker takes");
        drop(friend);
        assert!(matches!(poll(next.as_mut()), Poll::Ready(Ok(_))));
        drop(stranger);
        assert!(arrives(&outside, "10.0.0.2").is_ready());
    }
}

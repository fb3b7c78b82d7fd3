//! Places for connections: so many in all, and so many for one address. Who finds none is not let in.
//!
//! As in Kafka an address may have a number of its own (`max.connections.per.ip.overrides`); all listeners count
//! together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::base::limits::KAFKA_CONNECTIONS_MAX;
use crate::config::Resolved;

/// The places of a broker. Clones are the same.
#[derive(Clone)]
pub struct Places(Arc<Shared>);

struct Shared {
    limits: Limits,
    taken: Mutex<Taken>,
}

struct Limits {
    in_all: usize,
    of_one: usize,
    /// Instead of `of_one`.
    of_some: BTreeMap<IpAddr, usize>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by: BTreeMap<IpAddr, usize>,
}

/// One place; its drop makes room for another.
pub struct Place {
    from: IpAddr,
    places: Places,
}

/// The setting that keeps a connection out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full(pub &'static str);

const IN_ALL: &str = "max.connections";
const OF_ONE: &str = "max.connections.per.ip";
const OF_SOME: &str = "max.connections.per.ip.overrides";

impl Places {
    pub fn new(settings: &Resolved) -> Self {
        let number = |name| usize::try_from(settings.number(name)).unwrap_or(0);
        let limits = Limits {
            in_all: number(IN_ALL).min(KAFKA_CONNECTIONS_MAX),
            of_one: number(OF_ONE),
            of_some: overrides(settings.text(OF_SOME)),
        };
        Self::limited(limits)
    }

    fn limited(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, taken: Mutex::default() }))
    }

    pub fn take(&self, from: IpAddr) -> Result<Place, Full> {
        let from = from.to_canonical();
        let Shared { limits, .. } = &*self.0;
        let mut taken = self.taken();
        if taken.in_all >= limits.in_all {
            return Err(Full(IN_ALL));
        }
        let most = limits.of_some.get(&from).copied().unwrap_or(limits.of_one);
        if taken.by.get(&from).is_some_and(|taken| *taken >= most) || most == 0 {
            return Err(Full(OF_ONE));
        }
        taken.in_all += 1;
        *taken.by.entry(from).or_default() += 1;
        Ok(Place { from, places: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.in_all -= 1;
        if let Some(by) = taken.by.get_mut(&self.from) {
            *by -= 1;
            if *by == 0 {
                taken.by.remove(&self.from);
            }
        }
    }
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
    use super::*;

    #[test]
    fn places_run_out_for_one_address_before_they_do_for_all() {
        let of_some = overrides("10.0.0.9:3, nonsense, [::1]:1, 10.0.0.8:0");
        let places = Places::limited(Limits { in_all: 5, of_one: 2, of_some });
        let take = |from: &str| places.take(from.parse().unwrap());
        let _two = [take("10.0.0.1").unwrap(), take("::ffff:10.0.0.1").unwrap()];
        assert_eq!(take("10.0.0.1").err(), Some(Full(OF_ONE)));
        assert_eq!(take("10.0.0.8").err(), Some(Full(OF_ONE)));
        let one = take("::1").unwrap();
        assert_eq!(take("::1").err(), Some(Full(OF_ONE)));
        let _more = [take("10.0.0.9").unwrap(), take("10.0.0.9").unwrap()];
        assert_eq!(take("10.0.0.9").err(), Some(Full(IN_ALL)));
        drop(one);
        assert!(take("10.0.0.9").is_ok(), "a place that was left is free");
    }
}

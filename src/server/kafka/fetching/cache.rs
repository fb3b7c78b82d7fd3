//! Where fetch sessions are between the requests that use them.
//!
//! A request takes its session out and puts it back; the lock is held for a look at a table only. A session that is out
//! is used by nobody else, and gone if its request ends without an answer.
//!
//! As in Kafka there is a bounded number of sessions (`max.incremental.fetch.session.cache.slots`). When all are taken,
//! a new one drives out one that was not used for two minutes, or else the smallest of those that are older than that,
//! if it is smaller than the new one: large sessions save most. Who gets none is served without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::session::Session;
use crate::base::limits::KAFKA_FETCH_SESSION_SAFE_MS;
use crate::wire::ErrorCode;

/// All sessions of a broker. Clones are the same.
#[derive(Clone)]
pub struct Sessions {
    cache: Arc<Mutex<Cache>>,
}

struct Cache {
    kept: BTreeMap<i32, Kept>,
    slots: usize,
}

struct Kept {
    /// Nothing while a request works on it.
    session: Option<Session>,
    /// What the next request has to say.
    epoch: i32,
    uses_ids: bool,
    size: usize,
    made: Instant,
    used: Instant,
}

/// A session that was taken out, on its way back. Dropping it on the way ends the session.
pub struct Ticket {
    pub id: i32,
    sessions: Sessions,
    is_out: bool,
}

impl Sessions {
    pub fn new(slots: usize) -> Self {
        Self { cache: Arc::new(Mutex::new(Cache { kept: BTreeMap::new(), slots })) }
    }

    /// Takes a session out for the request with this epoch.
    pub fn take(&self, id: i32, epoch: i32, uses_ids: bool, now: Instant) -> Result<(Session, Ticket), ErrorCode> {
        let mut cache = self.lock();
        let kept = cache.kept.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if kept.epoch != epoch || kept.session.is_none() {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if kept.uses_ids != uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        kept.epoch = epoch.checked_add(1).unwrap_or(1);
        kept.used = now;
        let session = kept.session.take().expect("looked at above");
        Ok((session, Ticket { id, sessions: self.clone(), is_out: true }))
    }

    /// Keeps a new session, if there is room for it: under an id of those that are drawn, else under none, which is 0.
    pub fn admit(&self, mut session: Session, now: Instant, mut draw: impl FnMut() -> i32) -> i32 {
        let mut cache = self.lock();
        if !cache.make_room(session.len(), now) {
            return 0;
        }
        let id = loop {
            let id = draw() & i32::MAX;
            if id != 0 && !cache.kept.contains_key(&id) {
                break id;
            }
        };
        session.keep();
        let (uses_ids, size) = (session.uses_ids(), session.len());
        cache.kept.insert(id, Kept { session: Some(session), epoch: 1, uses_ids, size, made: now, used: now });
        id
    }

    /// Ends a session, wherever it is.
    pub fn close(&self, id: i32) {
        self.lock().kept.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Puts the session back, unless it was ended or driven out meanwhile.
    pub fn put_back(mut self, session: Session) {
        self.is_out = false;
        if let Some(kept) = self.sessions.lock().kept.get_mut(&self.id).filter(|kept| kept.session.is_none()) {
            kept.size = session.len();
            kept.session = Some(session);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_out {
            self.sessions.close(self.id);
        }
    }
}

impl Cache {
    fn make_room(&mut self, size: usize, now: Instant) -> bool {
        if self.kept.len() < self.slots {
            return true;
        }
        let is_old = |since: Instant| now.duration_since(since).as_millis() > u128::from(KAFKA_FETCH_SESSION_SAFE_MS);
        let longest_unused = self.kept.iter().min_by_key(|(_, kept)| kept.used);
        let stale = longest_unused.filter(|(_, kept)| is_old(kept.used));
        let old = self.kept.iter().filter(|(_, kept)| is_old(kept.made));
        let smaller = old.min_by_key(|(_, kept)| kept.size).filter(|(_, kept)| kept.size < size);
        let Some(id) = stale.or(smaller).map(|(id, _)| *id) else { return false };
        self.kept.remove(&id);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::messages::fetch::{FetchPartition, FetchTopic};

    fn session(partitions: i32) -> Session {
        let partition = |partition| FetchPartition { partition, ..Default::default() };
        let partitions = (0..partitions).map(partition).collect();
        Session::new(&[FetchTopic { topic: "t".into(), partitions, ..Default::default() }], false)
    }

    fn ids() -> impl FnMut() -> i32 {
        let mut last = 0;
        move || {
            last += 1;
            last
        }
    }

    #[test]
    fn requests_of_a_session_follow_each_other() {
        let (sessions, now) = (Sessions::new(10), Instant::now());
        let id = sessions.admit(session(1), now, ids());
        let error = |id, epoch, uses_ids| sessions.take(id, epoch, uses_ids, now).err();
        assert_eq!(error(id + 1, 1, false), Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(error(id, 2, false), Some(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(error(id, 1, true), Some(ErrorCode::FetchSessionTopicIdError));

        let (first, ticket) = sessions.take(id, 1, false, now).unwrap();
        assert_eq!(error(id, 2, false), Some(ErrorCode::InvalidFetchSessionEpoch), "somebody works on it");
        ticket.put_back(first);
        assert_eq!(error(id, 1, false), Some(ErrorCode::InvalidFetchSessionEpoch), "that request has been");
        let (_, ticket) = sessions.take(id, 2, false, now).unwrap();
        drop(ticket);
        assert_eq!(error(id, 3, false), Some(ErrorCode::FetchSessionIdNotFound), "its request ended without an answer");
    }

    #[test]
    fn a_session_that_was_ended_while_it_was_out_does_not_come_back() {
        let (sessions, now) = (Sessions::new(10), Instant::now());
        let id = sessions.admit(session(1), now, ids());
        let (out, ticket) = sessions.take(id, 1, false, now).unwrap();
        sessions.close(id);
        ticket.put_back(out);
        assert_eq!(sessions.take(id, 2, false, now).err(), Some(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn large_sessions_drive_out_small_ones_that_are_old_and_all_drive_out_who_is_silent() {
        let (sessions, mut draw) = (Sessions::new(2), ids());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let small = sessions.admit(session(1), at(0), &mut draw);
        let middle = sessions.admit(session(5), at(0), &mut draw);
        assert_eq!(sessions.admit(session(9), at(60), &mut draw), 0, "nobody is older than two minutes");

        for (id, epoch) in [(small, 1), (middle, 1)] {
            let (session, ticket) = sessions.take(id, epoch, false, at(100)).unwrap();
            ticket.put_back(session);
        }
        assert_eq!(sessions.admit(session(1), at(130), &mut draw), 0, "an equal one is not worth it");
        assert_ne!(sessions.admit(session(9), at(130), &mut draw), 0);
        assert_eq!(sessions.take(small, 2, false, at(130)).err(), Some(ErrorCode::FetchSessionIdNotFound));
        assert_ne!(sessions.admit(session(1), at(230), &mut draw), 0, "nobody has heard of the middle one");
        assert_eq!(sessions.take(middle, 2, false, at(230)).err(), Some(ErrorCode::FetchSessionIdNotFound));
    }
}

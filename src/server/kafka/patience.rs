//! Patience with a client: when its silence or slowness ends the connection.
//!
//! One timer per connection, which is not touched by traffic: it fires every few seconds and looks at what happened.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::hangup::Hangup;
use crate::base::limits::{
    KAFKA_FRAME_BYTES_PER_SECOND_MIN, KAFKA_FRAME_PATIENCE_MS, KAFKA_MEMORY_WAIT_MS_MAX, KAFKA_WATCH_MS,
};

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// For answers of ours.
    Busy,
    /// For the client to read them.
    Sending,
    /// For memory, with a part of a request in hand.
    Starved,
    /// For a request.
    Idle,
    /// For the rest of one.
    Frame { received: usize },
}

/// When a connection was last used, to the microsecond. Clones are the same.
#[derive(Clone, Debug)]
pub struct LastUse {
    opened: Instant,
    micros: Arc<AtomicU64>,
}

/// The watch over one connection.
pub struct Patience {
    idle_max: Option<Duration>,
    used: LastUse,
    /// Since when the last look and those before it saw the same frame, or the same want of memory.
    since: Option<(Want, Instant)>,
    next_look: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Memory,
    Frame,
}

impl LastUse {
    pub fn now() -> Self {
        Self { opened: Instant::now(), micros: Arc::default() }
    }

    pub fn at(&self) -> Instant {
        self.opened + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    pub fn note(&self) {
        let micros = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
    }
}

impl Patience {
    pub fn new(idle_max: Option<Duration>, used: LastUse) -> Self {
        let next_look = Box::pin(sleep_until(Self::next_look(Instant::now(), used.at(), idle_max)));
        Self { idle_max, used, since: None, next_look }
    }

    /// Bytes came or went.
    pub fn moved(&self) {
        self.used.note();
    }

    /// A request is complete: what was seen of it does not count against the next one.
    pub fn request_taken(&mut self) {
        self.since = None;
    }

    /// Never ready, until patience ends.
    pub fn poll(&mut self, cx: &mut Context<'_>, reading: Reading) -> Poll<Result<(), Hangup>> {
        loop {
            self.note(reading);
            ready!(self.next_look.as_mut().poll(cx));
            let now = Instant::now();
            self.judge(reading, now)?;
            self.next_look.as_mut().reset(Self::next_look(now, self.used.at(), self.idle_max));
        }
    }

    fn note(&mut self, reading: Reading) {
        let want = match reading {
            Reading::Busy | Reading::Sending | Reading::Idle => return self.since = None,
            Reading::Starved => Want::Memory,
            Reading::Frame { .. } => Want::Frame,
        };
        if self.since.is_none_or(|(before, _)| before != want) {
            self.since = Some((want, Instant::now()));
        }
    }

    fn judge(&self, reading: Reading, now: Instant) -> Result<(), Hangup> {
        let waited = self.since.map_or(Duration::ZERO, |(_, since)| now - since);
        match reading {
            Reading::Frame { received } => {
                let for_bytes = Duration::from_secs((received / KAFKA_FRAME_BYTES_PER_SECOND_MIN) as u64);
                if waited > Duration::from_millis(KAFKA_FRAME_PATIENCE_MS) + for_bytes {
                    return Err(Hangup::Slow { received });
                }
            }
            Reading::Starved if waited > Duration::from_millis(KAFKA_MEMORY_WAIT_MS_MAX) => {
                return Err(Hangup::NoMemory);
            }
            Reading::Busy => return Ok(()),
            Reading::Sending | Reading::Idle | Reading::Starved => {}
        }
        match self.idle_max {
            Some(idle_max) if now - self.used.at() >= idle_max => Err(Hangup::Idle(idle_max)),
            _ => Ok(()),
        }
    }

    fn next_look(now: Instant, used_at: Instant, idle_max: Option<Duration>) -> Instant {
        let regular = now + Duration::from_millis(KAFKA_WATCH_MS);
        idle_max.map_or(regular, |idle_max| regular.min(used_at + idle_max))
    }
}

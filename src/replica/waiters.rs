//! Who waits for which offset: produce requests for the high watermark, fetch requests for data below it.
//!
//! A waiter is a token of the caller's choice, handed back when its time has come; whoever gave it knows whom to wake.
//! The lists allocate nothing while nobody waits.
//!
//! Absent on purpose: clocks and wake-ups. Deadlines are looked at when the caller says that time has passed.

use std::collections::{BTreeMap, VecDeque};

use crate::base::ids::Offset;
use crate::base::time::Millis;

/// Beyond this many places an empty list gives its memory back.
const KEPT_CAPACITY: usize = 32;

/// Produce requests, each waiting until the high watermark has passed its last record.
#[derive(Debug)]
pub struct ProduceWaiters<T> {
    /// In ascending order of offset.
    waiting: VecDeque<ProduceWaiter<T>>,
    first_deadline: Option<Millis>,
}

#[derive(Debug)]
struct ProduceWaiter<T> {
    last_offset: Offset,
    deadline: Millis,
    token: T,
}

impl<T> Default for ProduceWaiters<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), first_deadline: None }
    }
}

impl<T> ProduceWaiters<T> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits for `last_offset` to be committed. Appends come in order of offset; only a duplicate waits for an earlier
    /// one, that of its original (R14).
    pub fn wait(&mut self, last_offset: Offset, deadline: Millis, token: T) {
        let waiter = ProduceWaiter { last_offset, deadline, token };
        match self.waiting.back() {
            Some(back) if back.last_offset > last_offset => {
                let place = self.waiting.partition_point(|other| other.last_offset <= last_offset);
                self.waiting.insert(place, waiter);
            }
            _ => self.waiting.push_back(waiter),
        }
        self.first_deadline = Some(self.first_deadline.map_or(deadline, |first| first.min(deadline)));
    }

    /// The high watermark is here now: hands back whoever waited for less, in order of offset.
    pub fn on_high_watermark(&mut self, high_watermark: Offset, mut done: impl FnMut(T)) {
        while let Some(waiter) = self.waiting.pop_front_if(|waiter| waiter.last_offset < high_watermark) {
            done(waiter.token);
        }
        self.tidy();
    }

    /// Hands back whose deadline has come (REQUEST_TIMED_OUT). Costs nothing before the first one.
    pub fn expire(&mut self, now: Millis, mut late: impl FnMut(T)) {
        if self.first_deadline.is_none_or(|first| now < first) {
            return;
        }
        let all = std::mem::take(&mut self.waiting);
        self.first_deadline = None;
        for waiter in all {
            match waiter.deadline <= now {
                true => late(waiter.token),
                false => self.wait(waiter.last_offset, waiter.deadline, waiter.token),
            }
        }
    }

    /// When `expire` should be called: not later than the first deadline, perhaps earlier.
    pub fn first_deadline(&self) -> Option<Millis> {
        self.first_deadline
    }

    /// Leadership is lost: hands everybody back (NOT_LEADER_OR_FOLLOWER).
    pub fn drain(&mut self, gone: impl FnMut(T)) {
        std::mem::take(&mut self.waiting).into_iter().map(|waiter| waiter.token).for_each(gone);
        self.first_deadline = None;
    }

    fn tidy(&mut self) {
        if self.waiting.is_empty() {
            self.first_deadline = None;
            if self.waiting.capacity() > KEPT_CAPACITY {
                self.waiting = VecDeque::new();
            }
        }
    }
}

/// Fetch requests, each waiting for so many bytes to become readable.
///
/// A waiter *fills* while bytes are appended, and is *ripe* once enough of them are: from then on only the bound must
/// pass the append that made it ripe. So an append and a move of the bound look only at those they concern.
#[derive(Debug)]
pub struct FetchWaiters<T> {
    /// By the count of bytes at which they are ripe; the number keeps equal ones apart, in order.
    filling: BTreeMap<(u64, u64), FetchWaiter<T>>,
    /// By the log end which the bound must reach.
    ripe: BTreeMap<(Offset, u64), FetchWaiter<T>>,
    /// Bytes appended while somebody was filling.
    bytes: u64,
    arrivals: u64,
    first_deadline: Option<Millis>,
}

#[derive(Debug)]
struct FetchWaiter<T> {
    deadline: Millis,
    token: T,
}

/// What a fetch request found before it decided to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// How far it could read: the high watermark, or the last stable offset.
    pub bound: Offset,
    pub log_end: Offset,
    /// How many more bytes it wants.
    pub bytes_missing: u32,
}

impl<T> Default for FetchWaiters<T> {
    fn default() -> Self {
        let (filling, ripe) = (BTreeMap::new(), BTreeMap::new());
        Self { filling, ripe, bytes: 0, arrivals: 0, first_deadline: None }
    }
}

impl<T> FetchWaiters<T> {
    pub fn is_empty(&self) -> bool {
        self.filling.is_empty() && self.ripe.is_empty()
    }

    /// Waits for more to become readable. Bytes appended before and not yet readable were not counted: if there are
    /// any, whoever waits is woken by the first of them and may look again.
    pub fn wait(&mut self, fetched: Fetched, deadline: Millis, token: T) {
        let waiter = FetchWaiter { deadline, token };
        self.arrivals += 1;
        if fetched.bound < fetched.log_end {
            self.ripe.insert((fetched.bound.plus(1), self.arrivals), waiter);
        } else {
            let target = self.bytes + u64::from(fetched.bytes_missing.max(1));
            self.filling.insert((target, self.arrivals), waiter);
        }
        self.first_deadline = Some(self.first_deadline.map_or(deadline, |first| first.min(deadline)));
    }

    /// `bytes` were appended; the log ends at `log_end` now.
    pub fn on_appended(&mut self, log_end: Offset, bytes: u32) {
        if self.filling.is_empty() {
            return;
        }
        self.bytes += u64::from(bytes);
        while let Some(first) = self.filling.first_entry().filter(|first| first.key().0 <= self.bytes) {
            let ((_, arrival), waiter) = first.remove_entry();
            self.ripe.insert((log_end, arrival), waiter);
        }
    }

    /// Consumers may now read up to `bound`: hands back who should read again.
    pub fn on_bound(&mut self, bound: Offset, mut done: impl FnMut(T)) {
        while let Some(first) = self.ripe.first_entry().filter(|first| first.key().0 <= bound) {
            done(first.remove().token);
        }
        if self.is_empty() {
            self.first_deadline = None;
        }
    }

    /// Hands back whose deadline has come: they answer with what there is.
    pub fn expire(&mut self, now: Millis, mut late: impl FnMut(T)) {
        if self.first_deadline.is_none_or(|first| now < first) {
            return;
        }
        let filling = self.filling.extract_if(.., |_, waiter| waiter.deadline <= now).map(|(_, waiter)| waiter);
        let ripe = self.ripe.extract_if(.., |_, waiter| waiter.deadline <= now).map(|(_, waiter)| waiter);
        filling.chain(ripe).for_each(|waiter| late(waiter.token));
        let left = self.filling.values().chain(self.ripe.values());
        self.first_deadline = left.map(|waiter| waiter.deadline).min();
    }

    /// When `expire` should be called: not later than the first deadline, perhaps earlier.
    pub fn first_deadline(&self) -> Option<Millis> {
        self.first_deadline
    }

    /// Leadership is lost, or the log was cut: hands everybody back.
    pub fn drain(&mut self, gone: impl FnMut(T)) {
        let waiting = std::mem::take(&mut self.filling).into_values();
        let ripe = std::mem::take(&mut self.ripe).into_values();
        waiting.chain(ripe).map(|waiter| waiter.token).for_each(gone);
        self.first_deadline = None;
    }
}

impl<T: PartialEq> FetchWaiters<T> {
    /// A request that waited on many partitions was answered by another one.
    pub fn remove(&mut self, token: &T) {
        self.filling.retain(|_, waiter| waiter.token != *token);
        self.ripe.retain(|_, waiter| waiter.token != *token);
        if self.is_empty() {
            self.first_deadline = None;
        }
    }
}

//! Who waits for which offset: produce requests for the high watermark.
//!
//! A waiter is a token of the caller's choice, handed back when its time has come; whoever gave it knows whom to wake.
//! The list allocates nothing while nobody waits.
//!
//! Absent on purpose: clocks, how long a client waits is the door's to say. Readers: they want to know of any change of
//! many partitions, which is not for a mind to judge.

use std::collections::VecDeque;

use crate::base::ids::Offset;

/// Beyond this many places an empty list gives its memory back.
const KEPT_CAPACITY: usize = 32;

/// Produce requests, each waiting until the high watermark has passed its last record.
#[derive(Debug)]
pub struct ProduceWaiters<T> {
    /// In ascending order of offset.
    waiting: VecDeque<ProduceWaiter<T>>,
}

#[derive(Debug)]
struct ProduceWaiter<T> {
    last_offset: Offset,
    token: T,
}

impl<T> Default for ProduceWaiters<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> ProduceWaiters<T> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits for `last_offset` to be committed. Appends come in order of offset; only a duplicate waits for an earlier
    /// one, that of its original (R14).
    pub fn wait(&mut self, last_offset: Offset, token: T) {
        let waiter = ProduceWaiter { last_offset, token };
        match self.waiting.back() {
            Some(back) if back.last_offset > last_offset => {
                let place = self.waiting.partition_point(|other| other.last_offset <= last_offset);
                self.waiting.insert(place, waiter);
            }
            _ => self.waiting.push_back(waiter),
        }
    }

    /// The high watermark is here now: hands back whoever waited for less, in order of offset.
    pub fn on_high_watermark(&mut self, high_watermark: Offset, mut done: impl FnMut(T)) {
        while let Some(waiter) = self.waiting.pop_front_if(|waiter| waiter.last_offset < high_watermark) {
            done(waiter.token);
        }
        self.tidy();
    }

    /// The log ends here now: hands back whoever waited for what was cut off (NOT_LEADER_OR_FOLLOWER).
    pub fn on_truncated(&mut self, end: Offset, gone: impl FnMut(T)) {
        let kept = self.waiting.partition_point(|waiter| waiter.last_offset < end);
        self.waiting.split_off(kept).into_iter().map(|waiter| waiter.token).for_each(gone);
        self.tidy();
    }

    /// Leadership is lost: hands everybody back (NOT_LEADER_OR_FOLLOWER).
    pub fn drain(&mut self, gone: impl FnMut(T)) {
        std::mem::take(&mut self.waiting).into_iter().map(|waiter| waiter.token).for_each(gone);
    }

    fn tidy(&mut self) {
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = VecDeque::new();
        }
    }
}

//! The tail cache: the batches that were appended last, so that followers and live consumers never touch the disk.
//!
//! Invariants: what it holds is a contiguous end of the log; it stays within its budget.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::reader::{ReadRequest, Slice};
use crate::base::ids::Offset;
use crate::record::Batch;

/// Batches up to this size are copied together. A slice would keep the whole request in memory that it came in.
const COPY_BYTES_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Tail {
    batches: VecDeque<Cached>,
    bytes: usize,
    budget: usize,
}

struct Cached {
    base: Offset,
    next: Offset,
    size: usize,
    parts: [Bytes; 2],
}

impl Tail {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, ..Self::default() }
    }

    pub(super) fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
        self.shrink();
    }

    pub(super) fn push(&mut self, batch: &Batch) {
        if batch.size() > self.budget {
            return self.clear(); // a gap would break the end that is held
        }
        let [head, body] = batch.parts();
        let parts = if batch.size() <= COPY_BYTES_MAX {
            let mut whole = BytesMut::with_capacity(batch.size());
            whole.extend_from_slice(head);
            whole.extend_from_slice(body);
            [whole.freeze(), Bytes::new()]
        } else {
            [head.clone(), body.clone()]
        };
        let (base, next) = (batch.header().base_offset, batch.header().next_offset());
        self.batches.push_back(Cached { base, next, size: batch.size(), parts });
        self.bytes += batch.size();
        self.shrink();
    }

    /// Answers from memory, if what follows `from` is here.
    pub(super) fn read(&self, request: &ReadRequest) -> Option<Slice> {
        if self.batches.front()?.base > request.from {
            return None;
        }
        let first = self.batches.partition_point(|batch| batch.next <= request.from);
        let mut slice = Slice::empty(request.from);
        for batch in self.batches.range(first..) {
            let fits = slice.size + batch.size <= request.bytes_max;
            let alone = slice.size == 0 && request.at_least_one;
            if batch.next > request.until || !(fits || alone) {
                break;
            }
            slice.parts.extend(batch.parts.iter().filter(|part| !part.is_empty()).cloned());
            slice.size += batch.size;
            slice.next = batch.next;
        }
        Some(slice)
    }

    /// Forgets the batches that end after this offset.
    pub(super) fn truncate(&mut self, end: Offset) {
        while self.batches.back().is_some_and(|batch| batch.next > end) {
            self.bytes -= self.batches.pop_back().map_or(0, |batch| batch.size);
        }
    }

    pub(super) fn clear(&mut self) {
        self.batches = VecDeque::new();
        self.bytes = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.bytes > self.budget {
            self.bytes -= self.batches.pop_front().map_or(0, |batch| batch.size);
        }
    }
}

//! Watching: a reader of many partitions learns which of them have changed, and looks at no others.
//!
//! ```text
//!   reader:     look, and watch ──► nothing there          partition: the high watermark moves, the leader goes
//!                    ▲                                                         │ once for each watch
//!                    └──── look again at what has news ◄──── news: the tags ◄──┘
//! ```
//!
//! Invariants: a watch begins under the lock of the look it belongs to, so that no change falls between the two; it
//! fires once; one that its reader has dropped costs nothing but a place in a list that is swept as it grows.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::after::After;

/// The list of dropped watches is swept when it is at least so long.
const SWEPT_LEN_MIN: usize = 16;

/// What has changed since one reader last asked.
#[derive(Default)]
pub struct News {
    tags: Mutex<Vec<u32>>,
    arrived: Notify,
}

impl News {
    /// The tags of the watches that have fired.
    pub fn take(&self) -> Vec<u32> {
        mem::take(&mut *self.tags())
    }

    /// Waits for some; perhaps there are none when it returns.
    pub async fn arrive(&self) {
        self.arrived.notified().await;
    }

    fn push(&self, tag: u32) {
        self.tags().push(tag);
        self.arrived.notify_one();
    }

    fn tags(&self) -> MutexGuard<'_, Vec<u32>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader's interest in one partition; the tag tells the reader which.
pub struct Watch {
    tag: u32,
    is_armed: AtomicBool,
    news: Arc<News>,
}

impl Watch {
    pub fn new(tag: u32, news: &Arc<News>) -> Arc<Self> {
        Arc::new(Self { tag, is_armed: AtomicBool::new(false), news: Arc::clone(news) })
    }

    pub(super) fn fire(&self) {
        self.is_armed.store(false, Ordering::Release);
        self.news.push(self.tag);
    }
}

/// The armed watches of one partition.
#[derive(Default)]
pub(super) struct Watches {
    armed: Vec<Arc<Watch>>,
    swept_len: usize,
}

impl Watches {
    pub fn arm(&mut self, watch: &Arc<Watch>) {
        if watch.is_armed.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.armed.len() >= (2 * self.swept_len).max(SWEPT_LEN_MIN) {
            self.armed.retain(|watch| Arc::strong_count(watch) > 1);
            self.swept_len = self.armed.len();
        }
        self.armed.push(Arc::clone(watch));
    }

    pub fn fire(&mut self, after: &mut After) {
        self.armed.drain(..).for_each(|watch| after.tell(watch));
    }
}

/// Whoever watches a partition that is taken away looks for it elsewhere.
impl Drop for Watches {
    fn drop(&mut self) {
        self.armed.iter().for_each(|watch| watch.fire());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_fires_once_and_can_be_armed_again() {
        let news = Arc::new(News::default());
        let (first, second) = (Watch::new(1, &news), Watch::new(2, &news));
        let mut watches = Watches::default();
        watches.arm(&first);
        watches.arm(&second);
        watches.arm(&first);
        drop(watches);
        assert_eq!(news.take(), [1, 2]);
        let mut elsewhere = Watches::default();
        elsewhere.arm(&first);
        drop(elsewhere);
        assert_eq!(news.take(), [1]);
    }

    #[test]
    fn watches_of_readers_that_are_gone_do_not_gather() {
        let news = Arc::new(News::default());
        let kept = Watch::new(0, &news);
        let mut watches = Watches::default();
        watches.arm(&kept);
        (1..10_000).for_each(|tag| watches.arm(&Watch::new(tag, &news)));
        assert!(watches.armed.len() <= SWEPT_LEN_MIN, "{} watches are kept", watches.armed.len());
        assert!(Arc::ptr_eq(&watches.armed[0], &kept));
    }
}

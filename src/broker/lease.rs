//! How long this broker may take itself for a part of the cluster without hearing from whoever rules it.
//!
//! Nothing is promised by it: what is acknowledged by all in-sync replicas is safe whoever believes what. But a leader
//! that is cut off from everybody except its clients would take records with `acks=1` that are lost for certain, and
//! let others wait in vain. When its lease is over, and no follower is with it, it refuses them: they look elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::base::time::Millis;

/// Until when it lasts, and who waits for another one.
pub(super) struct Lease {
    until: AtomicU64,
    renewed: Notify,
}

impl Default for Lease {
    /// A broker that has not heard anybody yet has nothing to lose.
    fn default() -> Self {
        Self { until: AtomicU64::new(u64::MAX), renewed: Notify::new() }
    }
}

impl Lease {
    /// The active controller, confirmed by a quorum, was heard.
    pub(super) fn renew(&self, now: Millis, session_timeout_ms: u32) {
        self.until.store(now.plus(session_timeout_ms.into()).0, Ordering::Relaxed);
        self.renewed.notify_waiters();
    }

    /// Waits until the active controller is heard again: then it hears this broker, too.
    pub(super) async fn renewed(&self) {
        self.renewed.notified().await;
    }

    pub(super) fn is_over(&self, now: Millis) -> bool {
        now.0 >= self.until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_begins_with_the_first_word_of_the_active_controller_and_ends_without_another() {
        let lease = Lease::default();
        assert!(!lease.is_over(Millis(1_000_000)));
        lease.renew(Millis(1_000), 3_000);
        assert!(!lease.is_over(Millis(3_999)) && lease.is_over(Millis(4_000)));
        lease.renew(Millis(4_000), 3_000);
        assert!(!lease.is_over(Millis(4_000)));
    }
}

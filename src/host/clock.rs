//! The wall clock of the operating system.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::clock::{WallClock, WallMillis};

pub(super) struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> WallMillis {
        // A clock set before 1970 reads as 0: it is wrong either way, and nothing decides by it.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallMillis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }
}

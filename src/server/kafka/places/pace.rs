//! How fast connections are accepted: as many per second as are allowed, and up to a second's worth at once.
//!
//! Nobody is refused. Who comes too soon waits, and everybody behind him, but never longer than a second for one
//! connection: so no number, not even 0, shuts a listener. Kafka's longest wait is as long
//! (`quota.window.size.seconds`); it lets ten seconds' worth come at once.

use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// The connections of the last second.
#[derive(Default)]
pub struct Pace {
    /// When the allowance for all that came is used up, if another one comes at each moment it may.
    spent_until: Option<Instant>,
}

impl Pace {
    /// Counts a connection that comes now, and says how long it has to wait.
    pub fn delay(&mut self, per_second: u32, now: Instant) -> Duration {
        let each = SECOND / per_second.max(1);
        let spent_until = self.spent_until.map_or(now, |until| until.max(now).min(now + SECOND)) + each;
        self.spent_until = Some(spent_until);
        spent_until.saturating_duration_since(now + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_comes_at_once_and_the_rest_at_its_pace() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut now = start;
        let mut accept = |count: usize| {
            for _ in 0..count {
                now += pace.delay(10, now);
            }
            (now - start).as_millis()
        };
        assert_eq!(accept(10), 0);
        assert_eq!(accept(1), 100);
        assert_eq!(accept(19), 2_000);
        let later = start + 10 * SECOND;
        assert_eq!(pace.delay(10, later), Duration::ZERO, "who has not come for a while may come");
        assert_eq!(pace.delay(1, later), Duration::from_millis(100), "a new rate holds from the next one on");
    }

    #[test]
    fn no_rate_shuts_the_door_and_a_large_one_costs_nothing() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!([(); 3].map(|()| pace.delay(0, now)), [Duration::ZERO, SECOND, SECOND]);
        let mut pace = Pace::default();
        assert!((0..10_000).all(|_| pace.delay(i32::MAX as u32, now).is_zero()));
    }
}

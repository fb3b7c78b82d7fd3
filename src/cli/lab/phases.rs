//! How a failover went, by what the nodes have written into their logs. Pure.
//!
//! All nodes of the lab are on one machine, so their clocks are one.

use std::time::Duration;

use serde::Serialize;

use crate::base::clock::WallMillis;
use crate::base::ids::NodeId;

/// From the blow to each step, in milliseconds; none where nobody noted it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Phases {
    /// A controller has evidence enough against the node.
    pub(super) detected_ms: Option<u64>,
    /// There is an active controller, where it was the active one that was struck.
    pub(super) controller_ms: Option<u64>,
    /// The first broker leads what the node led.
    pub(super) led_ms: Option<u64>,
    /// A client that had no open request has its records acknowledged by other leaders, where that was tried.
    pub(super) written_ms: Option<u64>,
    /// The next topic was created, where that was tried: a controller decides again, and its brokers know it.
    pub(super) accepted_ms: Option<u64>,
}

impl Phases {
    /// What the logs say of a node that was struck at this time.
    pub(super) fn of(node: NodeId, struck: WallMillis, logs: &[String]) -> Self {
        let fencing = format!("event=\"node.fencing\" node={node} ");
        let first = |what: &str| {
            let lines = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(what));
            lines.filter_map(|line| since(line, struck)).min()
        };
        Self {
            detected_ms: first(&fencing),
            controller_ms: first("event=\"controller.activated\""),
            led_ms: first("event=\"broker.took_over\""),
            written_ms: None,
            accepted_ms: None,
        }
    }

    pub(super) fn told(&self) -> String {
        let step = |what: &str, after: Option<u64>| after.map(|ms| format!("{what} after {ms} ms"));
        let steps = [
            step("noticed", self.detected_ms),
            step("a controller active", self.controller_ms),
            step("led again", self.led_ms),
            step("a newcomer's records acknowledged", self.written_ms),
            step("a topic created", self.accepted_ms),
        ];
        let steps: Vec<String> = steps.into_iter().flatten().collect();
        if steps.is_empty() { "the nodes noted nothing of it".to_owned() } else { steps.join(", ") }
    }
}

/// How long after `struck` a line was written, by the time of day that it begins with; none if it was before, or so
/// late that it belongs to something else.
fn since(line: &str, struck: WallMillis) -> Option<u64> {
    let time = line.split_once('T')?.1;
    let (clock, fraction) = (time.get(..8)?, time.get(9..12)?);
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let written = ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction.parse::<i64>().ok()?;
    let after = (written - struck.0).rem_euclid(DAY_MS);
    u64::try_from(after).ok().filter(|after| *after < LATE_MS)
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Longer than any failover.
const LATE_MS: u64 = Duration::from_secs(60).as_millis() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-21T23:59:59.100000Z  INFO a node is to be fenced event=\"node.fencing\" node=2 epoch=4 why=silence
2026-11-21T23:59:59.950000Z  INFO a node is to be fenced event=\"node.fencing\" node=1 epoch=4 why=refused
2026-11-22T00:00:00.020000Z  INFO this controller is active event=\"controller.activated\" term=2 epoch=9
2026-11-22T00:00:00.050000Z  INFO this broker leads more partitions event=\"broker.took_over\" partitions=4
";

    #[test]
    fn each_step_is_the_first_of_its_kind_after_the_blow_also_over_midnight() {
        let struck = WallMillis(DAY_MS - 80); // 23:59:59.920
        let phases = Phases::of(NodeId(1), struck, &[LOG.to_owned(), String::new()]);
        let expected =
            Phases { detected_ms: Some(30), controller_ms: Some(100), led_ms: Some(130), ..Phases::default() };
        assert_eq!(phases, expected);
        assert_eq!(phases.told(), "noticed after 30 ms, a controller active after 100 ms, led again after 130 ms");
    }

    #[test]
    fn what_nobody_noted_is_not_told() {
        let phases = Phases::of(NodeId(3), WallMillis(1_000), &[LOG.to_owned(), "no time in it".to_owned()]);
        assert_eq!(phases, Phases::default());
    }
}

//! What happened when, and the report of it. Pure.
//!
//! The gap of a failover is counted per partition that the killed node led: from the kill to the first acknowledgement
//! of a record that was sent when the node was gone. The longest of them is the gap. Records are sent at their times
//! whatever the cluster does, so a gap cannot hide behind a client that waits.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::check::Verdict;
use crate::base::ids::{NodeId, PartitionIndex};

/// What happened, each with its time since the load began.
#[derive(Clone, Default, Debug)]
pub(super) struct Timeline {
    events: Vec<(Duration, Happening)>,
    outage: Option<Outage>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Happening {
    LoadBegan,
    Killed {
        node: NodeId,
        led: usize,
    },
    /// Every partition that the killed node led is written to again.
    Recovered {
        node: NodeId,
        gap: Duration,
    },
    Revived {
        node: NodeId,
    },
    /// Every replica is in sync.
    Whole,
    LoadEnded,
}

/// Partitions that have lost their leader.
#[derive(Clone, Debug)]
struct Outage {
    node: NodeId,
    since: Duration,
    /// What was sent before may have been acknowledged by the node that was killed.
    gone: Duration,
    waiting: BTreeSet<PartitionIndex>,
}

impl Timeline {
    pub(super) fn add(&mut self, at: Duration, what: Happening) {
        self.events.push((at, what));
    }

    /// A node was killed at `at`, and is gone since `gone`.
    pub(super) fn on_killed(&mut self, at: Duration, gone: Duration, node: NodeId, led: BTreeSet<PartitionIndex>) {
        self.add(at, Happening::Killed { node, led: led.len() });
        self.outage = (!led.is_empty()).then_some(Outage { node, since: at, gone, waiting: led });
    }

    /// A record was acknowledged.
    pub(super) fn on_acked(&mut self, partition: PartitionIndex, sent: Duration, acked: Duration) {
        let Some(outage) = &mut self.outage else { return };
        if sent < outage.gone {
            return;
        }
        outage.waiting.remove(&partition);
        if outage.waiting.is_empty() {
            let recovered = Happening::Recovered { node: outage.node, gap: acked.saturating_sub(outage.since) };
            self.outage = None;
            self.add(acked, recovered);
        }
    }

    /// Whether partitions wait for a leader.
    pub(super) fn is_in_outage(&self) -> bool {
        self.outage.is_some()
    }

    /// The gaps of all failovers so far.
    pub(super) fn gaps(&self) -> Vec<Duration> {
        let gap = |(_, what): &(Duration, Happening)| match what {
            Happening::Recovered { gap, .. } => Some(*gap),
            _ => None,
        };
        self.events.iter().filter_map(gap).collect()
    }
}

impl Happening {
    fn told(&self) -> String {
        match self {
            Self::LoadBegan => "the load begins".to_owned(),
            Self::Killed { node, led } => format!("node {node} is killed; it led {led} partitions"),
            Self::Recovered { node, gap } => {
                format!("all that node {node} led is written to again, after {}", seconds(*gap))
            }
            Self::Revived { node } => format!("node {node} is started again"),
            Self::Whole => "every replica is in sync".to_owned(),
            Self::LoadEnded => "the load ends, and all that was sent is settled".to_owned(),
        }
    }
}

/// What a headless run is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) scenario: &'static str,
    pub(super) seed: u64,
    pub(super) rate_per_second: u32,
    pub(super) seconds: u64,
    pub(super) kills: u32,
    pub(super) partitions: i32,
    pub(super) replicas: i16,
    pub(super) min_insync_replicas: u32,
}

/// The report of a headless run.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) timeline: Timeline,
    pub(super) verdict: Verdict,
    /// What kept the run, or the reading afterwards, from being complete.
    pub(super) trouble: Option<String>,
}

impl Report {
    pub(super) fn is_good(&self) -> bool {
        self.verdict.is_clean() && self.trouble.is_none() && self.verdict.acked > 0
    }

    pub(super) fn text(&self) -> String {
        let Plan { scenario, seed, rate_per_second, seconds: length, .. } = &self.plan;
        let Plan { partitions, replicas, min_insync_replicas, .. } = &self.plan;
        let mut text = format!(
            "{scenario}, seed {seed}: {rate_per_second} records/s for {length} s over {partitions} partitions, \
             {replicas} replicas, min.insync.replicas {min_insync_replicas}\n\n"
        );
        for (at, what) in &self.timeline.events {
            text += &format!("{:>9}  {}\n", seconds(*at), what.told());
        }
        let Verdict { sent, acked, given_up, found, lost, duplicated, reordered, displaced, foreign, first_lost } =
            &self.verdict;
        text += &format!("\nsent {sent}, acknowledged {acked}, given up {given_up}\n");
        text += &format!("read again from offset 0 over a new connection: {found} records\n");
        text += &format!("lost {lost}, duplicated {duplicated}, reordered {reordered}");
        text += &format!(", at another offset {displaced}, foreign {foreign}\n");
        for lost in first_lost {
            text += &format!(
                "  lost: partition {}, record {}, acknowledged at {}\n",
                lost.partition, lost.number, lost.offset
            );
        }
        if let Some(longest) = self.timeline.gaps().iter().max() {
            text += &format!("longest gap {}\n", seconds(*longest));
        }
        if let Some(trouble) = &self.trouble {
            text += &format!("trouble: {trouble}\n");
        }
        let verdict = if self.is_good() { "every acknowledged record is there, once and in order" } else { "FAILED" };
        text += &format!("\n{verdict}\n");
        text
    }

    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Told<'a> {
            is_good: bool,
            plan: &'a Plan,
            timeline: Vec<Moment>,
            gaps_ms: Vec<u64>,
            verdict: &'a Verdict,
            trouble: &'a Option<String>,
        }
        #[derive(Serialize)]
        struct Moment {
            at_ms: u64,
            what: String,
        }
        let moment = |(at, what): &(Duration, Happening)| Moment { at_ms: millis(*at), what: what.told() };
        let told = Told {
            is_good: self.is_good(),
            plan: &self.plan,
            timeline: self.timeline.events.iter().map(moment).collect(),
            gaps_ms: self.timeline.gaps().into_iter().map(millis).collect(),
            verdict: &self.verdict,
            trouble: &self.trouble,
        };
        serde_json::to_string_pretty(&told).expect("numbers and texts can always be written") + "\n"
    }
}

pub(super) fn seconds(duration: Duration) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:.3} s", duration.as_secs_f64()); // a string takes everything
    text
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn killed(led: &[i32]) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.on_killed(at(1000), at(1050), NodeId(2), led.iter().copied().map(PartitionIndex).collect());
        timeline
    }

    #[test]
    fn the_gap_lasts_until_the_last_partition_is_written_to_again() {
        let mut timeline = killed(&[1, 4]);
        timeline.on_acked(PartitionIndex(0), at(1100), at(1101)); // led by another node
        timeline.on_acked(PartitionIndex(1), at(1200), at(2500));
        assert!(timeline.is_in_outage());
        timeline.on_acked(PartitionIndex(4), at(1300), at(2700));
        assert!(!timeline.is_in_outage());
        assert_eq!(timeline.gaps(), [at(1700)]);
    }

    #[test]
    fn an_acknowledgement_of_what_was_sent_before_the_node_was_gone_ends_no_gap() {
        let mut timeline = killed(&[1]);
        timeline.on_acked(PartitionIndex(1), at(1049), at(1051));
        assert!(timeline.is_in_outage());
    }

    #[test]
    fn killing_a_node_that_leads_nothing_makes_no_gap() {
        assert!(!killed(&[]).is_in_outage());
    }

    #[test]
    fn a_report_is_good_only_if_something_was_acknowledged_and_nothing_is_wrong() {
        let plan = Plan {
            scenario: "leader-kill",
            seed: 1,
            rate_per_second: 500,
            seconds: 30,
            kills: 3,
            partitions: 12,
            replicas: 3,
            min_insync_replicas: 2,
        };
        let verdict = Verdict { acked: 10, sent: 10, found: 10, ..Verdict::default() };
        let good = Report { plan, timeline: killed(&[1]), verdict, trouble: None };
        assert!(good.is_good() && good.text().ends_with("once and in order\n"));
        let nothing = Verdict { acked: 0, ..good.verdict.clone() };
        let lost = Verdict { lost: 1, ..good.verdict.clone() };
        for verdict in [nothing, lost] {
            let report = Report { plan: good.plan.clone(), timeline: Timeline::default(), verdict, trouble: None };
            assert!(!report.is_good() && report.text().ends_with("FAILED\n"));
            assert!(report.json().contains("\"is_good\": false"));
        }
    }
}

//! What happened when, and the report of it. Pure.
//!
//! The gap of a failover is counted per partition that the struck node led: from the blow to the first acknowledgement
//! of a record that was sent when the node was gone; of a node that stops in good order, the longest time without an
//! acknowledgement. The longest of them is the gap. Records are sent at their times whatever the cluster does, so a gap
//! cannot hide behind a client that waits.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::check::Findings;
use super::phases::Phases;
use crate::base::ids::{NodeId, PartitionIndex};

/// What happened, each with its time since the load began.
#[derive(Clone, Default, Debug)]
pub(super) struct Timeline {
    events: Vec<(Duration, Happening)>,
    outage: Option<Outage>,
}

/// What is done to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Blow {
    /// As a power cut would.
    Killed,
    /// As a supervisor does.
    Stopped,
    /// Nothing of it moves, and its sockets stay open.
    Paused,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Happening {
    LoadBegan,
    Struck {
        #[serde(serialize_with = "number")]
        node: NodeId,
        blow: Blow,
        led: usize,
        /// It was the active controller. None: nobody has asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        was_active: Option<bool>,
    },
    /// Every partition that the struck node led is written to again.
    Recovered {
        #[serde(serialize_with = "number")]
        node: NodeId,
        #[serde(rename = "gap_ms", serialize_with = "milliseconds")]
        gap: Duration,
        /// Until the first of them was.
        #[serde(rename = "first_ack_ms", serialize_with = "milliseconds")]
        first: Duration,
    },
    /// How long that took, by what the nodes have noted.
    Took {
        #[serde(serialize_with = "number")]
        node: NodeId,
        #[serde(flatten)]
        phases: Phases,
    },
    Revived {
        #[serde(serialize_with = "number")]
        node: NodeId,
    },
    /// Every replica is in sync.
    Whole,
    /// Nobody was struck; so often nodes were fenced, inquired after because they were silent, or became active.
    Endured {
        fenced: usize,
        inquiries: usize,
        reigns: usize,
    },
    LoadEnded,
}

/// Partitions that have lost their leader, or are about to.
#[derive(Clone, Debug)]
struct Outage {
    node: NodeId,
    blow: Blow,
    since: Duration,
    /// What was sent before may have been acknowledged by the node that was struck. None while it is still there.
    gone: Option<Duration>,
    /// Those that wait, and when each was acknowledged last.
    waiting: BTreeMap<PartitionIndex, Duration>,
    first: Option<Duration>,
    longest_silence: Duration,
}

impl Timeline {
    pub(super) fn add(&mut self, at: Duration, what: Happening) {
        self.events.push((at, what));
    }

    /// A node that leads these partitions is struck.
    pub(super) fn on_struck(&mut self, at: Duration, what: Happening, led: impl IntoIterator<Item = PartitionIndex>) {
        let Happening::Struck { node, blow, .. } = what else { unreachable!("a blow is what was given") };
        self.add(at, what);
        let waiting: BTreeMap<_, _> = led.into_iter().map(|partition| (partition, at)).collect();
        let outage =
            Outage { node, blow, since: at, gone: None, waiting, first: None, longest_silence: Duration::ZERO };
        self.outage = (!outage.waiting.is_empty()).then_some(outage);
    }

    /// The node that was struck answers no more.
    pub(super) fn on_gone(&mut self, at: Duration) {
        if let Some(outage) = &mut self.outage {
            outage.gone = Some(at);
        }
    }

    /// A record was acknowledged.
    pub(super) fn on_acked(&mut self, partition: PartitionIndex, sent: Duration, acked: Duration) {
        let Some(outage) = &mut self.outage else { return };
        let Some(last) = outage.waiting.get_mut(&partition) else { return };
        outage.longest_silence = outage.longest_silence.max(acked.saturating_sub(*last));
        *last = acked;
        if outage.gone.is_none_or(|gone| sent < gone) {
            return;
        }
        outage.waiting.remove(&partition);
        let first = *outage.first.get_or_insert(acked.saturating_sub(outage.since));
        if outage.waiting.is_empty() {
            let gap = match outage.blow {
                Blow::Stopped => outage.longest_silence,
                Blow::Killed | Blow::Paused => acked.saturating_sub(outage.since),
            };
            let recovered = Happening::Recovered { node: outage.node, gap, first };
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

impl Timeline {
    /// How many blows there were.
    fn blows(&self) -> usize {
        self.events.iter().filter(|(_, what)| matches!(what, Happening::Struck { .. })).count()
    }

    /// How long one phase took each time.
    fn phase(&self, phase: impl Fn(&Phases) -> Option<u64>) -> Vec<Duration> {
        let lasted = |(_, what): &(Duration, Happening)| match what {
            Happening::Took { phases, .. } => phase(phases).map(Duration::from_millis),
            _ => None,
        };
        self.events.iter().filter_map(lasted).collect()
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        })
    }
}

impl Happening {
    fn told(&self) -> String {
        match self {
            Self::LoadBegan => "the load begins".to_owned(),
            Self::Struck { node, blow, led, was_active } => {
                let active = if *was_active == Some(true) { " and was the active controller" } else { "" };
                format!("node {node} is {blow}; it led {led} partitions{active}")
            }
            Self::Recovered { node, gap, .. } => {
                format!("all that node {node} led is written to again, after {}", seconds(*gap))
            }
            Self::Took { phases, .. } => phases.told(),
            Self::Revived { node } => format!("node {node} is back"),
            Self::Whole => "every replica is in sync".to_owned(),
            Self::Endured { fenced, inquiries, reigns } => format!(
                "nodes were fenced {fenced} times, inquired after {inquiries} times; {reigns} new active controllers"
            ),
            Self::LoadEnded => "the load ends, and all that was sent is settled".to_owned(),
        }
    }
}

fn number<S: Serializer>(node: &NodeId, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_i32(node.0)
}

fn milliseconds<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(millis(*duration))
}

/// What a headless run is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) scenario: &'static str,
    pub(super) seed: u64,
    pub(super) rate_per_second: u32,
    pub(super) seconds: u64,
    pub(super) producers: u32,
    /// How many blows there must be at least.
    pub(super) blows: u32,
    pub(super) partitions: i32,
    pub(super) replicas: i16,
    pub(super) min_insync_replicas: u32,
}

/// The report of a headless run.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) timeline: Timeline,
    pub(super) findings: Findings,
    /// What kept the run, or the reading afterwards, from being complete.
    pub(super) trouble: Option<String>,
}

/// What a run has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The cluster keeps its promises.
    Valid,
    /// It does not.
    Invalid,
    /// Too little happened to say so.
    Unknown,
}

/// With fewer acknowledged records a run has shown nothing.
const ACKED_ENOUGH: u64 = 500;

impl Report {
    pub(super) fn verdict(&self) -> Verdict {
        if !self.findings.is_clean() || self.trouble.is_some() {
            Verdict::Invalid
        } else if self.findings.acked < ACKED_ENOUGH || self.timeline.blows() < self.plan.blows as usize {
            Verdict::Unknown
        } else {
            Verdict::Valid
        }
    }

    pub(super) fn text(&self) -> String {
        let Plan { scenario, seed, rate_per_second, seconds: length, .. } = &self.plan;
        let Plan { producers, partitions, replicas, min_insync_replicas, .. } = &self.plan;
        let by = if *producers == 1 { String::new() } else { format!(" by {producers} producers") };
        let mut text = format!(
            "{scenario}, seed {seed}: {rate_per_second} records/s{by} for {length} s over {partitions} partitions, \
             {replicas} replicas, min.insync.replicas {min_insync_replicas}\n\n"
        );
        for (at, what) in &self.timeline.events {
            text += &format!("{:>9}  {}\n", seconds(*at), what.told());
        }
        let Findings { sent, acked, given_up, found, lost, duplicated, reordered, displaced, .. } = &self.findings;
        let Findings { inconsistent, foreign, first_lost, .. } = &self.findings;
        text += &format!("\nsent {sent}, acknowledged {acked}, given up {given_up}\n");
        text += &format!("read again from offset 0 over a new connection: {found} records\n");
        text += &format!("lost {lost}, duplicated {duplicated}, reordered {reordered}");
        text += &format!(", at another offset {displaced}, inconsistent {inconsistent}, foreign {foreign}\n");
        for lost in first_lost {
            text += &format!(
                "  lost: partition {}, record {}, acknowledged at {}\n",
                lost.partition, lost.number, lost.offset
            );
        }
        text += &spread("gaps", self.timeline.gaps());
        text += &spread("others lead after", self.timeline.phase(|phases| phases.led_ms));
        text += &spread("newcomers' records acknowledged after", self.timeline.phase(|phases| phases.written_ms));
        text += &spread("topics created again after", self.timeline.phase(|phases| phases.accepted_ms));
        if let Some(trouble) = &self.trouble {
            text += &format!("trouble: {trouble}\n");
        }
        let verdict = match self.verdict() {
            Verdict::Valid => "valid: every acknowledged record is there, once and in order",
            Verdict::Invalid => "INVALID",
            Verdict::Unknown => "UNKNOWN: too little was struck or acknowledged to show anything",
        };
        text += &format!("\n{verdict}\n");
        text
    }

    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Told<'a> {
            verdict: Verdict,
            plan: &'a Plan,
            timeline: Vec<Moment<'a>>,
            gaps_ms: Vec<u64>,
            led_ms: Vec<u64>,
            written_ms: Vec<u64>,
            accepted_ms: Vec<u64>,
            findings: &'a Findings,
            trouble: &'a Option<String>,
        }
        #[derive(Serialize)]
        struct Moment<'a> {
            at_ms: u64,
            #[serde(flatten)]
            what: &'a Happening,
        }
        let timeline = self.timeline.events.iter().map(|(at, what)| Moment { at_ms: millis(*at), what });
        let told = Told {
            verdict: self.verdict(),
            plan: &self.plan,
            timeline: timeline.collect(),
            gaps_ms: self.timeline.gaps().into_iter().map(millis).collect(),
            led_ms: self.timeline.phase(|phases| phases.led_ms).into_iter().map(millis).collect(),
            written_ms: self.timeline.phase(|phases| phases.written_ms).into_iter().map(millis).collect(),
            accepted_ms: self.timeline.phase(|phases| phases.accepted_ms).into_iter().map(millis).collect(),
            findings: &self.findings,
            trouble: &self.trouble,
        };
        serde_json::to_string_pretty(&told).expect("numbers and texts can always be written") + "\n"
    }
}

/// How some durations are spread; nothing if there are none.
fn spread(what: &str, mut durations: Vec<Duration>) -> String {
    durations.sort_unstable();
    let Some(longest) = durations.last() else { return String::new() };
    let at = |percent: usize| seconds(durations[(durations.len() * percent / 100).min(durations.len() - 1)]);
    let (median, most, count) = (at(50), at(99), durations.len());
    format!("{what}: median {median}, 99 % {most}, longest {}, of {count}\n", seconds(*longest))
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

    fn struck(blow: Blow, led: &[i32]) -> Timeline {
        let mut timeline = Timeline::default();
        let what = Happening::Struck { node: NodeId(2), blow, led: led.len(), was_active: Some(false) };
        timeline.on_struck(at(1000), what, led.iter().copied().map(PartitionIndex));
        timeline
    }

    fn killed(led: &[i32]) -> Timeline {
        let mut timeline = struck(Blow::Killed, led);
        timeline.on_gone(at(1050));
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
    fn the_gap_of_a_node_that_stops_is_the_longest_silence_of_what_it_led() {
        let mut timeline = struck(Blow::Stopped, &[1]);
        timeline.on_acked(PartitionIndex(1), at(1010), at(1020)); // by the node that stops
        timeline.on_acked(PartitionIndex(1), at(1030), at(1080)); // by the next one
        timeline.on_gone(at(1400));
        timeline.on_acked(PartitionIndex(1), at(1090), at(1110)); // sent when the node was there
        assert!(timeline.is_in_outage());
        timeline.on_acked(PartitionIndex(1), at(1401), at(1130));
        assert_eq!(timeline.gaps(), [at(60)]);
    }

    #[test]
    fn a_report_names_what_happened_in_words_that_programs_read() {
        let mut timeline = killed(&[1]);
        timeline.on_acked(PartitionIndex(1), at(1200), at(1300));
        let report = Report { plan: plan(), timeline, findings: Findings::default(), trouble: None };
        let told: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        let struck = &told["timeline"][0];
        assert_eq!(
            (&struck["event"], &struck["node"], &struck["blow"]),
            (&"struck".into(), &2.into(), &"killed".into())
        );
        assert_eq!(told["timeline"][1]["gap_ms"], 300);
    }

    #[test]
    fn killing_a_node_that_leads_nothing_makes_no_gap() {
        assert!(!killed(&[]).is_in_outage());
    }

    fn plan() -> Plan {
        Plan {
            scenario: "leader-kill",
            seed: 1,
            rate_per_second: 500,
            seconds: 30,
            producers: 1,
            blows: 1,
            partitions: 12,
            replicas: 3,
            min_insync_replicas: 2,
        }
    }

    #[test]
    fn a_run_is_valid_only_if_enough_happened_and_nothing_is_wrong() {
        let findings = Findings { acked: 1_000, sent: 1_000, found: 1_000, ..Findings::default() };
        let valid = Report { plan: plan(), timeline: killed(&[1]), findings, trouble: None };
        assert_eq!(valid.verdict(), Verdict::Valid);
        assert!(valid.text().ends_with("once and in order\n") && valid.json().contains("\"verdict\": \"valid\""));

        let few = Findings { acked: 10, ..valid.findings.clone() };
        let lost = Findings { lost: 1, ..valid.findings.clone() };
        for (findings, timeline, trouble, verdict) in [
            (few.clone(), killed(&[1]), None, Verdict::Unknown),
            (valid.findings.clone(), Timeline::default(), None, Verdict::Unknown),
            (lost, Timeline::default(), None, Verdict::Invalid),
            (few, killed(&[1]), Some("it was never led again".to_owned()), Verdict::Invalid),
        ] {
            let report = Report { plan: plan(), timeline, findings, trouble };
            assert_eq!(report.verdict(), verdict, "{}", report.text());
        }
    }
}

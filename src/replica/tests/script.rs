//! Runs `tests/scripts/replica/*.txt`: a verb per line, and after `->` everything that came out of it.
//!
//! `UPDATE=1 cargo test scripts` writes what came out into the scripts; the diff is the review.

#![allow(clippy::disallowed_methods, reason = "the scripts are files of the repository, not of a node")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::base::ids::*;
use crate::base::time::Millis;
use crate::replica::effect::*;
use crate::replica::epochs::{EpochEnd, EpochLookup};
use crate::replica::follower::{Data, Follower, Leadership, Marks, Taken};
use crate::replica::isr::{Outcome, Policy, Proposal, Replica, Standing};
use crate::replica::leader::{Acks, Assignment, Leader};
use crate::replica::producers::{BatchInfo, ProducerRow, Producers, Rollback, Sequence, Stamp, Verdict};
use crate::replica::waiters::ProduceWaiters;
use crate::replica::{Durability, LogEnds, StreamId};

/// Where `->` stands, if the verb leaves room for it.
const ARROW_COLUMN: usize = 62;

#[test]
fn scripts_tell_what_the_minds_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/replica");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 20, "only {} scripts were found", scripts.len());
    let mut differing = Vec::new();
    for script in scripts {
        let expected = std::fs::read_to_string(&script).unwrap();
        let actual = run(&expected);
        if actual == expected {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&script, &actual).unwrap();
        } else {
            differing.push(format!("{}\n{}", script.display(), difference(&expected, &actual)));
        }
    }
    assert!(differing.is_empty(), "UPDATE=1 rewrites the scripts\n{}", differing.join("\n"));
}

fn run(script: &str) -> String {
    let mut stage = Stage::new();
    script.lines().map(|line| stage.perform(line) + "\n").collect()
}

fn difference(expected: &str, actual: &str) -> String {
    let pairs = expected.lines().zip(actual.lines()).enumerate().filter(|(_, (old, new))| old != new);
    pairs.map(|(at, (old, new))| format!("line {}\n  - {old}\n  + {new}\n", at + 1)).collect()
}

/// One line's words: some in a place of their own, some as `key=value`.
struct Words<'a> {
    placed: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let (named, placed): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(|word| word.contains('='));
        Self { placed, named: named.into_iter().map(|word| word.split_once('=').unwrap()).collect() }
    }

    fn place(&self, place: usize) -> i64 {
        number(self.placed.get(place).unwrap_or_else(|| panic!("a number is missing after {:?}", self.placed)))
    }

    fn has(&self, word: &str) -> bool {
        self.placed.contains(&word)
    }

    fn value(&self, key: &str) -> Option<i64> {
        self.named.get(key).map(|text| number(text))
    }

    fn or(&self, key: &str, default: i64) -> i64 {
        self.value(key).unwrap_or(default)
    }

    fn nodes(&self, key: &str) -> Option<Vec<NodeId>> {
        let text = self.named.get(key)?;
        Some(text.split(',').filter(|id| !id.is_empty()).map(|id| NodeId(number(id) as i32)).collect())
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} should be a number"))
}

/// A log's epochs as a script states them: `(epoch, where it starts)`.
#[derive(Default)]
struct Epochs {
    starts: Vec<(LeaderEpoch, Offset)>,
    log_end: Offset,
}

impl EpochLookup for Epochs {
    fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let place = self.starts.iter().rposition(|(known, _)| *known <= epoch)?;
        let end = self.starts.get(place + 1).map_or(self.log_end, |(_, start)| *start);
        Some(EpochEnd { epoch: self.starts[place].0, end })
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.starts.iter().rev().find(|(_, start)| *start < self.log_end).map(|(epoch, _)| *epoch)
    }
}

/// One replica, its producers and its waiters, and the time.
struct Stage {
    now: Millis,
    leader: Option<Leader>,
    follower: Option<Follower>,
    assignment: Assignment,
    epochs: Epochs,
    producers: Producers,
    log_end: Offset,
    high_watermark: Offset,
    produce_waiters: ProduceWaiters<String>,
    said: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let assignment =
            Assignment { leader_epoch: LeaderEpoch(0), partition_epoch: PartitionEpoch(0), replicas: Vec::new() };
        Self {
            now: Millis(0),
            leader: None,
            follower: None,
            assignment,
            epochs: Epochs::default(),
            producers: Producers::new(usize::MAX),
            log_end: Offset(0),
            high_watermark: Offset(0),
            produce_waiters: ProduceWaiters::default(),
            said: Vec::new(),
        }
    }

    fn perform(&mut self, line: &str) -> String {
        if line.trim().is_empty() || line.starts_with('#') {
            return line.to_owned();
        }
        let (verb, rest) = line.split_once("->").unwrap_or((line, ""));
        let remark = rest.find("# ").map_or("", |at| &rest[at..]);
        let words = Words::of(verb);
        self.said.clear();
        if let Some(at) = words.value("at") {
            self.now = Millis(at as u64);
        }
        self.verb(&words);
        let said = if self.said.is_empty() { "-".to_owned() } else { self.said.join(", ") };
        let gap = if remark.is_empty() { "" } else { "  " };
        format!("{:ARROW_COLUMN$} -> {said}{gap}{remark}", verb.trim_end())
    }

    fn verb(&mut self, words: &Words<'_>) {
        match words.placed[0] {
            "replica" => self.replica(words),
            "lead" => self.lead(words),
            "append" | "flush" | "open" | "ack" | "close" | "tick" | "metadata" | "broker" | "policy" | "outcome"
            | "log_start" => self.leader_event(words),
            "may_append" | "latest" | "redirect" | "low_watermark" | "isr" | "cut_off" | "resign" => {
                self.leader_question(words)
            }
            "follow" | "detach" | "connect" | "opened" | "data" | "flushed" | "marks" | "moved_start" | "closed"
            | "truncated" | "restarted" | "readable" => self.follower_event(words),
            "producers" | "produce" | "replicate" | "marker" | "truncate" | "expire" | "restart" | "snapshot"
            | "committed" => self.producer_event(words),
            _ => self.waiter_event(words),
        }
    }

    fn say(&mut self, what: impl Display) {
        self.said.push(what.to_string());
    }

    fn epochs(&mut self, words: &Words<'_>) {
        if let Some(text) = words.named.get("epochs") {
            let start = |pair: &str| pair.split_once('@').map(|(epoch, start)| (number(epoch), number(start))).unwrap();
            let pairs = text.split(',').map(start);
            self.epochs.starts = pairs.map(|(epoch, start)| (LeaderEpoch(epoch as i32), Offset(start))).collect();
        }
    }

    /// `replica end=20 [start=0] [flushed=20] [hw=0] [epochs=1@0,2@10]`
    fn replica(&mut self, words: &Words<'_>) {
        self.epochs(words);
        let end = words.or("end", 0);
        self.epochs.log_end = Offset(end);
        let log = LogEnds {
            log_start: Offset(words.or("start", 0)),
            end: Offset(end),
            flushed_end: Offset(words.or("flushed", end)),
        };
        self.leader = None;
        self.follower = Some(Follower::new(log, Offset(words.or("hw", 0))));
    }

    /// `lead <me> epoch=5 [replicas=1,2,3] [isr=1,2,3] [adding=] [min=2] [lag=10000] [fsync]`
    fn lead(&mut self, words: &Words<'_>) {
        let leader_epoch = LeaderEpoch(words.or("epoch", 1) as i32);
        self.assignment.leader_epoch = leader_epoch;
        self.assignment.partition_epoch = PartitionEpoch(words.or("partition_epoch", 1) as i32);
        self.assignment.replicas.clear();
        self.assign(words, &[NodeId(1), NodeId(2), NodeId(3)]);
        let follower = self.follower.take().expect("a script says `replica` or `resign` before `lead`");
        self.epochs.starts.push((leader_epoch, follower.log().end));
        let mut effects = Vec::new();
        let me = NodeId(words.place(1) as i32);
        self.leader = Some(follower.lead(me, &self.assignment, policy(words), self.now, &mut effects));
        self.tell_leader(effects);
    }

    /// Changes what metadata says as far as the words do; brokers register with epoch 100 + id.
    fn assign(&mut self, words: &Words<'_>, replicas: &[NodeId]) {
        let ids = words.nodes("replicas").unwrap_or_else(|| replicas.to_vec());
        let isr = words.nodes("isr");
        let adding = words.nodes("adding");
        let old = std::mem::take(&mut self.assignment.replicas);
        for id in ids {
            let fresh = Standing { broker_epoch: BrokerEpoch(100 + i64::from(id.0)), active: true };
            let old = old.iter().find(|replica| replica.id == id);
            self.assignment.replicas.push(Replica {
                id,
                in_isr: isr.as_ref().map_or_else(|| old.is_none_or(|old| old.in_isr), |isr| isr.contains(&id)),
                adding: adding
                    .as_ref()
                    .map_or_else(|| old.is_some_and(|old| old.adding), |adding| adding.contains(&id)),
                standing: old.map_or(fresh, |old| old.standing),
            });
        }
    }

    fn leader_event(&mut self, words: &Words<'_>) {
        let mut effects = Vec::new();
        let now = self.now;
        let leader = self.leader.as_mut().expect("a script says `lead` first");
        match words.placed[0] {
            "append" => {
                self.epochs.log_end = Offset(words.place(1));
                leader.on_appended(Offset(words.place(1)), now, &mut effects);
            }
            "flush" => leader.on_flushed(Offset(words.place(1)), now, &mut effects),
            "log_start" => leader.on_log_start(Offset(words.place(1))),
            "tick" => leader.tick(now, &mut effects),
            "close" => leader.on_stream_closed(StreamId(words.place(1) as u64), now, &mut effects),
            "ack" => leader.on_ack(NodeId((words.place(1) / 10) as i32), &ack(words), now, &mut effects),
            "policy" => leader.on_policy_changed(policy(words), now, &mut effects),
            "open" => {
                let (opener, open) = opening(words, leader.leader_epoch());
                let opened = leader.on_open(opener, &open, &self.epochs, now, &mut effects);
                self.said.push(opened_text(&opened));
            }
            "outcome" => {
                let attempt = words.or("attempt", 1) as u32;
                let leader_epoch = LeaderEpoch(words.or("epoch", i64::from(leader.leader_epoch().0)) as i32);
                let partition_epoch = leader.partition_epoch();
                let proposal = Proposal { attempt, leader_epoch, partition_epoch, isr: Vec::new() };
                leader.on_proposal_outcome(&proposal, outcome(words), now, &mut effects);
            }
            "metadata" => {
                let next = i64::from(self.assignment.partition_epoch.0) + 1;
                self.assignment.partition_epoch = PartitionEpoch(words.or("partition_epoch", next) as i32);
                let ids: Vec<_> = self.assignment.replicas.iter().map(|replica| replica.id).collect();
                self.assign(words, &ids);
                let leader = self.leader.as_mut().unwrap();
                leader.on_partition_changed(&self.assignment, now, &mut effects);
            }
            "broker" => {
                let id = NodeId(words.place(1) as i32);
                let broker_epoch = BrokerEpoch(words.or("epoch", 100 + i64::from(id.0)));
                let standing = Standing { broker_epoch, active: !words.has("fenced") && !words.has("shutting_down") };
                for replica in self.assignment.replicas.iter_mut().filter(|replica| replica.id == id) {
                    replica.standing = standing;
                }
                leader.on_broker_changed(id, standing, now, &mut effects);
            }
            other => panic!("no such verb: {other}"),
        }
        self.tell_leader(effects);
    }

    fn leader_question(&mut self, words: &Words<'_>) {
        let leader = self.leader.as_ref().expect("a script says `lead` first");
        let answer = match words.placed[0] {
            "may_append" if words.has("all") => leader.may_append(Acks::All).map_or_else(|e| e.to_string(), |()| yes()),
            "may_append" => leader.may_append(Acks::Leader).map_or_else(|e| e.to_string(), |()| yes()),
            "latest" => leader.latest_offset().map_or_else(|e| e.to_string(), |offset| offset.to_string()),
            "low_watermark" => leader.low_watermark().to_string(),
            "isr" => format!("{} under min isr: {}", list(&leader.isr()), leader.is_under_min_isr()),
            "cut_off" => leader.is_cut_off().to_string(),
            "redirect" => leader.may_redirect_to(NodeId(words.place(1) as i32), Offset(words.place(2))).to_string(),
            _ => {
                let follower = self.leader.take().unwrap().resign();
                let text = format!("replica end={} hw={}", follower.log().end, follower.high_watermark());
                self.follower = Some(follower);
                text
            }
        };
        self.say(answer);
    }

    fn tell_leader(&mut self, effects: Vec<LeaderEffect>) {
        for effect in effects {
            let text = match effect {
                LeaderEffect::HighWatermark(offset) => format!("high watermark {offset}"),
                LeaderEffect::WakeAt(at) => format!("wake at {}", at.0),
                LeaderEffect::RefuseStream(stream) => format!("refuse stream {}", stream.0),
                LeaderEffect::ProposeIsr(proposal) => {
                    let isr: Vec<_> = proposal.isr.iter().map(|(id, epoch)| format!("{id}@{epoch}")).collect();
                    let (attempt, leader_epoch) = (proposal.attempt, proposal.leader_epoch);
                    let epochs = format!("epoch {leader_epoch}/{}", proposal.partition_epoch);
                    format!("propose #{attempt} {} {epochs}", isr.join(" "))
                }
            };
            self.said.push(text);
        }
    }

    fn follower_event(&mut self, words: &Words<'_>) {
        let mut effects = Vec::new();
        let follower = self.follower.as_mut().expect("a script says `replica` first");
        let stream = || StreamId(words.place(1) as u64);
        match words.placed[0] {
            "follow" => {
                let leader_epoch = LeaderEpoch(words.or("epoch", 1) as i32);
                let leader = NodeId(words.place(1) as i32);
                let leadership = Leadership { leader, leader_epoch, recovering: words.has("recovering") };
                follower.follow(leadership, &mut effects);
            }
            "detach" => follower.detach(),
            "connect" => {
                let text = follower.open(stream(), &self.epochs).map_or_else(
                    || "nothing to open".to_owned(),
                    |open| {
                        let last = open.last_epoch.map_or(-1, |epoch| epoch.0);
                        let (epoch, start, end) = (open.leader_epoch, open.log_start, open.log_end);
                        format!("open {} epoch={epoch} start={start} end={end} last={last}", open.stream.0)
                    },
                );
                self.said.push(text);
            }
            "opened" => follower.on_opened(stream(), opened(words), &self.epochs, &mut effects),
            "data" => {
                let leader_epoch = LeaderEpoch(words.or("epoch", 1) as i32);
                let base_offset = Offset(words.or("base", 0));
                let data = Data { stream: stream(), leader_epoch, base_offset };
                if follower.on_data(&data, &mut effects) == Taken::Append {
                    let end = Offset(words.or("to", base_offset.0));
                    self.epochs.log_end = end;
                    self.said.push(format!("append {base_offset}..{end}"));
                    follower.on_appended(end, marks(words), &mut effects);
                } else {
                    self.said.push("drop".to_owned());
                }
            }
            "flushed" => follower.on_flushed(Offset(words.place(1)), &mut effects),
            "marks" => follower.on_marks(stream(), marks(words), &mut effects),
            "moved_start" => follower.on_log_start(Offset(words.place(1)), &mut effects),
            "closed" => follower.on_stream_closed(stream(), &mut effects),
            "truncated" => {
                let to = Offset(words.place(1));
                self.epochs.starts.retain(|(_, start)| *start < to);
                self.epochs.log_end = to;
                follower.on_truncated(to, &mut effects);
            }
            "restarted" => {
                self.epochs = Epochs { starts: Vec::new(), log_end: Offset(words.place(1)) };
                follower.on_restarted(Offset(words.place(1)), &mut effects);
            }
            _ => {
                let text = follower.readable_to().map_or_else(|| "not yet".to_owned(), |offset| offset.to_string());
                self.said.push(text);
            }
        }
        self.said.extend(effects.iter().map(follower_text));
    }

    fn producer_event(&mut self, words: &Words<'_>) {
        match words.placed[0] {
            "producers" => self.producers = Producers::new(words.or("max", i64::MAX) as usize),
            "committed" => self.high_watermark = Offset(words.place(1)),
            "produce" => {
                let batches = batches(words, self.log_end);
                let verdict = self.producers.check(&batches, self.high_watermark);
                if verdict == Verdict::Append {
                    self.record(&batches);
                } else {
                    self.say(verdict_text(&verdict));
                }
            }
            "replicate" => {
                let batches = batches(words, self.log_end);
                self.record(&batches);
            }
            "marker" => {
                let mut batches = batches(words, self.log_end);
                batches[0].is_control = true;
                self.record(&batches);
            }
            "truncate" => {
                self.log_end = Offset(words.place(1));
                let rollback = self.producers.truncate_to(self.log_end);
                self.say(if rollback == Rollback::Done { "done" } else { "rebuild needed" });
            }
            "expire" => {
                self.producers.expire(self.now, words.or("idle", 0) as u64, self.high_watermark);
                let left = self.producers.len();
                self.say(format!("{left} left"));
            }
            "restart" => {
                let rows = self.producers.export();
                self.producers = Producers::new(usize::MAX);
                self.producers.import(rows, self.now);
                let known = self.producers.len();
                self.say(format!("{known} known"));
            }
            _ => {
                let rows = self.producers.export();
                self.said.extend(rows.iter().map(row_text));
            }
        }
    }

    fn record(&mut self, batches: &[BatchInfo]) {
        for batch in batches {
            self.producers.record(batch, self.high_watermark, self.now);
            self.log_end = batch.base_offset.plus(i64::from(batch.last_offset_delta) + 1);
        }
        let text = format!("appended {}..{}", batches[0].base_offset, self.log_end);
        self.say(text);
    }

    fn waiter_event(&mut self, words: &Words<'_>) {
        let mut done = Vec::new();
        match words.placed[0] {
            "produced" => {
                let token = words.placed[2].to_owned();
                self.produce_waiters.wait(Offset(words.place(1)), token);
            }
            "high_watermark" => {
                self.produce_waiters.on_high_watermark(Offset(words.place(1)), |token| done.push(token));
            }
            "cut" => self.produce_waiters.on_truncated(Offset(words.place(1)), |token| done.push(token)),
            "deposed" => self.produce_waiters.drain(|token| done.push(token)),
            other => panic!("no such verb: {other}"),
        }
        self.said.extend(done);
    }
}

fn yes() -> String {
    "yes".to_owned()
}

fn list(ids: &[NodeId]) -> String {
    ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}

fn policy(words: &Words<'_>) -> Policy {
    Policy {
        min_insync_replicas: words.or("min", 2) as usize,
        durability: if words.has("fsync") { Durability::Fsync } else { Durability::Replicated },
        replica_lag_time_max_ms: words.or("lag", 10_000) as u64,
    }
}

fn marks(words: &Words<'_>) -> Marks {
    Marks { high_watermark: Offset(words.or("hw", 0)), log_start: Offset(words.or("start", 0)) }
}

/// `ack <stream> <end> [flushed=<end>] [start=0]`; stream 21 is of broker 2
fn ack(words: &Words<'_>) -> Ack {
    let end = words.place(2);
    let log_start = Offset(words.or("start", 0));
    let flushed_end = Offset(words.or("flushed", end));
    Ack { stream: StreamId(words.place(1) as u64), ends: LogEnds { log_start, end: Offset(end), flushed_end } }
}

/// `open <broker> stream=21 end=10 [last=1] [epoch=the leader's] [broker=100 + id] [start=0]`
fn opening(words: &Words<'_>, leader_epoch: LeaderEpoch) -> (Opener, Open) {
    let id = words.place(1);
    let opener = Opener { id: NodeId(id as i32), broker_epoch: BrokerEpoch(words.or("broker", 100 + id)) };
    let open = Open {
        stream: StreamId(words.or("stream", id * 10) as u64),
        leader_epoch: LeaderEpoch(words.or("epoch", i64::from(leader_epoch.0)) as i32),
        log_start: Offset(words.or("start", 0)),
        log_end: Offset(words.or("end", 0)),
        last_epoch: words.value("last").map(|epoch| LeaderEpoch(epoch as i32)),
    };
    (opener, open)
}

/// `opened <stream> ok | diverged | out_of_range | …`
fn opened(words: &Words<'_>) -> Opened {
    let log_start = Offset(words.or("start", 0));
    match words.placed[2] {
        "ok" => Opened::Ok { high_watermark: Offset(words.or("hw", 0)), log_start },
        "diverged" => Opened::Diverged(EpochEnd {
            epoch: LeaderEpoch(words.or("epoch", -1) as i32),
            end: Offset(words.or("end", 0)),
        }),
        "out_of_range" => Opened::OutOfRange { log_start },
        "fenced" => Opened::FencedLeaderEpoch,
        "unknown_epoch" => Opened::UnknownLeaderEpoch,
        "not_leader" => Opened::NotLeader,
        "not_replica" => Opened::NotReplica,
        _ => Opened::StaleBrokerEpoch,
    }
}

fn opened_text(opened: &Opened) -> String {
    match opened {
        Opened::Ok { high_watermark, log_start } => format!("ok hw={high_watermark} start={log_start}"),
        Opened::Diverged(end) => format!("diverged epoch={} end={}", end.epoch, end.end),
        Opened::OutOfRange { log_start } => format!("out of range start={log_start}"),
        other => format!("{other:?}"),
    }
}

fn outcome(words: &Words<'_>) -> Outcome {
    match words.placed[1] {
        "accepted" => Outcome::Accepted {
            partition_epoch: PartitionEpoch(words.or("partition_epoch", 0) as i32),
            isr: words.nodes("isr").unwrap_or_default(),
        },
        "refused" => Outcome::Refused,
        "outdated" => Outcome::Outdated,
        _ => Outcome::Unknown,
    }
}

fn follower_text(effect: &FollowerEffect) -> String {
    match effect {
        FollowerEffect::OpenAfter { ms } => format!("open after {ms} ms"),
        FollowerEffect::Truncate { to } => format!("truncate to {to}"),
        FollowerEffect::ForgetEmptyEpochs => "forget empty epochs".to_owned(),
        FollowerEffect::RestartAt { log_start } => format!("restart at {log_start}"),
        FollowerEffect::HighWatermark(offset) => format!("high watermark {offset}"),
        FollowerEffect::LogStart(offset) => format!("log start {offset}"),
        FollowerEffect::Fault(fault) => format!("fault: {fault}"),
        FollowerEffect::Ack(ack) => {
            let LogEnds { log_start, end, flushed_end } = ack.ends;
            format!("ack {} end={end} flushed={flushed_end} start={log_start}", ack.stream.0)
        }
    }
}

/// `produce <id> [epoch=0] seq=0..4 [then=5..9 [by=<id>]] [transactional]`
fn batches(words: &Words<'_>, mut base_offset: Offset) -> Vec<BatchInfo> {
    let mut batches = Vec::new();
    let first = words.named.get("seq").map(|range| (range, words.place(1)));
    let second = words.named.get("then").map(|range| (range, words.or("by", words.place(1))));
    for (range, id) in [first, second].into_iter().flatten() {
        let (first, last) = range.split_once("..").unwrap();
        let first_sequence = Sequence(number(first) as i32);
        let last_offset_delta = (number(last) as i32).wrapping_sub(first_sequence.0) & i32::MAX;
        let (id, epoch) = (ProducerId(id), ProducerEpoch(words.or("epoch", 0) as i16));
        batches.push(BatchInfo {
            base_offset,
            last_offset_delta,
            stamp: Some(Stamp { id, epoch, first_sequence }),
            max_timestamp: words.or("timestamp", 0),
            is_control: false,
            is_transactional: words.has("transactional"),
        });
        base_offset = base_offset.plus(i64::from(last_offset_delta) + 1);
    }
    batches
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Append => "append".to_owned(),
        Verdict::Duplicate { base_offset, last_offset, timestamp } => {
            format!("duplicate of {base_offset}..{last_offset} timestamp {timestamp}")
        }
        Verdict::OutOfOrderSequence { expected } => format!("out of order, expected {}", expected.0),
        Verdict::InvalidProducerEpoch { current } => format!("invalid producer epoch, current {current}"),
        Verdict::TooManyProducers => "too many producers".to_owned(),
    }
}

fn row_text(row: &ProducerRow) -> String {
    let ProducerRow { producer_id, producer_epoch, last_sequence, last_offset, offset_delta, .. } = row;
    let txn = row.current_txn_first_offset;
    format!("[{producer_id}/{producer_epoch} seq={last_sequence} offset={last_offset} delta={offset_delta} txn={txn}]")
}

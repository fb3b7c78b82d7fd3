//! Stories: a file of commands, and under each what came of it.
//!
//! A line without indent is a command, the indented lines below it are the facts and, after `=`, the answer. Lines
//! with `#` and empty lines are for the reader. With `UPDATE=1` the files are rewritten; read the difference.

use super::world::{CLUSTER, World, registration, text_id};
use crate::base::ids::{
    BrokerEpoch, ClusterId, DirectoryId, IncarnationId, LeaderEpoch, MetadataIndex, NodeId, PartitionEpoch,
    PartitionIndex, TopicId,
};
use crate::base::time::Millis;
use crate::controller::liveness::{Liveness, Patience};
use crate::controller::*;
use crate::metadata::configs::ConfigScope;
use crate::metadata::nodes::Boot;
use crate::metadata::partitions::{Partition, Recovery};
use crate::metadata::record::FeatureLevel;
use crate::metadata::{Fact, Image};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[test]
#[expect(clippy::disallowed_methods, reason = "stories are read from the repository")]
fn stories_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/controller");
    let mut told = 0;
    for entry in fs::read_dir(&folder).expect("the stories are there") {
        let path = entry.expect("the folder can be read").path();
        let written = fs::read_to_string(&path).expect("a story is text");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("stories have plain names");
        let came_out = tell(name, &written);
        told += 1;
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, came_out).expect("a story can be rewritten");
        } else {
            assert_eq!(came_out, written, "{name}: run with UPDATE=1 and read the difference");
        }
    }
    assert!(told > 0, "no stories in {}", folder.display());
}

/// The story as it comes out.
fn tell(name: &str, written: &str) -> String {
    let mut stage = Stage { world: World::new(), liveness: Liveness::new(Patience::default()), now: Millis(0) };
    let mut out = String::new();
    for line in written.lines().filter(|line| !line.starts_with("    ")) {
        let _ = writeln!(out, "{line}");
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if let Some((verb, rest)) = words.split_first() {
            let words = Words::of(rest);
            for line in stage.act(verb, &words).unwrap_or_else(|| panic!("{name}: what is {line:?}?")) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out
}

struct Stage {
    world: World,
    liveness: Liveness,
    now: Millis,
}

/// What follows a verb: plain words, and `key=value`s.
struct Words<'a> {
    plain: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(words: &[&'a str]) -> Self {
        let plain = words.iter().filter(|word| !word.contains('=')).copied().collect();
        Self { plain, named: words.iter().filter_map(|word| word.split_once('=')).collect() }
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.named.get(key)?.parse().ok()
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    fn node(&self) -> NodeId {
        NodeId(self.plain[0].parse().expect("the first word is a node"))
    }
}

fn nodes(text: &str) -> Vec<NodeId> {
    text.split(',').filter(|it| !it.is_empty()).map(|it| NodeId(it.parse().expect("a node is a number"))).collect()
}

impl Stage {
    fn act(&mut self, verb: &str, words: &Words<'_>) -> Option<Vec<String>> {
        if let Some(command) = self.command(verb, words) {
            return Some(self.decide(&command));
        }
        match verb {
            "nodes" => {
                let before = self.world.image.clone();
                nodes(words.plain[0]).into_iter().for_each(|node| self.world.join(registration(node.0), None));
                assert!(before != self.world.image, "nobody joined");
                Some(Vec::new())
            }
            "show" => Some(self.show(words.plain[0])),
            _ => self.watch(verb, words),
        }
    }

    fn decide(&mut self, command: &Command) -> Vec<String> {
        let before = self.world.image.clone();
        let (facts, reply) = self.world.run(command);
        let teller = Teller { before: &before, after: &self.world.image };
        let mut lines: Vec<String> = facts.iter().flat_map(|fact| teller.fact(fact)).collect();
        lines.extend(teller.reply(&reply).into_iter().map(|line| format!("= {line}")));
        lines
    }

    fn topic(&self, name: &str) -> TopicId {
        self.world.image.topics().named(name).map_or_else(|| TopicId(text_id("no-such-topic")), |topic| topic.id)
    }

    fn partition(&self, text: &str) -> (String, PartitionIndex) {
        let (topic, index) = text.rsplit_once('-').expect("a partition is a topic and a number");
        (topic.to_owned(), PartitionIndex(index.parse().expect("a partition has a number")))
    }

    fn command(&self, verb: &str, words: &Words<'_>) -> Option<Command> {
        let known = |node| words.number("epoch").map_or_else(|| self.world.epoch(node), BrokerEpoch);
        Some(match verb {
            "found" => Command::Found(Found {
                cluster: CLUSTER,
                founders: (1..).map(NodeId).zip(words.plain.iter().map(|disk| DirectoryId(text_id(disk)))).collect(),
                configs: words.named.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            }),
            "activate" => Command::Activate { node: words.node() },
            "allocate" => Command::AllocateNodeId { directory: DirectoryId(text_id(words.named["disk"])) },
            "register" => Command::Register(self.registration(words)),
            "unfence" => {
                let (node, applied) = (words.node(), words.number("applied").unwrap_or(self.world.index.0));
                Command::Unfence(Unfence { node, epoch: known(node), applied: MetadataIndex(applied) })
            }
            "fence" => Command::Fence(Fence { node: words.node(), epoch: known(words.node()) }),
            "shutdown" => Command::ShutDown { node: words.node(), epoch: known(words.node()) },
            "drain" => Command::Drain { node: words.node(), draining: true },
            "undrain" => Command::Drain { node: words.node(), draining: false },
            "remove" => Command::Remove { node: words.node() },
            "offline" => self.take_offline(words),
            "create" => self.create(words),
            "delete" => Command::DeleteTopics(DeleteTopics { topics: self.names(words) }),
            "grow" => self.grow(words),
            "isr" => self.alter(words),
            "elect" => self.elect(words),
            "config" => self.configure(words),
            "producer-ids" => Command::AllocateProducerIds { node: words.node(), epoch: known(words.node()) },
            _ => return None,
        })
    }

    fn registration(&self, words: &Words<'_>) -> Register {
        let node = words.node();
        let mut it = registration(node.0);
        if let Some(run) = words.named.get("run") {
            it.incarnation = IncarnationId(text_id(run));
        }
        if let Some(disks) = words.named.get("disk") {
            it.directories = disks.split(',').map(|disk| DirectoryId(text_id(disk))).collect();
        }
        it.boot = match words.named.get("boot") {
            Some(&"process-crash") => Boot::ProcessCrash,
            Some(&"machine-crash") => Boot::MachineCrash,
            _ => Boot::Clean,
        };
        it.rack = words.named.get("rack").map(|rack| (*rack).to_owned());
        it.feature_level_max = FeatureLevel(words.number("level").unwrap_or(1));
        let before = self.world.image.nodes().get(node).map(|node| node.epoch);
        let previous_epoch = words.number("previous").map(BrokerEpoch).or(before);
        let cluster = words.named.get("cluster").map_or(CLUSTER, |cluster| ClusterId(text_id(cluster)));
        Register { cluster, node, previous_epoch, registration: it }
    }

    fn take_offline(&self, words: &Words<'_>) -> Command {
        let node = words.node();
        let replicas = words.plain[1..].iter().map(|text| self.partition(text));
        let replicas = replicas.map(|(topic, index)| (self.topic(&topic), index)).collect();
        let epoch = words.number("epoch").map_or_else(|| self.world.epoch(node), BrokerEpoch);
        Command::TakeOffline(TakeOffline { node, epoch, replicas })
    }

    fn create(&self, words: &Words<'_>) -> Command {
        let own = ["partitions", "replicas", "assign"];
        let configs = words.named.iter().filter(|(key, _)| !own.contains(key));
        let assigned = words.named.get("assign").map_or(Vec::new(), |text| text.split('/').collect());
        let topic = NewTopic {
            name: String::new(),
            partitions: words.number("partitions").unwrap_or(-1),
            replication_factor: words.number("replicas").unwrap_or(-1),
            assignments: (0..).map(PartitionIndex).zip(assigned.into_iter().map(nodes)).collect(),
            configs: configs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let names = words.plain.iter().filter(|word| **word != "validate-only");
        let spelt = |name: &str| match name.split_once('*') {
            Some((letter, times)) => letter.repeat(times.parse().expect("a letter is repeated some times")),
            None => name.trim_matches('"').to_owned(),
        };
        let named = |name: &&str| NewTopic { name: spelt(name), ..topic.clone() };
        Command::CreateTopics(CreateTopics {
            topics: names.map(named).collect(),
            validate_only: words.has("validate-only"),
        })
    }

    fn names(&self, words: &Words<'_>) -> Vec<TopicName> {
        let names = words.plain.iter().map(|name| TopicName::Name((*name).to_owned()));
        names.chain(words.named.get("id").map(|name| TopicName::Id(self.topic(name)))).collect()
    }

    fn grow(&self, words: &Words<'_>) -> Command {
        let topic = MorePartitions {
            name: words.plain[0].to_owned(),
            count: words.number("to").expect("grow needs to="),
            assignments: words.named.get("assign").map(|text| text.split('/').map(nodes).collect()),
        };
        Command::CreatePartitions(CreatePartitions { topics: vec![topic], validate_only: words.has("validate-only") })
    }

    /// As the present leader with the present epochs, if nothing else is said.
    fn alter(&self, words: &Words<'_>) -> Command {
        let (name, index) = self.partition(words.plain[0]);
        let topic = self.topic(words.named.get("id").unwrap_or(&name.as_str()));
        let now = self.world.image.topics().get(topic).and_then(|topic| topic.partition(index));
        let state = now.map(|partition| partition.state).unwrap_or_default();
        let leader = words.number("by").map(NodeId).or(state.leader).unwrap_or_default();
        let member = |node| IsrMember {
            node,
            epoch: words.number(&format!("epoch-of-{node}")).map_or_else(|| self.world.epoch(node), BrokerEpoch),
        };
        let recovery = if words.has("recovering") { Recovery::Recovering } else { Recovery::Recovered };
        let wish = AlterPartition {
            topic,
            partition: index,
            leader_epoch: words.number("leader-epoch").map_or(state.leader_epoch, LeaderEpoch),
            partition_epoch: words.number("partition-epoch").map_or(state.partition_epoch, PartitionEpoch),
            isr: nodes(words.named["isr"]).into_iter().map(member).collect(),
            recovery,
        };
        let epoch = words.number("epoch").map_or_else(|| self.world.epoch(leader), BrokerEpoch);
        Command::AlterPartitions(AlterPartitions { leader, epoch, partitions: vec![wish] })
    }

    fn elect(&self, words: &Words<'_>) -> Command {
        let kind = if words.has("unclean") { ElectionKind::Unclean } else { ElectionKind::Preferred };
        let named = || words.plain[1..].iter().map(|text| self.partition(text)).collect();
        Command::ElectLeaders(ElectLeaders { kind, partitions: (!words.has("all")).then(named) })
    }

    fn configure(&self, words: &Words<'_>) -> Command {
        let target = match words.plain[0] {
            "cluster" => ConfigTarget::Cluster,
            text => match text.strip_prefix("node:") {
                Some(node) => ConfigTarget::Node(nodes(node)[0]),
                None => match text.strip_prefix("group:") {
                    Some(group) => ConfigTarget::Group(group.to_owned()),
                    None => ConfigTarget::Topic(text.to_owned()),
                },
            },
        };
        let operation = |(key, value): (&&str, &&str)| match key.split_at(key.len() - 1) {
            (key, "+") => (key.to_owned(), ConfigOperation::Append((*value).to_owned())),
            (key, "-") => (key.to_owned(), ConfigOperation::Subtract((*value).to_owned())),
            _ if value.is_empty() => ((*key).to_owned(), ConfigOperation::Delete),
            _ => ((*key).to_owned(), ConfigOperation::Set((*value).to_owned())),
        };
        let operations = words.named.iter().map(operation).collect();
        let resources = vec![ConfigAlteration { target, operations, replaces: words.has("replace") }];
        Command::AlterConfigs(AlterConfigs { resources, validate_only: words.has("validate-only") })
    }

    fn show(&self, name: &str) -> Vec<String> {
        let topic = self.world.image.topics().named(name).expect("only what is there can be shown");
        topic.partitions().map(|(index, it)| format!("{name}-{index} {}", told(it))).collect()
    }

    /// The verbs of liveness: `at 120 broken 1`, `until 900 heard=2,3`.
    fn watch(&mut self, verb: &str, words: &Words<'_>) -> Option<Vec<String>> {
        let time = Millis(words.plain.first()?.parse().ok()?);
        match verb {
            "at" => {
                self.now = time;
                let witness = words.number("by").map_or(NodeId(0), NodeId);
                for node in nodes(words.plain.get(2)?) {
                    match *words.plain.get(1)? {
                        "expect" => self.liveness.expect(node, time),
                        "heard" => self.liveness.on_heartbeat(node, time),
                        "goodbye" => self.liveness.on_stream_closed(node, true, time),
                        "broken" => self.liveness.on_stream_closed(node, false, time),
                        "refused" => self.liveness.on_probe_refused(node),
                        "taken" => self.liveness.on_probe_taken(node),
                        "answered" => self.liveness.on_answered(node, time),
                        "unanswered" => self.liveness.on_unanswered(node, time),
                        "lost" => self.liveness.on_peer_report(witness, node, time),
                        _ => return None,
                    }
                }
                Some(Vec::new())
            }
            "until" => Some(self.tick_until(time, words)),
            "suspects" => {
                let suspects = self.liveness.suspects(time).into_iter().map(|node| node.to_string());
                Some(vec![format!("suspects: {}", suspects.collect::<Vec<_>>().join(","))])
            }
            _ => None,
        }
    }

    /// Ticks, with heartbeats of those who are `heard`; who is to be fenced is, and says nothing more.
    fn tick_until(&mut self, until: Millis, words: &Words<'_>) -> Vec<String> {
        let heard = nodes(words.named.get("heard").unwrap_or(&""));
        let mut lines = Vec::new();
        let step = words.number("stall").unwrap_or(50);
        while self.now.0 + step <= until.0 {
            self.now = Millis(self.now.0 + step);
            heard.iter().for_each(|node| self.liveness.on_heartbeat(*node, self.now));
            for verdict in self.liveness.tick(self.now, !words.has("unconfirmed")) {
                lines.push(format!("{}: fence {}, {}", self.now, verdict.node, verdict.why));
                self.liveness.forget(verdict.node);
            }
        }
        lines
    }
}

/// Puts facts and replies into words.
struct Teller<'a> {
    before: &'a Image,
    after: &'a Image,
}

impl Teller<'_> {
    fn name(&self, topic: TopicId) -> String {
        let topics = [self.after, self.before].map(Image::topics);
        let topic = topics.into_iter().find_map(|topics| topics.get(topic));
        topic.map_or_else(|| "?".to_owned(), |topic| topic.name.to_string())
    }

    fn fact(&self, fact: &Fact) -> Vec<String> {
        vec![match fact {
            Fact::ClusterFounded { .. } => "ClusterFounded".to_owned(),
            Fact::FeatureLevelSet { level } => format!("FeatureLevelSet {level}"),
            Fact::ControllerActivated { node, epoch, reign } => {
                format!("ControllerActivated {node} epoch={epoch} reign={}", reign.0)
            }
            Fact::NodeIdAllocated { node, .. } => format!("NodeIdAllocated {node}"),
            Fact::NodeRegistered { node, epoch, registration } => {
                format!("NodeRegistered {node} epoch={epoch} boot={:?}", registration.boot)
            }
            Fact::NodeFenced { node, .. } => format!("NodeFenced {node}"),
            Fact::NodeUnfenced { node, .. } => format!("NodeUnfenced {node}"),
            Fact::NodeShuttingDown { node, .. } => format!("NodeShuttingDown {node}"),
            Fact::NodeDraining { node, draining } => format!("NodeDraining {node} {draining}"),
            Fact::NodeRemoved { node } => format!("NodeRemoved {node}"),
            Fact::TopicCreated { name, .. } => format!("TopicCreated {name}"),
            Fact::TopicDeleted { topic } => format!("TopicDeleted {}", self.name(*topic)),
            Fact::PartitionsCreated { topic, first, partitions } => {
                let name = self.name(*topic);
                let created = (first.0..).zip(partitions);
                return created.map(|(index, it)| format!("Partition {name}-{index} {}", told(it))).collect();
            }
            Fact::PartitionsChanged { topic, changes } => {
                let name = self.name(*topic);
                let image = if self.after.topics().get(*topic).is_some() { self.after } else { self.before };
                let partition = |index| image.topics().get(*topic).and_then(|topic| topic.partition(index));
                let now = changes.iter().map(|change| {
                    let replicas = partition(change.partition).expect("it has changed").replicas.clone();
                    format!(
                        "Partition {name}-{} {}",
                        change.partition,
                        told(&Partition { replicas, state: change.state })
                    )
                });
                return now.collect();
            }
            Fact::ConfigSet { scope, key, value } => format!("ConfigSet {} {key}={value}", self.scope(scope)),
            Fact::ConfigUnset { scope, key } => format!("ConfigUnset {} {key}", self.scope(scope)),
            Fact::ProducerIdsAllocated { node, next, .. } => format!("ProducerIdsAllocated {node} next={next}"),
        }]
    }

    fn scope(&self, scope: &ConfigScope) -> String {
        match scope {
            ConfigScope::Cluster => "cluster".to_owned(),
            ConfigScope::Node(node) => format!("node:{node}"),
            ConfigScope::Topic(topic) => self.name(*topic),
            ConfigScope::Group(group) => format!("group:{group}"),
        }
    }

    fn reply(&self, reply: &Result<Reply, Refused>) -> Vec<String> {
        let altered = |it: &AlteredPartition| format!("{}-{}", self.name(it.topic), it.partition);
        match reply {
            Err(refused) => vec![refused.to_string()],
            Ok(Reply::Done) => vec!["done".to_owned()],
            Ok(Reply::NodeId(node)) => vec![format!("node {node}")],
            Ok(Reply::Registered { epoch }) => vec![format!("epoch {epoch}")],
            Ok(Reply::Unfenced(active)) => vec![if *active { "active" } else { "not yet" }.to_owned()],
            Ok(Reply::ShuttingDown { still_leads }) => vec![format!("still leads {still_leads}")],
            Ok(Reply::CreatedTopics(topics)) => topics.iter().map(created).collect(),
            Ok(Reply::DeletedTopics(topics)) => topics.iter().map(deleted).collect(),
            Ok(Reply::GrownTopics(topics)) => topics.iter().map(|it| came(&it.name, &it.outcome)).collect(),
            Ok(Reply::AlteredPartitions(all)) => all.iter().map(|it| came(&altered(it), &it.outcome)).collect(),
            Ok(Reply::ElectedLeaders(all)) if all.is_empty() => vec!["nobody".to_owned()],
            Ok(Reply::ElectedLeaders(all)) => {
                all.iter().map(|it| came(&format!("{}-{}", it.topic, it.partition), &it.outcome)).collect()
            }
            Ok(Reply::AlteredConfigs(all)) => all.iter().map(|it| came(&target(&it.target), &it.outcome)).collect(),
            Ok(Reply::ProducerIds(block)) => vec![format!("{} ids from {}", block.len, block.first)],
        }
    }
}

/// What came of one part of a request.
fn came<T>(what: &str, outcome: &Result<T, Refused>) -> String {
    match outcome {
        Ok(_) => format!("{what}: done"),
        Err(refused) => format!("{what}: {refused}"),
    }
}

fn created(it: &CreatedTopic) -> String {
    match &it.outcome {
        Ok(shape) => format!("{}: {} x {}", it.name, shape.partitions, shape.replication_factor),
        refused => came(&it.name, refused),
    }
}

fn deleted(it: &DeletedTopic) -> String {
    came(it.name.as_deref().unwrap_or("?"), &it.outcome)
}

fn target(target: &ConfigTarget) -> String {
    match target {
        ConfigTarget::Cluster => "cluster".to_owned(),
        ConfigTarget::Node(node) => format!("node:{node}"),
        ConfigTarget::Topic(name) => name.clone(),
        ConfigTarget::Group(name) => format!("group:{name}"),
    }
}

/// A partition in one line.
fn told(partition: &Partition) -> String {
    let list = |nodes: &mut dyn Iterator<Item = NodeId>| nodes.map(|it| it.to_string()).collect::<Vec<_>>().join(",");
    let state = &partition.state;
    let mut line = format!("replicas={}", list(&mut partition.replicas.iter().copied()));
    let leader = state.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let _ = write!(line, " leader={leader} isr={}", list(&mut partition.isr()));
    if !state.elr.is_empty() {
        let _ = write!(line, " elr={}", list(&mut partition.elr()));
    }
    if !state.offline.is_empty() {
        let _ = write!(line, " offline={}", list(&mut partition.members(state.offline)));
    }
    if let Some(last) = state.last_known_leader {
        let _ = write!(line, " last={last}");
    }
    let _ = write!(line, " epochs={}/{}", state.leader_epoch, state.partition_epoch);
    if state.recovery == Recovery::Recovering {
        line.push_str(" RECOVERING");
    }
    line
}

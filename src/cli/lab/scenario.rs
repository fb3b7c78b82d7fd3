//! Scenarios: the lab by script.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::busy::endure;
use super::chaos::{Act, Step, schedule};
use super::dice::Dice;
use super::load::{Load, MIN_IN_SYNC, PARTITIONS, REPLICAS, read_again, topic};
use super::newcomer::{self, Newcomer};
use super::phases::Phases;
use super::processes::Nodes;
use super::report::{Blow, Happening, Plan, Report, Verdict};
use super::{LabArguments, LabError, Scenario, TOPIC_PATIENCE, active, hit, revive, strike};
use crate::base::World;
use crate::base::ids::NodeId;
use crate::cli::{Console, Exit, Output};
use crate::client::Cluster;
use crate::wire::Text;
use crate::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};

/// How long the cluster may take to be led again, and to be whole again.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(60);

/// How long a struck node stays away after the others have taken over.
const AWAY: Duration = Duration::from_secs(1);

/// Between two attempts at creating a topic.
const ASK_PAUSE: Duration = Duration::from_millis(5);

/// How often a condition is looked at that only others bring about.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Strikes a node, waits until all it led is written to again, brings it back, waits until every replica is in sync;
/// and so on. The blows are spread over the time there is.
pub(super) async fn play(
    scenario: Scenario,
    arguments: &LabArguments,
    world: &World,
    mut nodes: Nodes,
    cluster: &Cluster,
    console: &mut Console,
) -> Result<Exit, LabError> {
    let plan = plan(scenario, arguments, world);
    if scenario == Scenario::PauseLeader {
        cluster.create_topic(&topic(newcomer::TOPIC), TOPIC_PATIENCE).await?;
    }
    let load = Load::start(world, cluster, plan.producers, plan.rate_per_second);
    let mut script = Script { scenario, world, cluster, nodes: &mut nodes, load: &load };
    let trouble = match scenario {
        Scenario::Chaos => script.rage(&plan).await?,
        Scenario::Saturated => script.endure(&plan, arguments.beside.as_deref()).await?,
        _ => script.run(&plan).await?,
    };
    let board = load.finish().await;
    let (live, timeline, cut_live) = {
        let marks = board.marks();
        (
            marks.live.clone(),
            marks.timeline.clone(),
            marks.trouble.as_ref().map(|error| format!("reading along: {error}")),
        )
    };
    let (reading, cut) = read_again(world, nodes.bootstrap(), &live.ledger).await;
    let findings = reading.against(&live.ledger, &live.reading);
    let report = Report { plan, timeline, findings, trouble: trouble.or(cut_live).or(cut) };
    console.answer(&match arguments.output {
        Output::Table => report.text(),
        Output::Json => report.json(),
    });
    let exit = match report.verdict() {
        Verdict::Valid => return Ok(Exit::Done),
        Verdict::Invalid => Exit::Failed,
        Verdict::Unknown => Exit::Unknown,
    };
    nodes.keep_folder();
    console.complain(&format!("data and logs of the nodes are kept in {}", nodes.folder().display()));
    Ok(exit)
}

/// Blows after which a run of chaos has shown something.
const BLOWS_ENOUGH: u32 = 3;

fn plan(scenario: Scenario, arguments: &LabArguments, world: &World) -> Plan {
    Plan {
        scenario: scenario.name(),
        seed: arguments.seed.unwrap_or_else(|| world.entropy.number() >> 32), // short enough to be typed again
        rate_per_second: arguments.rate,
        seconds: arguments.seconds,
        producers: if scenario == Scenario::Chaos { 3 } else { 1 },
        blows: match scenario {
            Scenario::Chaos => BLOWS_ENOUGH,
            Scenario::Saturated => 0,
            _ => arguments.kills,
        },
        partitions: PARTITIONS,
        replicas: REPLICAS,
        min_insync_replicas: MIN_IN_SYNC,
    }
}

/// A scenario under way.
struct Script<'a> {
    scenario: Scenario,
    world: &'a World,
    cluster: &'a Cluster,
    nodes: &'a mut Nodes,
    load: &'a Load,
}

impl Script<'_> {
    /// Says what has kept the scenario from its end.
    async fn run(&mut self, plan: &Plan) -> Result<Option<String>, LabError> {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(plan.seconds);
        let pause = Duration::from_secs(plan.seconds) / (plan.blows + 1);
        let mut dice = Dice(plan.seed);
        for turn in 1..=plan.blows {
            sleep_until(begun + pause * turn).await;
            let Some(node) = self.victim(turn, &mut dice).await else {
                return Ok(Some("there is nobody to strike: no leader, or no active controller".to_owned()));
            };
            if let Some(trouble) = self.strike_one(node).await? {
                return Ok(Some(trouble));
            }
        }
        sleep_until(end).await;
        Ok(None)
    }

    /// Has the cluster get along with other work beside it; then it is counted what the nodes made of it.
    async fn endure(&mut self, plan: &Plan, beside: Option<&str>) -> Result<Option<String>, LabError> {
        let before = self.nodes.said();
        endure(Instant::now() + Duration::from_secs(plan.seconds), beside, self.nodes.folder()).await?;
        let news = |(said, before): (String, String)| said[before.len()..].to_owned();
        let news: Vec<String> = self.nodes.said().into_iter().zip(before).map(news).collect();
        let count = |what: &str| news.iter().flat_map(|said| said.lines()).filter(|line| line.contains(what)).count();
        let fenced = count("event=\"node.fencing\"");
        let (inquiries, reigns) = (count("event=\"session.inquired\""), count("event=\"controller.activated\""));
        self.load.board().note(Happening::Endured { fenced, inquiries, reigns });
        Ok((fenced > 0).then(|| format!("{fenced} times a node was fenced that only had little of the processors")))
    }

    /// Whose turn it is.
    async fn victim(&self, turn: u32, dice: &mut Dice) -> Option<NodeId> {
        match self.scenario {
            Scenario::ControllerKill => active(self.cluster).await,
            Scenario::RollingRestart => {
                let nodes = self.nodes.ids();
                nodes.iter().nth((turn as usize - 1) % nodes.len()).copied()
            }
            _ => leader(self.load, dice),
        }
    }

    async fn strike_one(&mut self, node: NodeId) -> Result<Option<String>, LabError> {
        let blow = self.scenario.blow();
        let newcomer = match blow {
            Blow::Paused => Some(Newcomer::before(node, self.cluster, self.nodes, self.world).await),
            Blow::Killed | Blow::Stopped => None,
        };
        let (struck, since) = (self.world.clock.now(), Instant::now());
        strike(node, blow, self.cluster, self.nodes, self.load).await?;
        let accepted_ms = match self.scenario {
            Scenario::ControllerKill => self.accepted(since).await,
            _ => None,
        };
        let written_ms = match newcomer {
            Some(newcomer) => newcomer.written(since, RECOVERY_PATIENCE).await,
            None => None,
        };
        let load = self.load;
        if !until(self.nodes, || !load.board().marks().timeline.is_in_outage()).await? {
            let patience = RECOVERY_PATIENCE.as_secs();
            return Ok(Some(format!("what node {node} led was not written to again in {patience} s")));
        }
        let phases = Phases { written_ms, accepted_ms, ..Phases::of(node, struck, &self.nodes.said()) };
        load.board().note(Happening::Took { node, phases });
        sleep(AWAY).await;
        self.bring_back(node, blow)?;
        self.whole().await
    }

    fn bring_back(&mut self, node: NodeId, blow: Blow) -> Result<(), LabError> {
        if blow == Blow::Paused {
            self.nodes.pause(node, false)?;
            self.load.board().note(Happening::Revived { node });
            Ok(())
        } else {
            revive(node, self.nodes, self.load)
        }
    }

    /// Waits until every replica is in sync; says if that took too long.
    async fn whole(&mut self) -> Result<Option<String>, LabError> {
        let load = self.load;
        self.nodes.ready(RECOVERY_PATIENCE).await?;
        if !until(self.nodes, || load.is_whole()).await? {
            return Ok(Some(format!("replicas were not in sync again after {} s", RECOVERY_PATIENCE.as_secs())));
        }
        load.board().note(Happening::Whole);
        Ok(None)
    }

    /// Does what the seed says, to whom and when it says it.
    async fn rage(&mut self, plan: &Plan) -> Result<Option<String>, LabError> {
        let begun = Instant::now();
        let nodes: Vec<NodeId> = self.nodes.ids().into_iter().collect();
        for Step { at, node, act } in schedule(plan.seed, Duration::from_secs(plan.seconds), &nodes) {
            sleep_until(begun + at).await;
            match act {
                Act::Strike(blow) => {
                    let led = self.load.led_by(node).len();
                    self.load.board().note(Happening::Struck { node, blow, led, was_active: None });
                    hit(node, blow, self.nodes).await?;
                }
                Act::Return(blow) => self.bring_back(node, blow)?,
            }
        }
        self.whole().await
    }

    /// Creates a topic, as soon as that is possible; says how long after the blow it was.
    async fn accepted(&self, since: Instant) -> Option<u64> {
        let name = Text::from(format!("accepted-{:016x}", self.world.entropy.number()));
        let topic = CreatableTopic { name, num_partitions: 1, replication_factor: 1, ..Default::default() };
        let timeout_ms = i32::try_from(RECOVERY_PATIENCE.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
        while since.elapsed() < RECOVERY_PATIENCE {
            // The one that is asked may be the one that was struck.
            if let Ok(answer) = self.cluster.ask(&request, RECOVERY_PATIENCE).await
                && answer.topics.iter().all(|topic| !topic.error_code.is_error())
            {
                return u64::try_from(since.elapsed().as_millis()).ok();
            }
            sleep(ASK_PAUSE).await;
        }
        None
    }
}

/// Waits for a condition; says whether it was met in time.
async fn until(nodes: &mut Nodes, condition: impl Fn() -> bool) -> Result<bool, LabError> {
    let deadline = Instant::now() + RECOVERY_PATIENCE;
    while !condition() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        for node in nodes.ids() {
            nodes.check_alive(node)?;
        }
        sleep(LOOK_PAUSE).await;
    }
    Ok(true)
}

/// Who leads the partition that the dice name.
fn leader(load: &Load, dice: &mut Dice) -> Option<NodeId> {
    let leaders: Vec<NodeId> =
        load.view()?.partitions.into_values().map(|partition| partition.leader).collect::<Option<_>>()?;
    let place = dice.below(leaders.len() as u64);
    leaders.get(place as usize).copied()
}

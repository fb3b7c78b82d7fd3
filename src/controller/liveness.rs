//! Liveness: whose session is alive, and when the evidence is enough to fence a node.
//!
//! Evidence first, time last. Fencing too early costs one move of leaderships and never a record, so little proof is
//! enough:
//!
//! | seen by the active controller                                             | fenced after          |
//! |---------------------------------------------------------------------------|-----------------------|
//! | stream broke off and its peer port refuses connections, twice              | at once               |
//! | stream said goodbye                                                        | at once               |
//! | stream broke off, another node lost it too, no new stream                  | `broken_stream`       |
//! | silence, no answer to inquiries of ours and of two other nodes             | `corroborated_silence`|
//! | silence                                                                    | `session_timeout`     |
//!
//! (A new run of the same node fences the old one when it registers: `nodes.rs`.)
//!
//! A node that is silent for `suspicion` is inquired after, by this controller and by every node it hears: a process
//! that is stopped or cut off answers none of them, one that is merely slow answers somebody. An answer to anyone is a
//! sign of life, though only heartbeats keep a session. That a port takes connections is none: the kernel does that.
//!
//! Three guards against a controller that is itself the problem:
//! - *self-distrust*: after a tick that came too late, silence and inquiries count only from now: it was not listening;
//! - *storm*: when more than half of the nodes (and more than one) fall silent at the same time, the network near the
//!   controller is the likelier cause. Verdicts by time wait until a quorum has confirmed the reign, twice in a row;
//! - *one at a time*: a verdict is only a wish to fence; each is decided on the draft that holds the one before.
//!
//! Invariants: time is what the caller says; nothing here is replicated. Every controller keeps such a table, so that
//! a new active one knows who is alive.

use crate::base::ids::NodeId;
use crate::base::time::Millis;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many refused probes prove that nobody listens any more.
const REFUSALS_ENOUGH: u32 = 2;
/// How many other nodes must have lost a silent one.
const WITNESSES_ENOUGH: usize = 2;
/// How many confirmed ticks in a row end a storm.
const CONFIRMATIONS_ENOUGH: u32 = 2;

/// How long evidence must last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For silence that makes a node be inquired after.
    pub suspicion: Duration,
    /// For a broken stream that another node confirms.
    pub broken_stream: Duration,
    /// For silence that two other nodes confirm.
    pub corroborated_silence: Duration,
    /// For silence alone: `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// How often `tick` is called.
    pub tick: Duration,
    /// How much later than that it may come before the table distrusts itself.
    pub lateness_max: Duration,
    /// How long what other nodes report is believed.
    pub report: Duration,
    /// Nodes that fall silent within this time of each other make a storm.
    pub storm: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            suspicion: Duration::from_millis(400),
            broken_stream: Duration::from_millis(250),
            corroborated_silence: Duration::from_millis(600),
            session_timeout: Duration::from_millis(3000),
            tick: Duration::from_millis(50),
            lateness_max: Duration::from_millis(200),
            report: Duration::from_millis(2000),
            storm: Duration::from_millis(2000),
        }
    }
}

/// A node that is to be fenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub node: NodeId,
    pub why: Why,
}

/// The evidence that was enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    Goodbye,
    ConnectionRefused,
    StreamBroken,
    SilenceCorroborated,
    SessionTimeout,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Goodbye => "it said goodbye",
            Self::ConnectionRefused => "its stream broke off and its port refuses connections",
            Self::StreamBroken => "its stream broke off and another node lost it too",
            Self::SilenceCorroborated => "it is silent and answers neither us nor two other nodes",
            Self::SessionTimeout => "it has been silent for the whole session timeout",
        })
    }
}

/// The sessions of all nodes, as one controller sees them.
#[derive(Clone, Debug)]
pub struct Liveness {
    patience: Patience,
    sessions: BTreeMap<NodeId, Session>,
    last_tick: Option<Millis>,
    /// Silence before this does not count.
    trusted_since: Millis,
    /// In a storm: the ticks in a row at which a quorum has confirmed the reign.
    storm: Option<u32>,
}

#[derive(Clone, Debug)]
struct Session {
    last_heartbeat: Millis,
    stream: Stream,
    /// When it last answered an inquiry, ours or another node's.
    last_answer: Millis,
    /// When it last left an inquiry of ours unanswered.
    unanswered: Option<Millis>,
    /// Who else lost it, or has no answer from it, and when they said so.
    witnesses: BTreeMap<NodeId, Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stream {
    Open,
    Goodbye,
    Broken { since: Millis, refusals: u32 },
}

impl Liveness {
    pub fn new(patience: Patience) -> Self {
        Self { patience, sessions: BTreeMap::new(), last_tick: None, trusted_since: Millis(0), storm: None }
    }

    /// The node is not fenced, so it is expected to be heard. Without this, one that dies before this controller has
    /// ever heard it would never be missed.
    pub fn expect(&mut self, node: NodeId, now: Millis) {
        self.sessions.entry(node).or_insert_with(|| Session::new(now));
    }

    /// The node is fenced or removed: nothing is expected of it until it is heard again.
    pub fn forget(&mut self, node: NodeId) {
        self.sessions.remove(&node);
    }

    /// The node was heard: a heartbeat, or a new stream. Takes back all evidence against it.
    pub fn on_heartbeat(&mut self, node: NodeId, now: Millis) {
        self.sessions.insert(node, Session::new(now));
    }

    /// Its stream ended: with a goodbye, or broken off.
    pub fn on_stream_closed(&mut self, node: NodeId, graceful: bool, now: Millis) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.stream = if graceful { Stream::Goodbye } else { Stream::Broken { since: now, refusals: 0 } };
        }
    }

    /// Its peer port refused a connection.
    pub fn on_probe_refused(&mut self, node: NodeId) {
        if let Some(Session { stream: Stream::Broken { refusals, .. }, .. }) = self.sessions.get_mut(&node) {
            *refusals += 1;
        }
    }

    /// Its peer port took a connection: not everything of it is gone.
    pub fn on_probe_taken(&mut self, node: NodeId) {
        if let Some(Session { stream: Stream::Broken { refusals, .. }, .. }) = self.sessions.get_mut(&node) {
            *refusals = 0;
        }
    }

    /// It answered an inquiry, ours or another node's.
    pub fn on_answered(&mut self, node: NodeId, now: Millis) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.last_answer = now;
        }
    }

    /// It left an inquiry of ours unanswered.
    pub fn on_unanswered(&mut self, node: NodeId, now: Millis) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.unanswered = Some(now);
        }
    }

    /// Another node, broker or controller, has lost its own stream to this one, or has no answer from it.
    pub fn on_peer_report(&mut self, witness: NodeId, lost: NodeId, now: Millis) {
        if witness != lost
            && let Some(session) = self.sessions.get_mut(&lost)
        {
            session.witnesses.insert(witness, now);
        }
    }

    /// Who is to be inquired after: those who show no sign of life.
    pub fn suspects(&self, now: Millis) -> Vec<NodeId> {
        let is_silent = |session: &Session| now.since(self.alive_at(session)) >= self.patience.suspicion;
        self.sessions.iter().filter(|(_, session)| is_silent(session)).map(|(node, _)| *node).collect()
    }

    /// Who is to be fenced now; said again at every tick until the node is forgotten or heard. `confirmed`: since the
    /// last tick a quorum has confirmed that this controller rules.
    pub fn tick(&mut self, now: Millis, confirmed: bool) -> Vec<Verdict> {
        let late = self.last_tick.is_some_and(|last| now.since(last) > self.patience.tick + self.patience.lateness_max);
        if late {
            self.trusted_since = now;
        }
        self.last_tick = Some(now);
        self.watch_for_storm(now, confirmed);
        let verdict =
            |(node, session): (&NodeId, &Session)| Some(Verdict { node: *node, why: self.judge(session, now)? });
        self.sessions.iter().filter_map(verdict).collect()
    }

    fn judge(&self, session: &Session, now: Millis) -> Option<Why> {
        let patience = &self.patience;
        match session.stream {
            Stream::Goodbye => return Some(Why::Goodbye),
            Stream::Broken { refusals: REFUSALS_ENOUGH.., .. } => return Some(Why::ConnectionRefused),
            Stream::Broken { since, .. } => {
                let long = now.since(since.max(self.trusted_since)) >= patience.broken_stream;
                if long && session.witnesses(now, patience.report) >= 1 {
                    return Some(Why::StreamBroken);
                }
            }
            Stream::Open => {}
        }
        if self.storm.is_some_and(|confirmations| confirmations < CONFIRMATIONS_ENOUGH) {
            return None;
        }
        if self.is_corroborated(session, now) {
            return Some(Why::SilenceCorroborated);
        }
        (self.silence(session, now) >= patience.session_timeout).then_some(Why::SessionTimeout)
    }

    /// Whether the node shows no sign of life to anybody who looks for it.
    fn is_corroborated(&self, session: &Session, now: Millis) -> bool {
        let alive_at = self.alive_at(session);
        let lifeless = now.since(alive_at);
        lifeless >= self.patience.corroborated_silence
            && session.unanswered.is_some_and(|unanswered| unanswered > alive_at)
            && session.witnesses(now, self.patience.report.min(lifeless)) >= WITNESSES_ENOUGH
    }

    /// The last sign of life that anybody has had, as far as this table was listening.
    fn alive_at(&self, session: &Session) -> Millis {
        session.last_heartbeat.max(session.last_answer).max(self.trusted_since)
    }

    /// How long nothing was heard, as far as this table was listening.
    fn silence(&self, session: &Session, now: Millis) -> Duration {
        now.since(session.last_heartbeat.max(self.trusted_since))
    }

    /// A storm begins when too many fall silent together; verdicts by time wait until the reign was confirmed in it.
    fn watch_for_storm(&mut self, now: Millis, confirmed: bool) {
        let silent = self.silent_together(now);
        let too_many = silent > 1 && silent * 2 > self.sessions.len();
        self.storm = match (too_many, self.storm) {
            (false, _) => None,
            (true, None) => Some(0),
            (true, Some(confirmations)) => Some(if confirmed { confirmations + 1 } else { 0 }),
        };
    }

    /// How many nodes have nothing but silence against them, of those that were heard last at about the same time.
    fn silent_together(&self, now: Millis) -> usize {
        let by_time_only = |session: &&Session| {
            session.stream == Stream::Open && self.silence(session, now) >= self.patience.corroborated_silence
        };
        let heard: Vec<Millis> = self.sessions.values().filter(by_time_only).map(|it| it.last_heartbeat).collect();
        let latest = heard.iter().max().copied().unwrap_or_default();
        heard.into_iter().filter(|heard| latest.since(*heard) <= self.patience.storm).count()
    }
}

impl Session {
    fn new(now: Millis) -> Self {
        let witnesses = BTreeMap::new();
        Self { last_heartbeat: now, stream: Stream::Open, last_answer: now, unanswered: None, witnesses }
    }

    fn witnesses(&self, now: Millis, believed_for: Duration) -> usize {
        self.witnesses.values().filter(|said| now.since(**said) <= believed_for).count()
    }
}

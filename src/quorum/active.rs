//! The one decider: takes what waits, judges it on a draft, has the facts committed, answers.
//!
//! ```text
//!  commands ─► queue ─► draft = image + facts so far ─► one entry ─► Raft ─► committed and applied ─► answers
//!                │                                                │
//!                └── not active: refused at once                  └── failed: the draft is dropped, all hear of it
//! ```
//!
//! One entry is in flight at a time; meanwhile the next one gathers. So a draft always starts from the committed image,
//! and a batch costs one round of Raft whatever its size.
//!
//! Invariants: a reign begins with everything committed before it applied, and its first fact says so; facts are
//! proposed only in the reign they were decided in; an answer waits for its place in the log, and one that changed
//! nothing until a quorum has confirmed that this controller still rules.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::handle::{ProposeError, Quorum, Reign};
use super::image::Published;
use super::log::RaftLog;
use super::settings;
use crate::base::World;
use crate::base::ids::{ControllerEpoch, MetadataIndex, NodeId};
use crate::base::limits::{CATCH_UP_MS_MAX, COMMANDS_PER_ENTRY_MAX, ENTRY_BYTES_MAX, REIGN_RETRY_MS};
use crate::config::Resolved;
use crate::controller::{Command, Defaults, Env, Found, Refused, Reply, decide};
use crate::metadata::record::{Header, Origin};
use crate::metadata::{Batch, Fact, Image, StateHash, codec};

/// What was decided, and where in the metadata log it is true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub reply: Reply,
    pub index: MetadataIndex,
}

/// Why a command was not carried out, or perhaps not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Certainly not done.
    #[error("this controller is not active{}", .leader.as_ref().map(|at| format!(", {at} is")).unwrap_or_default())]
    NotActive { leader: Option<String> },
    /// Decided, on what is so up to `index`: no.
    #[error("{refused}")]
    Refused { refused: Refused, index: MetadataIndex },
    /// Perhaps done, perhaps not; the metadata log will tell.
    #[error("it is unknown whether it was done: {0}")]
    Unknown(String),
}

impl From<ProposeError> for SubmitError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader } => Self::NotActive { leader },
            ProposeError::Unknown(why) => Self::Unknown(why),
        }
    }
}

/// What a controller decides by, besides the image.
#[derive(Clone, Debug)]
pub struct Charter {
    pub node: NodeId,
    /// The first command of all, given by whoever reigns first.
    pub founding: Found,
    /// What a topic gets that does not ask for anything else.
    pub defaults: Defaults,
    /// Hold the bounds of what is set while the cluster runs.
    pub settings: Resolved,
}

/// A command on its way to a decision.
pub(super) struct Asked {
    pub command: Command,
    pub origin: Origin,
    pub answer: Option<oneshot::Sender<Result<Answer, SubmitError>>>,
}

impl Asked {
    /// What the controller asks of itself.
    fn own(command: Command, api: &str) -> Self {
        Self { command, origin: own_origin(api), answer: None }
    }

    fn answer(self, answer: Result<Answer, SubmitError>) {
        // Who has gone away does not want to know any more.
        let _ = self.answer.map(|waiting| waiting.send(answer));
    }
}

/// Who asks for what nobody outside asked for.
pub(super) fn own_origin(api: &str) -> Origin {
    Origin { api: api.to_owned(), ..Origin::default() }
}

/// The decider of one node, whether it reigns at the moment or not.
pub(super) struct Active {
    pub world: World,
    pub quorum: Quorum,
    pub log: RaftLog,
    pub image: Published,
    pub charter: Charter,
    pub commands: mpsc::Receiver<Asked>,
}

/// Decided, not yet committed.
struct Drafted {
    /// Of the committed image that it starts from.
    state_hash: StateHash,
    /// With all the facts so far.
    image: Image,
    facts: Vec<Fact>,
    origins: Vec<Origin>,
    parked: Vec<(Asked, Result<Reply, Refused>)>,
    bytes: usize,
}

impl Active {
    /// Decides whenever this node reigns, for as long as anybody could ask.
    pub async fn run(mut self) {
        loop {
            let reign = self.quorum.reign();
            let goes_on = if reign.is_ours { self.reign(reign).await } else { self.refuse_until_changed(reign).await };
            if !goes_on {
                return;
            }
        }
    }

    /// Sends everybody on to the one who reigns; false once nobody can ask any more.
    async fn refuse_until_changed(&mut self, reign: Reign) -> bool {
        loop {
            tokio::select! {
                biased;
                alive = self.quorum.reign_changed(reign) => return alive,
                asked = self.commands.recv() => match asked {
                    Some(asked) => asked.answer(Err(self.not_active())),
                    None => return false,
                },
            }
        }
    }

    /// Decides for one reign. When it stumbles the draft is gone and it begins anew, in this reign or the next.
    async fn reign(&mut self, reign: Reign) -> bool {
        match self.rule(reign).await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                warn!(event = "controller.stumbled", term = reign.term, %error, "a reign did not go on");
                while let Ok(asked) = self.commands.try_recv() {
                    asked.answer(Err(self.not_active()));
                }
                sleep(Duration::from_millis(REIGN_RETRY_MS)).await;
                true
            }
        }
    }

    async fn rule(&mut self, reign: Reign) -> Result<bool, ProposeError> {
        self.catch_up(reign).await?;
        let mut opening = VecDeque::from([Asked::own(Command::Activate { node: self.charter.node }, "Activate")]);
        if self.image.borrow().cluster().id.is_none() {
            opening.push_front(Asked::own(Command::Found(self.charter.founding.clone()), "Found"));
        }
        let opened = self.decide(&mut opening);
        let epoch = self.commit(reign, 0, opened).await?;
        info!(event = "controller.activated", term = reign.term, %epoch, "this controller is active");
        let mut waiting = VecDeque::new();
        for sequence in 1.. {
            if !self.gather(reign, &mut waiting).await {
                return Ok(!self.commands.is_closed());
            }
            let drafted = self.decide(&mut waiting);
            if let Err(error) = self.commit(reign, sequence, drafted).await {
                waiting.into_iter().for_each(|asked| asked.answer(Err(self.not_active())));
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Waits until there is something to decide, and takes all there is; false when there will be nothing.
    async fn gather(&mut self, reign: Reign, waiting: &mut VecDeque<Asked>) -> bool {
        if waiting.is_empty() {
            tokio::select! {
                biased;
                _ = self.quorum.reign_changed(reign) => return false,
                asked = self.commands.recv() => match asked {
                    Some(asked) => waiting.push_back(asked),
                    None => return false,
                },
            }
        }
        while waiting.len() < COMMANDS_PER_ENTRY_MAX {
            let Ok(asked) = self.commands.try_recv() else { break };
            waiting.push_back(asked);
        }
        true
    }

    /// Judges what waits, each on a draft that holds what was decided before it, until an entry is full.
    fn decide(&self, waiting: &mut VecDeque<Asked>) -> Drafted {
        let image = Image::clone(&self.image.borrow());
        let (facts, origins, parked) = (Vec::new(), Vec::new(), Vec::new());
        let mut drafted = Drafted { state_hash: image.hash(), image, facts, origins, parked, bytes: 0 };
        while drafted.bytes < ENTRY_BYTES_MAX
            && let Some(asked) = waiting.pop_front()
        {
            let mut seed = [0; 16];
            self.world.entropy.fill(&mut seed);
            let env = Env {
                index: self.log.end(),
                seed: u128::from_le_bytes(seed),
                defaults: self.charter.defaults,
                check_config: &settings::check,
                check_together: &|scope, set| settings::check_together(&self.charter.settings, scope, set),
                list_default: &settings::list_default,
            };
            drafted.take(asked, &env);
        }
        drafted
    }

    /// Has a draft committed, and answers all that is in it.
    async fn commit(&self, reign: Reign, sequence: u64, drafted: Drafted) -> Result<ControllerEpoch, ProposeError> {
        let Drafted { state_hash, image: draft, facts, origins, parked, .. } = drafted;
        let epoch = draft.cluster().controller.map(|controller| controller.epoch).unwrap_or_default();
        let placed = if facts.is_empty() {
            self.catch_up(reign).await.map(|()| self.image.borrow().applied())
        } else {
            let feature_level = draft.cluster().feature_level;
            let wall = self.world.clock.now();
            let header = Header { controller_epoch: epoch, sequence, wall, state_hash, feature_level, origins };
            self.quorum.propose(reign, codec::encode(&Batch { header, facts })).await
        };
        for (asked, reply) in parked {
            asked.answer(match &placed {
                Ok(index) => match reply {
                    Ok(reply) => Ok(Answer { reply, index: *index }),
                    Err(refused) => Err(SubmitError::Refused { refused, index: *index }),
                },
                Err(error) => Err(error.clone().into()),
            });
        }
        placed.map(|_| epoch)
    }

    async fn catch_up(&self, reign: Reign) -> Result<(), ProposeError> {
        let late = |_| ProposeError::Unknown("no quorum confirms the reign".to_owned());
        timeout(Duration::from_millis(CATCH_UP_MS_MAX), self.quorum.catch_up(reign)).await.map_err(late)?
    }

    fn not_active(&self) -> SubmitError {
        SubmitError::NotActive { leader: self.quorum.leader().map(|member| member.address) }
    }
}

impl Drafted {
    fn take(&mut self, asked: Asked, env: &Env<'_>) {
        let decision = decide(&self.image, &asked.command, env);
        if !decision.facts.is_empty() {
            decision.facts.iter().for_each(|fact| self.image.apply(env.index, fact));
            self.bytes += codec::encode_chunk(&decision.facts).len();
            self.origins.push(Origin { facts: decision.facts.len() as u32, ..asked.origin.clone() });
            self.facts.extend(decision.facts);
        }
        self.parked.push((asked, decision.reply));
    }
}

//! A controller as the doors see it: commands, the feed, sessions.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::Stream;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;

use super::active::{Active, Answer, Asked, Charter, SubmitError};
use super::feed::Subscriber;
use super::handle::{Progress, Quorum, Reign};
use super::image::Published;
use super::inquiries::{Inquiries, Silent};
use super::log::RaftLog;
use super::sessions::{Event, Session, Sessions, StreamId};
use super::types::{Member, RaftId};
use crate::base::World;
use crate::base::executor::Task;
use crate::base::ids::{ClusterId, MetadataIndex};
use crate::base::limits::{COMMANDS_QUEUE_MAX, SESSION_EVENTS_QUEUE_MAX};
use crate::controller::Command;
use crate::controller::liveness::Patience;
use crate::metadata::Image;
use crate::metadata::record::Origin;
use crate::rpc::controller as proto;

/// One controller of the quorum, active or not. Clones are the same one.
#[derive(Clone)]
pub struct Controller {
    cluster: ClusterId,
    quorum: Quorum,
    log: RaftLog,
    image: Published,
    patience: Patience,
    commands: mpsc::Sender<Asked>,
    events: mpsc::Sender<Event>,
    silent: Silent,
    streams: Arc<AtomicU64>,
}

/// What runs for a controller; dropping it stops that.
#[must_use = "a controller decides nothing without its tasks"]
pub struct ControllerTasks {
    _haste: Task,
    _sessions: Task,
    _active: Task,
}

impl Controller {
    /// Starts deciding and listening, on the quorum's log and image.
    pub fn start(
        world: &World,
        quorum: &Quorum,
        log: RaftLog,
        image: Published,
        charter: Charter,
        patience: Patience,
    ) -> (Self, ControllerTasks) {
        let (commands, asked) = mpsc::channel(COMMANDS_QUEUE_MAX);
        let (events, told) = mpsc::channel(SESSION_EVENTS_QUEUE_MAX);
        let (list, silent) = watch::channel(Vec::new());
        let controller = Self {
            cluster: charter.founding.cluster,
            quorum: quorum.clone(),
            log: log.clone(),
            image: image.clone(),
            patience,
            commands: commands.clone(),
            events,
            silent,
            streams: Arc::default(),
        };
        let active = Active {
            world: world.clone(),
            quorum: quorum.clone(),
            log,
            image: image.clone(),
            charter,
            commands: asked,
        };
        let sessions = Sessions {
            network: Arc::clone(&world.network),
            quorum: quorum.clone(),
            image,
            commands,
            events: told,
            inquiries: Inquiries::new(Arc::clone(&world.network), list),
            patience,
        };
        let tasks = ControllerTasks {
            _haste: quorum.hasten(world),
            _sessions: world.executor.spawn("controller.sessions", Box::pin(sessions.run())),
            _active: world.executor.spawn("controller.active", Box::pin(active.run())),
        };
        (controller, tasks)
    }

    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The newest image that is applied here.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    /// Every image that is applied here, as it comes.
    pub fn images(&self) -> Published {
        self.image.clone()
    }

    /// Whether the image here reaches up to the present reign: its controller is the one who leads.
    pub fn is_current(&self) -> bool {
        let active = self.image.borrow().cluster().controller.map(|controller| controller.node);
        active.is_some() && active == self.reign().leader.map(RaftId::node)
    }

    /// Waits until the image or the reign is another than `since`; false once neither will be.
    pub async fn changed(&self, since: (MetadataIndex, Reign)) -> bool {
        let mut image = self.image.clone();
        tokio::select! {
            biased;
            newer = image.wait_for(|image| image.applied() > since.0) => newer.is_ok(),
            alive = self.quorum.reign_changed(since.1) => alive,
        }
    }

    pub fn reign(&self) -> Reign {
        self.quorum.reign()
    }

    /// Who leads the quorum: whom to ask.
    pub fn leader(&self) -> Option<Member> {
        self.quorum.leader()
    }

    /// Has a command decided, and answers when what was decided is committed and applied here.
    pub async fn submit(&self, command: Command, origin: Origin) -> Result<Answer, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let stops = || SubmitError::NotActive { leader: None };
        let asked = Asked { command, origin, answer: Some(answer) };
        self.commands.send(asked).await.map_err(|_| stops())?;
        answered.await.unwrap_or_else(|_| Err(SubmitError::Unknown("this controller stops".to_owned())))
    }

    /// How the quorum stands, if this controller is the active one; the address of the one that is, if not.
    pub fn describe(&self) -> Result<proto::QuorumState, Option<String>> {
        let reign = self.reign();
        let (true, Some(leader)) = (self.quorum.rules(), reign.leader) else {
            return Err(self.leader().map(|leader| leader.address).filter(|_| !reign.is_ours));
        };
        let voter = |Progress { member, last, heard }| proto::VoterState {
            member: Some(proto::Member {
                node_id: member.node.0,
                directory_id: member.directory.0.0.to_vec().into(),
                address: member.address,
            }),
            last: last.map(|index| index.0),
            heard_ms_ago: heard.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        };
        Ok(proto::QuorumState {
            leader: leader.node().0,
            term: reign.term,
            committed: self.image.borrow().applied().0,
            voters: self.quorum.progress().into_iter().map(voter).collect(),
        })
    }

    /// The metadata log from this entry on.
    pub fn feed(&self, next: MetadataIndex) -> impl Stream<Item = io::Result<proto::FeedFrame>> + use<> {
        Subscriber::new(self.quorum.clone(), self.log.clone(), self.image.clone(), next).frames()
    }

    /// Serves one node's stream: counts what it says, and answers each message.
    pub fn session<Up>(&self, up: Up) -> impl Stream<Item = Result<proto::SessionDown, Status>> + use<Up>
    where
        Up: Stream<Item = Result<proto::SessionUp, Status>> + Unpin,
    {
        let session = Session {
            up,
            quorum: self.quorum.clone(),
            events: self.events.clone(),
            silent: self.silent.clone(),
            stream: StreamId(self.streams.fetch_add(1, Ordering::Relaxed)),
            session_timeout: self.patience.session_timeout,
            cluster: self.cluster,
            open: None,
        };
        session.answers()
    }
}

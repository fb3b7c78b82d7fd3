//! A node's part in the control plane: finds its cluster, and is a controller of it where it is one.

use std::io;
use std::sync::Arc;

use tokio::select;
use tracing::info;

use super::StartError;
use super::identity::{Identity, Stage};
use crate::base::World;
use crate::base::executor::Task;
use crate::base::ids::{ClusterId, DirectoryId, NodeId};
use crate::base::mutants::Mutant;
use crate::config::{NodeConfig, Origin, Seeds};
use crate::controller::liveness::Patience;
use crate::controller::{Defaults, Found as Founding};
use crate::metadata::configs::{CLUSTER_DURABILITY, MIN_INSYNC_REPLICAS, UNCLEAN_LEADER_ELECTION};
use crate::quorum::{
    Bootstrap, Charter, Controller, ControllerTasks, Floor, Found, Late, Machine, Member, Metadata, Newcomer, Quorum,
    RaftLog, Roster, Standing, Tuning, allocate_node_id,
};
use crate::telemetry::{Condition, Health};

/// The folder of the metadata store.
pub(super) const METADATA_FOLDER: &str = "metadata";
const HARD_STATE_FILE: &str = "hard_state";

/// What the doors of the peer port hand requests to, as far as it is there.
#[derive(Clone)]
pub(super) struct Doors {
    pub bootstrap: Bootstrap,
    pub quorum: Late<Quorum>,
    pub controller: Late<Controller>,
}

/// The running control plane of a controller.
pub(super) struct ControlPlane {
    pub quorum: Quorum,
    pub controller: Controller,
    _tasks: ControllerTasks,
    _watching: Task,
}

impl ControlPlane {
    /// Decides nothing more, then leaves the quorum.
    pub async fn stop(self) {
        let Self { quorum, controller, _tasks: tasks, _watching: watching } = self;
        drop((watching, tasks, controller));
        quorum.stop().await;
    }
}

/// What a start works on.
pub(super) struct Start<'a> {
    pub world: &'a World,
    pub config: &'a NodeConfig,
    pub health: &'a Health,
    /// Where others find this node.
    pub peer_address: &'a str,
}

impl Start<'_> {
    /// The doors of a node that knows this about itself.
    pub fn doors(&self, known: Option<&Identity>) -> Doors {
        let directory = known.map_or_else(|| DirectoryId(self.world.entropy.uuid()), |known| known.directory);
        let seeds = match &self.config.seeds {
            Seeds::Peers(seeds) => seeds.iter().map(ToString::to_string).collect(),
            Seeds::Alone | Seeds::Any => Vec::new(),
        };
        let me = Newcomer { directory, node: self.config.node_id, seeds, is_controller: self.config.roles.controller };
        let standing = match known {
            None => Standing::Empty,
            Some(Identity { stage: Stage::Founding, roster, .. }) => {
                Standing::Founding { plan: roster.clone(), is_listening: false }
            }
            Some(Identity { stage: Stage::Formatted, roster, .. }) => Standing::Member(roster.clone()),
        };
        let (disk, data_dir) = (Arc::clone(&self.world.disk), self.config.data_dir.clone());
        let keep = move |plan: &Roster| founding(plan, directory)?.write(&*disk, &data_dir);
        let bootstrap = Bootstrap::new(me, standing, Box::new(keep));
        Doors { bootstrap, quorum: Late::default(), controller: Late::default() }
    }

    /// Finds the cluster of a node that has none. May take as long as it takes its seeds to be there.
    pub async fn find_cluster(&self, bootstrap: &Bootstrap) -> Result<Identity, StartError> {
        let directory = bootstrap.directory();
        let failed = |cause| StartError::DataDirectory { path: self.config.data_dir.clone(), cause };
        let found = match &self.config.seeds {
            Seeds::Alone if self.config.roles.controller => {
                let plan = self.alone(directory);
                bootstrap.follow(&plan).map_err(failed)?;
                Found::Plan(plan)
            }
            Seeds::Alone | Seeds::Any => return Err(StartError::NoSeeds),
            Seeds::Peers(_) => bootstrap.find(self.world).await.map_err(failed)?,
        };
        match found {
            Found::Plan(plan) => {
                let (cluster, controllers) = (plan.cluster, plan.controllers.len());
                info!(event = "cluster.founding", %cluster, controllers, "a cluster is being founded");
                founding(&plan, directory).map_err(failed)
            }
            Found::Cluster { roster, place } => {
                let node = match self.config.node_id.or(place) {
                    Some(node) => node,
                    None => allocate_node_id(self.world, &roster, directory).await,
                };
                let directory = match roster.controllers.iter().find(|known| known.node == node) {
                    Some(before) if Mutant::WipedVoterVotes.lives() => before.directory,
                    _ => directory,
                };
                info!(event = "cluster.joined", cluster = %roster.cluster, %node, "the node belongs to a cluster");
                let identity = Identity { stage: Stage::Formatted, node, directory, roster };
                identity.write(&*self.world.disk, &self.config.data_dir).map_err(failed)?;
                bootstrap.is_member(identity.roster.clone());
                Ok(identity)
            }
        }
    }

    /// The plan of a node that founds a cluster of one.
    fn alone(&self, directory: DirectoryId) -> Roster {
        let node = self.config.node_id.unwrap_or(NodeId(1));
        let me = Member { node, directory, address: self.peer_address.to_owned() };
        Roster { cluster: ClusterId(self.world.entropy.uuid()), controllers: vec![me] }
    }

    /// Starts a controller, and waits until it knows who reigns and has the metadata of that reign.
    pub async fn controller(&self, identity: &mut Identity, doors: &Doors) -> Result<ControlPlane, StartError> {
        let folder = self.config.data_dir.join(METADATA_FOLDER);
        let failed = |cause| StartError::Metadata { path: folder.clone(), cause };
        let store = self.world.stores.open(&folder).map_err(failed)?;
        let floor = Floor::open(&*self.world.disk, &folder.join(HARD_STATE_FILE)).map_err(failed)?;
        let log = RaftLog::open(Arc::clone(&store), self.world.executor.worker("raft-log"), floor).map_err(failed)?;
        let (metadata, image) = Metadata::new();
        let machine = Machine::new(store, self.world.executor.worker("raft-state"), metadata);
        let myself =
            Member { node: identity.node, directory: identity.directory, address: self.peer_address.to_owned() };
        let quorum = Quorum::start(self.world, myself, log.clone(), machine, Tuning::default()).await?;
        let charter = self.charter(identity);
        let (controller, tasks) = Controller::start(self.world, &quorum, log, image, charter, self.patience());
        doors.quorum.bring(quorum.clone());
        doors.controller.bring(controller.clone());
        doors.bootstrap.is_listening();
        let watching = Box::pin(watch(controller.clone(), self.health.clone()));
        let watching = self.world.executor.spawn("node.health", watching);
        let plane = ControlPlane { quorum, controller, _tasks: tasks, _watching: watching };
        self.begin(identity, doors, &plane).await?;
        Ok(plane)
    }

    /// Founds Raft if that falls to this node, and waits until there is a reign.
    async fn begin(&self, identity: &mut Identity, doors: &Doors, plane: &ControlPlane) -> Result<(), StartError> {
        let roster = &identity.roster;
        let is_founder = identity.stage == Stage::Founding && roster.begins_in(identity.directory);
        if is_founder && !plane.quorum.is_founded().await? {
            doors.bootstrap.prepare(self.world, roster).await;
            plane.quorum.found(roster.controllers.clone()).await?;
        }
        plane.quorum.stand_if_alone().await;
        select! {
            biased;
            why = plane.quorum.ended() => return Err(StartError::Ended { why }),
            () = current(&plane.controller) => {}
        }
        let ours = plane.controller.image().cluster().id;
        if ours != Some(roster.cluster) {
            return Err(StartError::OtherCluster { ours: roster.cluster, found: ours.unwrap_or_default() });
        }
        if identity.stage == Stage::Founding {
            identity.stage = Stage::Formatted;
            let failed = |cause| StartError::DataDirectory { path: self.config.data_dir.clone(), cause };
            identity.write(&*self.world.disk, &self.config.data_dir).map_err(failed)?;
        }
        doors.bootstrap.is_member(identity.roster.clone());
        Ok(())
    }

    fn charter(&self, identity: &Identity) -> Charter {
        let settings = &self.config.settings;
        let roster = &identity.roster;
        let founders = roster.controllers.iter().map(|member| (member.node, member.directory)).collect();
        let set = |key: &&str| *settings.origin(key) != Origin::Default;
        let configs = [MIN_INSYNC_REPLICAS, UNCLEAN_LEADER_ELECTION, CLUSTER_DURABILITY].into_iter().filter(set);
        let value = |key: &str| settings.setting(key).map(|setting| (key.to_owned(), setting.value.to_string()));
        let whole = |key| usize::try_from(settings.number(key)).expect("the table says that it is at least 1");
        Charter {
            node: identity.node,
            founding: Founding { cluster: roster.cluster, founders, configs: configs.filter_map(value).collect() },
            defaults: Defaults {
                partitions: whole("num.partitions"),
                replication_factor: whole("default.replication.factor"),
            },
            settings: settings.clone(),
        }
    }

    fn patience(&self) -> Patience {
        let session_ms = self.config.settings.number("broker.session.timeout.ms");
        let session_ms = u64::try_from(session_ms).expect("the table says that it is at least 1");
        Patience { session_timeout: std::time::Duration::from_millis(session_ms), ..Patience::default() }
    }
}

/// A founder as its plan makes it.
fn founding(plan: &Roster, directory: DirectoryId) -> io::Result<Identity> {
    let stranger = || io::Error::other("the plan has no place for this directory");
    let node = plan.in_directory(directory).ok_or_else(stranger)?.node;
    Ok(Identity { stage: Stage::Founding, node, directory, roster: plan.clone() })
}

/// Waits until a controller has the metadata of the present reign.
async fn current(controller: &Controller) {
    loop {
        let seen = (controller.image().applied(), controller.reign());
        if controller.is_current() {
            return;
        }
        if !controller.changed(seen).await {
            return std::future::pending().await; // Raft has ended, which is told elsewhere
        }
    }
}

/// Keeps the conditions of the control plane up to date.
async fn watch(controller: Controller, health: Health) {
    loop {
        let seen = (controller.image().applied(), controller.reign());
        health.set(Condition::QuorumLeader, seen.1.leader.is_some());
        health.set(Condition::Metadata, controller.is_current());
        if !controller.changed(seen).await {
            health.set(Condition::QuorumLeader, false);
            return;
        }
    }
}

//! The cluster as a client sees it, and questions that any broker answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::view::{Leader, TopicPartition, TopicView, View};
use super::{ClientError, Connection, Seams};
use crate::base::ids::{LeaderEpoch, NodeId, Uuid};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::{Request, Text};

/// How long a broker may take to be connected to. One that hangs must not keep us from asking the next.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a broker may take to say what it has in memory.
pub(super) const ASK_PATIENCE: Duration = Duration::from_millis(1500);

/// A cluster; clones are the same one. Making it does nothing yet: brokers are asked when something must be known.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    seams: Seams,
    bootstrap: Vec<String>,
    client_id: Text,
    view: Mutex<View>,
    /// The broker that is asked at present.
    oracle: tokio::sync::Mutex<Oracle>,
}

#[derive(Default)]
struct Oracle {
    connection: Option<Connection>,
    /// How many brokers have been given up so far: where to go on among the addresses.
    given_up: usize,
}

impl Cluster {
    /// `bootstrap` are addresses of any brokers of the cluster, each `host:port`.
    pub fn new(seams: Seams, bootstrap: Vec<String>, client_id: &str) -> Self {
        Self(Arc::new(Shared {
            seams,
            bootstrap,
            client_id: Text::from(client_id),
            view: Mutex::default(),
            oracle: tokio::sync::Mutex::default(),
        }))
    }

    pub(super) fn seams(&self) -> &Seams {
        &self.0.seams
    }

    /// Who leads the partition, as far as is known.
    pub fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.view().leader(partition)
    }

    /// A topic, as far as is known.
    pub fn topic(&self, name: &str) -> Option<TopicView> {
        self.view().topic(name).cloned()
    }

    /// The id of a topic; zero when it is not known, or the cluster has none.
    pub(super) fn topic_id(&self, name: &str) -> Uuid {
        self.view().topic(name).map_or(Uuid::ZERO, |topic| topic.id.0)
    }

    /// The brokers that are up, with their addresses, as far as is known.
    pub fn brokers(&self) -> BTreeMap<NodeId, String> {
        self.view().brokers().clone()
    }

    /// Asks who leads these topics now.
    pub async fn refresh(&self, topics: &[Text]) -> Result<(), ClientError> {
        let named = |name: &Text| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(topics.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let answer = self.ask(&request, ASK_PATIENCE).await?;
        if answer.error_code.is_error() {
            return Err(ClientError::refused("Metadata", answer.error_code, None));
        }
        self.view().learn(&answer);
        Ok(())
    }

    /// Takes a leader that a refusal named; -1 stands for none.
    pub(super) fn hint(&self, partition: &TopicPartition, node: i32, epoch: i32, endpoint: Option<(&str, i32)>) {
        if node >= 0 {
            let leader = Leader { node: NodeId(node), epoch: LeaderEpoch(epoch) };
            self.view().hint(partition, leader, endpoint);
        }
    }

    /// A new connection to a broker.
    pub async fn dial(&self, node: NodeId) -> Result<Connection, ClientError> {
        let address = self.view().brokers().get(&node).cloned().ok_or(ClientError::NoAddress)?;
        self.connect(&address).await
    }

    /// Asks one broker after the other until one answers.
    pub async fn ask<R: Request>(&self, request: &R, patience: Duration) -> Result<R::Response, ClientError> {
        let mut last = ClientError::NoAddress;
        for _ in 0..self.addresses().len() {
            let asked = match self.oracle().await {
                Ok(connection) => match connection.call(request, patience).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (Some(connection), error),
                },
                Err(error) => (None, error),
            };
            let (connection, error) = asked;
            self.give_up(connection).await;
            last = error;
        }
        Err(last)
    }

    /// The connection questions go over. Whoever comes while it is being made waits for it.
    async fn oracle(&self) -> Result<Connection, ClientError> {
        let mut oracle = self.0.oracle.lock().await;
        if let Some(connection) = oracle.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let addresses = self.addresses();
        let address = addresses.get(oracle.given_up % addresses.len().max(1)).ok_or(ClientError::NoAddress)?;
        let connection = self.connect(address).await?;
        oracle.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Goes on to the next broker, unless somebody else has done so already.
    async fn give_up(&self, failed: Option<Connection>) {
        let mut oracle = self.0.oracle.lock().await;
        let is_current = match (&oracle.connection, &failed) {
            (Some(current), Some(failed)) => current.is(failed),
            (None, _) => true,
            (Some(current), None) => !current.is_open(),
        };
        if is_current {
            *oracle = Oracle { connection: None, given_up: oracle.given_up + 1 };
        }
    }

    async fn connect(&self, address: &str) -> Result<Connection, ClientError> {
        Connection::open(&self.0.seams, address, &self.0.client_id, CONNECT_PATIENCE).await
    }

    /// Where brokers may be: those that were up at last, then those we were given.
    fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.view().brokers().values().cloned().collect();
        let more = self.0.bootstrap.iter().filter(|address| !addresses.contains(address)).cloned().collect::<Vec<_>>();
        addresses.extend(more);
        addresses
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

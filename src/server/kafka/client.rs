//! Who asks, and one request of theirs on its way through the house.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::declined::Declined;
use super::door::Door;
use super::hangup::Hangup;
use super::values::Values;
use crate::base::ids::NodeId;
use crate::base::limits::KAFKA_COMMAND_PATIENCE_MS_MAX;
use crate::controller::{Command, Reply};
use crate::metadata::Image;
use crate::metadata::nodes::{Node, Nodes};
use crate::metadata::record::Origin;
use crate::wire::{Frame, Message, RequestHeader, Text, Writer};

/// One client's connection, as handlers see it.
pub struct Client {
    pub door: Arc<Door>,
    /// The address of ours that was dialled.
    dialled: SocketAddr,
    writer: RefCell<Writer>,
}

/// A request: who asks, and what its header says.
pub struct Asked {
    pub client: Rc<Client>,
    pub header: RequestHeader,
}

/// Where a broker is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub node: NodeId,
    pub host: Text,
    pub port: i32,
    pub rack: Option<Text>,
}

impl Client {
    pub fn new(door: Arc<Door>, dialled: SocketAddr) -> Self {
        Self { door, dialled, writer: RefCell::default() }
    }
}

impl Asked {
    pub fn door(&self) -> &Door {
        &self.client.door
    }

    pub fn version(&self) -> i16 {
        self.header.version
    }

    pub fn image(&self) -> Arc<Image> {
        self.door().broker.image()
    }

    pub fn encode<M: Message>(&self, response: &M) -> Result<Frame, Hangup> {
        Ok(Frame::response(&mut self.client.writer.borrow_mut(), &self.header, response)?)
    }

    /// Where configuration is looked up.
    pub fn values<'a>(&'a self, image: &'a Image) -> Values<'a> {
        Values { image, settings: self.door().broker.settings(), node: self.door().broker.node() }
    }

    /// Has a command decided by the active controller, waiting for one as long as the client wants to.
    pub async fn submit(&self, command: &Command, timeout_ms: i32) -> Result<Reply, Declined> {
        let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0).min(KAFKA_COMMAND_PATIENCE_MS_MAX));
        Ok(self.door().broker.submit(command, &self.origin(), patience).await?)
    }

    /// How the controller writes down who asked.
    fn origin(&self) -> Origin {
        Origin {
            principal: "User:ANONYMOUS".to_owned(),
            api: self.header.api.name().to_owned(),
            client_id: self.header.client_id.as_deref().unwrap_or_default().to_owned(),
            facts: 0,
        }
    }

    /// Where this client reaches a broker.
    pub fn endpoint(&self, node: &Node) -> Option<Endpoint> {
        let is_known_better = self.door().is_guessed && node.id == self.door().broker.node();
        endpoint(node, &self.door().listener, is_known_better.then_some(self.client.dialled))
    }

    /// The node that clients should send what is for the controller to: the active one where clients can reach it, or
    /// else this one. Any broker passes it on.
    pub fn controller(&self, image: &Image, brokers: &[Endpoint]) -> i32 {
        let active = image.cluster().controller.map(|active| active.node);
        let candidates = [active, Some(self.door().broker.node()), brokers.first().map(|broker| broker.node)];
        let is_reachable = |node: &NodeId| brokers.iter().any(|broker| broker.node == *node);
        candidates.into_iter().flatten().find(is_reachable).map_or(-1, |node| node.0)
    }

    /// The brokers that can be talked to, by id, and those that could a moment ago.
    pub fn endpoints(&self, nodes: &Nodes) -> Vec<Endpoint> {
        let open = nodes.iter().filter(|node| node.is_broker() && self.door().broker.tells_of(node));
        open.filter_map(|node| self.endpoint(node)).collect()
    }
}

/// Where a broker is reached: at what it has registered for the listener, or at an address that is known to work.
fn endpoint(node: &Node, listener: &str, dialled: Option<SocketAddr>) -> Option<Endpoint> {
    let registered = node.listener(listener)?;
    let (host, port) = match dialled {
        Some(dialled) => (dialled.ip().to_canonical().to_string().into(), dialled.port()),
        None => (Text::from(registered.host.as_str()), registered.port),
    };
    let rack = node.registration.rack.as_deref().map(Text::from);
    Some(Endpoint { node: node.id, host, port: port.into(), rack })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::kafka::api::stories;

    #[test]
    fn a_broker_is_told_by_what_it_registered_unless_it_is_known_better() {
        let image = stories::image();
        let told = |node, listener, dialled: Option<&str>| {
            let dialled = dialled.map(|address| address.parse().unwrap());
            let endpoint = endpoint(image.nodes().get(NodeId(node))?, listener, dialled)?;
            Some(format!("{}:{}", endpoint.host, endpoint.port))
        };
        assert_eq!(told(2, "PLAINTEXT", None).as_deref(), Some("node-2:9092"));
        assert_eq!(told(1, "PLAINTEXT", Some("[::ffff:10.0.0.7]:19092")).as_deref(), Some("10.0.0.7:19092"));
        assert_eq!(told(2, "EXTERNAL", None), None);
    }
}

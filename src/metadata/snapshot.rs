//! A whole image in the form of the facts that make it: how it is stored, and how a node that is far behind gets it.
//!
//! Invariants: `rebuild(facts(image)) == image`, hash included, in the order the facts come.

use super::nodes::{Node, NodeState};
use super::record::Fact;
use super::{Image, configs::ConfigScope, topics::Topic};
use crate::base::ids::{BrokerEpoch, MetadataIndex, NodeId, PartitionIndex, ProducerId};

/// How many partitions one fact of a snapshot holds: some 50 kB.
const PARTITIONS_PER_FACT: usize = 4096;

/// The facts that make this image from an empty one.
pub fn facts(image: &Image) -> impl Iterator<Item = Fact> + '_ {
    cluster(image)
        .chain(image.nodes().ids().map(|(node, directory)| Fact::NodeIdAllocated { node, directory }))
        .chain(image.nodes().iter().flat_map(node))
        .chain(image.topics().iter().flat_map(topic))
        .chain(image.configs().scopes().flat_map(|scope| configs(image, scope)))
}

/// The image that these facts make, as of this place in the log.
///
/// # Panics
/// When they do not come from [`facts`].
pub fn rebuild(applied: MetadataIndex, facts: impl IntoIterator<Item = Fact>) -> Image {
    let mut image = Image { applied, ..Image::default() };
    for fact in facts {
        image.apply(applied, &fact);
    }
    image
}

fn cluster(image: &Image) -> impl Iterator<Item = Fact> {
    let cluster = image.cluster();
    let level = cluster.feature_level;
    let next = cluster.next_producer_id;
    let founded = cluster.id.map(|cluster| Fact::ClusterFounded { cluster });
    let levelled = (level != Default::default()).then_some(Fact::FeatureLevelSet { level });
    let activated =
        cluster.controller.map(|it| Fact::ControllerActivated { node: it.node, epoch: it.epoch, reign: it.reign });
    // Who got the last producer ids is history, not state.
    let (node, epoch) = (NodeId(0), BrokerEpoch(0));
    let producers = (next != ProducerId(0)).then_some(Fact::ProducerIdsAllocated { node, epoch, next });
    [founded, levelled, activated, producers].into_iter().flatten()
}

fn node(it: &Node) -> impl Iterator<Item = Fact> {
    let (node, epoch) = (it.id, it.epoch);
    let registered = Fact::NodeRegistered { node, epoch, registration: Box::new(it.registration.clone()) };
    let unfenced = (!it.is_fenced()).then_some(Fact::NodeUnfenced { node, epoch });
    let leaving = (it.state == NodeState::ShuttingDown).then_some(Fact::NodeShuttingDown { node, epoch });
    let draining = it.draining.then_some(Fact::NodeDraining { node, draining: true });
    [Some(registered), unfenced, leaving, draining].into_iter().flatten()
}

fn topic(it: &Topic) -> impl Iterator<Item = Fact> + '_ {
    let topic = it.id;
    let created = Fact::TopicCreated { topic, name: it.name.to_string() };
    let mut partitions = it.partitions().peekable();
    std::iter::once(created).chain(std::iter::from_fn(move || {
        let first: PartitionIndex = partitions.peek()?.0;
        let partitions = partitions.by_ref().take(PARTITIONS_PER_FACT).map(|(_, partition)| partition.clone());
        Some(Fact::PartitionsCreated { topic, first, partitions: partitions.collect() })
    }))
}

fn configs(image: &Image, scope: ConfigScope) -> impl Iterator<Item = Fact> + '_ {
    let set = image.configs().of(&scope);
    set.map(move |(key, value)| Fact::ConfigSet { scope: scope.clone(), key: key.to_owned(), value: value.to_owned() })
}

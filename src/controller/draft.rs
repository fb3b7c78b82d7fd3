//! A decision in the making: facts so far, and the image as it would be with them.

use super::{Env, Refusal, Refused};
use crate::base::ids::{BrokerEpoch, NodeId, TopicId, Uuid};
use crate::metadata::nodes::Node;
use crate::metadata::record::PartitionChange;
use crate::metadata::{Fact, Image};
use std::collections::BTreeMap;

pub(super) struct Draft<'a> {
    pub env: &'a Env<'a>,
    image: Image,
    facts: Vec<Fact>,
    /// How many ids have been drawn from the seed.
    drawn: u64,
}

impl<'a> Draft<'a> {
    pub fn new(image: &Image, env: &'a Env<'a>) -> Self {
        Self { env, image: image.clone(), facts: Vec::new(), drawn: 0 }
    }

    /// The image with all facts so far.
    pub fn image(&self) -> &Image {
        &self.image
    }

    pub fn record(&mut self, fact: Fact) {
        self.image.apply(self.env.index, &fact);
        self.facts.push(fact);
    }

    /// Records changes of partitions, one fact for each topic.
    pub fn record_changes(&mut self, changes: Changes) {
        for (topic, changes) in changes.0 {
            self.record(Fact::PartitionsChanged { topic, changes });
        }
    }

    /// Forgets the facts: a request that only wants to know what would happen.
    pub fn discard(&mut self) {
        self.facts.clear();
    }

    pub fn into_facts(self) -> Vec<Fact> {
        self.facts
    }

    /// The node, if this is its present registration.
    pub fn node(&self, node: NodeId, epoch: BrokerEpoch) -> Result<&Node, Refused> {
        let known = self.registered(node)?;
        if known.epoch == epoch {
            return Ok(known);
        }
        let newest = known.epoch;
        Err(Refusal::StaleBrokerEpoch.because(format!("node {node} is registered with epoch {newest}, not {epoch}")))
    }

    pub fn registered(&self, node: NodeId) -> Result<&Node, Refused> {
        let unknown = || Refusal::BrokerIdNotRegistered.because(format!("node {node} is not registered"));
        self.image.nodes().get(node).ok_or_else(unknown)
    }

    /// A topic id that nobody has, in the form of a version 4 UUID as Kafka's own are.
    pub fn draw_topic_id(&mut self) -> TopicId {
        loop {
            self.drawn += 1;
            let high = mix((self.env.seed >> 64) as u64, self.drawn);
            let low = mix(self.env.seed as u64, self.drawn);
            let mut bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = TopicId(Uuid(bytes));
            // A leading dash would read as an option on a command line.
            if !id.to_string().starts_with('-') && self.image.topics().get(id).is_none() {
                return id;
            }
        }
    }
}

/// The `count`-th number of the splitmix64 sequence that starts at `seed`.
fn mix(seed: u64, count: u64) -> u64 {
    let mut z = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Changes of partitions, gathered topic by topic.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<TopicId, Vec<PartitionChange>>);

impl Changes {
    pub fn add(&mut self, topic: TopicId, change: PartitionChange) {
        self.0.entry(topic).or_default().push(change);
    }
}

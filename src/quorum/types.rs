//! What Raft is made of here: ids, members and entries, as openraft wants them declared.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_adv;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;

use crate::base::ids::{DirectoryId, NodeId};

openraft::declare_raft_types!(
    /// Our choices among openraft's. Leader ids of the `adv` kind: two survivors that stand for election in the same
    /// term do not split the vote, the greater id wins. The runtime draws its randomness from a seed, always.
    pub Types:
        D = Facts,
        R = (),
        NodeId = RaftId,
        Node = Member,
        Term = u64,
        LeaderId = leader_id_adv::LeaderId<u64, RaftId>,
        AsyncRuntime = Runtime,
);

/// tokio, with openraft's random choices made from a seed.
pub(super) type Runtime = DeterministicRng<TokioRuntime>;

pub(super) type Raft = openraft::Raft<Types, super::Machine>;

/// A voter or learner: a node on one disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RaftId(pub u64);

impl RaftId {
    /// The same node on another disk is another voter: the old one's promises were on the disk that is gone.
    pub fn of(node: NodeId, directory: DirectoryId) -> Self {
        let bits = u128::from_be_bytes(directory.0.0);
        let folded = (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32;
        Self(u64::from(node.0.cast_unsigned()) << 32 | u64::from(folded))
    }

    pub fn node(self) -> NodeId {
        NodeId(((self.0 >> 32) as u32).cast_signed())
    }
}

impl From<u64> for RaftId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:08x}", self.node(), self.0 as u32)
    }
}

impl fmt::Debug for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a member is found, and what makes it the one it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Member {
    pub node: NodeId,
    pub directory: DirectoryId,
    /// `host:port` of its peer listener.
    pub address: String,
}

impl Member {
    pub fn raft_id(&self) -> RaftId {
        RaftId::of(self.node, self.directory)
    }
}

/// The members of a new quorum, by their Raft ids.
pub(super) fn founders(members: impl IntoIterator<Item = Member>) -> BTreeMap<RaftId, Member> {
    members.into_iter().map(|member| (member.raft_id(), member)).collect()
}

/// One batch of facts, encoded: what the quorum agrees on, without knowing what it says.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Facts(pub Bytes);

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of facts", self.0.len())
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Uuid;

    #[test]
    fn a_wiped_disk_is_another_voter_of_the_same_node() {
        let before = RaftId::of(NodeId(7), DirectoryId(Uuid([1; 16])));
        let mut other = [1; 16];
        other[9] = 2;
        let after = RaftId::of(NodeId(7), DirectoryId(Uuid(other)));
        assert_ne!(before, after);
        assert_eq!((before.node(), after.node()), (NodeId(7), NodeId(7)));
    }
}

//! Producer ids: given to brokers in blocks, never twice.

use super::Refused;
use super::draft::Draft;
use crate::base::ids::{BrokerEpoch, NodeId, ProducerId};
use crate::metadata::Fact;

/// How many ids a broker gets at once; Kafka's number. What it does not use before it stops is lost.
const BLOCK_LEN: i64 = 1000;

/// Ids that are now the broker's own: `len` of them, from `first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub len: i64,
}

pub(super) fn allocate(draft: &mut Draft<'_>, node: NodeId, epoch: BrokerEpoch) -> Result<ProducerIdBlock, Refused> {
    draft.node(node, epoch)?;
    let first = draft.image().cluster().next_producer_id;
    let next = ProducerId(first.0 + BLOCK_LEN);
    draft.record(Fact::ProducerIdsAllocated { node, epoch, next });
    Ok(ProducerIdBlock { first, len: BLOCK_LEN })
}

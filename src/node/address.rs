//! Where others find this node, when it listens at every address of its machine and nobody has said.
//!
//! Invariants: what is told once stays so, whatever is found out later: the other controllers have written it down.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::identity::Identity;
use crate::base::World;
use crate::base::limits::SEED_ANSWER_MS_MAX;
use crate::config::listener::Address;
use crate::config::{NodeConfig, Seeds};

/// The address of this node's peer port, as other nodes are told it.
pub(super) async fn of_peer_port(world: &World, config: &NodeConfig, known: Option<&Identity>, port: u16) -> String {
    if let Some(set) = &config.peer_advertised {
        return set.to_string();
    }
    let told = known.and_then(|known| known.roster.in_directory(known.directory));
    if let Some(told) = told.filter(|_| config.peer_listen.port != 0) {
        return told.address.clone();
    }
    let at = |host: &str| Address { host: host.to_owned(), port }.to_string();
    if !config.peer_listen.is_wildcard() {
        return at(&config.peer_listen.host);
    }
    let seeds = match &config.seeds {
        Seeds::Peers(seeds) => seeds.as_slice(),
        Seeds::Alone | Seeds::Any => &[],
    };
    let seen = Seen::from(world, seeds, port).await;
    let advertised = config.listeners.iter().find_map(|listener| listener.advertised.as_ref());
    match (seen, advertised) {
        (Seen { own_seed: Some(seed), .. }, _) => seed.to_string(),
        (_, Some(advertised)) => at(&advertised.host),
        (Seen { local: Some(local), .. }, None) => at(&local.to_string()),
        (Seen { own_seed: None, local: None }, None) => {
            if !seeds.is_empty() {
                warn!(
                    event = "node.peer_address_unknown",
                    "no seed can be reached: other nodes are told to find this one on their own machine; set \
                     dohle.peer.advertised"
                );
            }
            at(LOCALHOST)
        }
    }
}

const LOCALHOST: &str = "127.0.0.1";

/// What dialling the seeds has shown.
struct Seen<'a> {
    /// The seed that is this node: the one whose connection stays on the machine and leads to our port.
    own_seed: Option<&'a Address>,
    /// The address from which seeds are reached.
    local: Option<IpAddr>,
}

impl<'a> Seen<'a> {
    async fn from(world: &World, seeds: &'a [Address], port: u16) -> Self {
        let mut seen = Self { own_seed: None, local: None };
        for seed in seeds {
            let address = seed.to_string();
            let dialled = timeout(Duration::from_millis(SEED_ANSWER_MS_MAX), world.network.connect(&address)).await;
            let Ok(Ok(connection)) = dialled else { continue };
            let (Ok(local), Ok(remote)) = (connection.local_addr(), connection.peer_addr()) else { continue };
            seen.local.get_or_insert(local.ip());
            if seed.port == port && local.ip() == remote.ip() {
                seen.own_seed = Some(seed);
                return seen;
            }
        }
        seen
    }
}

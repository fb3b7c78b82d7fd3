//! The world a node lives in: the six seams, gathered.

use std::sync::Arc;

use super::clock::WallClock;
use super::disk::Disk;
use super::entropy::Entropy;
use super::executor::Executor;
use super::network::Network;
use super::store::Stores;

/// Everything outside that a node may touch. Built once, cloned freely, passed down; there is no global.
#[derive(Clone)]
pub struct World {
    pub network: Arc<dyn Network>,
    pub disk: Arc<dyn Disk>,
    pub stores: Arc<dyn Stores>,
    pub executor: Arc<dyn Executor>,
    pub clock: Arc<dyn WallClock>,
    pub entropy: Arc<dyn Entropy>,
}

//! What a node gets only once it has found its cluster, for doors that are open before that.

use std::sync::{Arc, OnceLock};

use tonic::Status;

/// A thing that comes later. Clones wait for the same one.
pub struct Late<T>(Arc<OnceLock<T>>);

impl<T> Late<T> {
    /// Brings it; a second one is not taken.
    pub fn bring(&self, thing: T) {
        let first = self.0.set(thing).is_ok();
        assert!(first, "a node finds its cluster once");
    }

    /// The thing, or the answer to whoever came too early.
    pub fn here(&self) -> Result<&T, Status> {
        self.0.get().ok_or_else(|| Status::unavailable("this node is no controller, or has not found its cluster yet"))
    }
}

impl<T> Default for Late<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Late<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Late<T> {
    fn from(thing: T) -> Self {
        Self(Arc::new(OnceLock::from(thing)))
    }
}

//! Connections between nodes: lanes on the one peer port, and gRPC over them.
//!
//! A connection to the peer port says in its first byte which lane it is ([`Lane`]); then HTTP/2 begins. The byte lets
//! the acceptor hand the socket to the right runtime before anything of it is parsed, and tell a stranger (a Kafka
//! client, a browser) in plain words where it has arrived.

mod channel;
mod inquiry;
mod lane;
mod serve;
mod tuning;

pub use channel::{Peer, PeerError, over};
pub use inquiry::{Inquiring, Inquiry};
pub use lane::Lane;
pub use serve::{Incoming, Served};

//! Fetching: the partitions that a reader wants, for one request or for a session of many (KIP-227).
//!
//! A session remembers what its reader wants, so that a request names only what has changed, and an answer too. Here it
//! is also what makes an idle reader cheap: whatever was looked at and had nothing is watched, and not looked at again
//! before it has news. So a request costs what has changed, however many partitions there are.
//!
//! ```text
//!   wanted ─► due ──look──► something ─► answered; still due
//!              ▲       └──► nothing ──► quiet, watched ─┐
//!              └──────── named again, or news ◄─────────┘
//! ```
//!
//! A request has its session to itself while it is answered: it takes it out of the cache, works on it on its own
//! connection's reactor without any lock, and puts it back. A request without a session makes one up and forgets it.
//!
//! Reading order: what a session knows, where sessions are kept between requests.

mod cache;
mod session;

pub use cache::{Sessions, Ticket};
pub use session::{Key, Look, Session, Terms};

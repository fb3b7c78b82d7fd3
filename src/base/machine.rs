//! The shape of everything that decides: a [`Machine`] judges a request against a state and answers with facts.
//!
//! ```text
//! request ─► decide(&state) ─► facts ─► a log that survives ─► apply(&mut state) ─► reply
//!                         └──► reply, held back until its facts are in the log
//! ```
//!
//! The controller's log is Raft's; a coordinator's is a partition of an internal topic. In both:
//! - only `apply` changes the state, and every node that reads the log applies the same facts in the same order;
//! - facts say what is now so. Ids, epochs and random choices are inside, so a newer program replays an older log to
//!   the same state, whatever it would decide today;
//! - `apply` cannot refuse. A fact that cannot be true is a bug or a broken disk, and stops the node at its position;
//! - a state is cheap to clone, so whoever decides ahead of its log does so on a draft and drops it when it was wrong.

/// A state that requests are judged against.
pub trait Machine {
    type Request;
    /// What the judge needs besides the state: time, chance, limits. Passed in, so that the same input gives the same
    /// decision.
    type Env<'a>;
    type Fact;
    type Reply;
    /// A place in the log.
    type Position;

    fn decide(&self, request: &Self::Request, env: &Self::Env<'_>) -> Decision<Self::Fact, Self::Reply>;

    /// Makes a fact so.
    ///
    /// # Panics
    /// When the fact cannot be true of this state; the message names the position.
    fn apply(&mut self, at: Self::Position, fact: &Self::Fact);
}

/// What was decided: what is to be written, and what to answer once it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision<Fact, Reply> {
    pub facts: Vec<Fact>,
    pub reply: Reply,
}

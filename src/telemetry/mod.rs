//! What a node says about itself: logs, and whether it is ready.
//!
//! Every log event from `info` up carries `event = "noun.verb"`, an id that stays the same when its sentence changes:
//! alerts and tests look for it.

mod health;
mod logging;

pub use health::{Condition, Health};
pub use logging::{LogFormat, LogLevel, start_logging};

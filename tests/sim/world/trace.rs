//! The event trace: what happened, when, on which machine. Two runs of a seed must write the same bytes.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

/// Where events go. Clones write to the same trace, each in its own name.
#[derive(Clone, Default)]
pub struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
    who: String,
}

impl Trace {
    /// The same trace, in the name of `who`.
    pub fn of(&self, who: &str) -> Self {
        Self { lines: Arc::clone(&self.lines), who: who.to_owned() }
    }

    pub fn event(&self, what: impl Display) {
        let at = turmoil::sim_elapsed().unwrap_or_default();
        self.at(at.as_micros(), what);
    }

    /// An event outside of the simulated hosts, where the time must be said.
    pub fn at(&self, micros: u128, what: impl Display) {
        let line = format!("{micros:>9} {:<7} {what}", self.who);
        self.lines.lock().expect("no event panics").push(line);
    }

    /// An event that belongs to nobody's turn, such as the end of a task whose process was killed. There is no
    /// simulated clock then to read: it stands where the event before it stood.
    pub fn between_turns(&self, what: impl Display) {
        let line = format!("{:>9} {:<7} {what}", "-", self.who);
        self.lines.lock().expect("no event panics").push(line);
    }

    /// The whole trace, as text.
    pub fn text(&self) -> String {
        let mut text = self.lines.lock().expect("no event panics").join("\n");
        text.push('\n');
        text
    }
}

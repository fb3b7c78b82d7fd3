//! What is wrong, or worth knowing, about a setting, and where it was made.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Where a value was set; a later kind beats an earlier one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    Default,
    File { name: Arc<str>, line: usize },
    Variable(String),
    Flag(String),
}

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A line that Kafka needs and we do not; nothing to do.
    Note,
    /// The node starts, but perhaps not as meant.
    Warning,
    /// The node does not start.
    Error,
}

/// One sentence about one place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    pub level: Level,
    pub origin: Origin,
    pub text: String,
}

impl Origin {
    /// Whether both are of one kind, so that neither beats the other.
    pub fn is_as_strong_as(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Problem {
    pub fn error(origin: Origin, text: impl Into<String>) -> Self {
        Self { level: Level::Error, origin, text: text.into() }
    }

    pub fn warning(origin: Origin, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, origin, text: text.into() }
    }

    pub fn note(origin: Origin, text: impl Into<String>) -> Self {
        Self { level: Level::Note, origin, text: text.into() }
    }
}

/// Puts problems in the order in which somebody who mends them meets them: a file from top to bottom first.
pub(super) fn sort(problems: &mut [Problem]) {
    problems.sort_by(|one, other| one.origin.cmp(&other.origin));
}

pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.level == Level::Error)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// As compilers write it, so that editors can jump to the line; an error needs no word for its level.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Note => "note: ",
            Level::Warning => "warning: ",
            Level::Error => "",
        };
        write!(f, "{}: {level}{}", self.origin, self.text)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! Where log events go: readable lines for people, one JSON object a line for programs.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text { colours: bool },
    Json,
}

/// The least important events that are still written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Writes the events of this process to standard error, from now on. Only the first call of a process counts.
pub fn start_logging(format: LogFormat, level: LogLevel) {
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match format {
        LogFormat::Text { colours } => lines.with_ansi(colours).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    // What our libraries say below `warn` is for their developers.
    let ours = registry().with(layer.with_filter(level.filter()).with_filter(libraries_only_warn(level)));
    // A second node in one process, as tests have it, keeps the first one's log.
    drop(tracing::subscriber::set_global_default(ours));
}

fn libraries_only_warn(level: LogLevel) -> tracing_subscriber::filter::Targets {
    tracing_subscriber::filter::Targets::new()
        .with_default(level.filter().min(LevelFilter::WARN))
        .with_target("dohle", level.filter())
        .with_target("openraft", level.filter().min(LevelFilter::ERROR))
}

//! What the code under test logs, as events of the trace: the plainest way to see why a run went wrong, and one more
//! thing that two runs of a seed must agree on. Errors, and panics, are kept apart: a human would have to look.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::trace::Trace;

/// Listens to everything that runs in this process, from now on.
pub fn listen(trace: &Trace) -> Alarms {
    let alarms = Alarms::default();
    let raised = alarms.clone();
    std::panic::set_hook(Box::new(move |panic| {
        // A second panic on the way out would end the process before anybody is told.
        let said = panic.to_string().replace('\n', " ");
        eprintln!("{said}");
        raised.raise("?", said);
    }));
    let logs = Logs { trace: trace.clone(), alarms: alarms.clone() };
    let only_ours = tracing_subscriber::filter::FilterFn::new(is_ours);
    let subscriber = tracing_subscriber::registry().with(logs.with_filter(only_ours));
    tracing::subscriber::set_global_default(subscriber).expect("a process runs one simulation");
    alarms
}

/// Our own events, and the span by which turmoil says whose turn it is.
fn is_ours(about: &Metadata<'_>) -> bool {
    if about.is_span() { about.name() == "node" } else { about.target().starts_with("dohle") }
}

/// What should never be said, and who said it.
#[derive(Clone, Default)]
pub struct Alarms(Arc<Mutex<Vec<(String, String)>>>);

impl Alarms {
    fn raise(&self, who: &str, what: String) {
        // A panic hook must not panic itself.
        if let Ok(mut raised) = self.0.lock() {
            raised.push((who.to_owned(), what));
        }
    }

    /// All since the last time.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().expect("no alarm panics"))
    }
}

struct Logs {
    trace: Trace,
    alarms: Alarms,
}

/// The name of the simulated host that a span belongs to.
struct Host(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logs {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut name = Line::default();
        attributes.record(&mut name);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Host(name.value));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let host = context.lookup_current().and_then(|span| span.extensions().get::<Host>().map(|host| host.0.clone()));
        let text = format!("{} {}{}", event.metadata().level(), line.value, line.rest);
        if *event.metadata().level() == Level::ERROR {
            self.alarms.raise(host.as_deref().unwrap_or_default(), text.clone());
        }
        match host {
            Some(host) => self.trace.of(&host).event(text),
            None => self.trace.between_turns(text),
        }
    }
}

/// The fields of an event: its message (or the only field of a span), then the others.
#[derive(Default)]
struct Line {
    value: String,
    rest: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" | "name" => write!(self.value, "{value:?}"),
            other => write!(self.rest, " {other}={value:?}"),
        };
        written.expect("a text takes everything");
    }
}

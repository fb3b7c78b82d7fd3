//! Rules about words: what no finished code says, what no test does, and what macros must be told.

use super::Report;
use super::law::Law;
use super::paths::Named;
use super::source::Source;

pub fn check(source: &Source<'_>, paths: &[Named], law: &Law, report: &mut Report) {
    check_unfinished(source, law, report);
    check_bounds(source, paths, law, report);
    check_tests(source, law, report);
    check_selects(source, report);
    check_events(source, report);
}

/// Marks of work that is not done; tests may panic as they like.
fn check_unfinished(source: &Source<'_>, law: &Law, report: &mut Report) {
    const BANNED: &[(&str, &str)] = &[
        (". unwrap ( )", "handle it, or `expect(\"why it cannot fail\")`"),
        ("todo !", "finish it or take it out"),
        ("unimplemented !", "finish it or take it out"),
        ("dbg !", "take it out"),
    ];
    for (pattern, fix) in BANNED {
        let word = pattern.replace(' ', "");
        for line in lines_of(source, pattern) {
            if !source.is_test(line) && !law.excuses(source.path, &word) {
                report.add(source.path, line, format!("`{word}` outside of tests"), *fix);
            }
        }
    }
    for (index, text) in source.text.lines().enumerate() {
        let mut words = text.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
        if let Some(mark) = words.find(|word| matches!(*word, "FIXME" | "XXX")).filter(|_| !source.is_test(index + 1)) {
            report.add(
                source.path,
                index + 1,
                format!("`{mark}` outside of tests"),
                "finish it, or say what is absent",
            );
        }
    }
}

/// A queue without a bound moves the end of memory to a place nobody looks at.
fn check_bounds(source: &Source<'_>, paths: &[Named], law: &Law, report: &mut Report) {
    const ENDLESS: &[&str] = &["unbounded", "unbounded_channel", "UnboundedSender", "UnboundedReceiver"];
    let words = (0..source.len()).filter(|token| ENDLESS.contains(&source.word(*token)));
    let std_channel = ["std", "sync", "mpsc", "channel"];
    let channels = paths.iter().filter(|named| named.path == std_channel).map(|named| named.token);
    for token in words.chain(channels) {
        if !law.excuses(source.path, "unbounded") {
            let fix = "bound it by a constant of `base/limits.rs`";
            report.add(source.path, source.line(token), "a queue that is unbounded", fix);
        }
    }
}

/// What makes a test lie: not running, passing by any panic, passing by luck of timing.
fn check_tests(source: &Source<'_>, law: &Law, report: &mut Report) {
    const BANNED: &[(&str, &str)] = &[
        ("# [ ignore", "run it or take it out"),
        ("# [ should_panic", "catch the panic and check its message"),
        ("sleep (", "wait for what is meant, or move the paused clock"),
    ];
    for (pattern, fix) in BANNED {
        let word = pattern.replace(' ', "");
        for line in lines_of(source, pattern) {
            if source.is_test(line) && !law.excuses(source.path, &word) {
                report.add(source.path, line, format!("`{word}` in a test"), *fix);
            }
        }
    }
}

/// Without `biased` the arms of a `select!` are polled in random order: two runs of one seed differ.
fn check_selects(source: &Source<'_>, report: &mut Report) {
    for token in source.find("select !") {
        if source.word(token + 3) != "biased" {
            let fix = "begin it with `biased;` and put the arms in the order that is meant";
            report.add(source.path, source.line(token), "a `select!` in random order", fix);
        }
    }
}

/// An operator greps for the event's id; its words may change, the id may not.
fn check_events(source: &Source<'_>, report: &mut Report) {
    for level in ["info", "warn", "error"] {
        for token in source.find(&format!("{level} ! (")) {
            let line = source.line(token);
            let end = source.close_of(token + 2);
            let is_event = |at: &usize| source.word(*at) == "event" && source.word(at + 1) == "=";
            let event = (token..end).find(is_event).and_then(|at| source.string(at + 2));
            if !source.path.starts_with("src/") || source.is_test(line) || event.is_some_and(is_event_id) {
                continue;
            }
            let fix = "add `event = \"<noun>.<verb>\"`, lower case";
            report.add(source.path, line, format!("`{level}!` without an event id"), fix);
        }
    }
}

fn is_event_id(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_')
    };
    text.contains('.') && text.split('.').all(is_part)
}

fn lines_of(source: &Source<'_>, pattern: &str) -> Vec<usize> {
    source.find(pattern).into_iter().map(|token| source.line(token)).collect()
}

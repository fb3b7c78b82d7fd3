//! What `dohle config list`, `explain` and `check` say, as text for people and as JSON for programs.

use serde::Serialize;

use super::key::{Key, Scope};
use super::load::{File, Resolved, unknown, variables};
use super::problem::{Level, Origin, Problem, has_errors};
use super::start::NodeConfig;
use super::{ignored, reason_to_ignore, table};

/// Which of the two ways to write an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}

/// What a command says, and whether it should fail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub output: String,
    pub has_errors: bool,
}

/// One row of `list`.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    r#type: String,
    default: String,
    scope: Scope,
    dynamic: bool,
    doc: &'static str,
}

/// One answer of `explain`.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    key: Listed,
    value: String,
    set_by: Origin,
    overrides: Vec<Overridden>,
    /// Why it has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka_default: Option<&'static str>,
    expected: String,
    aliases: &'static [&'static str],
    flag: Option<&'static str>,
    variables: Vec<String>,
    /// Server's keys that a topic's or group's key falls back to.
    falls_back_to: Vec<&'static str>,
    /// Topics' and groups' keys that fall back to a server's key.
    default_of: Vec<&'static str>,
}

#[derive(Serialize)]
struct Overridden {
    value: String,
    set_by: Origin,
}

/// The answer of `check`.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a str,
    errors: usize,
    warnings: usize,
    notes: usize,
    problems: &'a [Problem],
}

/// All keys that have an effect, or those of one scope.
pub fn list(scope: Option<Scope>, format: Format) -> Report {
    let has_effect = |key: &&Key| !table::unread().any(|unread| std::ptr::eq(unread, *key));
    let is_listed = |key: &&Key| scope.is_none_or(|scope| key.scope == scope) && has_effect(key);
    let mut keys: Vec<&Key> = table::all().filter(is_listed).collect();
    keys.sort_by_key(|key| (key.name, key.scope));
    let output = match format {
        Format::Json => json(&keys.into_iter().map(listed).collect::<Vec<_>>()),
        Format::Text => {
            let head = ["NAME", "TYPE", "SCOPE", "DYNAMIC", "DEFAULT"].map(str::to_owned).to_vec();
            let rows = keys.into_iter().map(|key| {
                let row = listed(key);
                let dynamic = if row.dynamic { "yes" } else { "no" };
                vec![row.name.to_owned(), row.r#type, row.scope.to_string(), dynamic.to_owned(), dash(row.default)]
            });
            columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        }
    };
    Report { output, has_errors: false }
}

/// Everything about one name: what it means, what it is set to and by whom.
pub fn explain(name: &str, settings: &Resolved, format: Format) -> Report {
    let server = table::server_key(name);
    let keys = [server, table::topic_key(name), table::group_key(name)].into_iter().flatten();
    let found: Vec<(Explained, &Key)> = keys.map(|key| (explained(key, name, settings), key)).collect();
    let output = match (found.is_empty(), format) {
        (true, _) => return unexplained(name),
        (false, Format::Json) => json(&found.iter().map(|(explained, _)| explained).collect::<Vec<_>>()),
        (false, Format::Text) => {
            found.iter().map(|(explained, key)| in_prose(explained, key)).collect::<Vec<_>>().join("\n")
        }
    };
    Report { output, has_errors: false }
}

/// What a start with this file, and nothing else, would complain about.
pub fn check(file: File<'_>, format: Format) -> Report {
    let (_, problems) = NodeConfig::load(Some(file), [], &[]);
    let count = |level| problems.iter().filter(|problem| problem.level == level).count();
    let (errors, warnings, notes) = (count(Level::Error), count(Level::Warning), count(Level::Note));
    let output = match format {
        Format::Json => json(&Checked { file: file.name, errors, warnings, notes, problems: &problems }),
        Format::Text => {
            let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            let verdict = if errors == 0 { "a node can start with it" } else { "no node starts with it" };
            let counts = [counted(errors, "error"), counted(warnings, "warning"), counted(notes, "note")].join(", ");
            format!("{lines}{}: {verdict} ({counts})\n", file.name)
        }
    };
    Report { output, has_errors: has_errors(&problems) }
}

fn listed(key: &Key) -> Listed {
    Listed {
        name: key.name,
        r#type: key.kind.to_string(),
        default: key.default().to_string(),
        scope: key.scope,
        dynamic: key.is_dynamic(),
        doc: key.doc,
    }
}

fn explained(key: &'static Key, name: &str, settings: &Resolved) -> Explained {
    let is_of_server = !matches!(key.scope, Scope::Topic | Scope::Group);
    let setting = settings.setting(name).or_else(|| settings.setting(key.name)).filter(|_| is_of_server);
    let (value, set_by) = match setting {
        Some(setting) => (setting.value.clone(), &setting.origin),
        None => settings.inherited(key),
    };
    let overridden = setting.map_or(&[][..], |setting| &setting.overridden);
    let overrides =
        overridden.iter().map(|(value, set_by)| Overridden { value: key.shown(value), set_by: set_by.clone() });
    let falls_back = |other: &&Key| is_of_server && other.synonyms.iter().any(|synonym| synonym.name == key.name);
    Explained {
        key: listed(key),
        value: key.shown(&value),
        set_by: set_by.clone(),
        overrides: overrides.collect(),
        ignored: reason_to_ignore(key.name),
        kafka_default: key.kafka_preset,
        expected: key.expects(),
        aliases: key.aliases,
        flag: key.flag,
        variables: if is_of_server { variables(key).to_vec() } else { Vec::new() },
        falls_back_to: key.synonyms.iter().map(|synonym| synonym.name).collect(),
        default_of: table::all().filter(falls_back).map(|other| other.name).collect(),
    }
}

fn in_prose(explained: &Explained, key: &Key) -> String {
    let in_words = |text: &str| {
        let words = key.parse(text).ok().and_then(|value| key.in_words(&value));
        words.map_or_else(|| dash(text.to_owned()), |words| format!("{text} ({words})"))
    };
    let set_by = |value: &str, origin: &Origin| match origin {
        Origin::Default => format!("{}, the default", in_words(value)),
        origin => format!("{}, set by {origin}", in_words(value)),
    };
    let mut facts = vec![("value", set_by(&explained.value, &explained.set_by))];
    facts.extend(explained.ignored.map(|reason| ("ignored", reason.to_owned())));
    facts.extend(explained.overrides.iter().map(|weaker| ("overrides", set_by(&weaker.value, &weaker.set_by))));
    facts.push(("default", in_words(&explained.key.default)));
    facts.extend(explained.kafka_default.map(|theirs| ("in Kafka", in_words(theirs))));
    facts.push(("expected", format!("{} ({})", explained.expected, explained.key.r#type)));
    let when = if explained.key.dynamic { "may change at run time" } else { "read at start" };
    facts.push(("scope", format!("{}: {when}", explained.key.scope)));
    let mut names: Vec<String> = explained.flag.map(str::to_owned).into_iter().collect();
    names.extend(explained.variables.iter().cloned());
    names.extend(explained.aliases.iter().map(|alias| (*alias).to_owned()));
    let also = [
        ("also", names.join(", ")),
        ("falls back", explained.falls_back_to.join(", ")),
        ("default of", explained.default_of.join(", ")),
    ];
    facts.extend(also.into_iter().filter(|(_, names)| !names.is_empty()));
    let rows: Vec<Vec<String>> = facts.into_iter().map(|(what, fact)| vec![format!("  {what}"), fact]).collect();
    format!("{}\n{}\n{}", explained.key.name, wrapped(explained.key.doc), columns(&rows))
}

fn unexplained(name: &str) -> Report {
    match ignored::key(name) {
        Some(row) => Report { output: format!("{name} is ignored: {}\n", row.reason), has_errors: false },
        None => Report { output: format!("{}\n", unknown(name)), has_errors: true },
    }
}

/// Rows with their columns aligned; the last one is as wide as it likes.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Prose in indented lines that fit a terminal.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 96;
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width + word.len() > WIDTH {
            lines.push('\n');
            width = 0;
        }
        let gap = if width == 0 { "  " } else { " " };
        lines.extend([gap, word]);
        width += gap.len() + word.len();
    }
    lines + "\n"
}

fn dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn json<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string_pretty(value).expect("reports are plain trees with text for keys");
    format!("{text}\n")
}

//! Settings from all sources, resolved: what counts, where it was set and what it beat.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ignored::{self, Ignored};
use super::key::{Key, Value};
use super::problem::{Origin, Problem, sort};
use super::{properties, table, toml};

/// A configuration file; its name tells the syntax (`.toml`, else Java's properties) and stands in messages.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// One key set once, by whatever source, not checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

/// What one key is set to.
#[derive(Clone, Debug)]
pub struct Setting {
    pub key: &'static Key,
    pub value: Value,
    pub origin: Origin,
    /// What weaker sources said, the strongest of them first.
    pub overridden: Vec<(Value, Origin)>,
}

/// Every server's key with its value.
#[derive(Clone, Debug)]
pub struct Resolved {
    settings: BTreeMap<String, Setting>,
}

/// Variables of our prefix that are no keys: the command line reads them.
const RESERVED: &[&str] = &["DOHLE_ADMIN"];

/// Resolves flag > environment > file > default. Among variables, ours beat Kafka's.
///
/// Values that cannot be read are reported and do not count, so the result is to be used only without errors.
pub fn load(
    file: Option<File<'_>>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Given],
) -> (Resolved, Vec<Problem>) {
    let mut loading = Loading { resolved: Resolved::default(), problems: Vec::new() };
    if let Some(file) = file {
        loading.file(file);
    }
    let mut variables: Vec<(String, String)> = environment.into_iter().collect();
    variables.sort();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("KAFKA_")) {
        loading.kafka_variable(name, value);
    }
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("DOHLE_")) {
        loading.dohle_variable(name, value);
    }
    for given in flags {
        loading.take(given.clone());
    }
    sort(&mut loading.problems);
    (loading.resolved, loading.problems)
}

/// Names of the two variables that set a key.
pub(super) fn variables(key: &Key) -> [String; 2] {
    let upper = |name: &str| name.replace('.', "_").to_uppercase();
    let short = key.name.strip_prefix("dohle.").unwrap_or(key.name);
    [format!("DOHLE_{}", upper(short)), format!("KAFKA_{}", upper(key.name))]
}

impl Given {
    /// What an option of `dohle server` says, such as `--node-id 3`.
    pub fn flag(flag: &str, value: &str) -> Self {
        let key = table::server().find(|key| key.flag == Some(flag)).expect("the command line asks for declared flags");
        Self { key: key.name.to_owned(), value: value.to_owned(), origin: Origin::Flag(flag.to_owned()) }
    }

    /// What `--set key=value` says.
    pub fn set(argument: &str) -> Result<Self, Problem> {
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| Problem::error(Origin::Flag(format!("--set {argument}")), "expected key=value"))?;
        let key = key.trim().to_owned();
        Ok(Self { value: value.to_owned(), origin: Origin::Flag(format!("--set {key}")), key })
    }
}

struct Loading {
    resolved: Resolved,
    problems: Vec<Problem>,
}

impl Loading {
    fn file(&mut self, file: File<'_>) {
        let is_toml = file.name.to_ascii_lowercase().ends_with(".toml");
        let (entries, malformed) = if is_toml { toml::parse(file.text) } else { properties::parse(file.text) };
        let name: Arc<str> = file.name.into();
        let at = |line| Origin::File { name: name.clone(), line };
        self.problems.extend(malformed.into_iter().map(|line| Problem::error(at(line.line), line.why)));
        for entry in entries {
            self.take(Given { key: entry.key, value: entry.value, origin: at(entry.line) });
        }
    }

    /// `KAFKA_` names are Kafka's image's: `_` is a dot, `__` an underscore, `___` a dash. Other programs set
    /// variables with this prefix too, so an unknown one is worth a warning only.
    fn kafka_variable(&mut self, name: &str, value: &str) {
        let origin = Origin::Variable(name.to_owned());
        if let Some(row) = ignored::variable(name) {
            return self.ignore(name, row, origin);
        }
        let key = name.strip_prefix("KAFKA_").unwrap_or(name);
        let key = key.strip_prefix("CFG_").unwrap_or(key).to_ascii_lowercase(); // as another well-known image has it
        let key = key.replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_");
        if table::server_key(&key).is_none() && ignored::key(&key).is_none() {
            return self.problems.push(Problem::warning(origin, unknown(&key)));
        }
        self.take(Given { key, value: value.to_owned(), origin });
    }

    /// `DOHLE_NODE_ID` is `node.id`, and `DOHLE_SEEDS` is `dohle.seeds`: nobody should have to write `DOHLE_DOHLE_`.
    fn dohle_variable(&mut self, name: &str, value: &str) {
        if RESERVED.contains(&name) {
            return;
        }
        let key = name.strip_prefix("DOHLE_").unwrap_or(name).to_ascii_lowercase().replace('_', ".");
        let ours = format!("dohle.{key}");
        let key = if table::server_key(&ours).is_some() { ours } else { key };
        self.take(Given { key, value: value.to_owned(), origin: Origin::Variable(name.to_owned()) });
    }

    /// One of the three outcomes: known, ignored, unknown.
    fn take(&mut self, given: Given) {
        let row = ignored::key(&given.key);
        if let Some(row) = row {
            self.ignore(&given.key, row, given.origin.clone());
        }
        if let Some(key) = table::server_key(&given.key) {
            self.set(key, given); // what is ignored too: whoever asks is told what was set
        } else if row.is_none() {
            self.problems.push(Problem::error(given.origin, unknown(&given.key)));
        }
    }

    fn set(&mut self, key: &'static Key, given: Given) {
        let value = match key.parse(&given.value) {
            Ok(value) => value,
            Err(bad) => return self.problems.push(Problem::error(given.origin, bad.to_string())),
        };
        let name = if key.aliases.contains(&given.key.as_str()) { key.name.to_owned() } else { given.key };
        let setting = self.resolved.settings.entry(name.clone()).or_insert_with(|| Setting::default_of(key));
        if setting.origin.is_as_strong_as(&given.origin) && setting.origin != Origin::Default {
            let text = format!("{name} is set at {} too; this one counts", setting.origin);
            self.problems.push(Problem::warning(given.origin.clone(), text));
        }
        setting.override_with(value, given.origin);
    }

    fn ignore(&mut self, name: &str, row: &Ignored, origin: Origin) {
        let text = format!("{name} is ignored: {}", row.reason);
        self.problems.push(if row.loud { Problem::warning(origin, text) } else { Problem::note(origin, text) });
    }
}

/// What to say about a key that no table has.
pub(super) fn unknown(name: &str) -> String {
    let of_topics = table::topic_key(name).and_then(|key| key.synonyms.first());
    match (of_topics, table::nearest(name)) {
        (Some(synonym), _) => format!("{name:?} is a key of topics: here it is {}", synonym.name),
        (None, Some(nearest)) => format!("unknown key {name:?}: did you mean {nearest}?"),
        (None, None) => format!("unknown key {name:?}; dohle config list shows all keys"),
    }
}

impl Setting {
    fn default_of(key: &'static Key) -> Self {
        Self { key, value: key.default(), origin: Origin::Default, overridden: Vec::new() }
    }

    fn override_with(&mut self, value: Value, origin: Origin) {
        let weaker = (std::mem::replace(&mut self.value, value), std::mem::replace(&mut self.origin, origin));
        if weaker.1 != Origin::Default {
            self.overridden.insert(0, weaker);
        }
    }
}

impl Default for Resolved {
    /// Nothing is set: every key has its default.
    fn default() -> Self {
        Self { settings: table::server().map(|key| (key.name.to_owned(), Setting::default_of(key))).collect() }
    }
}

impl Resolved {
    /// Every setting by name, those of single listeners (`listener.name.…`) too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// A setting by its full name; nothing when no table has the name, or no source the listener's own value.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    pub fn origin(&self, name: &str) -> &Origin {
        &self.declared(name).origin
    }

    pub fn boolean(&self, name: &str) -> bool {
        let Value::Boolean(is) = self.declared(name).value else { panic!("{name} is no boolean") };
        is
    }

    /// A short, int or long that has a default.
    pub fn number(&self, name: &str) -> i64 {
        self.optional_number(name).unwrap_or_else(|| panic!("{name} has no default"))
    }

    pub fn optional_number(&self, name: &str) -> Option<i64> {
        match self.declared(name).value {
            Value::Unset => None,
            Value::Whole(number) => Some(number),
            _ => panic!("{name} is no whole number"),
        }
    }

    pub fn double(&self, name: &str) -> f64 {
        let Value::Double(number) = self.declared(name).value else { panic!("{name} is no double") };
        number
    }

    /// Text that has a default.
    pub fn text(&self, name: &str) -> &str {
        self.optional_text(name).unwrap_or_else(|| panic!("{name} has no default"))
    }

    pub fn optional_text(&self, name: &str) -> Option<&str> {
        match &self.declared(name).value {
            Value::Unset => None,
            Value::Text(text) => Some(text),
            _ => panic!("{name} is no text"),
        }
    }

    pub fn list(&self, name: &str) -> &[String] {
        let Value::List(elements) = &self.declared(name).value else { panic!("{name} is no list") };
        elements
    }

    /// What a topic or group without a value of its own gets, and where that was set.
    pub fn inherited(&self, key: &Key) -> (Value, &Origin) {
        let set = key.synonyms.iter().find_map(|synonym| {
            let setting = self.declared(synonym.name);
            let counts = setting.origin != Origin::Default && setting.value != Value::Unset;
            counts.then(|| (scaled(&setting.value, synonym.factor), &setting.origin))
        });
        set.unwrap_or_else(|| (key.default(), &Origin::Default))
    }

    fn declared(&self, name: &str) -> &Setting {
        self.settings.get(name).unwrap_or_else(|| panic!("no table declares {name}"))
    }
}

/// Hours as milliseconds; negative numbers mean «no limit» in every unit.
fn scaled(value: &Value, factor: i64) -> Value {
    match *value {
        Value::Whole(number) if number > 0 => Value::Whole(number.saturating_mul(factor)),
        ref other => other.clone(),
    }
}

//! What a key is: a row of a table, and how a text becomes its value.

use std::fmt;

use serde::{Serialize, Serializer};

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
pub const KIB: i64 = 1 << 10;
pub const MIB: i64 = 1 << 20;
pub const GIB: i64 = 1 << 30;
/// What Kafka writes for «no limit» in an int, and in a long.
pub const INT_MAX: i64 = i32::MAX as i64;
pub const LONG_MAX: i64 = i64::MAX;

/// One key of the vocabulary. Rows are made by [`boolean`], [`int`] and their siblings below.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub preset: Preset,
    /// Kafka's default, where ours is another.
    pub kafka_preset: Option<&'static str>,
    pub allowed: Allowed,
    pub scope: Scope,
    pub doc: &'static str,
    /// The server's keys that a topic's or group's value is taken from while it has none; the strongest first.
    pub synonyms: &'static [Synonym],
    /// The server's keys that bound a group's value from below and from above.
    pub bounded_by: [Option<&'static str>; 2],
    /// Other names of the same key in a file.
    pub aliases: &'static [&'static str],
    /// The option of `dohle server` that sets it.
    pub flag: Option<&'static str>,
}

/// Kafka's types of values. A class is a name here: nothing runs Java classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    Short,
    Int,
    Long,
    Double,
    Text,
    List,
    Class,
    Password,
}

/// Where a key may be set, and whether it may change while nodes run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Read when a node starts.
    ReadOnly,
    /// May change at run time, for one broker at a time.
    PerBroker,
    /// May change at run time, for one broker or for all of them.
    ClusterWide,
    Topic,
    Group,
}

/// A default, as a constant can hold it.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    Unset,
    Boolean(bool),
    Whole(i64),
    Double(f64),
    Text(&'static str),
}

/// What a value must be, beyond its type. For a list it holds for each of its elements.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    Anything,
    NotEmpty,
    AtLeast(i64),
    Within(i64, i64),
    /// Within bounds, or one value outside of them.
    WithinOr(i64, i64, i64),
    Ratio,
    /// One of these, in any case of letters.
    OneOf(&'static [&'static str]),
    /// A form with a description and a test.
    Form(&'static str, fn(&str) -> bool),
}

/// A server's key that a topic's or group's key takes its value from, and how many of our units one of its units is.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    pub name: &'static str,
    pub factor: i64,
}

/// A value that passed its key's check.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Unset,
    Boolean(bool),
    /// Short, int and long alike; the key keeps them in range.
    Whole(i64),
    Double(f64),
    /// Text, class and password.
    Text(String),
    List(Vec<String>),
}

/// A text that is not a value of its key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key} = {shown:?}: expected {expected}")]
pub struct BadValue {
    key: String,
    shown: String,
    expected: String,
}

impl Key {
    /// Reads a value. Blanks around it, and around the elements of a list, do not count.
    pub fn parse(&self, text: &str) -> Result<Value, BadValue> {
        self.value_of(text.trim()).ok_or_else(|| BadValue {
            key: self.name.to_owned(),
            shown: if self.kind == Kind::Password { HIDDEN } else { text.trim() }.to_owned(),
            expected: self.expects(),
        })
    }

    pub fn default(&self) -> Value {
        match self.preset {
            Preset::Unset => Value::Unset,
            Preset::Boolean(is) => Value::Boolean(is),
            Preset::Whole(number) => Value::Whole(number),
            Preset::Double(number) => Value::Double(number),
            Preset::Text(text) if self.kind == Kind::List => Value::List(elements(text)),
            Preset::Text(text) => Value::Text(text.to_owned()),
        }
    }

    /// A value as people may see it.
    pub fn shown(&self, value: &Value) -> String {
        match value {
            Value::Text(_) if self.kind == Kind::Password => HIDDEN.to_owned(),
            value => value.to_string(),
        }
    }

    /// What a value must be, as the end of a sentence that begins with «expected».
    pub fn expects(&self) -> String {
        let noun = match self.kind {
            Kind::Boolean => "true or false",
            Kind::Short | Kind::Int | Kind::Long => return self.expected_number(),
            Kind::Double => "a number",
            Kind::Text => "text",
            Kind::Class => "the name of a class",
            Kind::List => "a list with commas",
            Kind::Password => "a password",
        };
        let each = if self.kind == Kind::List { "a list with commas of " } else { "" };
        match self.allowed {
            Allowed::Ratio => "a number from 0 to 1".to_owned(),
            Allowed::NotEmpty => format!("{noun}, not empty"),
            Allowed::OneOf(words) => format!("{each}{}", alternatives(words)),
            Allowed::Form(description, _) => format!("{each}{description}"),
            Allowed::Anything | Allowed::AtLeast(_) | Allowed::Within(..) | Allowed::WithinOr(..) => noun.to_owned(),
        }
    }

    /// A number in units that people think in, where the key's name tells its unit and the number is a round one.
    pub fn in_words(&self, value: &Value) -> Option<String> {
        let Value::Whole(number) = *value else { return None };
        if number == LONG_MAX || number == INT_MAX {
            return Some("no limit".to_owned());
        }
        let (units, smallest): (&[(i64, &str)], i64) = match self.name {
            name if name.ends_with(".ms") => (&[(DAY, "day"), (HOUR, "hour"), (MINUTE, "min"), (SECOND, "s")], 1),
            name if name.ends_with(".seconds") => (&[(DAY, "day"), (HOUR, "hour"), (MINUTE, "min")], SECOND),
            name if name.ends_with(".minutes") => (&[(DAY, "day"), (HOUR, "hour")], MINUTE),
            name if name.ends_with(".hours") => (&[(DAY, "day")], HOUR),
            name if name.contains(".bytes") || name.ends_with(".buffer.size") => {
                (&[(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")], 1)
            }
            _ => return None,
        };
        let number = number.checked_mul(smallest).filter(|number| *number > 0)?;
        let (size, unit) = units.iter().find(|(size, _)| number % size == 0)?;
        let plural = if matches!(*unit, "day" | "hour") && number != *size { "s" } else { "" };
        Some(format!("{} {unit}{plural}", number / size))
    }

    pub fn is_dynamic(&self) -> bool {
        self.scope != Scope::ReadOnly
    }

    fn value_of(&self, text: &str) -> Option<Value> {
        match self.kind {
            Kind::Boolean => self.word(text, &["true", "false"]).map(|word| Value::Boolean(word == "true")),
            Kind::Short | Kind::Int | Kind::Long => {
                let number = text.parse().ok()?;
                self.admits(number).then_some(Value::Whole(number))
            }
            Kind::Double => {
                let number: f64 = text.parse().ok()?;
                let fits = !matches!(self.allowed, Allowed::Ratio) || (0.0..=1.0).contains(&number);
                (number.is_finite() && fits).then_some(Value::Double(number))
            }
            Kind::List => {
                let found = elements(text).iter().map(|element| self.word(element, &[])).collect::<Option<_>>()?;
                Some(Value::List(found))
            }
            Kind::Text | Kind::Class | Kind::Password => self.word(text, &[]).map(Value::Text),
        }
    }

    /// The text as the table spells it, if it is allowed; `words` count where the row itself names none.
    fn word(&self, text: &str, words: &[&str]) -> Option<String> {
        let words = if let Allowed::OneOf(words) = self.allowed { words } else { words };
        let fits = match self.allowed {
            Allowed::NotEmpty => !text.is_empty(),
            Allowed::Form(_, test) => test(text),
            _ => true,
        };
        if words.is_empty() {
            return fits.then(|| text.to_owned());
        }
        words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| (*word).to_owned())
    }

    fn admits(&self, number: i64) -> bool {
        let (lowest, highest) = self.bounds();
        let exception = matches!(self.allowed, Allowed::WithinOr(_, _, also) if also == number);
        exception || (lowest..=highest).contains(&number)
    }

    /// The lowest and the highest number that both the type and the row allow.
    fn bounds(&self) -> (i64, i64) {
        let (lowest, highest) = self.kind.bounds();
        match self.allowed {
            Allowed::AtLeast(least) => (least, highest),
            Allowed::Within(least, most) | Allowed::WithinOr(least, most, _) => (least, most),
            _ => (lowest, highest),
        }
    }

    fn expected_number(&self) -> String {
        let ((lowest, highest), (type_lowest, type_highest)) = (self.bounds(), self.kind.bounds());
        let range = match (lowest == type_lowest, highest == type_highest) {
            (true, true) => String::new(),
            (false, true) => format!(", at least {lowest}"),
            (_, false) => format!(" from {lowest} to {highest}"),
        };
        let exception =
            if let Allowed::WithinOr(_, _, also) = self.allowed { format!(", or {also}") } else { String::new() };
        format!("a whole number{range}{exception}")
    }
}

/// What stands for a password wherever people read.
const HIDDEN: &str = "[hidden]";

/// The elements of a list as Kafka writes it; an empty text is an empty list.
fn elements(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|element| element.trim().to_owned()).collect() }
}

/// «a», «a or b», «a, b or c»; the empty word is called by name.
fn alternatives(words: &[&str]) -> String {
    let named: Vec<&str> = words.iter().map(|word| if word.is_empty() { "nothing" } else { word }).collect();
    match named.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Kind {
    fn bounds(self) -> (i64, i64) {
        match self {
            Self::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Self::Int => (i64::from(i32::MIN), INT_MAX),
            _ => (i64::MIN, LONG_MAX),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Boolean => "boolean",
            Self::Short => "short",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "string",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        })
    }
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::ReadOnly, Self::PerBroker, Self::ClusterWide, Self::Topic, Self::Group];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
            Self::Topic => "topic",
            Self::Group => "group",
        })
    }
}

/// As a file would say it; nothing for a value that is not set.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => Ok(()),
            Self::Boolean(is) => is.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&format!("{number:?}").replace('e', "E")), // as Java writes it
            Self::Text(text) => f.write_str(text),
            Self::List(elements) => f.write_str(&elements.join(",")),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// How rows are written: a type, a name and a default, then what is not ordinary about the key, and its meaning last.

pub(super) const fn boolean(name: &'static str, default: bool) -> Key {
    row(name, Kind::Boolean, Preset::Boolean(default))
}

pub(super) const fn short(name: &'static str, default: i64) -> Key {
    row(name, Kind::Short, Preset::Whole(default))
}

pub(super) const fn int(name: &'static str, default: i64) -> Key {
    row(name, Kind::Int, Preset::Whole(default))
}

pub(super) const fn long(name: &'static str, default: i64) -> Key {
    row(name, Kind::Long, Preset::Whole(default))
}

pub(super) const fn double(name: &'static str, default: f64) -> Key {
    row(name, Kind::Double, Preset::Double(default))
}

pub(super) const fn text(name: &'static str, default: &'static str) -> Key {
    row(name, Kind::Text, Preset::Text(default))
}

pub(super) const fn list(name: &'static str, default: &'static str) -> Key {
    row(name, Kind::List, Preset::Text(default))
}

pub(super) const fn class(name: &'static str, default: &'static str) -> Key {
    row(name, Kind::Class, Preset::Text(default))
}

/// A key without a default.
pub(super) const fn unset(name: &'static str, kind: Kind) -> Key {
    row(name, kind, Preset::Unset)
}

/// A table: rows of one scope.
pub(super) const fn scoped<const N: usize>(scope: Scope, mut rows: [Key; N]) -> [Key; N] {
    let mut place = 0;
    while place < N {
        rows[place].scope = scope;
        place += 1;
    }
    rows
}

const fn row(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key {
        name,
        kind,
        preset,
        kafka_preset: None,
        allowed: Allowed::Anything,
        scope: Scope::ReadOnly,
        doc: "",
        synonyms: &[],
        bounded_by: [None; 2],
        aliases: &[],
        flag: None,
    }
}

impl Key {
    pub(super) const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    pub(super) const fn allow(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    pub(super) const fn at_least(self, least: i64) -> Self {
        self.allow(Allowed::AtLeast(least))
    }

    pub(super) const fn one_of(self, words: &'static [&'static str]) -> Self {
        self.allow(Allowed::OneOf(words))
    }

    /// Kafka's default, where ours is another.
    pub(super) const fn unlike_kafka(mut self, preset: &'static str) -> Self {
        self.kafka_preset = Some(preset);
        self
    }

    pub(super) const fn from(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    /// The server's keys that bound the value.
    pub(super) const fn between(mut self, least: Option<&'static str>, most: Option<&'static str>) -> Self {
        self.bounded_by = [least, most];
        self
    }

    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }
}

/// The same value under the server's name.
pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// The server's name counts in a larger unit.
pub(super) const fn times(name: &'static str, factor: i64) -> Synonym {
    Synonym { name, factor }
}

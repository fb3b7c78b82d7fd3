//! The same settings as TOML: tables join with dots, so `[log] retention.ms = 1000` is `log.retention.ms=1000`.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::properties::{Entry, Malformed};

/// Reads all settings, also those after one that cannot be read; in the order of their lines.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<Malformed>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let malformed = errors
        .iter()
        .map(|error| Malformed { line: line_of(text, error.span().unwrap_or(0..0)), why: error.message().to_owned() });
    let mut walk = Walk { text, entries: Vec::new(), malformed: malformed.collect() };
    walk.table("", document.get_ref());
    walk.entries.sort_by_key(|entry| entry.line);
    (walk.entries, walk.malformed)
}

struct Walk<'a> {
    text: &'a str,
    entries: Vec<Entry>,
    malformed: Vec<Malformed>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            let line = line_of(self.text, name.span());
            match value.get_ref() {
                DeValue::Table(inner) => self.table(&key, inner),
                leaf => match text_of(leaf) {
                    Some(value) => self.entries.push(Entry { line, key, value }),
                    None => {
                        let why = format!(
                            "{key} is a {}: expected text, a number, true, false or a list of these",
                            leaf.type_str()
                        );
                        self.malformed.push(Malformed { line, why });
                    }
                },
            }
        }
    }
}

/// A value as a property file would write it.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Array(elements) => {
            let elements = elements.iter().map(Spanned::get_ref);
            let elements = elements.map(|element| if element.is_array() { None } else { text_of(element) });
            Some(elements.collect::<Option<Vec<String>>>()?.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

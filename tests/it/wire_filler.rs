//! Writes random messages, straight from the schemas: a second encoder, independent of the generated one.
//!
//! Invariants: what it writes is how Kafka would write it. So known tagged fields with their default are left out,
//! tags ascend, and numbers of variable length are as short as possible.

#![allow(clippy::disallowed_methods, reason = "it reads this repository, on a real disk")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::LazyLock;

use crate::wire_language::compiler::schema::{Api, Field, Kind};
use crate::wire_language::compiler::{self, Source};

/// The schemas, read once.
pub fn schemas() -> &'static [Api] {
    static SCHEMAS: LazyLock<Vec<Api>> = LazyLock::new(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/kafka");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let wires = files.filter(|path| path.extension().is_some_and(|extension| extension == "wire"));
        let sources: Vec<Source> = wires
            .map(|path| Source { path: path.display().to_string(), text: std::fs::read_to_string(path).unwrap() })
            .collect();
        compiler::read(&sources).unwrap()
    });
    &SCHEMAS
}

/// A small generator (xorshift64*): the same numbers for the same seed, everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Writes one message of one version, sometimes with tagged fields that its schema does not know.
pub struct Filler<'a> {
    api: &'a Api,
    version: i16,
    random: &'a mut Random,
    bytes: Vec<u8>,
}

impl<'a> Filler<'a> {
    pub fn new(api: &'a Api, version: i16, random: &'a mut Random) -> Self {
        Self { api, version, random, bytes: Vec::new() }
    }

    pub fn message(mut self, fields: &[Field]) -> Vec<u8> {
        self.fields(fields);
        self.bytes
    }

    fn fields(&mut self, fields: &[Field]) {
        let version = self.version;
        let present = |field: &&Field| field.versions.contain(version);
        for field in fields.iter().filter(present).filter(|field| field.tag.is_none()) {
            self.field(field, false);
        }
        if self.api.is_flexible(version) {
            let mut known: Vec<&Field> = fields.iter().filter(present).filter(|field| field.tag.is_some()).collect();
            known.sort_by_key(|field| field.tag);
            self.tagged_fields(known);
        }
    }

    fn tagged_fields(&mut self, mut known: Vec<&Field>) {
        known.retain(|_| self.random.one_in(2));
        let unknown = if self.random.one_in(4) { 1 + self.random.below(3) } else { 0 };
        self.unsigned_varint((known.len() + unknown) as u32);
        for field in known {
            let before = std::mem::take(&mut self.bytes);
            self.field(field, true);
            let inside = std::mem::replace(&mut self.bytes, before);
            self.tagged_field(field.tag.unwrap(), &inside);
        }
        let mut tag = 100;
        for _ in 0..unknown {
            tag += 1 + self.random.below(1000) as u32;
            let inside: Vec<u8> = (0..self.random.below(300)).map(|_| self.random.next() as u8).collect();
            self.tagged_field(tag, &inside);
        }
    }

    fn tagged_field(&mut self, tag: u32, inside: &[u8]) {
        self.unsigned_varint(tag);
        self.unsigned_varint(inside.len() as u32);
        self.bytes.extend(inside);
    }

    /// `other` asks for a value that is not the field's default.
    fn field(&mut self, field: &Field, other: bool) {
        let can_be_null = field.nullable.is_some_and(|versions| versions.contain(self.version));
        let null = can_be_null && !other && self.random.one_in(4);
        match &field.kind {
            Kind::Struct(name) => {
                if can_be_null {
                    self.bytes.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.structure(name, other);
                }
            }
            kind if null => self.length(None, kind),
            kind => self.value(kind, other),
        }
    }

    fn value(&mut self, kind: &Kind, other: bool) {
        match kind {
            Kind::Bool => {
                let value = other || self.random.one_in(2); // no tagged bool is true by default
                self.bytes.push(value.into());
            }
            Kind::Int8 => self.number(1, other),
            Kind::Int16 | Kind::Uint16 => self.number(2, other),
            Kind::Int32 => self.number(4, other),
            Kind::Int64 | Kind::Float64 => self.number(8, other),
            Kind::Uuid => self.number(16, other),
            Kind::Error => {
                let code = self.random.below(if other { 133 } else { 134 }) as i16 + i16::from(other);
                self.bytes.extend(code.to_be_bytes());
            }
            Kind::String => {
                let text: String =
                    (0..self.count(other)).map(|_| ['a', 'Z', '-', 'ü', '字'][self.random.below(5)]).collect();
                self.length(Some(text.len()), kind);
                self.bytes.extend(text.as_bytes());
            }
            Kind::Bytes | Kind::Records => {
                let size = if self.random.one_in(50) { 5000 } else { self.count(other) };
                self.length(Some(size), kind);
                let bytes: Vec<u8> = (0..size).map(|_| self.random.next() as u8).collect();
                self.bytes.extend(bytes);
            }
            Kind::Array(element) => {
                let count = self.count(other).min(3);
                self.length(Some(count), kind);
                for _ in 0..count {
                    self.value(element, false);
                }
            }
            Kind::Struct(name) => self.structure(name, other),
        }
    }

    fn structure(&mut self, name: &str, other: bool) {
        let fields = &self.api.find(name).unwrap().fields;
        let before = self.bytes.len();
        self.fields(fields);
        let said = &self.bytes[before..];
        let all_default = said.iter().all(|byte| matches!(byte, 0 | 0xff));
        if other && all_default {
            self.bytes.truncate(before);
            self.structure(name, other);
        }
    }

    /// Bytes from 1 to 120: never zero, -1, or a bound. Or, where a default may be written, sometimes zero.
    fn number(&mut self, size: usize, other: bool) {
        let zero = !other && self.random.one_in(4);
        for _ in 0..size {
            let byte = if zero { 0 } else { 1 + self.random.below(120) as u8 };
            self.bytes.push(byte);
        }
    }

    fn count(&mut self, other: bool) -> usize {
        let long = if self.random.one_in(20) { 200 } else { 4 };
        self.random.below(long) + usize::from(other)
    }

    fn length(&mut self, length: Option<usize>, kind: &Kind) {
        if self.api.is_flexible(self.version) {
            self.unsigned_varint(length.map_or(0, |length| length as u32 + 1));
        } else if *kind == Kind::String {
            self.bytes.extend(length.map_or(-1, |length| length as i16).to_be_bytes());
        } else {
            self.bytes.extend(length.map_or(-1, |length| length as i32).to_be_bytes());
        }
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

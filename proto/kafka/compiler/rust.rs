//! From an [`Api`] to the Rust that decodes and encodes it.
//!
//! What comes out is plain: one struct per structure with the fields of all versions, `read` and `write` beside it. All
//! judgement about bytes is in `wire/reader.rs` and `wire/writer.rs`; the generated code only says what comes when.

use std::fmt::Write;

use super::schema::{AnsweredBy, Api, Field, Kind, Versions};

/// The Rust module of one API.
pub fn messages(api: &Api) -> String {
    let mut text = format!("// Generated from proto/kafka/{}.wire.\n\nuse super::words::*;\n", api.module());
    for (kind, fields) in [("Request", &api.request), ("Response", &api.response)] {
        let Versions { first, last } = api.versions;
        let doc = format!("{} {}, versions {first}-{last}.", api.name, kind.to_lowercase());
        let shape = Shape { api, name: format!("{}{kind}", api.name), fields, is_message: true };
        shape.print(&[doc], &mut text);
    }
    let name = &api.name;
    say(&mut text, 0, &format!("\nimpl Request for {name}Request {{\n    type Response = {name}Response;\n}}"));
    for structure in &api.structs {
        let shape = Shape { api, name: structure.name.clone(), fields: &structure.fields, is_message: false };
        shape.print(&[], &mut text);
    }
    text
}

/// The file that gathers all modules.
pub fn modules(apis: &[Api]) -> String {
    let mut text = String::new();
    for api in apis {
        doc(&mut text, 0, &api.doc);
        let module = api.module();
        say(&mut text, 0, &format!("pub mod {module} {{"));
        say(&mut text, 1, &format!("include!(concat!(env!(\"OUT_DIR\"), \"/kafka/{module}.rs\"));\n}}"));
    }
    text
}

/// The table of APIs, as input of a macro `apis!`: whoever includes it says what to make of it.
pub fn table(apis: &[Api]) -> String {
    let mut text = "apis! {\n".to_owned();
    for api in apis {
        doc(&mut text, 1, &api.doc);
        let who = match api.answered_by {
            AnsweredBy::Broker => "Broker",
            AnsweredBy::Leader => "Leader",
            AnsweredBy::Coordinator => "Coordinator",
            AnsweredBy::Controller => "Controller",
        };
        let range = |versions: Versions| format!("{}..={}", versions.first, versions.last);
        let (versions, advertised) = (range(api.versions), range(api.advertised));
        let (name, key, flexible, module) = (&api.name, api.key, api.flexible_from, api.module());
        let entry = format!("{name} = {key}, {versions}, {advertised}, {flexible:?}, {who}, {module}::{name}Request;");
        say(&mut text, 1, &entry);
    }
    text + "}\n"
}

/// One struct to be.
struct Shape<'a> {
    api: &'a Api,
    name: String,
    fields: &'a [Field],
    is_message: bool,
}

impl Shape<'_> {
    fn print(&self, about: &[String], out: &mut String) {
        let derives_default = self.fields.iter().all(|field| field.default.is_none());
        out.push('\n');
        doc(out, 0, about);
        let default = if derives_default { ", Default" } else { "" };
        say(out, 0, &format!("#[derive(Clone, Debug, PartialEq{default})]"));
        say(out, 0, &format!("pub struct {} {{", self.name));
        for field in self.fields {
            doc(out, 1, &field.doc);
            say(out, 1, &format!("pub {}: {},", identifier(&field.name), rust_type(field)));
        }
        if self.has_tags() {
            say(out, 1, "/// Tagged fields that our schema does not know, kept as they came.");
            say(out, 1, "pub tagged_fields: TaggedFields,");
        }
        say(out, 0, "}");
        if !derives_default {
            self.print_default(out);
        }
        self.print_codec(out);
    }

    fn print_default(&self, out: &mut String) {
        say(out, 0, &format!("\nimpl Default for {} {{", self.name));
        say(out, 1, "fn default() -> Self {");
        say(out, 2, "Self {");
        for field in self.fields {
            say(out, 3, &format!("{}: {},", identifier(&field.name), default(field)));
        }
        if self.has_tags() {
            say(out, 3, "tagged_fields: TaggedFields::default(),");
        }
        say(out, 2, "}\n    }\n}");
    }

    fn print_codec(&self, out: &mut String) {
        // What a body has no use for is still an argument, since messages share one trait.
        let version = if self.depends_on_version() { "version" } else { "_version" };
        let used = if self.fields.is_empty() && !self.has_tags() { "_" } else { "" };
        if self.is_message {
            say(out, 0, &format!("\nimpl Message for {} {{", self.name));
            say(out, 1, &format!("const NAME: &'static str = \"{}\";", self.name));
            say(out, 1, &format!("const API: ApiKey = ApiKey::{};\n", self.api.name));
        } else {
            say(out, 0, &format!("\nimpl {} {{", self.name));
        }
        say(out, 1, &format!("fn read({version}: i16, {used}r: &mut Reader) -> Result<Self, DecodeError> {{"));
        self.print_read(out);
        say(out, 1, &format!("}}\n\n    fn write(&self, {version}: i16, {used}w: &mut Writer) {{"));
        self.print_write(out);
        say(out, 1, "}\n}");
    }

    fn depends_on_version(&self) -> bool {
        let null_depends = |field| self.can_be_null(field).is_some_and(|condition| !condition.is_empty());
        let depends = |field: &Field| self.present(field.versions).is_some() || field.kind.structure().is_some();
        self.fields.iter().any(|field| depends(field) || null_depends(field))
    }

    fn print_read(&self, out: &mut String) {
        let known = self.fields.iter().any(|field| field.tag.is_some());
        say(out, 2, if known { "let mut it = Self {" } else { "Ok(Self {" });
        for field in self.fields {
            let (read, default) = (self.read(field), default(field));
            let value = match (field.tag, self.present(field.versions)) {
                (Some(_), _) => default,
                (None, None) => read,
                (None, Some(present)) => format!("if {present} {{ {read} }} else {{ {default} }}"),
            };
            say(out, 3, &format!("{}: {value},", identifier(&field.name)));
        }
        match (self.has_tags(), known) {
            (true, true) => say(out, 3, "tagged_fields: TaggedFields::default(),"),
            (true, false) => say(out, 3, "tagged_fields: r.tagged_fields(|_, _| Ok(false))?,"),
            (false, _) => {}
        }
        if !known {
            return say(out, 2, "})");
        }
        say(out, 2, "};\n        it.tagged_fields = r.tagged_fields(|r, tag| {");
        say(out, 3, "match tag {");
        for field in self.fields {
            let Some(tag) = field.tag else { continue };
            let guard = self.present(field.versions).map_or(String::new(), |present| format!(" if {present}"));
            say(out, 4, &format!("{tag}{guard} => it.{} = {},", identifier(&field.name), self.read(field)));
        }
        say(out, 4, "_ => return Ok(false),\n            }\n            Ok(true)\n        })?;\n        Ok(it)");
    }

    fn print_write(&self, out: &mut String) {
        for field in self.fields.iter().filter(|field| field.tag.is_none()) {
            match self.present(field.versions) {
                None => say(out, 2, &format!("{};", self.write(field))),
                Some(present) => {
                    say(out, 2, &format!("if {present} {{\n            {};", self.write(field)));
                    if field.must {
                        say(out, 2, &format!("}} else if {} {{\n            {};", is_set(field), self.refuse(field)));
                    }
                    say(out, 2, "}");
                }
            }
        }
        let known: Vec<&Field> = self.fields.iter().filter(|field| field.tag.is_some()).collect();
        if known.is_empty() {
            if self.has_tags() {
                say(out, 2, "w.tagged_fields(&self.tagged_fields);");
            }
            return;
        }
        say(out, 2, "let mut known = KnownTags::default();");
        for field in &known {
            let tag = field.tag.unwrap_or_default();
            let there = self.present(field.versions).map_or(String::new(), |present| format!("{present} && "));
            say(out, 2, &format!("if {there}{} {{\n            known.add({tag});", is_set(field)));
            if field.must {
                say(out, 2, &format!("}} else if {} {{\n            {};", is_set(field), self.refuse(field)));
            }
            say(out, 2, "}");
        }
        if let [only] = known[..] {
            let write = self.write(only);
            return say(out, 2, &format!("w.known_and_tagged_fields(known, &self.tagged_fields, |w, _| {write});"));
        }
        say(out, 2, "w.known_and_tagged_fields(known, &self.tagged_fields, |w, tag| match tag {");
        for (place, field) in known.iter().enumerate() {
            let (tag, is_last) = (field.tag.unwrap_or_default(), place + 1 == known.len());
            let pattern = if is_last { "_".to_owned() } else { tag.to_string() };
            say(out, 3, &format!("{pattern} => {},", self.write(field)));
        }
        say(out, 2, "});");
    }

    fn has_tags(&self) -> bool {
        self.api.flexible_from.is_some()
    }

    fn refuse(&self, field: &Field) -> String {
        format!("w.refuse(\"{}.{}\")", self.name, field.name)
    }

    /// The condition under which a field is there, if it is not always.
    fn present(&self, versions: Versions) -> Option<String> {
        let all = self.api.versions;
        let Versions { first, last } = versions;
        match (first > all.first, last < all.last) {
            (false, false) => None,
            (true, false) => Some(format!("version >= {first}")),
            (false, true) => Some(format!("version <= {last}")),
            (true, true) if first == last => Some(format!("version == {first}")),
            (true, true) => Some(format!("({first}..={last}).contains(&version)")),
        }
    }

    /// The condition under which a field can be null: `None` says never, an empty one always.
    fn can_be_null(&self, field: &Field) -> Option<String> {
        let nullable = field.nullable?;
        if nullable.cover(field.versions) { Some(String::new()) } else { self.present(nullable) }
    }

    /// An expression that reads a field.
    fn read(&self, field: &Field) -> String {
        let name = &field.name;
        let bare = match &field.kind {
            Kind::Array(element) => {
                let bytes = self.api.bytes_min(element, field.versions);
                let each = match &**element {
                    Kind::Struct(structure) => format!("{structure}::read(version, r)"),
                    kind => format!("r.{}(\"\")", word(kind)),
                };
                format!("array(\"{name}\", {bytes}, |r| {each})?")
            }
            Kind::Struct(structure) => format!("structure(\"{name}\", |r| {structure}::read(version, r))?"),
            kind => format!("{}(\"{name}\")?", word(kind)),
        };
        match self.can_be_null(field).as_deref() {
            None => format!("r.{bare}"),
            Some("") => format!("r.nullable_{bare}"),
            Some(null) => format!("if {null} {{ r.nullable_{bare} }} else {{ Some(r.{bare}) }}"),
        }
    }

    /// A statement, without its semicolon, that writes a field. What cannot be null in a version is written empty.
    fn write(&self, field: &Field) -> String {
        let name = format!("self.{}", identifier(&field.name));
        let each = match field.kind.element() {
            Kind::Struct(_) => "it.write(version, w)".to_owned(),
            kind if is_copied(kind) => format!("w.{}(*it)", word(kind)),
            kind => format!("w.{}(it)", word(kind)),
        };
        let (plain, or_empty, or_null) = match &field.kind {
            Kind::Array(_) => (
                format!("w.array(&{name}, |w, it| {each})"),
                format!("w.array({name}.as_deref().unwrap_or_default(), |w, it| {each})"),
                format!("w.nullable_array({name}.as_deref(), |w, it| {each})"),
            ),
            Kind::Struct(_) => (
                format!("{name}.write(version, w)"),
                String::new(),
                format!("w.nullable_structure({name}.as_ref(), |w, it| {each})"),
            ),
            kind if is_copied(kind) => (format!("w.{}({name})", word(kind)), String::new(), String::new()),
            kind => (
                format!("w.{}(&{name})", word(kind)),
                format!("w.{}(&{name}.clone().unwrap_or_default())", word(kind)),
                format!("w.nullable_{}({name}.as_ref())", word(kind)),
            ),
        };
        match self.can_be_null(field).as_deref() {
            None => plain,
            Some("") => or_null,
            Some(null) => format!("if {null} {{ {or_null} }} else {{ {or_empty} }}"),
        }
    }
}

/// What a kind is called as a method of the reader and the writer.
fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "boolean",
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Uint16 => "uint16",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Float64 => "float64",
        Kind::Uuid => "uuid",
        Kind::String => "text",
        Kind::Bytes => "bytes",
        Kind::Records => "records",
        Kind::Error => "error",
        Kind::Struct(_) => "structure",
        Kind::Array(_) => "array",
    }
}

fn is_copied(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Records | Kind::Struct(_) | Kind::Array(_))
}

fn rust_type(field: &Field) -> String {
    let bare = bare_type(&field.kind);
    if field.nullable.is_some() { format!("Option<{bare}>") } else { bare }
}

fn bare_type(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int8 => "i8".to_owned(),
        Kind::Int16 => "i16".to_owned(),
        Kind::Uint16 => "u16".to_owned(),
        Kind::Int32 => "i32".to_owned(),
        Kind::Int64 => "i64".to_owned(),
        Kind::Float64 => "f64".to_owned(),
        Kind::Uuid => "Uuid".to_owned(),
        Kind::String => "Text".to_owned(),
        Kind::Bytes => "Bytes".to_owned(),
        Kind::Records => "Records".to_owned(),
        Kind::Error => "ErrorCode".to_owned(),
        Kind::Struct(name) => name.clone(),
        Kind::Array(element) => format!("Vec<{}>", bare_type(element)),
    }
}

/// An expression for a field's default.
fn default(field: &Field) -> String {
    match field.default.as_deref() {
        Some("empty") => format!("Some({})", type_default(&field.kind)),
        Some(bound @ ("min" | "max")) => format!("{}::{}", bare_type(&field.kind), bound.to_uppercase()),
        Some(value) => value.to_owned(),
        None if field.nullable.is_some() => "None".to_owned(),
        None => type_default(&field.kind),
    }
}

fn type_default(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "false".to_owned(),
        Kind::Float64 => "0.0".to_owned(),
        Kind::Uuid => "Uuid::ZERO".to_owned(),
        Kind::Error => "ErrorCode::None".to_owned(),
        Kind::Array(_) => "Vec::new()".to_owned(),
        Kind::String | Kind::Bytes | Kind::Records | Kind::Struct(_) => format!("{}::default()", bare_type(kind)),
        Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Int64 => "0".to_owned(),
    }
}

/// The condition under which a field says more than its default.
fn is_set(field: &Field) -> String {
    let name = format!("self.{}", identifier(&field.name));
    match (&field.kind, field.default.as_deref()) {
        (_, Some("empty")) => format!("{name}.as_ref().is_none_or(|it| !it.is_empty())"),
        (_, None) if field.nullable.is_some() => format!("{name}.is_some()"),
        (Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_), _) => format!("!{name}.is_empty()"),
        (Kind::Bool, Some(_)) => format!("!{name}"),
        (Kind::Bool, None) => name,
        _ => format!("{name} != {}", default(field)),
    }
}

/// Rust's own words cannot be field names as they are.
fn identifier(name: &str) -> String {
    const RESERVED: [&str; 10] = ["as", "final", "in", "loop", "match", "move", "ref", "type", "use", "where"];
    if RESERVED.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn doc(out: &mut String, depth: usize, lines: &[String]) {
    for line in lines {
        say(out, depth, format!("/// {line}").trim_end());
    }
}

/// One line, or several of which the first is indented.
fn say(out: &mut String, depth: usize, line: &str) {
    let _ = writeln!(out, "{:indent$}{line}", "", indent = 4 * depth); // writing to a String cannot fail
}

//! What no single line can know: names, versions and tags that must fit each other.

use super::schema::{Api, Field, Kind, Struct, Versions};

type Result = std::result::Result<(), (usize, String)>;

/// The encoder keeps the set of tagged fields it will write in one `u32`.
const TAG_MAX: u32 = 31;

pub fn api(api: &Api, path: &str) -> Result {
    let file = format!("{}.wire", api.module());
    require(path.ends_with(&file), api.line, || format!("{} belongs into a file named {file}", api.name))?;
    require(api.advertised.cover(api.versions), api.line, || "every version we speak must be advertised".to_owned())?;
    if let Some(from) = api.flexible_from {
        require(from >= api.versions.first, api.line, || "`flexible` begins before the first version".to_owned())?;
    }
    // Names first: how long a structure is can only be asked once they all lead somewhere, and not in circles.
    let all = api.structs.iter().map(|structure| &structure.fields).chain([&api.request, &api.response]);
    for field in all.flatten() {
        let found = field.kind.structure().is_none_or(|name| api.find(name).is_some());
        require(found, field.line, || "this structure is spelled out nowhere in this file".to_owned())?;
    }
    for structure in &api.structs {
        not_inside_itself(api, structure, &mut Vec::new())?;
        let is_message = [format!("{}Request", api.name), format!("{}Response", api.name)].contains(&structure.name);
        require(!is_message, structure.line, || format!("{} is the message's own name", structure.name))?;
    }
    fields(api, &api.request, true)?;
    fields(api, &api.response, false)?;
    api.structs.iter().try_for_each(|structure| fields(api, &structure.fields, structure.in_request))
}

fn require(holds: bool, line: usize, says: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err((line, says())) }
}

fn not_inside_itself<'a>(api: &'a Api, structure: &'a Struct, around: &mut Vec<&'a str>) -> Result {
    let name = &structure.name;
    require(!around.contains(&name.as_str()), structure.line, || format!("{name} contains itself"))?;
    around.push(name);
    for inner in structure.fields.iter().filter_map(|field| api.find(field.kind.structure()?)) {
        not_inside_itself(api, inner, around)?;
    }
    around.pop();
    Ok(())
}

fn fields(api: &Api, fields: &[Field], in_request: bool) -> Result {
    for (place, field) in fields.iter().enumerate() {
        let taken = fields[..place].iter().any(|other| other.name == field.name) || field.name == "tagged_fields";
        require(!taken, field.line, || format!("there is a field `{}` already", field.name))?;
        let tag_taken = field.tag.is_some() && fields[..place].iter().any(|other| other.tag == field.tag);
        require(!tag_taken, field.line, || "another field has that tag".to_owned())?;
        one_field(api, field, in_request)?;
    }
    Ok(())
}

fn one_field(api: &Api, field: &Field, in_request: bool) -> Result {
    let line = field.line;
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    let is_name = field.name.starts_with(|first: char| first.is_ascii_lowercase()) && field.name.chars().all(plain);
    require(is_name, line, || format!("`{}` is no field name: a-z, then a-z 0-9 _", field.name))?;
    require(api.versions.cover(field.versions), line, || {
        format!("{} has versions {}-{} only", api.name, api.versions.first, api.versions.last)
    })?;
    let limited = field.versions != api.versions;
    require(limited || !field.must, line, || "`must` says nothing: every version has this field".to_owned())?;
    require(in_request || !field.must, line, || {
        "`must` is for requests: a server never fails to answer, it says what the version can".to_owned()
    })?;

    if let Kind::Array(element) = &field.kind {
        let bytes = api.bytes_min(element, field.versions);
        require(bytes > 0, line, || "an element may be 0 bytes long, so a count would bound nothing".to_owned())?;
    }
    if let Some(nullable) = field.nullable {
        nullable_field(field, nullable)?;
    }
    if let Some(tag) = field.tag {
        require(tag <= TAG_MAX, line, || format!("tags go up to {TAG_MAX}"))?;
        let flexible = api.is_flexible(field.versions.first);
        require(flexible, line, || "only flexible versions have tagged fields".to_owned())?;
    }
    match &field.default {
        Some(default) => default_value(field, default),
        None => Ok(()),
    }
}

fn nullable_field(field: &Field, nullable: Versions) -> Result {
    let can = matches!(field.kind, Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) | Kind::Struct(_));
    require(can, field.line, || "only strings, bytes, records, arrays and structures can be null".to_owned())?;
    require(field.versions.cover(nullable), field.line, || "nullable in a version that has no such field".to_owned())?;
    let is_struct = matches!(field.kind, Kind::Struct(_));
    let plain = !is_struct || (field.tag.is_none() && nullable == field.versions);
    require(plain, field.line, || "a nullable structure has no tag, and is nullable in all its versions".to_owned())
}

fn default_value(field: &Field, text: &str) -> Result {
    let fits = match &field.kind {
        Kind::Bool => text == "true",
        Kind::Int8 => text.parse::<i8>().is_ok(),
        Kind::Int16 => text.parse::<i16>().is_ok(),
        Kind::Uint16 => text.parse::<u16>().is_ok(),
        Kind::Int32 => text.parse::<i32>().is_ok() || is_bound(text),
        Kind::Int64 => text.parse::<i64>().is_ok() || is_bound(text),
        Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) => text == "empty" && field.nullable.is_some(),
        Kind::Float64 | Kind::Uuid | Kind::Error | Kind::Struct(_) => false,
    };
    let says = "allowed are numbers that fit the type (`min` and `max` too for int32 and int64), \
                `true`, and `empty` for what may be null";
    require(fits, field.line, || format!("`{text}` is no default here: {says}"))
}

fn is_bound(text: &str) -> bool {
    matches!(text, "min" | "max")
}

//! Rules about rooms: who imports whom, which rooms are pure, and that only one touches the world outside.

use super::Report;
use super::law::{IMPURE, Law, Nature, OUTSIDE, Room, VALUES};
use super::paths::Named;
use super::source::Source;

pub fn check(source: &Source<'_>, paths: &[Named], law: &Law, report: &mut Report) {
    check_super(source, paths, report);
    let Some(name) = room_of(source.path) else { return };
    let Some(room) = law.room(name) else {
        report.add(source.path, 1, format!("room `{name}` is not in the law"), "add it to ROOMS in tests/tidy/law.rs");
        return;
    };
    for named in paths {
        check_import(source, named, room, law, report);
        check_outside(source, named, room, law, report);
    }
    check_words(source, room, law, report);
}

/// The room a file stands in: `src/log/index.rs` in `log`. The crate's root is the map of the house and in no room.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.trim_end_matches(".rs")).filter(|name| *name != "lib")
}

fn check_super(source: &Source<'_>, paths: &[Named], report: &mut Report) {
    for named in paths.iter().filter(|named| named.written.windows(2).any(|two| two == ["super", "super"])) {
        let line = source.line(named.token);
        report.add(source.path, line, "`super::super` hides which room is meant", "write `crate::<room>::…`");
    }
}

fn check_import(source: &Source<'_>, named: &Named, room: &Room, law: &Law, report: &mut Report) {
    if named.path[0] != "crate" {
        return;
    }
    let line = source.line(named.token);
    let imported = named.path.get(1).map_or("", String::as_str);
    if law.room(imported).is_none() {
        let what = format!("`crate::{imported}` is no room of the law");
        report.add(source.path, line, what, "name the room: `crate::<room>::…`");
    } else if imported != room.name && !room.imports.contains(&imported) {
        let what = format!("{} may not import {imported}", room.name);
        let fix = match room.imports.is_empty() {
            true => "it may import nothing".to_owned(),
            false => format!("it may import {}; see ROOMS in tests/tidy/law.rs", room.imports.join(", ")),
        };
        report.add(source.path, line, what, fix);
    }
}

/// Test code may read its scripts and start its threads.
fn check_outside(source: &Source<'_>, named: &Named, room: &Room, law: &Law, report: &mut Report) {
    let line = source.line(named.token);
    if room.nature == Nature::World || source.is_test(line) || VALUES.iter().any(|value| begins(&named.path, value)) {
        return;
    }
    let is_pure = room.nature != Nature::Async;
    let impure = IMPURE.iter().filter(|_| is_pure);
    let is_banned = |banned: &&&str| begins(&named.path, banned) && !law.excuses(source.path, banned);
    match OUTSIDE.iter().chain(impure).find(is_banned) {
        Some(banned) if is_pure => report.add(source.path, line, format!("`{banned}` in a pure room"), PURE_FIX),
        Some(banned) => report.add(source.path, line, format!("`{banned}` outside of host"), SEAM_FIX),
        None => {}
    }
}

const PURE_FIX: &str = "let the body do it and pass in what came out";
const ORDER_FIX: &str = "use a BTreeMap or BTreeSet: order is behaviour";
const SEAM_FIX: &str = "use a seam of `crate::base`";

/// What makes a pure room impure without a path.
fn check_words(source: &Source<'_>, room: &Room, law: &Law, report: &mut Report) {
    const ASYNC: &[(&str, &str)] = &[("async", PURE_FIX), (". await", PURE_FIX)];
    const UNORDERED: &[(&str, &str)] = &[("HashMap", ORDER_FIX), ("HashSet", ORDER_FIX)];
    let (words, maps): (&[_], &[_]) = match room.nature {
        Nature::Async | Nature::World => (&[], &[]),
        Nature::Pure => (ASYNC, &[]),
        Nature::Mind => (ASYNC, UNORDERED),
    };
    for (pattern, fix) in words.iter().chain(maps) {
        let word = pattern.replace(' ', "");
        for line in source.find(pattern).into_iter().map(|token| source.line(token)) {
            if !source.is_test(line) && !law.excuses(source.path, &word) {
                report.add(source.path, line, format!("`{word}` in a pure room"), *fix);
            }
        }
    }
}

/// Whether a path leads into what is banned; a glob leads everywhere below it.
fn begins(path: &[String], banned: &str) -> bool {
    let mut path = path.iter();
    for part in banned.split("::") {
        match path.next().map(String::as_str) {
            Some("*") => return true,
            Some(found) if found == part => {}
            _ => return false,
        }
    }
    true
}

//! Every path a file names, resolved as far as the file itself tells: nested `use`, aliases, `self` and `super`.
//!
//! `use std::{fs as files, thread};` names `std::fs` and `std::thread`; `files::read` further down names
//! `std::fs::read`. In `src/log/mod.rs`, `super::base::ids` names `crate::base::ids`.
//!
//! Absent on purpose: names that come through a glob (the rules look at the glob itself), an import made out of another
//! import, paths inside strings (`#[serde(default = "…")]`).

use std::ops::Range;

use super::source::{Source, is_word};

/// A path at a place.
pub struct Named {
    pub token: usize,
    /// As written, with nested braces unfolded.
    pub written: Vec<String>,
    /// With `crate`, an external crate or an unknown name in front.
    pub path: Vec<String>,
}

/// What a `use` brings into its block.
struct Import {
    token: usize,
    path: Vec<String>,
    name: String,
    scope: Range<usize>,
}

pub fn paths(source: &Source<'_>) -> Vec<Named> {
    let (imports, inline) = read(source);
    let home = module_of(source.path);
    let modules = source.inline_modules();
    let absolute = |token: usize, path: &[String]| {
        let inner = modules.iter().filter(|(_, tokens)| tokens.contains(&token)).map(|(name, _)| name.to_string());
        absolute(path, home.iter().cloned().chain(inner).collect())
    };

    let mut named = Vec::new();
    for import in &imports {
        let path = absolute(import.token, &import.path);
        named.push(Named { token: import.token, written: import.path.clone(), path });
    }
    for (token, written) in inline {
        let reaches = |import: &&Import| import.name == written[0] && import.scope.contains(&token);
        let path = match imports.iter().filter(reaches).max_by_key(|import| import.scope.start) {
            Some(import) => [absolute(import.token, &import.path), written[1..].to_vec()].concat(),
            None => absolute(token, &written),
        };
        named.push(Named { token, written, path });
    }
    named
}

/// Reads a file once: what is imported, and the paths that stand elsewhere.
fn read(source: &Source<'_>) -> (Vec<Import>, Vec<(usize, Vec<String>)>) {
    let mut imports = Vec::new();
    let mut inline = Vec::new();
    let mut open_braces = Vec::new();
    let mut token = 0;
    while token < source.len() {
        match source.word(token) {
            "use" if source.word(token + 1) != "<" => {
                let scope = open_braces.last().map_or(0..source.len(), |open| *open..source.close_of(*open));
                token = read_use(source, token + 1, Vec::new(), &scope, &mut imports);
                continue;
            }
            "{" => open_braces.push(token),
            "}" => drop(open_braces.pop()),
            word if is_word(word) && source.word(token + 1) == "::" => {
                let path = read_path(source, token);
                let next = token + 2 * path.len() - 1;
                inline.push((token, path));
                token = next;
                continue;
            }
            _ => {}
        }
        token += 1;
    }
    (imports, inline)
}

/// `a::b::c`, up to the last word.
fn read_path(source: &Source<'_>, first: usize) -> Vec<String> {
    let mut path = vec![source.word(first).to_owned()];
    let mut token = first + 1;
    while source.word(token) == "::" && is_word(source.word(token + 1)) {
        path.push(source.word(token + 1).to_owned());
        token += 2;
    }
    path
}

/// One branch of a `use`; returns the token after it.
fn read_use(
    source: &Source<'_>,
    mut token: usize,
    mut path: Vec<String>,
    scope: &Range<usize>,
    imports: &mut Vec<Import>,
) -> usize {
    let first = token;
    let mut alias = None;
    loop {
        match source.word(token) {
            "{" => {
                let close = source.close_of(token);
                while token < close && matches!(source.word(token), "{" | ",") {
                    token = read_use(source, token + 1, path.clone(), scope, imports);
                }
                return close + 1;
            }
            "," | "}" | ";" | "" => break,
            "::" => token += 1,
            "as" => {
                alias = Some(source.word(token + 1).to_owned());
                token += 2;
            }
            word => {
                path.push(word.to_owned());
                token += 1;
            }
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(name) = alias.or_else(|| path.last().cloned()).filter(|_| token > first) {
        imports.push(Import { token: first, path, name, scope: scope.clone() });
    }
    token
}

/// The module a file of `src/` is: `src/log/mod.rs` is `log`, `src/log/index.rs` is `log::index`.
fn module_of(path: &str) -> Vec<String> {
    let module = path.trim_start_matches("src/").trim_end_matches(".rs");
    module.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned).collect()
}

/// A path as the crate's root would write it, seen from `module`.
fn absolute(path: &[String], mut module: Vec<String>) -> Vec<String> {
    let mut rest = path;
    match path[0].as_str() {
        "dohle" => return [vec!["crate".to_owned()], path[1..].to_vec()].concat(),
        "self" | "super" => {}
        _ => return path.to_vec(),
    }
    while let Some(step @ ("self" | "super")) = rest.first().map(String::as_str) {
        if step == "super" {
            module.pop();
        }
        rest = &rest[1..];
    }
    [vec!["crate".to_owned()], module, rest.to_vec()].concat()
}

/// What is found where, shown on small files.
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        paths(&Source::read(path, text)).iter().map(|named| named.path.join("::")).collect()
    }

    #[test]
    fn nested_braces_are_unfolded() {
        let text = "pub use crate::{base::{self, ids::{A, B as C},}, wire::*};";
        let all = ["crate::base", "crate::base::ids::A", "crate::base::ids::B", "crate::wire::*"];
        assert_eq!(found("src/log/index.rs", text), all);
    }

    #[test]
    fn paths_inside_code_are_found() {
        let text =
            "pub(in crate::log) fn f<T: crate::base::A>(x: ::tokio::B) { $crate::wire::c::<crate::d::E>(); x.e() }";
        let all = ["crate::log", "crate::base::A", "tokio::B", "crate::wire::c", "crate::d::E"];
        assert_eq!(found("src/log/index.rs", text), all);
    }

    #[test]
    fn what_was_imported_is_followed() {
        let text = "use std::fs as files; use tokio::task::{self}; fn f() { files::read(); task::spawn(); own::g() }";
        let all = ["std::fs", "tokio::task", "std::fs::read", "tokio::task::spawn", "own::g"];
        assert_eq!(found("src/log/index.rs", text), all);
    }

    #[test]
    fn the_nearest_import_counts() {
        let text = "use std::time::Instant; mod tests { use tokio::time::Instant; fn f() { Instant::now() } }
                    fn g() { Instant::now() }";
        let all =
            ["std::time::Instant", "tokio::time::Instant", "tokio::time::Instant::now", "std::time::Instant::now"];
        assert_eq!(found("src/log/index.rs", text), all);
    }

    #[test]
    fn relative_paths_are_seen_from_the_root() {
        assert_eq!(found("src/log/index.rs", "use super::reader::A; use self::b::B;"), {
            ["crate::log::reader::A", "crate::log::index::b::B"]
        });
        assert_eq!(found("src/log/mod.rs", "use super::wire::A;"), ["crate::wire::A"]);
        assert_eq!(found("src/log/mod.rs", "mod tests { use super::*; }"), ["crate::log::*"]);
        assert_eq!(found("src/main.rs", "use dohle::cli;"), ["crate::cli"]);
    }
}

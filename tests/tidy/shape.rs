//! Rules about files: how they begin, how large they are, and that each of them is used.

use std::collections::BTreeSet;

use super::law::{FILE_LINES_MAX, FUNCTION_LINES_MAX, HEADERS, LINE_COLUMNS_MAX, Law, NARROW};
use super::source::Source;
use super::{Report, Tree};

pub fn check(tree: &Tree, sources: &[Source<'_>], law: &Law, report: &mut Report) {
    for (path, text) in tree.texts() {
        check_header(path, text, report);
        check_columns(path, text, report);
    }
    for source in sources {
        check_sizes(source, law, report);
    }
    for listed in law.oversize.iter().filter(|listed| !tree.has(listed.path)) {
        report.add(listed.path, 1, "an oversize file that is gone", REMOVE);
    }
    check_modules(tree, sources, report);
    check_scripts(tree, sources, report);
}

const REMOVE: &str = "remove it from OVERSIZE in tests/tidy/law.rs";

fn check_header(path: &str, text: &str, report: &mut Report) {
    let Some((_, opener)) = HEADERS.iter().find(|(ending, _)| path.ends_with(ending)) else { return };
    let is_shebang = |line: &&str| line.starts_with("#!") && !line.starts_with("#![");
    let skipped = text.lines().take_while(is_shebang).count();
    let header = text.lines().nth(skipped).unwrap_or("");
    if header.strip_prefix(opener).is_none_or(|sentence| sentence.trim().is_empty()) {
        let fix = format!("begin with `{opener}` and one sentence that says what it is");
        report.add(path, skipped + 1, "a file without a header", fix);
    }
}

fn check_columns(path: &str, text: &str, report: &mut Report) {
    if !NARROW.iter().any(|ending| path.ends_with(ending)) {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            report.add(path, index + 1, format!("{columns} columns"), format!("break it before {LINE_COLUMNS_MAX}"));
        }
    }
}

fn check_sizes(source: &Source<'_>, law: &Law, report: &mut Report) {
    let file_lines = source.text.lines().count();
    check_size(source.path, ("", 1, file_lines), FILE_LINES_MAX, law, report);

    let functions = source.functions();
    for function in &functions {
        let size = (function.name.as_str(), *function.lines.start(), function.lines.clone().count());
        check_size(source.path, size, FUNCTION_LINES_MAX, law, report);
    }
    let is_gone = |name: &str| !name.is_empty() && functions.iter().all(|function| function.name != name);
    for listed in law.oversize.iter().filter(|listed| listed.path == source.path && is_gone(listed.function)) {
        report.add(source.path, 1, format!("an oversize function `{}` that is gone", listed.function), REMOVE);
    }
}

/// What is over its limit may only shrink, and what has shrunk is listed as such.
fn check_size(path: &str, (name, line, size): (&str, usize, usize), most: usize, law: &Law, report: &mut Report) {
    let listed = law.oversize.iter().find(|listed| listed.path == path && listed.function == name);
    let thing = if name.is_empty() { "the file".to_owned() } else { format!("`{name}`") };
    match listed.map(|listed| listed.lines) {
        None if size > most => {
            report.add(
                path,
                line,
                format!("{thing} has {size} lines"),
                format!("cut it where its ideas part: {most} are plenty"),
            );
        }
        Some(_) if size <= most => report.add(path, line, format!("{thing} is no longer oversize"), REMOVE),
        Some(before) if size > before => {
            report.add(path, line, format!("{thing} grew from {before} to {size} lines"), "it may only shrink");
        }
        Some(before) if size < before => {
            let fix = format!("lower it to {size} in OVERSIZE in tests/tidy/law.rs");
            report.add(path, line, format!("{thing} shrank from {before} lines"), fix);
        }
        _ => {}
    }
}

/// A file that no `mod` names is not compiled, and rots.
fn check_modules(tree: &Tree, sources: &[Source<'_>], report: &mut Report) {
    let roots = roots(tree);
    let mut reached = BTreeSet::new();
    let mut waiting = roots.clone();
    while let Some(path) = waiting.pop() {
        if let Some(source) = sources.iter().find(|source| source.path == path)
            && reached.insert(source.path)
        {
            waiting.extend(children(source, roots.contains(&path)));
        }
    }
    for source in sources {
        let is_ours = source.path.starts_with("src/") || source.path.starts_with("tests/");
        if is_ours && !reached.contains(source.path) {
            let fix = "name it in a `mod` line, or its target in Cargo.toml";
            report.add(source.path, 1, "a file that is not compiled", fix);
        }
    }
}

/// Where crates begin: what Cargo.toml gives as a `path`, and what Cargo finds by itself.
fn roots(tree: &Tree) -> Vec<String> {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    named.chain(["src/lib.rs", "src/main.rs", "build.rs"]).map(str::to_owned).collect()
}

/// The files that the `mod` lines of a file may mean.
fn children(source: &Source<'_>, is_root: bool) -> Vec<String> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_folder = is_root || source.path.ends_with("/mod.rs");
    let own = if is_folder { folder } else { source.path.trim_end_matches(".rs") };
    let modules = source.inline_modules();
    let mut files = Vec::new();
    for token in source.find("mod").into_iter().filter(|token| source.word(token + 2) == ";") {
        let outer = modules.iter().filter(|(_, tokens)| tokens.contains(&token));
        let place: String = outer.map(|(name, _)| format!("{name}/")).collect();
        let name = source.word(token + 1);
        files.push(format!("{own}/{place}{name}.rs"));
        files.push(format!("{own}/{place}{name}/mod.rs"));
    }
    for token in source.find("# [ path =") {
        files.extend(source.string(token + 4).map(|named| format!("{folder}/{named}")));
    }
    files
}

/// A script that no test reads proves nothing.
fn check_scripts(tree: &Tree, sources: &[Source<'_>], report: &mut Report) {
    let scripts = tree.paths().filter(|path| path.starts_with("tests/scripts/") && path.ends_with(".txt"));
    for path in scripts {
        let (folder, name) = path.rsplit_once('/').expect("a script lies in a folder");
        let folder = folder.trim_start_matches("tests/");
        if !sources.iter().any(|source| source.text.contains(folder) || source.text.contains(name)) {
            report.add(path, 1, "a script that no test reads", format!("read `{folder}` in a test, or remove it"));
        }
    }
}

//! Rules about what is kept: the top level, the dependencies, and what files may hold.

use super::law::{FILE_BYTES_MAX, Law, TOP_LEVEL};
use super::{Report, Tree};

pub fn check(tree: &Tree, law: &Law, report: &mut Report) {
    check_top_level(tree, report);
    check_dependencies(tree, report);
    for (path, text) in tree.texts() {
        check_titles(path, text, report);
        check_machine_paths(path, text, law, report);
    }
    for (path, bytes) in tree.files() {
        if bytes.len() > FILE_BYTES_MAX && !law.excuses(path, "bytes") {
            let fix = format!("at most {FILE_BYTES_MAX} belong in git: make it smaller, or make it when it is needed");
            report.add(path, 1, format!("{} bytes", bytes.len()), fix);
        }
    }
}

fn check_top_level(tree: &Tree, report: &mut Report) {
    let mut last = "";
    for path in tree.paths() {
        let entry = path.split('/').next().unwrap_or(path);
        if entry != last && !entry.starts_with('.') && !TOP_LEVEL.contains(&entry) {
            report.add(
                path,
                1,
                format!("`{entry}` at the top level"),
                "give it a place in a folder that is there already",
            );
        }
        last = entry;
    }
}

/// Every dependency says why it is here.
fn check_dependencies(tree: &Tree, report: &mut Report) {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let mut section = "";
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
            if line.contains("dependencies.") {
                let fix = "write the dependency in one line, with its reason";
                report.add("Cargo.toml", index + 1, "a table for one dependency", fix);
            }
        }
        if !section.ends_with("dependencies]") || line.is_empty() || line.starts_with(['[', '#']) {
            continue;
        }
        let (value, reason) = line.rsplit_once(" # ").unwrap_or((line, ""));
        if reason.trim().is_empty() {
            report.add("Cargo.toml", index + 1, "a dependency without a reason", "add `# why it is here` to its line");
        }
        if value.starts_with("openraft") && !value.contains("\"=") {
            let fix = "pin it by `=`: its alphas change formats";
            report.add("Cargo.toml", index + 1, "a version of openraft that may move", fix);
        }
    }
}

fn check_titles(path: &str, text: &str, report: &mut Report) {
    if !path.ends_with(".md") {
        return;
    }
    let mut in_code = false;
    let mut titles = Vec::new();
    for (index, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if !in_code && line.starts_with("# ") {
            titles.push(index + 1);
        }
    }
    match titles.as_slice() {
        [] => report.add(path, 1, "a page without a title", "begin with one line `# Title`"),
        [_, more @ ..] => {
            for line in more {
                report.add(path, *line, "a second title", "one `# ` per page; sections begin with `## `");
            }
        }
    }
}

/// Folders of the machine somebody happened to work on.
fn check_machine_paths(path: &str, text: &str, law: &Law, report: &mut Report) {
    const HOMES: &[&str] = &[concat!("/", "root/"), concat!("/", "home/"), concat!("/", "work/")];
    for (index, line) in text.lines().enumerate() {
        for home in HOMES.iter().filter(|home| !law.excuses(path, home)) {
            let is_absolute = |at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|sign| sign.is_alphanumeric() || "_-.~/}$*<>".contains(sign))
            };
            if line.match_indices(home).any(|(at, _)| is_absolute(at)) {
                report.add(path, index + 1, format!("`{home}` is a path of one machine"), "make it relative");
            }
        }
    }
}

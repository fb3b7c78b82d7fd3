//! The law of the house, checked: what no compiler says and no reviewer should have to say twice.
//!
//! What is law stands in `tidy/law.rs`, as tables. The rules that read them:
//!
//! - `rooms.rs`: a room imports what it may; pure rooms are pure; only `host` touches the world outside;
//! - `words.rs`: no marks of unfinished work, no queue without a bound, no test that sleeps or does not run;
//!   `select!` has an order; log lines carry an event id;
//! - `shape.rs`: a file says what it is and stays small; every file is compiled, every script is read;
//! - `repository.rs`: the top level is short; a dependency has a reason; a page has one title; no big files, no paths
//!   of one machine.
//!
//! Invariants: every violation is reported at once, as `path:line: what is wrong; what to do`; every rule has a test in
//! `tidy/planted.rs` that plants a violation.
//! Absent on purpose: what rustfmt and clippy check already, unless a line of a table is clearer than their setting.

#![allow(clippy::disallowed_methods, reason = "it reads the repository, on a real disk")]
#![allow(unreachable_pub, reason = "nothing outside reaches into a test")]

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/law.rs"]
mod law;

#[path = "tidy/source.rs"]
mod source;

#[path = "tidy/paths.rs"]
mod paths;

#[path = "tidy/rooms.rs"]
mod rooms;

#[path = "tidy/words.rs"]
mod words;

#[path = "tidy/shape.rs"]
mod shape;

#[path = "tidy/repository.rs"]
mod repository;

#[path = "tidy/planted.rs"]
mod planted;

use law::Law;
use source::Source;

#[test]
fn the_house_is_tidy() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let violations = check(&Tree::read(Path::new(&root)), &Law::of_the_house());
    let report: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
    assert!(violations.is_empty(), "{} violations of the law of the house:\n{report}", violations.len());
}

/// Everything that is wrong with a tree, in the order of its files.
fn check(tree: &Tree, law: &Law) -> Vec<Violation> {
    let mut report = Report::default();
    let sources: Vec<Source<'_>> =
        tree.texts().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| Source::read(path, text)).collect();
    for source in &sources {
        let paths = paths::paths(source);
        rooms::check(source, &paths, law, &mut report);
        words::check(source, &paths, law, &mut report);
    }
    shape::check(tree, &sources, law, &mut report);
    repository::check(tree, law, &mut report);
    report.in_order()
}

/// One breach of the law.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Violation {
    path: String,
    line: usize,
    what: String,
    fix: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.fix)
    }
}

/// The violations found so far.
#[derive(Default)]
struct Report(Vec<Violation>);

impl Report {
    fn add(&mut self, path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Violation { path: path.to_owned(), line, what: what.into(), fix: fix.into() });
    }

    fn in_order(mut self) -> Vec<Violation> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

/// The files of a repository by their paths.
#[derive(Default)]
struct Tree(BTreeMap<String, Vec<u8>>);

impl Tree {
    /// What git tracks or would track; without git, all that is not made by building and running.
    fn read(root: &Path) -> Self {
        let paths = tracked(root).unwrap_or_else(|| walked(root));
        let files = paths.into_iter().filter_map(|path| {
            let bytes = fs::read(root.join(&path)).ok()?; // a file that was just removed is still tracked
            Some((path, bytes))
        });
        Self(files.collect())
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|(path, bytes)| Some((path, std::str::from_utf8(bytes).ok()?)))
    }

    fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(path)?).ok()
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = git.output().ok().filter(|output| output.status.success())?;
    let paths = String::from_utf8(listed.stdout).expect("our file names are UTF-8");
    Some(paths.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("the repository can be read") {
            let entry = entry.expect("the repository can be read");
            let path = folder.join(entry.file_name());
            let is_made = ["target", "dohle-data", ".git"].iter().any(|made| path.as_path() == Path::new(made));
            match entry.file_type() {
                _ if is_made => {}
                Ok(kind) if kind.is_dir() => folders.push(path),
                _ => files.push(path.to_str().expect("our file names are UTF-8").to_owned()),
            }
        }
    }
    files
}

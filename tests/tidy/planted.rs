//! Shows that every rule bites: a violation is planted into a small house, and exactly its line must be reported.
//!
//! In a planted file the lines that break the law end with `//~`. Without those lines the same file must be tidy.

use super::law::{Excuse, FILE_LINES_MAX, FUNCTION_LINES_MAX, LINE_COLUMNS_MAX, Law, Oversize};
use super::{Tree, check};

/// Breaks the law exactly where it says so.
fn planted(path: &str, body: &str) {
    let text = format!("//! A file.{body}");
    let marked: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.ends_with("//~")).map(|(index, _)| index + 1).collect();
    assert!(!marked.is_empty(), "nothing is planted in {path}");
    assert_eq!(lines(path, &text), marked, "reported and planted lines of {path}");

    let twin: String = text.lines().filter(|line| !line.ends_with("//~")).map(|line| format!("{line}\n")).collect();
    clean(path, &twin);
}

fn clean(path: &str, text: &str) {
    assert_eq!(report(&house(path, text), &Law::of_the_house()), [] as [String; 0], "{path} is tidy");
}

/// The lines reported when a file stands in an otherwise tidy house.
fn lines(path: &str, text: &str) -> Vec<usize> {
    let violations = check(&house(path, text), &Law::of_the_house());
    assert!(violations.iter().all(|violation| violation.path == path), "only {path} is untidy: {violations:?}");
    let mut lines: Vec<usize> = violations.iter().map(|violation| violation.line).collect();
    lines.dedup();
    lines
}

fn report(tree: &Tree, law: &Law) -> Vec<String> {
    check(tree, law).iter().map(ToString::to_string).collect()
}

/// A house with one file of interest, in which everything around it is tidy.
fn house(path: &str, text: &str) -> Tree {
    let mut tree = Tree::default();
    let mut add = |path: &str, text: &str| tree.0.insert(path.to_owned(), text.as_bytes().to_vec());
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["src", room, file] => {
            add("src/lib.rs", &format!("//! The map.\nmod {room};\n"));
            add(&format!("src/{room}/mod.rs"), &format!("//! A room.\nmod {};\n", file.trim_end_matches(".rs")));
        }
        ["tests", "it", file] => {
            add("Cargo.toml", "[[test]]\npath = \"tests/it/main.rs\"\n");
            add("tests/it/main.rs", &format!("//! Tests.\nmod {};\n", file.trim_end_matches(".rs")));
        }
        _ => {}
    }
    add(path, text);
    tree
}

#[test]
fn a_room_imports_what_it_may() {
    planted(
        "src/log/index.rs",
        "
        use super::reader::Reader;
        use crate::{base::ids::{Offset, Epoch}, log};
        use crate::base::{self, ids};
        use crate::{base::ids::Uuid, replica::Leader}; //~
        pub use crate::wire; //~
        use super::super::base::World; //~
        use crate::*; //~
        pub(in crate::log) fn a() {}
        pub(in crate::broker) fn b() {} //~
        fn c() -> crate::record::Batch { dohle::record::read() }
        fn d() -> crate::net::Link { self::e() } //~
        fn f() { crate::nowhere::g() } //~
        // use crate::wire; \"
        const TEXT: &str = \"crate::wire::Frame\";
        const RAW: &str = r#\"\" crate::wire::Frame // \"#;
        const SIGNS: [char; 2] = ['\"', '\\''];
        /* /* crate::wire */ crate::wire */
        /// See `crate::wire`.
        fn h<'a>(x: &'a str) -> crate::wire::Frame<'a> {} //~
        #[cfg(test)]
        mod tests {
            use super::*;
            use crate::broker::Broker; //~
        }
        ",
    );
}

#[test]
fn a_folder_leads_out_of_its_room_by_one_super() {
    let text = "//! A room.\nuse super::base::World;\nuse super::wire::Frame;\n";
    assert_eq!(lines("src/log/mod.rs", text), [3]);
}

#[test]
fn a_room_without_a_law_is_reported() {
    assert_eq!(lines("src/cellar/mod.rs", "//! A file.\n"), [1]);
}

#[test]
fn only_the_command_line_builds_the_world() {
    planted("src/node/roles.rs", "\nuse crate::host::World; //~\nuse crate::server::Door;\n");
    planted("src/server/door.rs", "\nuse crate::client::Client; //~\nuse crate::broker::Broker;\n");
    clean("src/cli/serve.rs", "//! A file.\nuse crate::host::World;\n");
}

#[test]
fn pure_rooms_are_pure() {
    planted(
        "src/controller/topics.rs",
        "
        use std::collections::{BTreeMap, HashMap}; //~
        use std::net::{IpAddr, SocketAddr};
        use std::time::{Duration, Instant};
        fn a(now: Instant) -> Duration { now - Instant::now() } //~
        async fn b() {} //~
        fn c() { d.await } //~
        use tokio::sync::watch; //~
        fn e() { tracing::debug!(\"\") } //~
        fn f() { rand::random() } //~
        fn g() { use std::net; net::lookup() } //~
        // tokio::spawn(async {}) into a HashMap
        #[cfg(test)]
        mod tests { fn script() { std::fs::read(); } }
        ",
    );
    planted("src/wire/frame.rs", "\nuse std::collections::HashMap;\nuse std::io::Read;\nuse std::fs::File; //~\n");
}

#[test]
fn only_the_host_touches_the_outside() {
    planted(
        "src/broker/table.rs",
        "
        use std::net::SocketAddr;
        use std::{collections::HashMap, fs, thread}; //~
        use tokio::{sync::watch, task::{JoinHandle, spawn_blocking}}; //~
        use tokio::task::{self as jobs};
        use tokio::time::{Instant, sleep};
        async fn a() { sleep(Instant::now() - b).await }
        fn c() { jobs::spawn(d); } //~
        fn e() { std::time::SystemTime::now() } //~
        fn f() { rocksdb::DB::open() } //~
        use tokio::net::*; //~
        use tokio::*; //~
        fn g() { ::getrandom::fill() } //~
        ",
    );
    clean("src/host/disk.rs", "//! A file.\nuse std::fs;\nuse std::thread;\nfn a() { rustix::fs::fallocate() }\n");
}

#[test]
fn a_file_says_what_it_is() {
    assert_eq!(lines("src/wire/frame.rs", "use crate::base;\n//! Late.\n"), [1]);
    assert_eq!(lines("src/wire/frame.rs", "//! \n"), [1]);
    assert_eq!(lines("proto/raft.proto", "syntax = \"proto3\";\n"), [1]);
    assert_eq!(lines("proto/kafka/fetch.wire", "api 1 Fetch\n"), [1]);
    assert_eq!(lines("deploy/up.sh", "#!/bin/sh\nset -e\n"), [2]);
    clean("proto/raft.proto", "// Raft.\nsyntax = \"proto3\";\n");
    clean("proto/kafka/fetch.wire", "# Fetch.\napi 1 Fetch\n");
    clean("deploy/up.sh", "#!/bin/sh\n# Starts three nodes.\nset -e\n");
}

#[test]
fn nothing_is_too_large() {
    let function = |lines: usize| format!("//! A file.\nfn long() {{\n{}}}\n", "\n".repeat(lines - 2));
    clean("src/wire/frame.rs", &function(FUNCTION_LINES_MAX));
    assert_eq!(lines("src/wire/frame.rs", &function(FUNCTION_LINES_MAX + 1)), [2]);

    let file = |lines: usize| format!("//! A file.\n{}", "\n".repeat(lines - 1));
    clean("src/wire/frame.rs", &file(FILE_LINES_MAX));
    assert_eq!(lines("src/wire/frame.rs", &file(FILE_LINES_MAX + 1)), [1]);

    let line = |columns: usize| format!("//! A file.\n//{}\n", "ü".repeat(columns - 2));
    clean("src/wire/frame.rs", &line(LINE_COLUMNS_MAX));
    assert_eq!(lines("src/wire/frame.rs", &line(LINE_COLUMNS_MAX + 1)), [2]);
}

#[test]
fn what_is_too_large_may_only_shrink() {
    const LISTED: &[Oversize] = &[Oversize { path: "src/wire/frame.rs", function: "long", lines: 90 }];
    let fixes = |path: &str, lines: usize| {
        let text = format!("//! A file.\nfn long() {{\n{}}}\n", "\n".repeat(lines - 2));
        report(&house(path, &text), &Law { oversize: LISTED, ..Law::of_the_house() })
    };
    let remove = "remove it from OVERSIZE in tests/tidy/law.rs";
    let at = "src/wire/frame.rs";
    assert_eq!(fixes(at, 90), [] as [&str; 0]);
    assert_eq!(fixes(at, 91), [format!("{at}:2: `long` grew from 90 to 91 lines; it may only shrink")]);
    assert_eq!(
        fixes(at, 89),
        [format!("{at}:2: `long` shrank from 90 lines; lower it to 89 in OVERSIZE in tests/tidy/law.rs")]
    );
    assert_eq!(fixes(at, 60), [format!("{at}:2: `long` is no longer oversize; {remove}")]);
    assert_eq!(fixes("src/wire/other.rs", 60), [format!("{at}:1: an oversize file that is gone; {remove}")]);
}

#[test]
fn finished_code_has_no_marks_of_work() {
    planted(
        "src/log/index.rs",
        "
        fn a() { b.unwrap() } //~
        fn c() { d.unwrap_or(0).expect(\"unwrap()\") }
        fn e() { todo!() } //~
        fn f() { unimplemented!() } //~
        fn g() { dbg!(1); } //~
        // FIXME //~
        // XXXL is a size
        #[cfg(test)]
        mod tests { fn h() { i.unwrap(); todo!() } } // FIXME
        fn j() { k.unwrap() } //~
        ",
    );
}

#[test]
fn queues_have_bounds() {
    planted(
        "src/log/index.rs",
        "
        use std::ops::Bound::Unbounded;
        use tokio::sync::mpsc::unbounded_channel; //~
        use std::sync::mpsc;
        fn a() { mpsc::channel() } //~
        fn b() { mpsc::sync_channel(1) } // nothing is unbounded here
        ",
    );
    planted("tests/it/topics.rs", "\nuse futures::channel::mpsc::unbounded; //~\nfn a() {}\n");
}

#[test]
fn tests_run_and_do_not_sleep() {
    planted(
        "tests/it/topics.rs",
        "
        #[ignore = \"slow\"] //~
        #[should_panic] //~
        fn a() { std::thread::sleep(b) } //~
        async fn c() { tokio::time::sleep(d).await } //~
        ",
    );
    clean("src/log/index.rs", "//! A file.\nasync fn a() { tokio::time::sleep(b).await }\n");
}

#[test]
fn an_excuse_counts_where_it_is_given() {
    const EXCUSES: &[Excuse] = &[Excuse { path: "tests/it/", word: "sleep(", why: "the rule's own test" }];
    let law = Law { excuses: EXCUSES, ..Law::of_the_house() };
    let text = "//! A file.\nfn a() { sleep(b) }\n";
    assert_eq!(report(&house("tests/it/topics.rs", text), &law), [] as [&str; 0]);
    let elsewhere = "//! A file.\n#[cfg(test)]\nfn a() { sleep(b) }\n";
    assert_eq!(report(&house("src/log/index.rs", elsewhere), &law).len(), 1);
}

#[test]
fn every_file_is_compiled() {
    let mut tree = house("src/log/index.rs", "//! A file.\nmod inner { mod deep; }\n#[path = \"odd.rs\"]\nmod even;\n");
    for path in ["src/log/index/inner/deep.rs", "src/log/odd.rs", "src/log/lost.rs", "tests/lost.rs"] {
        tree.0.insert(path.to_owned(), b"//! A file.\n".to_vec());
    }
    let fix = "a file that is not compiled; name it in a `mod` line, or its target in Cargo.toml";
    let lost = [format!("src/log/lost.rs:1: {fix}"), format!("tests/lost.rs:1: {fix}")];
    assert_eq!(report(&tree, &Law::of_the_house()), lost);
}

#[test]
fn every_script_is_read() {
    let mut tree = house("tests/it/topics.rs", "//! A file.\nconst FOLDER: &str = \"tests/scripts/replica\";\n");
    for path in ["tests/scripts/replica/lead.txt", "tests/scripts/share/take.txt"] {
        tree.0.insert(path.to_owned(), b"lead\n".to_vec());
    }
    let lost =
        "tests/scripts/share/take.txt:1: a script that no test reads; read `scripts/share` in a test, or remove it";
    assert_eq!(report(&tree, &Law::of_the_house()), [lost]);
}

#[test]
fn the_top_level_is_short() {
    assert_eq!(lines("scripts/up", ""), [1]);
    assert_eq!(lines("notes.txt", ""), [1]);
    clean(".github/workflows/test.yml", "# Runs the tests.\n");
    clean("deploy/grafana.json", "{}");
}

#[test]
fn dependencies_have_reasons() {
    let manifest = "[package]\nname = \"dohle\"\n\n[dependencies]\nbytes = \"1\" # buffers\ntoml = \"1\"\n\
                    openraft = { version = \"=0.10\" } # Raft\nopenraft-rt = \"0.10\" # Raft's runtime\n\n\
                    [dev-dependencies]\ntempfile = \"3\" #\n[dependencies.http]\nversion = \"1\" # the URI type\n\n\
                    [profile.dev]\nlto = true\n";
    assert_eq!(lines("Cargo.toml", manifest), [6, 8, 11, 12]);
}

#[test]
fn log_lines_carry_an_event_id() {
    planted(
        "src/broker/table.rs",
        "
        fn a() { tracing::info!(event = \"partition.led\", %partition, \"leads\") }
        fn b() { warn!(%partition, event = \"log_dir.failed\", \"failed (see below)\") }
        fn c() { info!(\"event = no\") } //~
        fn d() { error!(event = \"Failed\", \"failed\") } //~
        fn e() { warn!(event = NAME, \"failed\") } //~
        fn f() { debug!(\"of no interest\") }
        ",
    );
}

#[test]
fn pages_have_one_title() {
    assert_eq!(lines("README.md", "# Dohle\n## Start\n# Again\n"), [3]);
    assert_eq!(lines("README.md", "Dohle\n"), [1]);
    clean("README.md", "# Dohle\n```sh\n# a comment\n```\n## Start\n");
}

#[test]
fn big_files_stay_out() {
    assert_eq!(lines("deploy/grafana.json", &" ".repeat(256 * 1024 + 1)), [1]);
    clean("deploy/grafana.json", &" ".repeat(256 * 1024));
}

#[test]
fn paths_of_one_machine_stay_out() {
    for home in ["root", "home/anna", "work"] {
        assert_eq!(lines("deploy/kafka.conf", &format!("a = target/{home}/x\nb = /{home}/x\n")), [2]);
    }
}

#[test]
fn select_has_an_order() {
    planted(
        "src/broker/table.rs",
        "
        async fn a() { tokio::select! { biased; _ = b => {} } }
        async fn c() { select! { _ = d => {} } } //~
        ",
    );
}

//! `dohle lab` by script: nodes are struck as a seed says, and what was acknowledged is there in the end.
//!
//! Longer, and with another seed each time: `dohle lab --headless chaos --seconds 600`.

use std::process::Command;

use serde_json::Value;

use crate::process::DOHLE;

/// Runs a scenario to its end; its report and how it exits.
fn lab(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = Command::new(DOHLE).args(["lab", "-o", "json", "--headless"]).args(arguments).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    (report.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {errors}")), output.status.code())
}

#[test]
fn nothing_is_lost_whatever_is_done_to_the_nodes() {
    let (report, exit) = lab(&["chaos", "--seconds", "15", "--seed", "1"]);
    println!("{report:#}");
    assert_eq!((report["verdict"].as_str(), exit), (Some("valid"), Some(0)));
}

#[test]
fn a_run_in_which_nothing_happened_shows_nothing() {
    let (report, exit) = lab(&["leader-kill", "--kills", "0", "--seconds", "1", "--rate", "100"]);
    assert_eq!((report["verdict"].as_str(), exit), (Some("unknown"), Some(6)), "{report:#}");
}

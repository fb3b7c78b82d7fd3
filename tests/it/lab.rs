//! `dohle lab` by script: nodes are struck as a seed says, and what was acknowledged is there in the end.
//!
//! Longer, and with another seed each time: `dohle lab --headless chaos --seconds 600`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

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

#[test]
fn a_rolling_restart_stops_one_node_after_the_other_and_waits_for_every_replica() {
    let mut command = Command::new(DOHLE);
    command.arg("lab").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut lab = Running(command.spawn().unwrap());
    let mut said = BufReader::new(lab.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let admin = said.find_map(|line| Some(line.strip_prefix("admin")?.trim().to_owned())).expect("it says where it is");
    let admin: Vec<&str> = admin.split(',').collect();

    let restart = ["cluster", "restart", "--rolling", "-o", "json", "--admin", admin[0]];
    let output = Command::new(DOHLE).args(restart).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let nodes: BTreeSet<i64> = told.iter().map(|restarted| restarted["node"].as_i64().unwrap()).collect();
    assert_eq!((told.len(), nodes), (3, BTreeSet::from([1, 2, 3])), "{lines}");

    let status = ["cluster", "status", "--wait", "--timeout", "1", "-o", "json", "--admin", admin[2]];
    let output = Command::new(DOHLE).args(status).output().unwrap();
    assert!(output.status.success(), "nothing is left to wait for: {}", String::from_utf8_lossy(&output.stderr));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["partitions"]["under_replicated"], 0, "{status:#}");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

//! `dohle bench` against a real node: what it measures is there, and what it checks is checked.

use std::process::Command;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::process::DOHLE;

/// Runs it for a moment; what it reports.
fn bench(cluster: &Cluster, arguments: &[&str]) -> Value {
    let mut command = Command::new(DOHLE);
    command.args(["bench", "--bootstrap", &cluster.bootstrap(), "-o", "json"]);
    command.args(["--warm-up-seconds", "0", "--seconds", "1", "--consume-seconds", "1"]).args(arguments);
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_was_produced_is_acknowledged_in_order_and_read_back_whole() {
    let cluster = Cluster::start(1, &[]);
    let process = std::process::id().to_string();
    for arguments in [
        &["--produce-version", "3", "--acks", "1", "--pid", &process][..],
        &["--idempotent", "--records", "16", "--record-bytes", "1000"],
        &["--idempotent", "--connections", "1", "--in-flight", "1", "--partitions", "1", "--spin"],
        &["--idempotent", "--connections", "3", "--in-flight", "20", "--partitions", "3"], // which come together
    ] {
        let report = bench(&cluster, arguments);
        let (produced, consumed) = (&report["produce"], &report["consume"]);
        assert!(produced["requests"].as_u64() > Some(0), "{report:#}");
        assert!(consumed["records_per_second"].as_f64() > Some(0.0), "{report:#}");
        assert!(produced["p99_us"].as_f64() >= produced["p50_us"].as_f64(), "{report:#}");
        assert_eq!(produced["server_cpu_us_per_request"].is_f64(), arguments.contains(&"--pid"), "{report:#}");
    }
    let listed = Command::new(DOHLE).args(["topic", "list", "--admin", cluster.admin(1)]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(!listed.contains("dohle-bench"), "it removes its topics: {listed}");
}

#[test]
fn a_cluster_that_is_not_there_is_told_by_the_exit_code() {
    let output = Command::new(DOHLE).args(["bench", "--bootstrap", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

//! Clients written in other languages, each in a story of its own under `tests/clients`: administration, an idempotent
//! producer, and reading back what was sent.
//!
//! Python's run wherever there is Python. Those of Node and Go run too where they are installed, and must run with
//! `DOHLE_TEST_CLIENTS=all`: what they need is large, and a fresh machine gets it from nobody but its owner.

use super::tools::{command, fetched, is_missing, on_path, run};
use crate::cluster::Cluster;

#[test]
fn pythons_clients_tell_their_stories() {
    if is_missing(&["python3"]) {
        return;
    }
    let cluster = Cluster::start(1, &[]);
    for client in ["kafka_python", "aiokafka", "confluent_kafka"] {
        tell(&cluster, "python-client.sh", &[&format!("{client}_story.py")]);
    }
}

#[test]
fn kafkajs_tells_its_story() {
    if is_left_out(&["node", "npm"]) {
        return;
    }
    tell(&Cluster::start(1, &[]), "node-client.sh", &["kafkajs_story.js"]);
}

#[test]
fn franz_go_tells_its_story() {
    if is_left_out(&["go"]) {
        return;
    }
    tell(&Cluster::start(1, &[]), "go-client.sh", &["story"]);
}

/// Whether a story is not told because its language is not spoken here, and need not be.
pub(super) fn is_left_out(programs: &[&str]) -> bool {
    let must_run = std::env::var("DOHLE_TEST_CLIENTS").is_ok_and(|which| which == "all");
    let missing: Vec<_> = programs.iter().filter(|program| !on_path(program)).collect();
    assert!(missing.is_empty() || !must_run, "DOHLE_TEST_CLIENTS=all needs {missing:?}");
    if !missing.is_empty() {
        println!("skipped for want of {missing:?}");
    }
    !missing.is_empty()
}

/// Runs a story to its good end.
fn tell(cluster: &Cluster, script: &str, arguments: &[&str]) {
    let said = run(command(&fetched(script)).args(arguments).arg(cluster.bootstrap()), "");
    assert!(said.output.contains("all is well"), "{}{}", said.output, said.errors);
}

//! `dohle server` as a process: starts, says that it is ready, keeps its directory to itself, stops when asked.

use std::process::Command;

use tempfile::TempDir;

use crate::process::{DOHLE, Server, http_get};

fn server(data: &TempDir) -> Command {
    let mut command = Command::new(DOHLE);
    command.args(["server", "--log", "json", "--data-dir"]).arg(data.path());
    for flag in ["--listen", "--peer-listen", "--admin-listen"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    command
}

fn start(data: &TempDir) -> Server {
    Server::start("the server", &mut server(data))
}

#[test]
fn a_server_answers_probes_and_stops_cleanly_on_either_signal() {
    for signal in ["-TERM", "-INT"] {
        let data = TempDir::new().unwrap();
        let mut server = start(&data);
        let started = server.event("node.started");
        let admin = started["admin"].as_str().unwrap();
        assert_eq!(http_get(admin, "/livez").unwrap(), (200, serde_json::json!({"status": "alive"})));
        let ready = (200, serde_json::json!({"status": "ready"}));
        server.until("the node is ready", || http_get(admin, "/readyz").unwrap() == ready);
        assert_eq!(server.stop(signal).code(), Some(0), "{signal}");
        server.event("node.stopped");
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_and_one_after_a_kill_is_not() {
    let data = TempDir::new().unwrap();
    let mut first = start(&data);
    first.event("node.started");
    let second = server(&data).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("belongs to a node that is running; stop it, or choose another with --data-dir"), "{said}");
    first.kill();
    start(&data).event("node.started");
}

#[test]
fn a_node_that_listens_everywhere_tells_others_its_own_entry_among_the_seeds_unless_it_was_set() {
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let set = format!("dohle.peer.advertised=127.0.0.1:{own}");
    let as_set = format!("127.0.0.1:{own}");
    for (settings, told) in [(&[][..], format!("localhost:{own}")), (&["--set", &set][..], as_set)] {
        let data = TempDir::new().unwrap();
        let mut command = Command::new(DOHLE);
        command.args(["server", "--log", "json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--peer-listen", &format!(":{own}"), "--seeds", &format!("localhost:{own}")]);
        command.args(settings).arg("--data-dir").arg(data.path());
        let mut server = Server::start("the server", &mut command);
        assert_eq!(server.event("node.started")["others_dial"], told.as_str());
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let output = server(&data).args(["--admin-listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "the same flag twice is a usage error: {said}");
    let settings = data.path().join("server.properties");
    std::fs::write(&settings, format!("dohle.admin.listen={address}\nlisteners=PLAINTEXT://127.0.0.1:0\n")).unwrap();
    let output = Command::new(DOHLE)
        .args(["server", "--config"])
        .arg(&settings)
        .args(["--peer-listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("the admin port cannot listen on {address}: Address already in use")), "{said}");
}

#[test]
fn checking_a_file_tells_the_three_kinds_of_trouble_apart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("server.properties");
    std::fs::write(&path, "log.retension.hours=168\nnum.partitions=many\nzookeeper.connect=localhost:2181\n").unwrap();
    let output = Command::new(DOHLE).args(["config", "check"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap().replace(&path.display().to_string(), "FILE");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said.lines().take(3).collect::<Vec<_>>(),
        [
            "FILE:1: unknown key \"log.retension.hours\": did you mean log.retention.hours?",
            "FILE:2: num.partitions = \"many\": expected a whole number, at least 1",
            "FILE:3: note: zookeeper.connect is ignored: Dohle needs no ZooKeeper; remove the line",
        ]
    );
}

#[test]
fn asking_wrongly_is_2_and_the_version_is_printed() {
    let run = |arguments: &[&str]| Command::new(DOHLE).args(arguments).output().unwrap();
    assert_eq!(run(&["server", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["server", "--node-id", "minus one"]).status.code(), Some(2));
    assert_eq!(run(&["config", "check", "/no/such/file"]).status.code(), Some(1));
    let version = run(&["--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("dohle {}\n", env!("CARGO_PKG_VERSION")));
}

//! Several listeners: each client is told the addresses of the one it has come by.

use std::net::TcpListener;
use std::process::Command;

use dohle::wire::messages::metadata::MetadataRequest;
use tempfile::TempDir;

use super::wire::Wire;
use crate::process::{DOHLE, Server, http_get};

#[test]
fn a_client_is_told_the_addresses_of_the_listener_it_has_come_by() {
    let data = TempDir::new().unwrap();
    let free = |host: &str| TcpListener::bind((host, 0)).unwrap().local_addr().unwrap();
    let (inside, outside) = (free("127.0.0.1"), free("::1"));
    let mut command = Command::new(DOHLE);
    command.args(["server", "--log", "json", "--peer-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--listen", &format!("INSIDE://{inside},OUTSIDE://{outside}")]);
    command.args(["--set", "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"]);
    let mut server = Server::start("the server", command.arg("--data-dir").arg(data.path()));
    let started = server.event("node.started");
    let admin = started["admin"].as_str().unwrap();
    server.until("the node is ready", || http_get(admin, "/readyz").is_ok_and(|(status, _)| status == 200));
    for address in [inside, outside] {
        let metadata = Wire::to(&address.to_string()).ask_newest(&MetadataRequest::default());
        let told: Vec<_> = metadata.brokers.iter().map(|broker| (broker.host.as_str(), broker.port)).collect();
        assert_eq!(told, [(address.ip().to_string().as_str(), i32::from(address.port()))]);
    }
}

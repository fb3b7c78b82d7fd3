//! What a node needs to know to start: its place in the cluster, its addresses and its folders, typed and checked
//! against each other.

use std::path::PathBuf;

use crate::base::ids::NodeId;

use super::listener::{ADMIN_PORT, Address, Listener, PEER_PORT, Protocol, named_address};
use super::load::{File, Given, Resolved, load};
use super::problem::{Origin, Problem, has_errors, sort};

/// The configuration of one node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Unset: the cluster finds one.
    pub node_id: Option<NodeId>,
    pub roles: Roles,
    /// Where Kafka clients connect; none on a node that is a controller only.
    pub listeners: Vec<Listener>,
    pub peer_listen: Address,
    /// What other nodes are told, where that was set.
    pub peer_advertised: Option<Address>,
    pub admin_listen: Address,
    pub seeds: Seeds,
    pub data_dir: PathBuf,
    /// Where partitions lie: at least one folder.
    pub log_dirs: Vec<PathBuf>,
    /// What this machine is called, if anybody has asked it: what clients are told of a listener at every address.
    pub hostname: Option<String>,
    /// Everything else, by name.
    pub settings: Resolved,
}

/// What a node does; at least one of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    pub controller: bool,
    pub broker: bool,
}

/// How a node finds its cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seeds {
    /// It is one.
    Alone,
    /// It joins a cluster that exists.
    Any,
    /// It founds one with these peers, or joins the one they have.
    Peers(Vec<Address>),
}

impl NodeConfig {
    /// Everything `dohle server` was told, in one step. With an error among the problems it must not be started with.
    pub fn load(
        file: Option<File<'_>>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Given],
    ) -> (Self, Vec<Problem>) {
        let (settings, mut problems) = load(file, environment, flags);
        let (node, more) = Self::read(settings);
        problems.extend(more);
        sort(&mut problems);
        (node, problems)
    }

    /// Types what was resolved and checks it against itself; the same holds for its problems.
    pub fn read(settings: Resolved) -> (Self, Vec<Problem>) {
        let mut reading = Reading { settings: &settings, problems: Vec::new() };
        let roles = reading.roles();
        let listeners = reading.listeners(roles);
        let peer_listen = reading.address("dohle.peer.listen", PEER_PORT);
        let admin_listen = reading.address("dohle.admin.listen", ADMIN_PORT);
        reading.check_clashes(&listeners, &peer_listen, &admin_listen);
        let seeds = reading.seeds();
        let (data_dir, log_dirs) = reading.folders();
        let problems = reading.problems;
        let id = settings.optional_number("node.id");
        let node_id = id.map(|id| NodeId(i32::try_from(id).expect("the table says that node.id is an int")));
        let peer_advertised =
            settings.optional_text("dohle.peer.advertised").and_then(|text| Address::parse(text, PEER_PORT));
        let node = Self {
            node_id,
            roles,
            listeners,
            peer_listen,
            peer_advertised,
            admin_listen,
            seeds,
            data_dir,
            log_dirs,
            hostname: None,
            settings,
        };
        (node, problems)
    }
}

/// Settings being read, and what was wrong with them.
struct Reading<'a> {
    settings: &'a Resolved,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn error(&mut self, key: &str, text: impl Into<String>) {
        self.problems.push(Problem::error(self.settings.origin(key).clone(), text));
    }

    fn warn(&mut self, key: &str, text: impl Into<String>) {
        self.problems.push(Problem::warning(self.settings.origin(key).clone(), text));
    }

    fn roles(&mut self) -> Roles {
        let named = |role: &str| self.settings.list("process.roles").iter().any(|named| named == role);
        let roles = Roles { controller: named("controller"), broker: named("broker") };
        if !roles.controller && !roles.broker {
            self.error("process.roles", "process.roles is empty: expected broker, controller or both");
        }
        roles
    }

    fn address(&mut self, key: &str, default_port: u16) -> Address {
        Address::parse(self.settings.text(key), default_port).expect("the table's check let it through")
    }

    /// The listeners for clients, with what is advertised for each.
    fn listeners(&mut self, roles: Roles) -> Vec<Listener> {
        let mut listeners = Vec::new();
        let (for_clients, for_controllers) = self.client_addresses();
        for (name, bind) in for_clients {
            if listeners.iter().any(|known: &Listener| known.name == name) {
                self.error("listeners", format!("listeners has {name} twice: each listener needs a name of its own"));
            } else if let Some(protocol) = self.protocol(&name) {
                listeners.push(Listener { name, protocol, bind, advertised: None });
            }
        }
        self.advertise(&mut listeners, &for_controllers);
        if !roles.broker {
            if !listeners.is_empty() && *self.settings.origin("listeners") != Origin::Default {
                self.warn(
                    "listeners",
                    "listeners opens nothing here: a node that is only a controller serves no clients",
                );
            }
            return Vec::new();
        }
        if listeners.is_empty() && !has_errors(&self.problems) {
            self.error("listeners", "listeners has nothing for clients: a broker needs one, such as PLAINTEXT://:9092");
        }
        listeners
    }

    /// Splits `listeners` into those for clients and the names of those that Kafka keeps for controllers.
    fn client_addresses(&mut self) -> (Vec<(String, Address)>, Vec<String>) {
        let settings = self.settings;
        let mut kept: Vec<String> = settings.list("controller.listener.names").to_vec();
        kept.iter_mut().for_each(|name| name.make_ascii_uppercase());
        let mut for_clients = Vec::new();
        for (name, address) in self.named_addresses("listeners", "PLAINTEXT") {
            if kept.contains(&name) {
                let peer = settings.text("dohle.peer.listen");
                self.warn(
                    "listeners",
                    format!("{name}://{address} is not opened: controllers meet on dohle.peer.listen, which is {peer}"),
                );
            } else {
                for_clients.push((name, address));
            }
        }
        (for_clients, kept)
    }

    fn named_addresses(&mut self, key: &str, understood: &str) -> Vec<(String, Address)> {
        let mut found = Vec::new();
        for text in self.settings.list(key) {
            match named_address(text, understood) {
                Some(named) => found.push(named),
                None => self.error(key, format!("{key} = {text:?}: expected NAME://HOST:PORT or HOST:PORT")),
            }
        }
        found
    }

    /// A listener that the map does not name speaks the protocol it is called like.
    fn protocol(&mut self, listener: &str) -> Option<Protocol> {
        const MAP: &str = "listener.security.protocol.map";
        let settings = self.settings;
        let mut entries = settings.text(MAP).split(',').map(|entry| entry.split_once(':').unwrap_or((entry, "")));
        let mapped = entries.find(|(name, _)| name.trim().eq_ignore_ascii_case(listener));
        let (_, protocol) = mapped.unwrap_or((listener, listener));
        let known = Protocol::named(protocol.trim());
        if known.is_none() && mapped.is_some() {
            let known = Protocol::ALL.map(Protocol::name).join(", ");
            self.error(MAP, format!("{listener} is mapped to {protocol:?}: expected one of {known}"));
        } else if known.is_none() {
            self.error("listeners", format!("listener {listener} has no protocol: add {listener}:PLAINTEXT to {MAP}"));
        }
        known
    }

    fn advertise(&mut self, listeners: &mut [Listener], for_controllers: &[String]) {
        const KEY: &str = "advertised.listeners";
        let first = listeners.first().map_or("PLAINTEXT", |listener| &listener.name).to_owned();
        for (name, address) in self.named_addresses(KEY, &first) {
            if for_controllers.contains(&name) {
                continue; // said already where the listener itself was dropped
            }
            if address.is_wildcard() || address.port == 0 {
                self.error(
                    KEY,
                    format!("{KEY} = {name}://{address}: clients cannot dial that; name a host and a port"),
                );
            } else if let Some(listener) = listeners.iter_mut().find(|listener| listener.name == name) {
                listener.advertised = Some(address);
            } else {
                let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
                let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                self.error(KEY, format!("{KEY} names {name}, which is not among listeners ({has})"));
            }
        }
    }

    fn check_clashes(&mut self, listeners: &[Listener], peer: &Address, admin: &Address) {
        let mut taken: Vec<(&str, &Address)> = vec![("dohle.peer.listen", peer), ("dohle.admin.listen", admin)];
        taken.extend(listeners.iter().map(|listener| (listener.name.as_str(), &listener.bind)));
        for (place, (name, address)) in taken.iter().enumerate() {
            for (other, theirs) in &taken[..place] {
                if address.clashes_with(theirs) {
                    let key = if name.starts_with("dohle.") { name } else { "listeners" };
                    self.error(key, format!("{name} ({address}) and {other} ({theirs}) cannot share a port"));
                }
            }
        }
    }

    fn seeds(&mut self) -> Seeds {
        const KEY: &str = "dohle.seeds";
        let written = self.settings.list(KEY);
        if written.is_empty() {
            return Seeds::Alone;
        }
        if written == ["any"] {
            return Seeds::Any;
        }
        if written.iter().any(|seed| seed == "any") {
            self.error(KEY, format!("{KEY}: any stands alone or not at all"));
        }
        let mut peers: Vec<Address> = Vec::with_capacity(written.len());
        for seed in written.iter().filter_map(|seed| Address::parse(seed, PEER_PORT)) {
            if peers.contains(&seed) {
                self.error(KEY, format!("{KEY} has {seed} twice: the place in the list is a node's number"));
            }
            peers.push(seed);
        }
        Seeds::Peers(peers)
    }

    fn folders(&mut self) -> (PathBuf, Vec<PathBuf>) {
        let settings = self.settings;
        let data_dir = PathBuf::from(settings.text("dohle.data.dir"));
        let written = settings.list("log.dirs");
        self.check_lasting("dohle.data.dir", settings.text("dohle.data.dir"));
        for folder in written {
            self.check_lasting("log.dirs", folder);
        }
        let log_dirs =
            if written.is_empty() { vec![data_dir.join("log")] } else { written.iter().map(PathBuf::from).collect() };
        (data_dir, log_dirs)
    }

    fn check_lasting(&mut self, key: &str, folder: &str) {
        if folder == "/tmp" || folder.starts_with("/tmp/") {
            self.warn(key, format!("{key}: many systems empty /tmp when they start, and {folder} with it"));
        }
    }
}

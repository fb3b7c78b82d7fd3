//! The law of the house as data: who may import whom, which words are banned where, how large things may grow.
//!
//! To change the law, change a line here and say why in the commit. To be excused from it, add an [`Excuse`] with its
//! reason; to outgrow a size, which only old code may, an [`Oversize`].

/// The rooms of `src/`, from the ground up. A room imports only rooms that stand above it in this table.
///
/// - `..5` stands for every room up to floor 5, `-host` takes one out of it.
/// - `async`: may await and log; touches the world outside only through the seams of `base`.
/// - `pure`: besides, no async, no IO, no clock, no randomness, no logging.
/// - `mind`: besides, no hash maps: the order in which they are walked would become behaviour.
/// - `world`: the outside itself; the only room that opens files and sockets, starts threads, reads clocks and dice.
const ROOMS: &str = "
    floor  room         nature  may import
    0      base         async
    1      telemetry    async   base
    1      config       pure    base
    1      wire         pure    base
    1      record       pure    base
    1      rpc          async   base
    2      metadata     mind    base config rpc
    3      security     mind    base metadata
    3      controller   mind    base config rpc wire metadata
    3      replica      mind    base wire record metadata
    3      coordinator  mind    base config wire record metadata
    4      host         world   base
    4      log          async   base telemetry config record
    4      net          async   base telemetry config
    5      quorum       async   base telemetry config wire rpc metadata controller net
    5      broker       async   base telemetry config wire record rpc metadata controller replica coordinator log net
    5      client       async   base wire record net
    6      server       async   ..5 -host -client
    7      node         async   ..6 -host -client
    7      cli          async   base telemetry config wire record rpc host log net client node
    8      main         async   cli
";

/// The outside world. A path that begins like one of these is for `host` alone.
pub const OUTSIDE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process::Command",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "tokio::fs",
    "tokio::net",
    "tokio::process",
    "tokio::spawn",
    "tokio::task::block_in_place",
    "tokio::task::spawn",
    "tokio::task::spawn_blocking",
    "tokio::task::spawn_local",
    "getrandom",
    "rand",
    "rocksdb",
    "rustix",
];

/// What of it is only a value, and fine everywhere.
pub const VALUES: &[&str] = &[
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
];

/// What a pure room may not name either.
pub const IMPURE: &[&str] = &["openraft", "tokio", "tonic", "tracing"];

/// What a file begins with, by the end of its name; a line `#!` may come before it.
pub const HEADERS: &[(&str, &str)] = &[
    (".rs", "//! "),
    (".proto", "// "),
    (".wire", "# "),
    (".sh", "# "),
    (".service", "# "),
    (".yml", "# "),
    (".yaml", "# "),
    ("Dockerfile", "# "),
];

/// Where lines have a limit.
pub const NARROW: &[&str] = &[".rs", ".proto", ".wire", ".sh"];

pub const FILE_LINES_MAX: usize = 800;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const LINE_COLUMNS_MAX: usize = 120;
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// What may stand at the top of the repository, besides dotfiles.
pub const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "build.rs",
    "rust-toolchain.toml",
    "benches",
    "deploy",
    "proto",
    "src",
    "stand-ins", // crates in the place of a dependency's own, each of which says why
    "tests",
];

/// Permission to use one banned word under one path, and why.
pub struct Excuse {
    /// A file, or a folder with a slash at its end.
    pub path: &'static str,
    /// The word as the report names it.
    pub word: &'static str,
    #[expect(dead_code, reason = "it is for the reader")]
    pub why: &'static str,
}

const EXCUSES: &[Excuse] = &[
    Excuse { path: "tests/sim/", word: "sleep(", why: "simulated time: the clock is paused, and moves by events" },
    Excuse { path: "src/log/model.rs", word: "std::env", why: "a test: DOHLE_SEED replays one seed" },
];

/// A file or function that is over its limit. The number is its present size: it must be lowered when the thing
/// shrinks, and is never raised.
pub struct Oversize {
    pub path: &'static str,
    /// Empty for the file itself.
    pub function: &'static str,
    pub lines: usize,
}

const OVERSIZE: &[Oversize] = &[];

/// What a room may touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    Async,
    Pure,
    Mind,
    World,
}

/// A folder of `src/`.
pub struct Room {
    pub name: &'static str,
    pub floor: usize,
    pub nature: Nature,
    pub imports: Vec<&'static str>,
}

/// All that can be changed about the rules without changing their code.
pub struct Law {
    pub rooms: Vec<Room>,
    pub excuses: &'static [Excuse],
    pub oversize: &'static [Oversize],
}

impl Law {
    pub fn of_the_house() -> Self {
        let mut rooms: Vec<Room> = Vec::new();
        for line in ROOMS.trim().lines().skip(1) {
            rooms.push(room(line, &rooms));
        }
        Self { rooms, excuses: EXCUSES, oversize: OVERSIZE }
    }

    pub fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.iter().find(|room| room.name == name)
    }

    pub fn excuses(&self, path: &str, word: &str) -> bool {
        let is_meant = |excuse: &Excuse| {
            excuse.word == word && (excuse.path == path || excuse.path.ends_with('/') && path.starts_with(excuse.path))
        };
        self.excuses.iter().any(is_meant)
    }
}

/// Reads a line of the table; `above` is what stands over it.
fn room(line: &'static str, above: &[Room]) -> Room {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("a room needs a floor, a name and a nature: {line}"));
    let (floor, name, nature) = (next(), next(), next());
    let mut imports = Vec::new();
    for word in words {
        if let Some(top) = word.strip_prefix("..") {
            let top: usize = top.parse().expect("`..` is followed by a floor");
            imports.extend(above.iter().filter(|room| room.floor <= top).map(|room| room.name));
        } else if let Some(not) = word.strip_prefix('-') {
            imports.retain(|name| *name != not);
        } else {
            imports.push(word);
        }
    }
    for import in &imports {
        assert!(above.iter().any(|room| room.name == *import), "{name} may only import rooms above it, not {import}");
    }
    Room { name, floor: floor.parse().expect("a floor is a number"), nature: nature_of(nature), imports }
}

fn nature_of(word: &str) -> Nature {
    match word {
        "async" => Nature::Async,
        "pure" => Nature::Pure,
        "mind" => Nature::Mind,
        "world" => Nature::World,
        _ => panic!("{word} is no nature of a room"),
    }
}

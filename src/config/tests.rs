//! The room as its users see it: what goes in as text, what comes out as text.

use std::collections::BTreeSet;

use super::key::{Kind, Preset, Scope, Value};
use super::load::{File, Given, Resolved, load};
use super::problem::Problem;
use super::report::{Format, check, explain, list};
use super::start::NodeConfig;
use super::{reason_to_ignore, table};

/// Kafka's own files, reduced to what they set.
const KAFKA_FILES: [File<'static>; 3] = [
    File { name: "server.properties", text: include_str!("tests/server.properties") },
    File { name: "broker.properties", text: include_str!("tests/broker.properties") },
    File { name: "controller.properties", text: include_str!("tests/controller.properties") },
];

fn properties(text: &str) -> File<'_> {
    File { name: "server.properties", text }
}

fn checked(text: &str) -> String {
    check(properties(text), Format::Text).output
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// What a start with this file would do, or why it would not.
fn started(text: &str) -> String {
    let (node, problems) = NodeConfig::load(Some(properties(text)), [], &[]);
    let listeners: Vec<String> = node.listeners.iter().map(|listener| listener.to_string()).collect();
    format!(
        "{}node {:?}, controller {}, broker {}, {:?}\n{}\npeer {}, admin {}\n{} {:?}\n",
        lines(&problems),
        node.node_id.map(|id| id.0),
        node.roles.controller,
        node.roles.broker,
        node.seeds,
        listeners.join("; "),
        node.peer_listen,
        node.admin_listen,
        node.data_dir.display(),
        node.log_dirs
    )
}

// The table.

#[test]
fn every_name_is_declared_once_in_its_realm_and_can_be_a_variable() {
    for realm in [table::server().collect::<Vec<_>>(), table::topic().iter().collect(), table::group().iter().collect()]
    {
        let mut seen = BTreeSet::new();
        for name in realm.iter().flat_map(|key| key.aliases.iter().chain([&key.name])) {
            assert!(seen.insert(name), "{name} is declared twice");
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
            assert!(name.bytes().all(plain), "{name} would not survive being a variable's name");
        }
    }
}

#[test]
fn every_default_passes_its_own_check() {
    for key in table::all().filter(|key| !matches!(key.preset, Preset::Unset)) {
        let default = key.default();
        assert_eq!(key.parse(&default.to_string()), Ok(default), "{}", key.name);
    }
}

#[test]
fn every_key_says_what_it_means_in_whole_sentences() {
    for key in table::all() {
        assert!(key.doc.ends_with('.') && key.doc.starts_with(|c: char| c.is_uppercase()), "{}: {}", key.name, key.doc);
        assert!(!key.doc.contains("  "), "{}: {}", key.name, key.doc);
    }
}

#[test]
fn a_topic_falls_back_to_servers_keys_that_exist_and_mean_the_same() {
    let nothing_set = Resolved::default();
    for key in table::topic().iter().chain(table::group()) {
        for synonym in key.synonyms {
            let server = table::server_key(synonym.name).unwrap_or_else(|| panic!("{} is undeclared", synonym.name));
            let scaled = match server.default() {
                Value::Whole(number) if number > 0 => Value::Whole(number.saturating_mul(synonym.factor)),
                other => other,
            };
            assert!(scaled == Value::Unset || scaled == key.default(), "{} and {}", key.name, synonym.name);
        }
        assert_eq!(nothing_set.inherited(key).0, key.default());
    }
}

#[test]
fn rows_of_a_scope_stand_in_its_tables() {
    assert!(table::topic().iter().all(|key| key.scope == Scope::Topic));
    assert!(table::group().iter().all(|key| key.scope == Scope::Group));
    assert!(table::server().all(|key| !matches!(key.scope, Scope::Topic | Scope::Group)));
    assert!(table::all().filter(|key| key.kind == Kind::Password).all(|key| matches!(key.preset, Preset::Unset)));
}

#[test]
fn a_key_that_nothing_reads_is_ignored_and_no_other_is() {
    let unread: Vec<&str> = table::unread().map(|key| key.name).collect();
    let ignored = table::server().map(|key| key.name).filter(|name| reason_to_ignore(name).is_some());
    assert_eq!(ignored.collect::<Vec<_>>(), unread);
}

// Three outcomes.

#[test]
fn kafkas_own_files_are_accepted() {
    assert_eq!(
        check(KAFKA_FILES[0], Format::Text).output,
        "\
server.properties:3: note: controller.quorum.bootstrap.servers is ignored: controllers find each other through \
dohle.seeds (--seeds), peer addresses with port 9093 by default
server.properties:4: warning: CONTROLLER://:9093 is not opened: controllers meet on dohle.peer.listen, which is :9093
server.properties:5: note: inter.broker.listener.name is ignored: nodes talk to each other over dohle.peer.listen, \
not over a Kafka listener
server.properties:9: note: num.network.threads is ignored: Dohle runs one reactor per core and has no such thread pool
server.properties:10: note: num.io.threads is ignored: Dohle runs one reactor per core and has no such thread pool
server.properties:14: warning: log.dirs: many systems empty /tmp when they start, and /tmp/kraft-combined-logs with it
server.properties:16: note: num.recovery.threads.per.data.dir is ignored: Dohle runs one reactor per core and has no \
such thread pool
server.properties: a node can start with it (0 errors, 2 warnings, 5 notes)
"
    );
    for file in KAFKA_FILES {
        let report = check(file, Format::Text);
        assert!(!report.has_errors, "{}", report.output);
    }
}

#[test]
fn all_problems_of_a_file_are_reported_with_their_lines() {
    assert_eq!(
        checked(
            "# a file with everything wrong\n\
             num.partitions=0\n\
             log.retension.hours=24\n\
             zookeeper.connect=localhost:2181\n\
             retention.ms=1000\n\
             compression.type=brotli\n\
             auto.create.topics.enable=yes\n\
             num.partitions=3\n\
             num.partitions=4\n\
             log.segment.bytes=1 GiB\n\
             broken=\\u00\n\
             frobnicate=1\n\
             principal.builder.class=com.example.Builder\n\
             log.cleaner.min.cleanable.ratio=1.5\n\
             log.cleanup.policy=compact,forget\n\
             compression.gzip.level=0\n"
        ),
        "\
server.properties:2: num.partitions = \"0\": expected a whole number, at least 1
server.properties:3: unknown key \"log.retension.hours\": did you mean log.retention.hours?
server.properties:4: note: zookeeper.connect is ignored: Dohle needs no ZooKeeper; remove the line
server.properties:5: \"retention.ms\" is a key of topics: here it is log.retention.ms
server.properties:6: compression.type = \"brotli\": expected uncompressed, zstd, lz4, snappy, gzip or producer
server.properties:7: auto.create.topics.enable = \"yes\": expected true or false
server.properties:9: warning: num.partitions is set at server.properties:8 too; this one counts
server.properties:10: log.segment.bytes = \"1 GiB\": expected a whole number, at least 1048576
server.properties:11: \\u00 is no character: \\u is followed by four hexadecimal digits
server.properties:12: unknown key \"frobnicate\"; dohle config list shows all keys
server.properties:13: warning: principal.builder.class is ignored: Dohle runs no Java classes
server.properties:14: log.cleaner.min.cleanable.ratio = \"1.5\": expected a number from 0 to 1
server.properties:15: log.cleanup.policy = \"compact,forget\": expected a list with commas of delete or compact
server.properties:16: compression.gzip.level = \"0\": expected a whole number from 1 to 9, or -1
server.properties: no node starts with it (11 errors, 2 warnings, 1 note)
"
    );
}

#[test]
fn an_ignored_key_that_kafka_has_is_checked_and_kept() {
    let (settings, problems) = load(Some(properties("num.io.threads=16\nzookeeper.connect=here\n")), [], &[]);
    assert_eq!(lines(&problems).matches(" is ignored: ").count(), 2);
    assert_eq!(settings.number("num.io.threads"), 16);
    assert!(settings.setting("zookeeper.connect").is_none());
    let told = checked("num.io.threads=many\n");
    assert!(told.contains("num.io.threads = \"many\": expected a whole number"), "{told}");
}

#[test]
fn a_listener_may_have_security_settings_of_its_own() {
    assert_eq!(
        checked(
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=secret\n\
             listener.name.external.ssl.client.auth=maybe\n\
             listener.name.external.ssl.keystore.password=secret\n\
             listener.name.external.num.partitions=3\n"
        ),
        "\
server.properties:2: ssl.client.auth = \"maybe\": expected none, requested or required
server.properties:3: note: listener.name.external.ssl.keystore.password is ignored: PEM files have no store password; \
an encrypted key has ssl.key.password
server.properties:4: unknown key \"listener.name.external.num.partitions\"; dohle config list shows all keys
server.properties: no node starts with it (2 errors, 0 warnings, 1 note)
"
    );
}

#[test]
fn problems_can_be_read_by_programs() {
    assert_eq!(
        check(properties("broker.idd=1\n"), Format::Json).output,
        r#"{
  "file": "server.properties",
  "errors": 1,
  "warnings": 0,
  "notes": 0,
  "problems": [
    {
      "level": "error",
      "origin": "server.properties:1",
      "text": "unknown key \"broker.idd\": did you mean broker.id?"
    }
  ]
}
"#
    );
}

// TOML.

#[test]
fn toml_says_the_same_in_tables() {
    let text = "\
num.partitions = 6
\"log.retention.hours\" = 24
process.roles = [\"broker\", \"controller\"]
[log.cleaner]
min.cleanable.ratio = 0.25
[dohle]
seeds = [\"a\", \"b:9193\"]
[auto.create.topics]
enable = false
[log.segment]
bytes = 0x100_000
";
    let (settings, problems) = load(Some(File { name: "node.toml", text }), [], &[]);
    assert_eq!(lines(&problems), "");
    assert_eq!(settings.number("num.partitions"), 6);
    assert_eq!(settings.number("log.retention.hours"), 24);
    assert_eq!(settings.list("process.roles"), ["broker", "controller"]);
    assert_eq!(settings.double("log.cleaner.min.cleanable.ratio"), 0.25);
    assert_eq!(settings.list("dohle.seeds"), ["a", "b:9193"]);
    assert!(!settings.boolean("auto.create.topics.enable"));
    assert_eq!(settings.number("log.segment.bytes"), 1 << 20);
    assert_eq!(settings.origin("log.segment.bytes").to_string(), "node.toml:11");
}

#[test]
fn toml_problems_name_their_lines() {
    let text = "num.partitions = 0\nbroker.rack = 2020-01-01\n[log]\nretension.hours = 3\n[listeners]\na = 1\n";
    assert_eq!(
        check(File { name: "node.toml", text }, Format::Text).output,
        "\
node.toml:1: num.partitions = \"0\": expected a whole number, at least 1
node.toml:2: broker.rack is a datetime: expected text, a number, true, false or a list of these
node.toml:4: unknown key \"log.retension.hours\": did you mean log.retention.hours?
node.toml:6: unknown key \"listeners.a\": did you mean listeners?
node.toml: no node starts with it (4 errors, 0 warnings, 0 notes)
"
    );
    let report = check(File { name: "node.TOML", text: "a = = 1\nnum.partitions = 3\n" }, Format::Text);
    assert!(report.has_errors && report.output.starts_with("node.TOML:1: "), "{}", report.output);
}

// Precedence.

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = properties("num.partitions=2\nlog.retention.hours=24\nbroker.id=7\n");
    let variables = environment(&[
        ("KAFKA_NUM_PARTITIONS", "3"),
        ("DOHLE_NUM_PARTITIONS", "4"),
        ("KAFKA_CFG_LOG_RETENTION_HOURS", "48"),
        ("DOHLE_SEEDS", "a,b"),
        ("DOHLE_DOHLE_DURABILITY", "fsync"),
    ]);
    let flags = [Given::flag("--node-id", "9"), Given::set("num.partitions=5").expect("it has an equals sign")];
    let (settings, problems) = load(Some(file), variables, &flags);

    assert_eq!(
        lines(&problems),
        "DOHLE_NUM_PARTITIONS: warning: num.partitions is set at KAFKA_NUM_PARTITIONS too; this one counts\n"
    );
    let partitions = settings.setting("num.partitions").expect("the table has it");
    let history: Vec<String> = partitions.overridden.iter().map(|(value, at)| format!("{value} at {at}")).collect();
    assert_eq!(format!("{} at {}", partitions.value, partitions.origin), "5 at --set num.partitions");
    assert_eq!(history, ["4 at DOHLE_NUM_PARTITIONS", "3 at KAFKA_NUM_PARTITIONS", "2 at server.properties:1"]);
    assert_eq!(settings.number("log.retention.hours"), 48);
    assert_eq!(settings.optional_number("node.id"), Some(9));
    assert_eq!(settings.list("dohle.seeds"), ["a", "b"]);
    assert_eq!(settings.text("dohle.durability"), "fsync");
    assert_eq!(settings.number("offsets.topic.num.partitions"), 50);
}

#[test]
fn variables_of_others_are_left_alone_and_ours_must_be_right() {
    let variables = environment(&[
        ("DOHLE_ADMIN", "localhost:9094"),
        ("DOHLE_NODE_ID", "three"),
        ("DOHLE_NUM_PARTITION", "3"),
        ("HOME", "/root"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("KAFKA_KAFKA_METRICS_REPORTERS", "com.example.Reporter"),
        ("KAFKA_LISTENER_NAME_SASL__SSL_SCRAM___SHA___512_SASL_JAAS_CONFIG", "secret"),
        ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("KAFKA_ZOOKEEPER_CONNECT", "zk:2181"),
    ]);
    let (settings, problems) = load(None, variables, &[]);
    assert_eq!(
        lines(&problems),
        "\
DOHLE_NODE_ID: node.id = \"three\": expected a whole number, at least 0
DOHLE_NUM_PARTITION: unknown key \"num.partition\": did you mean num.partitions?
KAFKA_HEAP_OPTS: note: KAFKA_HEAP_OPTS is ignored: there is no JVM to tune
KAFKA_KAFKA_METRICS_REPORTERS: note: kafka.metrics.reporters is ignored: metrics are served at /metrics \
on dohle.admin.listen
KAFKA_PORT_9092_TCP: warning: unknown key \"port.9092.tcp\"; dohle config list shows all keys
KAFKA_ZOOKEEPER_CONNECT: note: zookeeper.connect is ignored: Dohle needs no ZooKeeper; remove the line
"
    );
    let own = settings.setting("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config");
    assert_eq!(own.map(|setting| setting.value.clone()), Some(Value::Text("secret".to_owned())));
}

#[test]
fn set_needs_an_equals_sign() {
    let problem = Given::set("num.partitions").expect_err("there is no value");
    assert_eq!(problem.to_string(), "--set num.partitions: expected key=value");
    let (_, problems) = load(None, [], &[Given::set("num.partition = 3").expect("there is a value")]);
    assert_eq!(lines(&problems), "--set num.partition: unknown key \"num.partition\": did you mean num.partitions?\n");
}

#[test]
fn a_topic_takes_its_retention_from_the_strongest_unit_that_is_set() {
    let retention = table::topic_key("retention.ms").expect("every topic has it");
    let inherited = |text: &str| {
        let (settings, _) = load(Some(properties(text)), [], &[]);
        let (value, origin) = settings.inherited(retention);
        format!("{value} from {origin}")
    };
    assert_eq!(inherited(""), "604800000 from default");
    assert_eq!(inherited("log.retention.hours=2\n"), "7200000 from server.properties:1");
    assert_eq!(inherited("log.retention.hours=2\nlog.retention.minutes=3\n"), "180000 from server.properties:2");
    assert_eq!(inherited("log.retention.ms=4\nlog.retention.minutes=3\n"), "4 from server.properties:1");
    assert_eq!(inherited("log.retention.hours=-1\n"), "-1 from server.properties:1");
}

// What a start needs.

#[test]
fn a_start_without_any_setting_is_a_cluster_of_one() {
    assert_eq!(
        started(""),
        "node None, controller true, broker true, Alone\n\
         PLAINTEXT://:9092 (PLAINTEXT)\n\
         peer :9093, admin :9094\n\
         ./dohle-data [\"./dohle-data/log\"]\n"
    );
}

#[test]
fn kafkas_combined_file_starts_the_node_it_describes() {
    assert_eq!(
        started(KAFKA_FILES[0].text).lines().skip(7).collect::<Vec<_>>().join("\n"),
        "node Some(1), controller true, broker true, Alone\n\
         PLAINTEXT://:9092 (PLAINTEXT), advertised as localhost:9092\n\
         peer :9093, admin :9094\n\
         ./dohle-data [\"/tmp/kraft-combined-logs\"]"
    );
}

#[test]
fn listeners_have_names_protocols_and_advertised_addresses() {
    assert_eq!(
        started(
            "node.id=2\n\
             dohle.seeds=a:9093, b, c:9193\n\
             listeners=internal://10.0.0.2:9092,EXTERNAL://0.0.0.0:9192,SASL_SSL://[::]:9292\n\
             listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:SSL\n\
             advertised.listeners=EXTERNAL://kafka.example.com:443,10.0.0.3:9092\n"
        ),
        "node Some(2), controller true, broker true, \
         Peers([Address { host: \"a\", port: 9093 }, Address { host: \"b\", port: 9093 }, Address { host: \"c\", \
         port: 9193 }])\n\
         INTERNAL://10.0.0.2:9092 (PLAINTEXT), advertised as 10.0.0.3:9092; \
         EXTERNAL://0.0.0.0:9192 (SSL), advertised as kafka.example.com:443; \
         SASL_SSL://[::]:9292 (SASL_SSL)\n\
         peer :9093, admin :9094\n\
         ./dohle-data [\"./dohle-data/log\"]\n"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert_eq!(
        checked(
            "listeners=PLAINTEXT://:9093,PLAINTEXT://:9095,EXTERNAL://:9096,OTHER://:9097,two words\n\
             advertised.listeners=OUTSIDE://host:9092,PLAINTEXT://0.0.0.0:9092\n\
             listener.security.protocol.map=OTHER:QUIC\n\
             dohle.seeds=a,b,a:9093,any\n\
             dohle.admin.listen=:9093\n"
        ),
        "\
server.properties:1: listeners = \"two words\": expected NAME://HOST:PORT or HOST:PORT
server.properties:1: listeners has PLAINTEXT twice: each listener needs a name of its own
server.properties:1: listener EXTERNAL has no protocol: add EXTERNAL:PLAINTEXT to listener.security.protocol.map
server.properties:1: PLAINTEXT (:9093) and dohle.peer.listen (:9093) cannot share a port
server.properties:1: PLAINTEXT (:9093) and dohle.admin.listen (:9093) cannot share a port
server.properties:2: advertised.listeners names OUTSIDE, which is not among listeners (PLAINTEXT)
server.properties:2: advertised.listeners = PLAINTEXT://0.0.0.0:9092: clients cannot dial that; name a host and a port
server.properties:3: OTHER is mapped to \"QUIC\": expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
server.properties:4: dohle.seeds: any stands alone or not at all
server.properties:4: dohle.seeds has a:9093 twice: the place in the list is a node's number
server.properties:5: dohle.admin.listen (:9093) and dohle.peer.listen (:9093) cannot share a port
server.properties: no node starts with it (11 errors, 0 warnings, 0 notes)
"
    );
    assert_eq!(
        checked("process.roles=\nlisteners=\n"),
        "server.properties:1: process.roles is empty: expected broker, controller or both\n\
         server.properties: no node starts with it (1 error, 0 warnings, 0 notes)\n"
    );
    assert_eq!(
        checked("process.roles=broker\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"),
        "server.properties:2: warning: CONTROLLER://:9093 is not opened: controllers meet on dohle.peer.listen, which \
         is :9093\n\
         server.properties:2: listeners has nothing for clients: a broker needs one, such as PLAINTEXT://:9092\n\
         server.properties: no node starts with it (1 error, 1 warning, 0 notes)\n"
    );
}

#[test]
fn a_node_that_is_only_a_controller_serves_no_clients() {
    assert_eq!(
        checked("process.roles=controller\nlisteners=PLAINTEXT://:9092\n"),
        "server.properties:2: warning: listeners opens nothing here: a node that is only a controller serves no \
         clients\n\
         server.properties: a node can start with it (0 errors, 1 warning, 0 notes)\n"
    );
    assert!(started("process.roles=controller\ndohle.seeds=any\n").contains("broker false, Any\n\npeer"));
}

// What people ask.

#[test]
fn explain_tells_what_a_key_means_and_who_set_it() {
    let file = properties("broker.session.timeout.ms=9000\nlog.retention.hours=48\nsasl.jaas.config=secret\n");
    let (settings, _) = load(Some(file), environment(&[("KAFKA_BROKER_SESSION_TIMEOUT_MS", "6000")]), &[]);
    let told = |name| explain(name, &settings, Format::Text).output;

    assert_eq!(
        told("broker.session.timeout.ms"),
        "\
broker.session.timeout.ms
  After how long of silence a broker is fenced and its partitions get other leaders. Kafka's is
  9000; a broken connection is noticed long before either.

  value      6000 (6 s), set by KAFKA_BROKER_SESSION_TIMEOUT_MS
  overrides  9000 (9 s), set by server.properties:1
  default    3000 (3 s)
  in Kafka   9000 (9 s)
  expected   a whole number, at least 1 (int)
  scope      read-only: read at start
  also       DOHLE_BROKER_SESSION_TIMEOUT_MS, KAFKA_BROKER_SESSION_TIMEOUT_MS
"
    );
    assert_eq!(
        told("retention.ms"),
        "\
retention.ms
  How long records are kept before their segment may be deleted; -1 is forever.

  value       172800000 (2 days), set by server.properties:2
  default     604800000 (7 days)
  expected    a whole number, at least -1 (long)
  scope       topic: may change at run time
  falls back  log.retention.ms, log.retention.minutes, log.retention.hours
"
    );
    assert!(
        told("node.id").contains("also      --node-id, DOHLE_NODE_ID, KAFKA_NODE_ID, broker.id\n"),
        "{}",
        told("node.id")
    );
    assert!(
        told("sasl.jaas.config").contains("value     [hidden], set by server.properties:3\n"),
        "{}",
        told("sasl.jaas.config")
    );
    assert!(told("min.insync.replicas").contains("\n\nmin.insync.replicas\n"), "one for servers, one for topics");
    assert_eq!(told("zookeeper.connect"), "zookeeper.connect is ignored: Dohle needs no ZooKeeper; remove the line\n");

    let unknown = explain("retention.m", &settings, Format::Text);
    assert!(unknown.has_errors, "{}", unknown.output);
}

#[test]
fn round_numbers_are_told_in_units_that_people_think_in() {
    let told = |name: &str, number| table::server_key(name).and_then(|key| key.in_words(&Value::Whole(number)));
    assert_eq!(told("log.retention.hours", 168).as_deref(), Some("7 days"));
    assert_eq!(told("log.retention.ms", 3_600_000).as_deref(), Some("1 hour"));
    assert_eq!(told("log.retention.ms", 90_000).as_deref(), Some("90 s"));
    assert_eq!(told("log.retention.ms", 1_001), None);
    assert_eq!(told("log.retention.ms", -1), None);
    assert_eq!(told("fetch.max.bytes", 57_671_680).as_deref(), Some("55 MiB"));
    assert_eq!(told("log.flush.interval.messages", i64::MAX).as_deref(), Some("no limit"));
}

#[test]
fn explain_speaks_to_programs_too() {
    let report = explain("num.partitions", &Resolved::default(), Format::Json);
    assert_eq!(
        report.output,
        r#"[
  {
    "name": "num.partitions",
    "type": "int",
    "default": "1",
    "scope": "read-only",
    "dynamic": false,
    "doc": "How many partitions a topic gets when its creator does not say.",
    "value": "1",
    "set_by": "default",
    "overrides": [],
    "expected": "a whole number, at least 1",
    "aliases": [],
    "flag": null,
    "variables": [
      "DOHLE_NUM_PARTITIONS",
      "KAFKA_NUM_PARTITIONS"
    ],
    "falls_back_to": [],
    "default_of": []
  }
]
"#
    );
}

#[test]
fn list_shows_every_key_with_an_effect_in_aligned_columns() {
    let report = list(Some(Scope::PerBroker), Format::Text);
    assert_eq!(
        report.output.lines().take(4).collect::<Vec<_>>().join("\n"),
        "\
NAME                                            TYPE      SCOPE       DYNAMIC  DEFAULT
cordoned.log.dirs                               list      per-broker  yes      -
follower.replication.throttled.rate             long      per-broker  yes      9223372036854775807
leader.replication.throttled.rate               long      per-broker  yes      9223372036854775807"
    );
    let with_effect = table::all().count() - table::unread().count();
    assert_eq!(list(None, Format::Text).output.lines().count(), with_effect + 1);
    let topics: serde_json::Value = serde_json::from_str(&list(Some(Scope::Topic), Format::Json).output).expect("JSON");
    assert_eq!(topics.as_array().map(Vec::len), Some(table::topic().len()));
    assert_eq!(topics[0]["name"], "cleanup.policy");
}

//! Keys that Kafka knows and Dohle accepts without doing anything, each with the reason that people are told.
//!
//! A name that ends in `*` stands for all that begin so. *Loud* ones are warnings: whoever wrote the line expects
//! something that will not happen. The others only tune machinery that Dohle does not have.

use super::table;

pub(super) struct Ignored {
    pub names: &'static [&'static str],
    pub loud: bool,
    pub reason: &'static str,
}

/// The row that a key of a file, a variable or a flag falls under.
pub(super) fn key(name: &str) -> Option<&'static Ignored> {
    let covers = |name: &str| KEYS.iter().find(|row| row.covers(name));
    covers(name).or_else(|| table::for_listener(name).find_map(covers))
}

/// Why a key that Kafka knows does nothing here.
pub fn reason_to_ignore(name: &str) -> Option<&'static str> {
    key(name).map(|row| row.reason)
}

/// The row of an environment variable that Kafka's scripts read and that is no key at all.
pub(super) fn variable(name: &str) -> Option<&'static Ignored> {
    VARIABLES.iter().find(|row| row.covers(name))
}

impl Ignored {
    fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *known,
        })
    }
}

const fn quiet(names: &'static [&'static str], reason: &'static str) -> Ignored {
    Ignored { names, loud: false, reason }
}

const fn loud(names: &'static [&'static str], reason: &'static str) -> Ignored {
    Ignored { names, loud: true, reason }
}

const VARIABLES: &[Ignored] = &[
    quiet(
        &["KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JVM_*", "KAFKA_GC_*", "KAFKA_JMX_*", "KAFKA_DEBUG"],
        "there is no JVM to tune",
    ),
    quiet(&["KAFKA_LOG4J_*"], "Dohle does not log through log4j"),
    quiet(&["KAFKA_HOME", "KAFKA_VERSION", "KAFKA_BOOTSTRAP_SERVERS"], "it does not configure a server"),
];

const KEYS: &[Ignored] = &[
    quiet(&["zookeeper.*"], "Dohle needs no ZooKeeper; remove the line"),
    quiet(
        &["controller.quorum.voters", "controller.quorum.bootstrap.servers", "controller.quorum.auto.join.enable"],
        "controllers find each other through dohle.seeds (--seeds), peer addresses with port 9093 by default",
    ),
    quiet(&["controller.quorum.*", "controller.socket.timeout.ms"], "Dohle sets the timing of its own Raft"),
    quiet(
        &["inter.broker.listener.name", "security.inter.broker.protocol", "early.start.listeners"],
        "nodes talk to each other over dohle.peer.listen, not over a Kafka listener",
    ),
    quiet(
        &[
            "sasl.mechanism.inter.broker.protocol",
            "sasl.mechanism.controller.protocol",
            "sasl.client.*",
            "sasl.login.*",
        ],
        "nodes talk to each other over dohle.peer.listen, without SASL",
    ),
    quiet(
        &["metadata.log.dir", "metadata.log.*", "metadata.max.*", "internal.metadata.*"],
        "the cluster's metadata lies in the folder metadata under dohle.data.dir and is kept small by itself",
    ),
    quiet(&["broker.heartbeat.interval.ms"], "brokers hold a session stream open; see broker.session.timeout.ms"),
    quiet(
        &[
            "num.network.threads",
            "num.io.threads",
            "num.recovery.threads.per.data.dir",
            "num.replica.alter.log.dirs.threads",
            "background.threads",
            "group.coordinator.threads",
            "group.coordinator.background.threads",
            "share.coordinator.threads",
        ],
        "Dohle runs one reactor per core and has no such thread pool",
    ),
    quiet(&["queued.max.requests", "queued.max.request.bytes"], "Dohle has no request queue"),
    quiet(
        &["producer.purgatory.*", "fetch.purgatory.*", "delete.records.purgatory.*", "share.fetch.purgatory.*"],
        "Dohle has no purgatory",
    ),
    quiet(
        &["num.replica.fetchers", "replica.fetch.*", "replica.socket.*"],
        "followers do not fetch: the leader pushes to them over long-lived streams",
    ),
    quiet(
        &["offsets.load.buffer.size", "transaction.state.log.load.buffer.size", "share.coordinator.load.buffer.size"],
        "buffers for loading internal topics size themselves",
    ),
    quiet(
        &["offsets.topic.compression.codec", "share.coordinator.state.topic.compression.codec"],
        "internal topics are written uncompressed",
    ),
    quiet(
        &[
            "group.coordinator.append.linger.ms",
            "group.coordinator.cached.buffer.max.bytes",
            "share.coordinator.append.linger.ms",
            "share.coordinator.cached.buffer.max.bytes",
            "share.coordinator.cold.partition.snapshot.interval.ms",
            "share.coordinator.state.topic.prune.interval.ms",
            "add.partitions.to.txn.retry.*",
            "group.share.initialize.retry.interval.ms",
        ],
        "coordinators batch and retry by themselves",
    ),
    quiet(
        &["log.cleaner.io.buffer.*", "log.initial.task.delay.ms", "server.max.startup.time.ms"],
        "it tunes machinery that Dohle does not have",
    ),
    quiet(
        &["quota.window.*", "controller.quota.window.*", "replication.quota.window.*", "alter.log.dirs.replication.*"],
        "quotas are token buckets, without windows",
    ),
    quiet(
        &["metric.reporters", "metrics.*", "kafka.metrics.*", "auto.include.jmx.reporter"],
        "metrics are served at /metrics on dohle.admin.listen",
    ),
    quiet(&["log4j*", "controller.performance.*"], "Dohle does not log through log4j"),
    quiet(&["socket.connection.setup.*"], "nodes connect to each other over dohle.peer.listen, with its own timing"),
    quiet(
        &["ssl.keystore.password", "ssl.truststore.password"],
        "PEM files have no store password; an encrypted key has ssl.key.password",
    ),
    quiet(
        &[
            "ssl.protocol",
            "ssl.provider",
            "ssl.keymanager.algorithm",
            "ssl.trustmanager.algorithm",
            "ssl.secure.random.implementation",
            "ssl.endpoint.identification.algorithm",
            "ssl.allow.*",
        ],
        "TLS is rustls, not Java's, and these choices do not arise",
    ),
    quiet(
        &["log.message.format.version", "inter.broker.protocol.version", "log.message.downconversion.enable"],
        "Kafka itself has given this key up",
    ),
    quiet(&["unstable.*"], "Dohle has no unstable versions to switch on"),
    quiet(&["broker.id.generation.enable", "reserved.broker.max.id"], "the controller gives out node ids by itself"),
    loud(&["sasl.kerberos.*"], "Dohle does not speak Kerberos"),
    loud(
        &[
            "sasl.oauthbearer.assertion.*",
            "sasl.oauthbearer.client.*",
            "sasl.oauthbearer.jwt.*",
            "sasl.oauthbearer.scope",
            "sasl.oauthbearer.token.*",
        ],
        "brokers check OAuth tokens but do not ask for any",
    ),
    loud(
        &[
            "alter.config.policy.class.name",
            "create.topic.policy.class.name",
            "client.quota.callback.class",
            "principal.builder.class",
            "sasl.server.callback.handler.class",
            "ssl.engine.factory.class",
            "security.providers",
            "group.share.persister.class.name",
        ],
        "Dohle runs no Java classes",
    ),
    loud(&["config.providers*"], "values such as ${file:…} are not looked up but taken as they are written"),
    loud(
        &["remote.*", "rlmm.config.*", "rsm.config.*", "follower.fetch.last.tiered.offset.enable"],
        "Dohle has no tiered storage: records stay on the brokers' disks",
    ),
    loud(&["confluent.*"], "it belongs to Confluent's own server"),
];

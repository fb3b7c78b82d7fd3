//! Kafka's keys that nothing here reads: they are known, checked and shown as in Kafka, and have no effect. Why not is
//! in `ignored.rs`, which says so to whoever sets one.

use super::key::{Key, Kind, LONG_MAX, Scope};
use super::key::{boolean, class, double, int, list, long, scoped, short, text, unset};

pub(super) const STATIC: &[Key] = &scoped(
    Scope::ReadOnly,
    [
        int("add.partitions.to.txn.retry.backoff.max.ms", 100)
            .doc("How long the retries of adding a partition to a transaction are spaced at most."),
        int("add.partitions.to.txn.retry.backoff.ms", 20)
            .doc("How long to wait before adding a partition to a transaction is tried again."),
        unset("alter.config.policy.class.name", Kind::Class).doc("A class that may refuse changes of configuration."),
        int("alter.log.dirs.replication.quota.window.num", 11)
            .doc("Windows in which copying between folders is measured."),
        int("alter.log.dirs.replication.quota.window.size.seconds", 1).doc("How long each of those windows is."),
        int("broker.heartbeat.interval.ms", 2000).doc("How often a broker tells the controller that it is alive."),
        unset("client.quota.callback.class", Kind::Class).doc("A class that decides about clients' quotas."),
        int("controller.quorum.append.linger.ms", 25)
            .doc("How long a controller gathers writes before it appends them."),
        boolean("controller.quorum.auto.join.enable", false)
            .doc("Whether a new controller joins the voters by itself."),
        list("controller.quorum.bootstrap.servers", "").doc("Where controllers are found at first."),
        int("controller.quorum.election.backoff.max.ms", 1000)
            .doc("How long a controller waits at most before it stands for election again."),
        int("controller.quorum.election.timeout.ms", 1000)
            .doc("After how long without a leader a controller stands for election."),
        int("controller.quorum.fetch.max.bytes", 1_048_576)
            .doc("The most that one controller fetches from another at a time."),
        int("controller.quorum.fetch.snapshot.max.bytes", 1_048_576)
            .doc("The most of a snapshot that is fetched at a time."),
        int("controller.quorum.fetch.timeout.ms", 2000)
            .doc("After how long without an answer of the leader a controller looks for another."),
        int("controller.quorum.request.timeout.ms", 2000).doc("How long a controller waits for another one's answer."),
        int("controller.quorum.retry.backoff.ms", 20).doc("How long a controller waits before it asks again."),
        list("controller.quorum.voters", "")
            .doc("The controllers that vote, as ID@HOST:PORT with commas between them."),
        int("controller.quota.window.num", 11).doc("Windows in which changes of topics are measured."),
        int("controller.quota.window.size.seconds", 1).doc("How long each of those windows is."),
        int("controller.socket.timeout.ms", 30_000).doc("How long a controller waits for a broker's answer."),
        unset("create.topic.policy.class.name", Kind::Class).doc("A class that may refuse new topics."),
        int("delete.records.purgatory.purge.interval.requests", 1)
            .doc("After how many requests those that delete records and are over are cleared away."),
        unset("early.start.listeners", Kind::List).doc("Listeners that open before the broker has joined."),
        int("fetch.purgatory.purge.interval.requests", 1000)
            .doc("After how many requests fetches that are over are cleared away."),
        int("group.coordinator.append.linger.ms", -1)
            .doc("How long a coordinator gathers writes; -1 is as long as it is busy anyway."),
        int("group.coordinator.background.threads", 2).doc("Threads for work of coordinators in the background."),
        int("group.coordinator.threads", 4).doc("Threads of the coordinators of groups."),
        unset("inter.broker.listener.name", Kind::Text).doc("The listener by which brokers reach each other."),
        int("kafka.metrics.polling.interval.secs", 10)
            .doc("How often the classes of kafka.metrics.reporters are given metrics."),
        list("kafka.metrics.reporters", "").doc("Classes that are given metrics of an old kind."),
        unset("metadata.log.dir", Kind::Text).doc("The folder of the cluster's metadata."),
        long("metadata.log.max.record.bytes.between.snapshots", 20_971_520)
            .doc("After how many bytes of metadata a snapshot is made."),
        long("metadata.log.max.snapshot.interval.ms", 3_600_000)
            .doc("How old a snapshot of the metadata gets before another is made."),
        int("metadata.log.segment.bytes", 1_073_741_824).doc("How large a file of metadata grows."),
        long("metadata.log.segment.ms", 604_800_000).doc("How long a file of metadata is written to."),
        int("metadata.max.idle.interval.ms", 500)
            .doc("How often something is written to the metadata while nothing happens."),
        long("metadata.max.retention.bytes", 104_857_600).doc("How much of old metadata is kept."),
        long("metadata.max.retention.ms", 604_800_000).doc("How long old metadata is kept."),
        int("metrics.num.samples", 2).doc("How many samples a metric is made of."),
        text("metrics.recording.level", "INFO").doc("How much is measured."),
        long("metrics.sample.window.ms", 30_000).doc("How long a sample of a metric is."),
        unset("num.replica.alter.log.dirs.threads", Kind::Int).doc("Threads that move partitions between folders."),
        int("offsets.load.buffer.size", 5_242_880).doc("How much of committed offsets is loaded at a time."),
        int("offsets.topic.compression.codec", 0).doc("The codec of __consumer_offsets, by its number."),
        int("producer.purgatory.purge.interval.requests", 1000)
            .doc("After how many requests produce requests that are over are cleared away."),
        long("queued.max.request.bytes", -1)
            .doc("How many bytes of requests may wait for a thread; -1 is without limit."),
        int("queued.max.requests", 500).doc("How many requests may wait for a thread."),
        int("quota.window.num", 11).doc("Windows in which what clients use is measured."),
        int("quota.window.size.seconds", 1).doc("How long each of those windows is."),
        int("remote.log.manager.copy.quota.window.num", 11).doc("Windows in which that copying is measured."),
        int("remote.log.manager.copy.quota.window.size.seconds", 1).doc("How long each of those windows is."),
        int("remote.log.manager.fetch.quota.window.num", 11).doc("Windows in which that reading is measured."),
        int("remote.log.manager.fetch.quota.window.size.seconds", 1).doc("How long each of those windows is."),
        long("remote.log.manager.task.interval.ms", 30_000).doc("How often it is looked for work on tiered storage."),
        int("remote.log.manager.thread.pool.size", 2).doc("Threads for work on tiered storage."),
        int("remote.log.metadata.custom.metadata.max.bytes", 128)
            .doc("How much a plugin of tiered storage may note about a segment."),
        text(
            "remote.log.metadata.manager.class.name",
            "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        )
        .doc("A class that keeps tiered storage's metadata."),
        unset("remote.log.metadata.manager.class.path", Kind::Text).doc("Where that class is found."),
        text("remote.log.metadata.manager.impl.prefix", "rlmm.config.")
            .doc("What the names of that class's own keys begin with."),
        unset("remote.log.metadata.manager.listener.name", Kind::Text)
            .doc("The listener by which that class reaches brokers."),
        int("remote.log.reader.max.pending.tasks", 100).doc("How many reads from tiered storage may wait."),
        unset("remote.log.storage.manager.class.name", Kind::Text).doc("A class that is the tiered storage."),
        unset("remote.log.storage.manager.class.path", Kind::Text).doc("Where that class is found."),
        text("remote.log.storage.manager.impl.prefix", "rsm.config.")
            .doc("What the names of that class's own keys begin with."),
        boolean("remote.log.storage.system.enable", false).doc("Whether there is tiered storage."),
        int("replica.fetch.backoff.ms", 1000).doc("How long a follower waits after an error before it fetches again."),
        int("replica.fetch.max.bytes", 1_048_576).doc("The most that a follower fetches of one partition."),
        int("replica.fetch.min.bytes", 1).doc("The least that a follower waits for."),
        int("replica.fetch.response.max.bytes", 10_485_760).doc("The most that a follower fetches at a time."),
        int("replica.fetch.wait.max.ms", 500).doc("How long a follower's fetch waits for news."),
        int("replica.socket.receive.buffer.bytes", 65_536).doc("The receive buffer of a follower's socket."),
        int("replica.socket.timeout.ms", 30_000).doc("How long a follower waits for an answer."),
        int("replication.quota.window.num", 11).doc("Windows in which throttled replication is measured."),
        int("replication.quota.window.size.seconds", 1).doc("How long each of those windows is."),
        unset("sasl.client.callback.handler.class", Kind::Class)
            .doc("A class that answers what a SASL login asks, where a broker is the client."),
        unset("sasl.login.callback.handler.class", Kind::Class).doc("A class that answers what a SASL login asks."),
        unset("sasl.login.class", Kind::Class).doc("A class that does the SASL login."),
        unset("sasl.login.connect.timeout.ms", Kind::Int)
            .doc("How long a login waits for a connection to whoever gives tokens."),
        unset("sasl.login.read.timeout.ms", Kind::Int)
            .doc("How long a login waits for the answer of whoever gives tokens."),
        long("sasl.login.retry.backoff.max.ms", 10_000).doc("How long attempts to log in are spaced at most."),
        long("sasl.login.retry.backoff.ms", 100).doc("How long to wait after the first attempt to log in."),
        text("sasl.mechanism.controller.protocol", "GSSAPI")
            .doc("The SASL mechanism by which brokers reach controllers."),
        text("sasl.oauthbearer.assertion.algorithm", "RS256").doc("How an assertion for a token is signed."),
        unset("sasl.oauthbearer.assertion.claim.aud", Kind::Text).doc("Whom an assertion is for."),
        int("sasl.oauthbearer.assertion.claim.exp.seconds", 300).doc("How long an assertion is valid."),
        unset("sasl.oauthbearer.assertion.claim.iss", Kind::Text).doc("Who makes an assertion."),
        boolean("sasl.oauthbearer.assertion.claim.jti.include", false)
            .doc("Whether every assertion has an id of its own."),
        int("sasl.oauthbearer.assertion.claim.nbf.seconds", 60)
            .doc("How long before it is made an assertion is valid already."),
        unset("sasl.oauthbearer.assertion.claim.sub", Kind::Text).doc("Whom an assertion is about."),
        unset("sasl.oauthbearer.assertion.file", Kind::Text).doc("A file with an assertion that is ready."),
        unset("sasl.oauthbearer.assertion.private.key.file", Kind::Text)
            .doc("A file with the key that assertions are signed with."),
        unset("sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password)
            .doc("What that key is encrypted with, if it is."),
        unset("sasl.oauthbearer.assertion.template.file", Kind::Text).doc("A file with what every assertion says."),
        unset("sasl.oauthbearer.client.credentials.client.id", Kind::Text).doc("As whom a token is asked for."),
        unset("sasl.oauthbearer.client.credentials.client.secret", Kind::Password)
            .doc("The secret that a token is asked for with."),
        class(
            "sasl.oauthbearer.jwt.retriever.class",
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        )
        .doc("A class that gets tokens."),
        class(
            "sasl.oauthbearer.jwt.validator.class",
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
        )
        .doc("A class that checks tokens."),
        unset("sasl.oauthbearer.scope", Kind::Text).doc("The scope that a token is asked for with."),
        unset("sasl.oauthbearer.token.endpoint.url", Kind::Text).doc("Where tokens are asked for."),
        unset("sasl.server.callback.handler.class", Kind::Class)
            .doc("A class that answers what a mechanism of SASL asks about clients."),
        text("security.inter.broker.protocol", "PLAINTEXT")
            .doc("The security protocol by which brokers reach each other."),
        unset("security.providers", Kind::Text).doc("Classes that bring cryptography."),
        int("share.coordinator.append.linger.ms", -1)
            .doc("How long a share coordinator gathers writes; -1 is as long as it is busy anyway."),
        int("share.coordinator.load.buffer.size", 5_242_880)
            .doc("How much of share groups' state is loaded at a time."),
        int("share.coordinator.state.topic.compression.codec", 0)
            .doc("The codec of __share_group_state, by its number."),
        int("share.coordinator.threads", 1).doc("Threads of the coordinators of share groups."),
        int("share.fetch.purgatory.purge.interval.requests", 1000)
            .doc("After how many requests share fetches that are over are cleared away."),
        long("socket.connection.setup.timeout.max.ms", 30_000)
            .doc("How long setting up a connection to another node may take at most, after failures."),
        long("socket.connection.setup.timeout.ms", 10_000)
            .doc("How long setting up a connection to another node may take."),
        boolean("ssl.allow.dn.changes", false).doc("Whether a new certificate may name somebody else."),
        boolean("ssl.allow.san.changes", false).doc("Whether a new certificate may name other hosts."),
        int("transaction.state.log.load.buffer.size", 5_242_880)
            .doc("How much of transactions' state is loaded at a time."),
    ],
);

pub(super) const PER_BROKER: &[Key] = &scoped(
    Scope::PerBroker,
    [
        class("principal.builder.class", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder")
            .doc("A class that says who a client is."),
        text("sasl.kerberos.kinit.cmd", "/usr/bin/kinit").doc("The program that gets a Kerberos ticket."),
        long("sasl.kerberos.min.time.before.relogin", 60_000)
            .doc("How long a Kerberos login rests before it is renewed."),
        list("sasl.kerberos.principal.to.local.rules", "DEFAULT").doc("How Kerberos principals become users' names."),
        unset("sasl.kerberos.service.name", Kind::Text).doc("The name of the Kerberos service that brokers are."),
        double("sasl.kerberos.ticket.renew.jitter", 0.05)
            .doc("Which share of the time until a Kerberos ticket's renewal is random."),
        double("sasl.kerberos.ticket.renew.window.factor", 0.8)
            .doc("After which share of its life a Kerberos ticket is renewed."),
        short("sasl.login.refresh.buffer.seconds", 300)
            .doc("How long before its end a login's token is renewed at the latest."),
        short("sasl.login.refresh.min.period.seconds", 60)
            .doc("How long a login's token is used at least before it is renewed."),
        double("sasl.login.refresh.window.factor", 0.8)
            .doc("After which share of its life a login's token is renewed."),
        double("sasl.login.refresh.window.jitter", 0.05).doc("Which share of the time until that renewal is random."),
        text("sasl.mechanism.inter.broker.protocol", "GSSAPI")
            .doc("The SASL mechanism by which brokers reach each other."),
        text("ssl.endpoint.identification.algorithm", "https")
            .doc("How a server's name is checked against its certificate."),
        unset("ssl.engine.factory.class", Kind::Class).doc("A class that makes TLS connections."),
        text("ssl.keymanager.algorithm", "SunX509").doc("Java's algorithm for keys."),
        unset("ssl.keystore.password", Kind::Password).doc("What Java's key store is encrypted with."),
        text("ssl.protocol", "TLSv1.3").doc("The version of TLS that connections begin with."),
        unset("ssl.provider", Kind::Text).doc("Java's provider of TLS."),
        unset("ssl.secure.random.implementation", Kind::Text).doc("Java's source of chance."),
        text("ssl.trustmanager.algorithm", "PKIX").doc("Java's algorithm for trust."),
        unset("ssl.truststore.password", Kind::Password).doc("What Java's trust store is encrypted with."),
    ],
);

pub(super) const CLUSTER_WIDE: &[Key] = &scoped(
    Scope::ClusterWide,
    [
        int("background.threads", 10).doc("Threads for work in the background."),
        list("config.providers", "").doc("Names of classes that values may be looked up in."),
        boolean("follower.fetch.last.tiered.offset.enable", false)
            .doc("Whether a new replica begins behind what is in tiered storage."),
        int("group.coordinator.cached.buffer.max.bytes", 1_048_588)
            .doc("How large a buffer a coordinator keeps for its next write."),
        double("log.cleaner.io.buffer.load.factor", 0.9).doc("How full the table of keys may get in compaction."),
        int("log.cleaner.io.buffer.size", 524_288).doc("How much compaction reads and writes at a time."),
        list("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter").doc("Classes that are given metrics."),
        int("num.io.threads", 8).doc("Threads that answer requests."),
        int("num.network.threads", 3).doc("Threads of each listener that read requests and write answers."),
        int("num.recovery.threads.per.data.dir", 2).doc("Threads that recover and close the logs of a folder."),
        int("num.replica.fetchers", 1).doc("Threads that fetch from each other broker."),
        int("remote.fetch.max.wait.ms", 500).doc("How long a fetch waits for tiered storage."),
        long("remote.list.offsets.request.timeout.ms", 30_000)
            .doc("How long a question about offsets waits for tiered storage."),
        long("remote.log.index.file.cache.total.size.bytes", 1_073_741_824)
            .doc("How much room indexes of tiered segments take on a broker."),
        int("remote.log.manager.copier.thread.pool.size", 10).doc("Threads that copy segments to tiered storage."),
        long("remote.log.manager.copy.max.bytes.per.second", LONG_MAX)
            .doc("How fast segments are copied to tiered storage."),
        int("remote.log.manager.expiration.thread.pool.size", 10)
            .doc("Threads that delete from tiered storage what has expired."),
        long("remote.log.manager.fetch.max.bytes.per.second", LONG_MAX)
            .doc("How fast segments are read from tiered storage."),
        int("remote.log.manager.follower.thread.pool.size", 2)
            .doc("Threads of followers that read tiered storage's metadata."),
        int("remote.log.reader.threads", 10).doc("Threads that read from tiered storage."),
        int("share.coordinator.cached.buffer.max.bytes", 1_048_588)
            .doc("How large a buffer a share coordinator keeps for its next write."),
    ],
);

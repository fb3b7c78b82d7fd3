//! Who a node is, where it listens, where its data lies and who may talk to it: read when it starts.

use super::key::{Allowed, DAY, HOUR, INT_MAX, KIB, Key, Kind, MIB, MINUTE, SECOND, Scope};
use super::key::{boolean, int, list, long, scoped, text, unset};
use super::listener::{Address, PEER_PORT};

const ADDRESS: Allowed = Allowed::Form("HOST:PORT, :PORT or HOST", |text| Address::parse(text, PEER_PORT).is_some());
const DIALABLE: Allowed = Allowed::Form("HOST:PORT or HOST", |text| {
    Address::parse(text, PEER_PORT).is_some_and(|address| !address.is_wildcard())
});
const SEED: Allowed = Allowed::Form("HOST:PORT or HOST; or the one word any", |text| {
    Address::parse(text, PEER_PORT).is_some_and(|address| !address.is_wildcard())
});
const OVERRIDES: Allowed = Allowed::Form("ADDRESS:COUNT with commas between them", |text| {
    let is_pair = |(host, count): (&str, &str)| !host.is_empty() && count.parse::<u32>().is_ok();
    text.is_empty() || text.split(',').all(|item| item.trim().rsplit_once(':').is_some_and(is_pair))
});

pub(super) const STATIC: &[Key] = &scoped(
    Scope::ReadOnly,
    [
        // Who it is.
        list("process.roles", "broker,controller")
            .one_of(&["broker", "controller"])
            .flag("--roles")
            .doc("What the node does: broker, controller or both. Kafka asks for this line; here both is the default."),
        unset("node.id", Kind::Int).at_least(0).alias(&["broker.id"]).flag("--node-id").doc(
            "The node's number in its cluster. Without it the first node is 1, a seed takes its place in \
            dohle.seeds, and a later node is given one.",
        ),
        unset("broker.rack", Kind::Text)
            .doc("Where the broker stands; replicas are spread over racks, and consumers may read from their own."),
        list("dohle.seeds", "").allow(SEED).flag("--seeds").doc(
            "Peer addresses of the nodes that found the cluster together, in the same order everywhere, or the \
            word any to join one that exists. Empty founds a cluster of one node.",
        ),
        // Where it listens.
        list("listeners", "PLAINTEXT://:9092").flag("--listen").doc(
            "Where Kafka clients connect, as NAME://HOST:PORT; an empty host is every address. A bare HOST:PORT \
            is the listener PLAINTEXT.",
        ),
        list("advertised.listeners", "").flag("--advertise").doc(
            "What clients are told to connect to, as NAME://HOST:PORT; a bare HOST:PORT speaks for the first \
            listener. Empty is what listeners says.",
        ),
        text(
            "listener.security.protocol.map",
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        )
        .doc("Which security protocol each listener speaks, as NAME:PROTOCOL with commas between them."),
        list("controller.listener.names", "").unlike_kafka("(required)").doc(
            "Names of listeners that Kafka keeps for controllers. Dohle opens none of them: controllers meet on \
            dohle.peer.listen.",
        ),
        text("dohle.peer.listen", ":9093")
            .allow(ADDRESS)
            .flag("--peer-listen")
            .doc("Where the other nodes of the cluster connect: Raft, metadata, sessions and replication."),
        unset("dohle.peer.advertised", Kind::Text).allow(DIALABLE).doc(
            "What the other nodes are told to connect to. Without it that is dohle.peer.listen or, where that is \
            every address, the node's own entry in dohle.seeds, the host that clients are told, or the address from \
            which it reaches a seed.",
        ),
        text("dohle.admin.listen", ":9094")
            .allow(ADDRESS)
            .flag("--admin-listen")
            .doc("Where administrators connect: gRPC, metrics, health and the console."),
        // Where its data lies.
        text("dohle.data.dir", "./dohle-data").allow(Allowed::NotEmpty).flag("--data-dir").doc(
            "The folder of the node: its identity, the cluster's metadata and, unless log.dirs says otherwise, \
            the partitions.",
        ),
        list("log.dirs", "")
            .alias(&["log.dir"])
            .unlike_kafka("/tmp/kafka-logs")
            .doc("Folders of partitions. Empty is the folder log under dohle.data.dir."),
        long("log.dir.failure.timeout.ms", 30 * SECOND)
            .at_least(1)
            .doc("How long a broker whose folder failed goes on while it cannot tell the controller, before it stops."),
        // Connections.
        int("socket.request.max.bytes", 100 * MIB).at_least(1).doc("The largest request that is read from a client."),
        int("socket.listen.backlog.size", 50)
            .at_least(1)
            .doc("How many connections may wait to be accepted on a listener."),
        int("socket.send.buffer.bytes", 100 * KIB)
            .at_least(-1)
            .doc("The send buffer of a client's socket; -1 leaves it to the operating system."),
        int("socket.receive.buffer.bytes", 100 * KIB)
            .at_least(-1)
            .doc("The receive buffer of a client's socket; -1 leaves it to the operating system."),
        long("connections.max.idle.ms", 10 * MINUTE).doc("After how long without a request a connection is closed."),
        int("connection.failed.authentication.delay.ms", 100)
            .at_least(0)
            .doc("How long the answer to a failed authentication is held back, to slow guessing down."),
        // Who may talk to it.
        long("connections.max.reauth.ms", 0).doc("After how long a SASL client must authenticate again; 0 is never."),
        int("sasl.server.max.receive.size", 512 * KIB)
            .doc("The largest message that is read from a client before it has authenticated."),
        list("sasl.oauthbearer.expected.audience", "")
            .doc("Audiences of which an OAuth token must name one; empty accepts every audience."),
        unset("sasl.oauthbearer.expected.issuer", Kind::Text).doc("The issuer an OAuth token must name."),
        unset("sasl.oauthbearer.jwks.endpoint.url", Kind::Text)
            .doc("Where the keys are found that OAuth tokens are signed with."),
        long("sasl.oauthbearer.jwks.endpoint.refresh.ms", HOUR).doc(
            "How often the keys of OAuth tokens are read \
            again.",
        ),
        long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", 100)
            .doc("How long to wait after the first failure to read the keys of OAuth tokens."),
        long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", 10 * SECOND)
            .doc("How long to wait at most between attempts to read the keys of OAuth tokens."),
        int("sasl.oauthbearer.clock.skew.seconds", 30)
            .doc("By how much the clocks of the token's issuer and the broker may differ."),
        text("sasl.oauthbearer.scope.claim.name", "scope").doc("The claim of an OAuth token that lists its scopes."),
        text("sasl.oauthbearer.sub.claim.name", "sub").doc("The claim of an OAuth token that names the user."),
        text("ssl.principal.mapping.rules", "DEFAULT")
            .doc("How the name in a client's certificate becomes a user's name, in Kafka's rule language."),
        text("authorizer.class.name", "")
            .one_of(&["", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"])
            .doc("Whether access is checked: Kafka's StandardAuthorizer turns ACLs on, empty leaves them off."),
        text("super.users", "").doc("Users that may do everything, as User:NAME with semicolons between them."),
        boolean("allow.everyone.if.no.acl.found", false)
            .doc("Whether a resource without any ACL is open to everyone when access is checked."),
        unset("delegation.token.secret.key", Kind::Password)
            .doc("The secret that delegation tokens are made with, the same on every node; without it there are none."),
        long("delegation.token.max.lifetime.ms", 7 * DAY)
            .at_least(1)
            .doc("How long a delegation token may be renewed."),
        long("delegation.token.expiry.time.ms", DAY)
            .at_least(1)
            .doc("How long a delegation token is valid without being renewed."),
        long("delegation.token.expiry.check.interval.ms", HOUR)
            .at_least(1)
            .doc("How often expired delegation tokens are removed."),
    ],
);

pub(super) const PER_BROKER: &[Key] = &scoped(
    Scope::PerBroker,
    [
        list("sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512")
            .one_of(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
            .unlike_kafka("GSSAPI")
            .doc("The SASL mechanisms that clients may use. Kerberos (GSSAPI) is not among them."),
        unset("sasl.jaas.config", Kind::Password)
            .doc("A login module in Kafka's JAAS syntax. Per listener and mechanism, it lists the users of PLAIN."),
        text("ssl.client.auth", "none")
            .one_of(&["none", "requested", "required"])
            .doc("Whether clients show a certificate."),
        list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
            .one_of(&["TLSv1.2", "TLSv1.3"])
            .doc("The versions of TLS that clients may use."),
        list("ssl.cipher.suites", "").doc("The cipher suites that clients may use; empty is every safe one."),
        text("ssl.keystore.type", "PEM").one_of(&["PEM"]).unlike_kafka("JKS").doc(
            "The format of the key and its certificates. Java's key stores are not read; openssl turns a \
            PKCS12 file into PEM.",
        ),
        unset("ssl.keystore.location", Kind::Text).doc("The PEM file with the broker's private key and certificates."),
        unset("ssl.keystore.key", Kind::Password).doc("The broker's private key itself, as PEM."),
        unset("ssl.keystore.certificate.chain", Kind::Password).doc("The broker's certificates themselves, as PEM."),
        unset("ssl.key.password", Kind::Password).doc("What the private key is encrypted with, if it is."),
        text("ssl.truststore.type", "PEM")
            .one_of(&["PEM"])
            .unlike_kafka("JKS")
            .doc("The format of the trusted certificates. Java's trust stores are not read."),
        unset("ssl.truststore.location", Kind::Text)
            .doc("The PEM file with the certificates that clients' certificates must descend from."),
        unset("ssl.truststore.certificates", Kind::Password).doc("The trusted certificates themselves, as PEM."),
    ],
);

pub(super) const CLUSTER_WIDE: &[Key] = &scoped(
    Scope::ClusterWide,
    [
        int("max.connections", INT_MAX)
            .at_least(0)
            .doc("How many connections a broker holds; more wait until one closes. Lowered, it ends the idlest."),
        int("max.connections.per.ip", INT_MAX)
            .at_least(0)
            .doc("How many connections one address may hold; more are closed."),
        text("max.connections.per.ip.overrides", "")
            .allow(OVERRIDES)
            .doc("Other limits for some addresses, as ADDRESS:COUNT with commas between them."),
        int("max.connection.creation.rate", INT_MAX)
            .at_least(0)
            .doc("How many connections a broker accepts per second; more have to wait."),
    ],
);

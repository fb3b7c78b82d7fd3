//! Why the controller says no: Kafka's word and number for it, and a sentence for people.

use std::fmt;

/// A command, or a part of one, that was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{refusal}: {message}")]
pub struct Refused {
    pub refusal: Refusal,
    pub message: String,
}

/// Declares the refusals with Kafka's number and name.
macro_rules! refusals {
    ($($variant:ident = $code:literal $name:literal,)*) => {
        /// The kinds of refusal. Names and numbers are those of Kafka's protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(i16)]
        pub enum Refusal { $($variant = $code,)* }

        impl Refusal {
            /// The name in Kafka's documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind with this number.
            pub fn of_code(code: i32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

refusals! {
    UnknownTopicOrPartition = 3 "UNKNOWN_TOPIC_OR_PARTITION",
    InvalidTopic = 17 "INVALID_TOPIC_EXCEPTION",
    UnsupportedVersion = 35 "UNSUPPORTED_VERSION",
    TopicAlreadyExists = 36 "TOPIC_ALREADY_EXISTS",
    InvalidPartitions = 37 "INVALID_PARTITIONS",
    InvalidReplicationFactor = 38 "INVALID_REPLICATION_FACTOR",
    InvalidReplicaAssignment = 39 "INVALID_REPLICA_ASSIGNMENT",
    InvalidConfig = 40 "INVALID_CONFIG",
    NotController = 41 "NOT_CONTROLLER",
    InvalidRequest = 42 "INVALID_REQUEST",
    PolicyViolation = 44 "POLICY_VIOLATION",
    FencedLeaderEpoch = 74 "FENCED_LEADER_EPOCH",
    StaleBrokerEpoch = 77 "STALE_BROKER_EPOCH",
    PreferredLeaderNotAvailable = 80 "PREFERRED_LEADER_NOT_AVAILABLE",
    EligibleLeadersNotAvailable = 83 "ELIGIBLE_LEADERS_NOT_AVAILABLE",
    ElectionNotNeeded = 84 "ELECTION_NOT_NEEDED",
    DuplicateResource = 92 "DUPLICATE_RESOURCE",
    InvalidUpdateVersion = 95 "INVALID_UPDATE_VERSION",
    UnknownTopicId = 100 "UNKNOWN_TOPIC_ID",
    DuplicateBrokerRegistration = 101 "DUPLICATE_BROKER_REGISTRATION",
    BrokerIdNotRegistered = 102 "BROKER_ID_NOT_REGISTERED",
    InconsistentClusterId = 104 "INCONSISTENT_CLUSTER_ID",
    IneligibleReplica = 107 "INELIGIBLE_REPLICA",
    NewLeaderElected = 108 "NEW_LEADER_ELECTED",
    InvalidRegistration = 119 "INVALID_REGISTRATION",
}

impl Refusal {
    /// The number in Kafka's protocol.
    pub fn code(self) -> i16 {
        self as i16
    }

    pub(super) fn because(self, message: impl Into<String>) -> Refused {
        Refused { refusal: self, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! The protocol's error codes, all of Kafka 4.3's, and what each means in a sentence.
//!
//! The sentence is what a client shows when we have nothing better to say; an answer that can tell more should.

use std::fmt;

/// Whether a client may send the same request again. Clients decide by themselves; this says how they decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Again {
    Retriable,
    Final,
}

macro_rules! error_codes {
    ($($(#[$default:meta])? $name:ident = $number:literal, $published:literal, $again:ident, $sentence:literal;)*) => {
        /// What went wrong, in the words of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $published, "`: ", $sentence, ".")] $(#[$default])? $name = $number,)*
        }

        impl ErrorCode {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A number that a newer peer may know and we do not means what Kafka's clients take it for.
            pub const fn from_number(number: i16) -> Self {
                match number {
                    $($number => Self::$name,)*
                    _ => Self::UnknownServerError,
                }
            }

            /// As Kafka's documentation spells it: `OFFSET_OUT_OF_RANGE`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $published,)*
                }
            }

            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }

            const fn again(self) -> Again {
                match self {
                    $(Self::$name => Again::$again,)*
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", Final, "something went wrong in the broker; its log says what";
    #[default]
    None = 0, "NONE", Final, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", Final, "the partition has no such offset, or not any more";
    CorruptMessage = 2, "CORRUPT_MESSAGE", Retriable, "a batch of records is damaged";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", Retriable,
        "this broker knows no such topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", Final, "this many bytes cannot be fetched";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", Retriable, "the partition has no leader right now";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", Retriable, "another broker leads the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", Retriable, "it was not done in time; it may still happen";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", Final, "that broker is not there";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", Retriable, "that replica is not there";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", Final, "a batch is larger than max.message.bytes allows";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", Final, "a newer controller has taken over";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", Final,
        "the metadata beside a committed offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", Retriable, "the connection broke before the answer came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", Retriable,
        "the coordinator is still reading its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", Retriable, "nobody coordinates this right now";
    NotCoordinator = 16, "NOT_COORDINATOR", Retriable, "another broker coordinates this";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", Final, "no topic may have this name, or be used like this";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", Final, "the batches are larger than a segment may be";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", Retriable,
        "fewer replicas are in sync than min.insync.replicas asks for; nothing was written";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Retriable,
        "written, but then too few replicas were in sync";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", Final, "acks must be 0, 1 or -1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", Final, "the group has moved on to another generation";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", Final,
        "the member speaks no protocol that the whole group speaks";
    InvalidGroupId = 24, "INVALID_GROUP_ID", Final, "no group may have this id";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", Final, "the group has no such member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", Final,
        "the session timeout is outside of what the broker allows";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", Final, "the group is rebalancing: join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", Final, "the commit is too large to be stored";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", Final, "not allowed on this topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", Final, "not allowed on this group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", Final, "not allowed on this cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", Final, "a record's timestamp is too far off";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", Final, "this SASL mechanism is not enabled here";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", Final, "this is not the time for that step of SASL";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", Final, "this version of the request is not spoken here";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", Final, "there is a topic of this name";
    InvalidPartitions = 37, "INVALID_PARTITIONS", Final, "not a possible number of partitions";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", Final, "not a possible number of replicas";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", Final, "replicas cannot be placed like this";
    InvalidConfig = 40, "INVALID_CONFIG", Final, "a configuration key or value is not allowed";
    NotController = 41, "NOT_CONTROLLER", Retriable, "another controller is active";
    InvalidRequest = 42, "INVALID_REQUEST", Final, "the request contradicts itself or the protocol";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Final, "the records' format cannot do this";
    PolicyViolation = 44, "POLICY_VIOLATION", Final, "a policy of this cluster forbids it";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Final,
        "a sequence number is missing before this batch";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", Final, "this batch was written before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", Final, "a newer incarnation of this producer is at work";
    InvalidTxnState = 48, "INVALID_TXN_STATE", Final, "the transaction is not in a state for this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", Final,
        "the transactional id belongs to another producer id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", Final,
        "the timeout is longer than transaction.max.timeout.ms";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", Retriable, "the transaction before is not finished yet";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", Final,
        "a newer transaction coordinator has taken over";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Final,
        "not allowed on this transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", Final, "this cluster has no authorizer";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", Final, "not tried, because something before it failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", Retriable, "the disk under this partition failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", Final, "the broker has no such data directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", Final, "who you say you are could not be verified";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", Final, "the partition knows nothing of this producer";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", Final, "the partition is being moved";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", Final, "delegation tokens are not enabled here";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", Final, "there is no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", Final,
        "the delegation token belongs to somebody else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", Final,
        "delegation tokens cannot be asked for over this connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", Final,
        "not allowed on this delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", Final, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", Final, "there is no such type of principal";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", Final, "the group still has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", Final, "there is no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", Retriable,
        "there is no such fetch session, or not any more";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", Retriable, "the fetch session expects another epoch";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", Retriable, "the leader has no address on this listener";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", Final, "delete.topic.enable is off";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", Retriable, "a newer leader epoch has begun";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", Retriable, "this broker has not heard of that leader epoch yet";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", Final,
        "this version of the request cannot carry that compression";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", Final, "the broker has registered again since";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", Retriable, "the new leader does not know its high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", Final, "join again with the member id given here";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", Retriable,
        "the preferred replica cannot lead right now";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", Final, "the group is full";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", Final, "another member has taken over this static id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", Retriable, "no replica that may lead is there";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", Retriable, "the right replica leads already";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", Final, "the partition is not being moved";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", Final, "the group still reads this topic";
    InvalidRecord = 87, "INVALID_RECORD", Final, "a record breaks the rules of its topic";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", Retriable,
        "a transaction is still deciding about these offsets";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", Retriable,
        "the quota for such changes is used up for now";
    ProducerFenced = 90, "PRODUCER_FENCED", Final, "a newer producer with the same transactional id is at work";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", Final, "there is no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", Final, "the resource is named twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", Final, "the credential is not good enough";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", Final, "the voters named here are not those of the quorum";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", Final, "the feature cannot go to that level";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", Final, "the feature levels could not be stored";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", Final,
        "a forwarded request carries an unreadable principal";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", Final, "there is no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", Final, "the snapshot has no such position";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", Retriable, "this broker knows no topic of this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", Final, "another broker runs under this id";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", Final, "no broker is registered under this id";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", Retriable, "the log belongs to another topic of the same name";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", Final, "this is another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", Final, "there is no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", Retriable,
        "the fetch session mixes topic names and topic ids";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", Final, "the replica may not join the ISR now";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", Final, "done, and another replica leads now";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", Final, "the offset is in remote storage only";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", Final, "the group knows the member under another epoch: join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", Final, "another member still holds this static id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", Final, "the group has no such assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", Final, "the member has a newer epoch: ask for it by a heartbeat";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", Final, "this listener is for the other kind of node";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", Final, "there is no such kind of endpoint";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", Final, "there is no such controller";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", Final, "the client's metrics subscription has changed";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", Final, "the client pushes more metrics at once than allowed";
    InvalidRegistration = 119, "INVALID_REGISTRATION", Final, "the registration is not acceptable";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", Final, "the transaction can only be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", Final, "the record is not in a state for this acknowledgement";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", Retriable, "there is no such share session, or not any more";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", Retriable, "the share session expects another epoch";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", Final, "a newer leader of the share partition has written its state";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", Final, "the voter's id and directory id do not belong together";
    DuplicateVoter = 126, "DUPLICATE_VOTER", Final, "the controller is a voter already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", Final, "there is no such voter";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", Final, "the regular expression cannot be read";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", Final, "forget the brokers you know and bootstrap again";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", Final, "the topology contradicts itself";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", Final,
        "the topology's epoch is not acceptable";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", Final, "the group runs a newer topology";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", Retriable,
        "the broker has as many share sessions as it may";
}

impl ErrorCode {
    pub const fn number(self) -> i16 {
        self as i16
    }

    pub const fn is_retriable(self) -> bool {
        matches!(self.again(), Again::Retriable)
    }

    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_complete_from_minus_1_to_133() {
        let numbers: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, (-1..=133).collect::<Vec<i16>>());
        assert!(ErrorCode::ALL.iter().all(|code| ErrorCode::from_number(code.number()) == *code));
        assert_eq!(ErrorCode::from_number(9999), ErrorCode::UnknownServerError);
    }

    #[test]
    fn a_client_retries_what_kafkas_clients_retry() {
        assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
        assert!(ErrorCode::UnknownTopicOrPartition.is_retriable()); // it may have been created a moment ago
        assert!(!ErrorCode::OffsetOutOfRange.is_retriable());
        assert!(!ErrorCode::None.is_retriable());
    }
}

//! ApiVersions (18), versions 0-4. What this broker speaks; the first request of nearly every client.
//!
//! Names the APIs that are served here, and the features that clients decide by: `metadata.version` (as Kafka 4.3
//! counts) and `eligible.leader.replicas.version`. `group.version`, `share.version`, `streams.version` and
//! `transaction.version`
//! are not there, so clients keep to what does not need them. Versions below 4 cannot be told of a feature that begins
//! at level 0: older clients take that for an error.
//!
//! Answers: a version we do not know with UNSUPPORTED_VERSION in version 0, with our range (KIP-511); INVALID_REQUEST
//! to a client whose name or version is no name.

use crate::server::kafka::client::Asked;
use crate::server::kafka::dispatch::SERVED;
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ApiKey, ErrorCode, RequestHeader, Text};

/// A feature: the lowest and the highest level that is supported, the highest being in force.
const FEATURES: [(&str, i16, i16); 2] = [("metadata.version", 7, 30), ("eligible.leader.replicas.version", 0, 1)];

pub fn answer(asked: &Asked, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let version = asked.version();
    if version >= 3 && !(is_name(&request.client_software_name) && is_name(&request.client_software_version)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest, ..Default::default() };
    }
    let supported = FEATURES.iter().filter(|(_, min, _)| version >= 4 || *min > 0);
    let finalized = FEATURES.iter().map(|(name, _, max)| FinalizedFeatureKey {
        name: Text::from_static(name),
        max_version_level: *max,
        min_version_level: *max,
        ..Default::default()
    });
    ApiVersionsResponse {
        api_keys: SERVED.iter().copied().map(range).collect(),
        supported_features: supported
            .map(|(name, min, max)| SupportedFeatureKey {
                name: Text::from_static(name),
                min_version: *min,
                max_version: *max,
                ..Default::default()
            })
            .collect(),
        finalized_features_epoch: i64::try_from(asked.image().applied().0).unwrap_or(i64::MAX),
        finalized_features: finalized.collect(),
        ..Default::default()
    }
}

/// What who asks in a version that we do not know is answered, and under which header.
pub fn unknown_version(correlation_id: i32) -> (RequestHeader, ApiVersionsResponse) {
    let (api, version) = (ApiKey::ApiVersions, 0);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion,
        api_keys: vec![range(api)],
        ..Default::default()
    };
    (RequestHeader { api, version, correlation_id, client_id: None, tagged_fields: Default::default() }, response)
}

fn range(api: ApiKey) -> ApiVersion {
    let versions = api.entry().advertised;
    ApiVersion { api_key: api.number(), min_version: versions.first, max_version: versions.last, ..Default::default() }
}

/// Letters and digits, with dots and dashes between them.
fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric)) && bytes.iter().copied().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, Writer};

    #[test]
    fn a_version_that_nobody_knows_is_answered_as_kafka_does() {
        let recorded = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames/18-v5-1.response"));
        let (header, response) = unknown_version(0);
        let frame = Frame::response(&mut Writer::new(), &header, &response).unwrap();
        assert_eq!(frame.body(), &recorded[..]);
    }

    #[test]
    fn a_clients_name_is_a_name() {
        for name in ["apache-kafka-java", "4.3.1", "a"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-java", "java.", "two words", "naïve"] {
            assert!(!is_name(name), "{name}");
        }
    }
}

//! DescribeUserScramCredentials (50), version 0. Nobody has any: all users are an empty list.
//!
//! Answers per user: RESOURCE_NOT_FOUND to who is asked for by name, DUPLICATE_RESOURCE to who is so twice.

use std::collections::BTreeMap;

use crate::server::kafka::client::Asked;
use crate::wire::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use crate::wire::{ErrorCode, Text};

pub fn answer(_: &Asked, request: DescribeUserScramCredentialsRequest) -> DescribeUserScramCredentialsResponse {
    let mut times: BTreeMap<Text, usize> = BTreeMap::new();
    for user in request.users.into_iter().flatten() {
        *times.entry(user.name).or_default() += 1;
    }
    let results = times.into_iter().map(|(user, times)| {
        let error_code = if times > 1 { ErrorCode::DuplicateResource } else { ErrorCode::ResourceNotFound };
        let error_message = Some(error_code.message().into());
        DescribeUserScramCredentialsResult { user, error_code, error_message, ..Default::default() }
    });
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}

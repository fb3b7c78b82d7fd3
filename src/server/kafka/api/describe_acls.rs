//! DescribeAcls (29), versions 1-3. SECURITY_DISABLED, as from a Kafka without an authorizer: there is none yet.

use crate::server::kafka::client::Asked;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

pub fn answer(_: &Asked, _: DescribeAclsRequest) -> DescribeAclsResponse {
    let error_code = ErrorCode::SecurityDisabled;
    DescribeAclsResponse { error_code, error_message: Some(error_code.message().into()), ..Default::default() }
}

//! DescribeClientQuotas (48), versions 0-1. There are no quotas: nothing matches any filter.

use crate::server::kafka::client::Asked;
use crate::wire::messages::describe_client_quotas::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

pub fn answer(_: &Asked, _: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default()
}

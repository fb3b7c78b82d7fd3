//! The handlers: one file per API.

pub mod api_versions;
pub mod fetch;
pub mod metadata;
pub mod produce;

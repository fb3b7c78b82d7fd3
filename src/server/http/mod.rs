//! HTTP on the admin port.

pub mod health;

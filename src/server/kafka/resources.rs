//! Kafka's numbers for what can have a configuration, and what people call it.

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const BROKER_LOGGER: i8 = 8;
pub const CLIENT_METRICS: i8 = 16;
pub const GROUP: i8 = 32;

/// What a number stands for, in words.
pub fn word(resource_type: i8) -> String {
    match resource_type {
        TOPIC => "topic".to_owned(),
        BROKER => "broker".to_owned(),
        BROKER_LOGGER => "broker logger".to_owned(),
        CLIENT_METRICS => "client metrics".to_owned(),
        GROUP => "group".to_owned(),
        other => format!("unknown type {other}"),
    }
}

//! Enums of the admin services as a word, for people and in JSON: what protobuf calls `NODE_STATE_ACTIVE` is `active`.

use serde::Serializer;

use super::admin::{Change, NodeState};

pub fn node_state(number: i32) -> String {
    let state = NodeState::try_from(number).unwrap_or_default();
    word(state.as_str_name(), "NODE_STATE_")
}

pub fn change(number: i32) -> String {
    let change = Change::try_from(number).unwrap_or_default();
    word(change.as_str_name(), "CHANGE_")
}

fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

pub(super) fn write_node_state<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&node_state(*number))
}

pub(super) fn write_change<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&change(*number))
}

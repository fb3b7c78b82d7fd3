//! What Apache Kafka 4.3.1 answered, and what is answered here: recorded requests are sent again, in an order in which
//! the cluster is as it was when they were recorded, and the answers are compared.
//!
//! Not compared is what no two clusters have in common (ids, addresses, offsets of the metadata log), and the wording
//! of sentences: a sentence must be there where Kafka has one. Nothing else differs but for one configuration of topics
//! that Kafka does not have.

use dohle::wire::RequestHeader;
use dohle::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::wire::Wire;
use crate::cluster::Cluster;
use crate::wire_frames::{recorded_frame, told};

/// The recordings by the names of their files, in the order in which they make sense.
const STORY: &[(&str, &[&str])] = &[
    ("who is there", &["03-v13-1", "03-v4-2", "03-v5-1", "60-v2-1"]),
    ("a topic comes to be", &["19-v7-1", "19-v7-2", "03-v13-2", "75-v0-1", "32-v4-1", "32-v4-4"]),
    ("wrong names, other topics, older versions", &["19-v7-4", "19-v7-3", "19-v3-1", "19-v4-1", "03-v6-2"]),
    ("a topic springs into being", &["03-v4-1", "03-v5-2", "03-v5-4"]),
    ("a topic grows", &["37-v3-1", "37-v3-2"]),
    ("configuration changes", &["44-v1-1", "32-v4-2", "44-v1-2", "44-v1-3", "44-v1-4"]),
    ("producers", &["22-v0-1", "22-v1-1", "22-v4-1", "22-v5-2", "22-v5-5"]),
    ("records", &["00-v10-1", "00-v10-2", "00-v10-3", "00-v10-4", "00-v7-1", "01-v18-1", "02-v3-2", "02-v2-1"]),
    (
        "what is not there",
        &["10-v6-1", "10-v6-3", "29-v3-1", "46-v0-1", "46-v0-2", "48-v1-1", "48-v1-2", "74-v1-1", "75-v0-6"],
    ),
];

/// Configuration that Kafka does not have.
const OURS: &str = "durability";

/// Fields that no two clusters have in common.
const INCOMPARABLE: &[&str] =
    &["host", "port", "cluster_id", "topic_id", "producer_id", "session_id", "finalized_features_epoch"];

#[test]
fn recorded_requests_are_answered_as_kafka_answered_them() {
    let cluster = Cluster::start(1, &[]);
    let mut wire = Wire::to(&cluster.bootstrap());
    write_down_min_insync_replicas(&mut wire);
    let mut differences = Vec::new();
    for (chapter, name) in STORY.iter().flat_map(|(chapter, names)| names.iter().map(move |name| (chapter, name))) {
        let [request, theirs] = ["request", "response"].map(|direction| recorded_frame(name, direction));
        let (header, _) = RequestHeader::decode(request.clone()).unwrap();
        wire.send_frame(&request).unwrap();
        let ours = wire.receive().unwrap_or_else(|| panic!("{name}: the connection was closed"));
        let [ours, theirs] = [ours, theirs].map(|frame| comparable(&told(&header, frame)));
        if ours != theirs {
            differences.push(format!("{chapter}: {name} ({}): {}", header.api, difference(&ours, &theirs)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Kafka does so by itself, for all brokers, when it begins to know eligible leader replicas.
fn write_down_min_insync_replicas(wire: &mut Wire) {
    let name = "min.insync.replicas".into();
    let configs = vec![AlterableConfig { name, value: Some("1".into()), ..Default::default() }];
    let resource = AlterConfigsResource { resource_type: 4, configs, ..Default::default() };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response = wire.ask_newest(&request);
    assert!(!response.responses[0].error_code.is_error(), "{response:?}");
}

/// The part in which two texts differ.
fn difference(ours: &str, theirs: &str) -> String {
    let same = ours.bytes().zip(theirs.bytes()).take_while(|(one, other)| one == other).count();
    let from = ours[..same].rfind(['{', '[']).unwrap_or(0).saturating_sub(40);
    let part = |text: &str| text.get(from..).unwrap_or_default().chars().take(400).collect::<String>();
    format!("\n  here:  {}\n  Kafka: {}", part(ours), part(theirs))
}

/// The words of a response without what cannot be compared, and with lists in an order.
fn comparable(told: &str) -> String {
    let told = told.replace(", tagged_fields: TaggedFields([])", "");
    let told = INCOMPARABLE.iter().fold(told, |told, field| without(&told, field, |_| "…"));
    let told = without(&told, "error_message", |sentence| match sentence {
        "None" | "Some(\"\")" | "Some(\"NONE\")" => "nothing",
        _ => "something",
    });
    sorted(&told)
}

/// Replaces the values of a field.
fn without(told: &str, field: &str, replacement: impl Fn(&str) -> &'static str) -> String {
    let mut shorter = String::with_capacity(told.len());
    let mut rest = told;
    let name = format!("{field}: ");
    while let Some(at) = rest.find(&name) {
        let value = &rest[at + name.len()..];
        let is_whole_name = rest[..at].ends_with([' ', '{']);
        let end = if is_whole_name { value_len(value) } else { 0 };
        shorter.push_str(&rest[..at + name.len()]);
        shorter.push_str(if is_whole_name { replacement(&value[..end]) } else { "" });
        rest = &value[end..];
    }
    shorter + rest
}

/// Where the value ends with which a text begins.
fn value_len(text: &str) -> usize {
    let (mut depth, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '{' | '[' | '(' => depth += 1,
            ',' if depth == 0 => return at,
            '}' | ']' | ')' if depth == 0 => return at,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Configurations in the order of their names, Kafka's come out of a hash map; and only those that Kafka has.
fn sorted(told: &str) -> String {
    const UNORDERED: [&str; 2] = ["configs: Some([", "configs: ["];
    let Some(at) = UNORDERED.iter().find_map(|list| told.find(list).map(|at| at + list.len())) else {
        return told.to_owned();
    };
    let mut rest = &told[at..];
    let mut members = Vec::new();
    while !rest.starts_with(']') {
        let len = value_len(rest);
        if !rest[..len].contains(&format!("name: {OURS:?}")) {
            members.push(&rest[..len]);
        }
        rest = rest[len..].trim_start_matches(", ");
    }
    members.sort_unstable();
    format!("{}{}{rest}", &told[..at], members.join(", "))
}

//! Whether a configuration may be set while the cluster runs, and to that value.

use crate::config::key::{Key, Kind, Scope};
use crate::config::{reason_to_ignore, table};
use crate::metadata::configs::ConfigScope;

/// Says what is wrong with a value of a key.
pub(super) fn check(scope: ConfigScope, name: &str, value: &str) -> Result<(), String> {
    let key = match scope {
        ConfigScope::Topic(_) => {
            table::topic_key(name).ok_or_else(|| format!("{name} is not a configuration of topics"))?
        }
        ConfigScope::Cluster | ConfigScope::Node(_) => dynamic(scope, name)?,
    };
    key.parse(value).map(drop).map_err(|bad| bad.to_string())
}

/// What a list has in it while nobody has set it; nothing for a key that is no list.
pub(super) fn list_default(scope: ConfigScope, name: &str) -> Option<String> {
    let key = match scope {
        ConfigScope::Topic(_) => table::topic_key(name),
        ConfigScope::Cluster | ConfigScope::Node(_) => table::server_key(name),
    };
    key.filter(|key| key.kind == Kind::List).map(|key| key.default().to_string())
}

fn dynamic(scope: ConfigScope, name: &str) -> Result<&'static Key, String> {
    let key = table::server_key(name).ok_or_else(|| match reason_to_ignore(name) {
        Some(reason) => format!("{name} would do nothing: {reason}"),
        None => format!("{name} is not a configuration of brokers"),
    })?;
    match key.scope {
        Scope::ClusterWide => Ok(key),
        Scope::PerBroker if scope != ConfigScope::Cluster => Ok(key),
        Scope::PerBroker => Err(format!("{name} is set for one broker at a time")),
        _ => Err(format!("{name} is read when a node starts and cannot be changed while it runs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{NodeId, TopicId};

    #[test]
    fn a_key_is_checked_where_it_is_set() {
        let (topic, node) = (ConfigScope::Topic(TopicId::default()), ConfigScope::Node(NodeId(1)));
        assert_eq!(check(topic, "min.insync.replicas", "2"), Ok(()));
        assert_eq!(check(ConfigScope::Cluster, "min.insync.replicas", "2"), Ok(()));
        assert!(check(topic, "min.insync.replicas", "none").unwrap_err().contains("expected"));
        assert!(check(topic, "node.id", "1").unwrap_err().contains("not a configuration of topics"));
        assert!(check(node, "no.such.key", "1").unwrap_err().contains("not a configuration of brokers"));
        assert!(check(node, "sasl.kerberos.kinit.cmd", "kinit").unwrap_err().contains("does not speak Kerberos"));
        assert!(check(node, "node.id", "1").unwrap_err().contains("read when a node starts"));
        assert_eq!(list_default(topic, "cleanup.policy").as_deref(), Some("delete"));
        assert_eq!(list_default(topic, "retention.ms"), None);
    }
}

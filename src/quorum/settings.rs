//! Whether a configuration may be set while the cluster runs, and to that value.

use std::collections::BTreeMap;

use crate::config::key::{Key, Kind, Scope, Value};
use crate::config::{Resolved, reason_to_ignore, table};
use crate::metadata::configs::ConfigScope;

/// Says what is wrong with a value of a key.
pub(super) fn check(scope: &ConfigScope, name: &str, value: &str) -> Result<(), String> {
    let key = match scope {
        ConfigScope::Topic(_) => {
            table::topic_key(name).ok_or_else(|| format!("{name} is not a configuration of topics"))?
        }
        ConfigScope::Group(_) => {
            table::group_key(name).ok_or_else(|| format!("{name} is not a configuration of groups"))?
        }
        ConfigScope::Cluster | ConfigScope::Node(_) => dynamic(scope, name)?,
    };
    let value = key.parse(value).map_err(|bad| bad.to_string())?;
    if name != key.name && key.name.starts_with("max.connection") && value == Value::Whole(0) {
        return Err(format!("{name} = 0: expected at least 1, or nobody could come by this listener to change it"));
    }
    Ok(())
}

/// Says what is wrong with all values of a scope together: those of a group keep within the bounds that the server's
/// keys set, and a session outlives its heartbeats.
pub(super) fn check_together(node: &Resolved, scope: &ConfigScope, set: &BTreeMap<&str, &str>) -> Result<(), String> {
    let ConfigScope::Group(_) = scope else { return Ok(()) };
    let keys = set.iter().filter_map(|(name, text)| Some((table::group_key(name)?, text)));
    for (key, text) in keys {
        let Ok(Value::Whole(number)) = key.parse(text) else { continue };
        let [least, most] = key.bounded_by;
        if let Some(least) = least.filter(|least| number < node.number(least)) {
            return Err(format!("{} = {number}: {least} is {}", key.name, node.number(least)));
        }
        if let Some(most) = most.filter(|most| number > node.number(most)) {
            return Err(format!("{} = {number}: {most} is {}", key.name, node.number(most)));
        }
    }
    ["consumer", "share", "streams"].iter().try_for_each(|kind| {
        let names = [format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms")];
        let is_set = names.iter().any(|name| set.contains_key(name.as_str()));
        let [session, heartbeat] = [&names[0], &names[1]].map(|name| {
            let key = table::group_key(name).expect("groups of every kind have both");
            let own = set.get(name.as_str()).and_then(|text| key.parse(text).ok());
            own.unwrap_or_else(|| node.inherited(key).0)
        });
        match (session, heartbeat) {
            (Value::Whole(session), Value::Whole(heartbeat)) if is_set && session <= heartbeat => {
                Err(format!("{} = {session}: {} is {heartbeat}, and must be less", names[0], names[1]))
            }
            _ => Ok(()),
        }
    })
}

/// What a list has in it while nobody has set it; nothing for a key that is no list.
pub(super) fn list_default(scope: &ConfigScope, name: &str) -> Option<String> {
    let key = match scope {
        ConfigScope::Topic(_) => table::topic_key(name),
        ConfigScope::Group(_) => table::group_key(name),
        ConfigScope::Cluster | ConfigScope::Node(_) => table::server_key(name),
    };
    key.filter(|key| key.kind == Kind::List).map(|key| key.default().to_string())
}

fn dynamic(scope: &ConfigScope, name: &str) -> Result<&'static Key, String> {
    let key = table::server_key(name).ok_or_else(|| match reason_to_ignore(name) {
        Some(reason) => format!("{name} would do nothing: {reason}"),
        None => format!("{name} is not a configuration of brokers"),
    })?;
    match key.scope {
        Scope::ClusterWide => Ok(key),
        Scope::PerBroker if *scope != ConfigScope::Cluster => Ok(key),
        Scope::PerBroker => Err(format!("{name} is set for one broker at a time")),
        _ => Err(format!("{name} is read when a node starts and cannot be changed while it runs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{NodeId, TopicId};
    use crate::config::{Given, load};

    #[test]
    fn a_key_is_checked_where_it_is_set() {
        let (topic, node) = (&ConfigScope::Topic(TopicId::default()), &ConfigScope::Node(NodeId(1)));
        assert_eq!(check(topic, "min.insync.replicas", "2"), Ok(()));
        assert_eq!(check(&ConfigScope::Cluster, "min.insync.replicas", "2"), Ok(()));
        assert!(check(topic, "min.insync.replicas", "none").unwrap_err().contains("expected"));
        assert!(check(topic, "node.id", "1").unwrap_err().contains("not a configuration of topics"));
        assert!(check(node, "no.such.key", "1").unwrap_err().contains("not a configuration of brokers"));
        assert_eq!(
            check(node, "sasl.kerberos.min.time.before.relogin", "58000"),
            Ok(()),
            "Kafka has it, nobody reads it"
        );
        assert!(check(node, "zookeeper.connect", "localhost").unwrap_err().contains("needs no ZooKeeper"));
        assert_eq!(check(node, "listener.name.outside.max.connections", "1"), Ok(()));
        assert!(check(node, "listener.name.outside.max.connections", "0").unwrap_err().contains("at least 1"));
        assert!(check(node, "node.id", "1").unwrap_err().contains("read when a node starts"));
        assert_eq!(list_default(topic, "cleanup.policy").as_deref(), Some("delete"));
        assert_eq!(list_default(topic, "retention.ms"), None);
    }

    #[test]
    fn a_group_keeps_within_the_bounds_of_the_server() {
        let group = &ConfigScope::Group("g".into());
        let given = ["min.heartbeat.interval.ms=1000", "max.heartbeat.interval.ms=60000"]
            .map(|setting| Given::set(&format!("group.consumer.{setting}")).expect("key=value"));
        let (settings, _) = load(None, [], &given);
        let together = |set: &[(&'static str, &'static str)]| {
            set.iter().try_for_each(|(name, value)| check(group, name, value))?;
            check_together(&settings, group, &set.iter().copied().collect())
        };
        assert_eq!(
            together(&[("consumer.session.timeout.ms", "50000"), ("share.auto.offset.reset", "earliest")]),
            Ok(())
        );
        assert_eq!(together(&[("streams.num.standby.replicas", "2")]), Ok(()));
        let wrong = [
            (("retention.ms", "1"), "not a configuration of groups"),
            (("consumer.session.timeout.ms", "0"), "at least 1"),
            (("consumer.session.timeout.ms", "44999"), "group.consumer.min.session.timeout.ms is 45000"),
            (("consumer.session.timeout.ms", "60001"), "group.consumer.max.session.timeout.ms is 60000"),
            (("consumer.heartbeat.interval.ms", "45000"), "consumer.heartbeat.interval.ms is 45000, and must be less"),
            (("streams.num.standby.replicas", "3"), "group.streams.max.standby.replicas is 2"),
        ];
        for (set, why) in wrong {
            let told = together(&[set]).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}

//! Changes of configuration, as both of Kafka's requests for them ask: whom they are for, and what became of them.
//!
//! A topic or a group by its name, a broker by its number, and all brokers by no name. A group need not be there: it
//! has what was set for it when it comes. Any broker takes a change; the active controller decides, by the table of
//! keys, and writes it down for all.
//!
//! Answers per resource: INVALID_REQUEST to one that is named twice, to a name that is none, and to what a broker
//! cannot be set to; INVALID_CONFIG to what a topic or a group cannot be set to; UNKNOWN_TOPIC_OR_PARTITION,
//! BROKER_ID_NOT_REGISTERED; REQUEST_TIMED_OUT when no controller is active.
//! Absent on purpose: loggers, of which a broker has none; client metrics, whose configuration nobody keeps.

use super::client::Asked;
use super::declined::{Declined, told};
use super::repeated::repeated;
use super::resources::{BROKER, BROKER_LOGGER, GROUP, TOPIC, word};
use crate::base::ids::NodeId;
use crate::base::limits::KAFKA_ALTER_PATIENCE_MS;
use crate::controller::{AlterConfigs, Command, ConfigAlteration, ConfigOperation, ConfigTarget, Reply};
use crate::wire::{ErrorCode, Text};

/// What is wanted of one resource.
pub struct Alteration {
    pub resource_type: i8,
    pub resource_name: Text,
    pub operations: Result<Vec<(String, ConfigOperation)>, Declined>,
    /// Whether what is not named is deleted.
    pub replaces: bool,
}

/// What became of it, as both responses tell it.
pub struct Altered {
    pub error_code: ErrorCode,
    pub error_message: Option<Text>,
    pub resource_type: i8,
    pub resource_name: Text,
}

/// Has changes decided; what became of them is in the order of the resources.
pub async fn alter(asked: &Asked, wanted: Vec<Alteration>, validate_only: bool) -> impl Iterator<Item = Altered> {
    let outcomes = outcomes(asked, &wanted, validate_only).await;
    wanted.into_iter().zip(outcomes).map(|(Alteration { resource_type, resource_name, .. }, outcome)| {
        let (error_code, error_message) = told(outcome);
        Altered { error_code, error_message, resource_type, resource_name }
    })
}

async fn outcomes(asked: &Asked, wanted: &[Alteration], validate_only: bool) -> Vec<Result<(), Declined>> {
    let name = |one: &Alteration| (one.resource_type, one.resource_name.clone());
    let again = repeated(wanted.iter().map(name));
    let parse = |one: &Alteration| match again.contains(&name(one)) {
        true => Err(invalid("the request names the resource more than once")),
        false => parse(asked, one),
    };
    let parsed: Vec<Result<ConfigAlteration, Declined>> = wanted.iter().map(parse).collect();
    let resources: Vec<ConfigAlteration> = parsed.iter().flatten().cloned().collect();
    let mut decided = if resources.is_empty() {
        Ok(Vec::new().into_iter())
    } else {
        let command = Command::AlterConfigs(AlterConfigs { resources, validate_only });
        match asked.submit(&command, KAFKA_ALTER_PATIENCE_MS).await {
            Ok(Reply::AlteredConfigs(altered)) => Ok(altered.into_iter()),
            Ok(other) => unreachable!("AlterConfigs is not answered by {other:?}"),
            Err(declined) => Err(declined),
        }
    };
    let outcome = |parsed: Result<ConfigAlteration, Declined>| {
        parsed.and_then(|_| match &mut decided {
            Ok(decided) => {
                let altered = decided.next().expect("the controller answers for every resource it was asked for");
                altered.outcome.map_err(|refused| Declined::from(&refused))
            }
            Err(declined) => Err(declined.clone()),
        })
    };
    parsed.into_iter().map(outcome).collect()
}

fn parse(asked: &Asked, wanted: &Alteration) -> Result<ConfigAlteration, Declined> {
    let target = target(asked, wanted.resource_type, &wanted.resource_name)?;
    Ok(ConfigAlteration { target, operations: wanted.operations.clone()?, replaces: wanted.replaces })
}

fn target(asked: &Asked, resource_type: i8, name: &Text) -> Result<ConfigTarget, Declined> {
    match resource_type {
        TOPIC if name.is_empty() => Err(invalid("topics have no configuration in common: set the brokers'")),
        TOPIC => Ok(ConfigTarget::Topic(name.to_string())),
        BROKER if name.is_empty() => Ok(ConfigTarget::Cluster),
        BROKER => {
            let number = name.parse::<i32>().map_err(|_| invalid(format!("{name:?} is not the number of a broker")))?;
            Ok(ConfigTarget::Node(NodeId(number)))
        }
        BROKER_LOGGER if **name == *asked.door().broker.node().to_string() => {
            Err(Declined::new(ErrorCode::InvalidConfig, "this broker has no loggers"))
        }
        BROKER_LOGGER => Err(invalid(format!("this is not broker {name}"))),
        GROUP if name.is_empty() => Err(invalid("groups have no configuration in common: set the brokers'")),
        GROUP => Ok(ConfigTarget::Group(name.to_string())),
        other => Err(invalid(format!("{} {name:?} has no configuration that can be changed", word(other)))),
    }
}

pub fn invalid(why: impl Into<Text>) -> Declined {
    Declined::new(ErrorCode::InvalidRequest, why)
}

/// What Kafka refuses both kinds of request for: a value that is needed and not there.
pub fn without_value(name: &Text) -> Declined {
    invalid(format!("{name} has no value"))
}

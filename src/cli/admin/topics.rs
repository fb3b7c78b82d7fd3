//! `dohle topic create|list|describe|delete`.

use clap::{Args, Subcommand};
use tonic::Code;
use tonic::transport::Channel;

use super::target::{Failure, Node};
use super::{listed, or_none, shown};
use crate::base::limits::PEER_MESSAGE_BYTES_MAX;
use crate::cli::Output;
use crate::cli::table::Table;
use crate::rpc::admin::topics_client::TopicsClient;
use crate::rpc::admin::{
    CreateTopicRequest, CreatedTopic, DeleteTopicRequest, DeletedTopic, DescribeTopicRequest, ListTopicsRequest, Topic,
    TopicSummary,
};

#[derive(Subcommand)]
pub(in crate::cli) enum TopicCommand {
    /// Creates a topic
    Create(Create),
    /// All topics
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  dohle topic list
  dohle topic list --internal                   with those of the cluster itself
  dohle topic list -o json | jq -r '.[].name'"
    )]
    List {
        /// The cluster's own topics too
        #[arg(long)]
        internal: bool,
    },
    /// One topic: its partitions, who leads them, who is in sync
    #[command(
        after_help = "Epochs count leaders. ISR: replicas that have everything that is committed. ELR: replicas \
that are not in sync\nbut lack nothing that is committed, so that they may lead too. OFFLINE: replicas whose nodes \
cannot use them, because\na disk failed or a log is damaged; `dohle cluster status` on such a node says why.

Examples:
  dohle topic describe orders
  dohle topic describe orders -o json | jq '.partitions[] | {partition, leader, isr}'"
    )]
    Describe { topic: String },
    /// Deletes a topic and its records, for good
    #[command(after_help = "Examples:\n  dohle topic delete orders")]
    Delete { topic: String },
}

#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[command(after_help = "Examples:
  dohle topic create orders
  dohle topic create orders --partitions 6 --replication-factor 3
  dohle topic create orders --config retention.ms=86400000 --config cleanup.policy=compact
  dohle topic create orders --if-not-exists     for scripts: nothing is wrong if it is there")]
pub(in crate::cli) struct Create {
    pub(super) topic: String,
    /// How many partitions [default: the cluster's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) partitions: Option<i32>,
    /// How many replicas each partition has [default: the cluster's default.replication.factor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) replication_factor: Option<i32>,
    /// Sets a configuration of the topic; may be given again
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) config: Vec<(String, String)>,
    /// Is content with a topic of this name that is there already, whatever it is like
    #[arg(long)]
    pub(super) if_not_exists: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, as in retention.ms=86400000".to_owned()),
    }
}

pub(super) async fn run(command: TopicCommand, node: &Node, output: Output) -> Result<String, Failure> {
    let mut client = client(node);
    match command {
        TopicCommand::Create(wanted) => create(wanted, node, output).await,
        TopicCommand::List { internal } => {
            let request = ListTopicsRequest { include_internal: internal };
            let topics = node.list(client.list(request)).await?;
            Ok(shown(&topics, output, |topics| list_text(topics)))
        }
        TopicCommand::Describe { topic } => {
            let topic = node.answer(client.describe(DescribeTopicRequest { name: topic })).await?;
            Ok(shown(&topic, output, text))
        }
        TopicCommand::Delete { topic } => {
            let gone = node.answer(client.delete(DeleteTopicRequest { name: topic })).await?;
            let say = |gone: &DeletedTopic| format!("deleted {}, id {}\n", gone.name, gone.topic_id);
            Ok(shown(&gone, output, say))
        }
    }
}

/// A topic of many partitions is one long message.
fn client(node: &Node) -> TopicsClient<Channel> {
    TopicsClient::new(node.channel()).max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

async fn create(wanted: Create, node: &Node, output: Output) -> Result<String, Failure> {
    let mut client = client(node);
    let request = CreateTopicRequest {
        name: wanted.topic.clone(),
        partitions: wanted.partitions,
        replication_factor: wanted.replication_factor,
        configs: wanted.config.into_iter().collect(),
        validate_only: false,
    };
    let created = node.answer(async {
        match client.create(request).await {
            Err(status) if wanted.if_not_exists && status.code() == Code::AlreadyExists => Ok(None.into()),
            answer => answer.map(|created| created.map(Some)),
        }
    });
    if let Some(created) = created.await? {
        return Ok(shown(&created, output, |topic| format!("created {}", shape(topic))));
    }
    let there = node.answer(client.describe(DescribeTopicRequest { name: wanted.topic })).await?;
    let summary = there.summary.unwrap_or_default();
    let there = CreatedTopic {
        name: summary.name,
        topic_id: summary.topic_id,
        partitions: there.partitions.len() as u32,
        replication_factor: summary.replication_factor,
    };
    Ok(shown(&there, output, |topic| format!("there is {}", shape(topic))))
}

pub(super) fn shape(topic: &CreatedTopic) -> String {
    let CreatedTopic { name, topic_id, partitions, replication_factor } = topic;
    format!("{name}: partitions {partitions}, replication factor {replication_factor}, id {topic_id}\n")
}

pub(super) fn list_text(topics: &[TopicSummary]) -> String {
    let mut table =
        Table::headed(["TOPIC", "PARTITIONS", "REPLICATION", "UNDER-REPLICATED", "UNDER-MIN-ISR", "OFFLINE"]);
    for topic in topics {
        let counts = topic.partitions.unwrap_or_default();
        table.row([
            topic.name.clone(),
            counts.total.to_string(),
            topic.replication_factor.to_string(),
            counts.under_replicated.to_string(),
            counts.under_min_isr.to_string(),
            counts.offline.to_string(),
        ]);
    }
    table.text()
}

pub(super) fn text(topic: &Topic) -> String {
    let summary = topic.summary.clone().unwrap_or_default();
    let mut facts = Table::default();
    facts.row(["topic".into(), summary.name]);
    facts.row(["id".into(), summary.topic_id]);
    facts.row(["partitions".into(), topic.partitions.len().to_string()]);
    facts.row(["replication factor".into(), summary.replication_factor.to_string()]);
    for (key, value) in &topic.configs {
        facts.row(["config".into(), format!("{key}={value}")]);
    }
    let mut partitions = Table::headed(["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "ELR", "OFFLINE"]);
    for partition in &topic.partitions {
        partitions.row([
            partition.partition.to_string(),
            or_none(partition.leader),
            partition.leader_epoch.to_string(),
            listed(&partition.replicas),
            listed(&partition.isr),
            listed(&partition.elr),
            listed(&partition.offline),
        ]);
    }
    format!("{}\n{}", facts.text(), partitions.text())
}

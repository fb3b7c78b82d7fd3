//! Who answers which API. One line each; `ApiVersions` names exactly these.
//!
//! Produce requests that come together are answered together, before anything else is done for this client.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;

use super::answers::{Answer, Answers};
use super::api;
use super::client::{Asked, Client};
use super::connection::Answerer;
use super::hangup::Hangup;
use crate::wire::header::HeaderError;
use crate::wire::messages::produce::ProduceRequest;
use crate::wire::{ApiKey, Message, Request, RequestHeader};

/// Declares who answers: `at_once` without waiting, `later` by a future, `itself` with both at hand. Produce requests
/// are answered `together` with what comes with them, see [`Dispatch`].
macro_rules! apis {
    (Produce => together; $($api:ident => $how:ident $module:ident;)*) => {
        /// The APIs that are served, in the order of their numbers.
        pub const SERVED: &[ApiKey] = &[ApiKey::Produce, $(ApiKey::$api,)*];

        fn answer(asked: Asked, body: Bytes) -> Result<Answer, Hangup> {
            match asked.header.api {
                $(ApiKey::$api => $how(asked, body, api::$module::answer),)*
                api => Err(Hangup::NotServed { api }),
            }
        }
    };
}

apis! {
    Produce => together;
    Fetch => itself fetch;
    ListOffsets => later list_offsets;
    Metadata => later metadata;
    FindCoordinator => at_once find_coordinator;
    ApiVersions => at_once api_versions;
    CreateTopics => later create_topics;
    DeleteTopics => later delete_topics;
    DeleteRecords => later delete_records;
    InitProducerId => later init_producer_id;
    OffsetForLeaderEpoch => at_once offset_for_leader_epoch;
    DescribeAcls => at_once describe_acls;
    DescribeConfigs => at_once describe_configs;
    AlterConfigs => later alter_configs;
    DescribeLogDirs => later describe_log_dirs;
    CreatePartitions => later create_partitions;
    ElectLeaders => later elect_leaders;
    IncrementalAlterConfigs => later incremental_alter_configs;
    ListPartitionReassignments => at_once list_partition_reassignments;
    DescribeClientQuotas => at_once describe_client_quotas;
    DescribeUserScramCredentials => at_once describe_user_scram_credentials;
    DescribeQuorum => later describe_quorum;
    DescribeCluster => at_once describe_cluster;
    DescribeProducers => at_once describe_producers;
    ListConfigResources => at_once list_config_resources;
    DescribeTopicPartitions => at_once describe_topic_partitions;
}

/// Answers one client's requests.
pub struct Dispatch {
    client: Rc<Client>,
    /// To be answered together.
    producing: Vec<(Asked, ProduceRequest)>,
}

impl Dispatch {
    pub fn new(client: Rc<Client>) -> Self {
        Self { client, producing: Vec::new() }
    }

    /// Puts a request off if it is to be answered together with others; if not, answers those and then this one.
    fn begin(&mut self, frame: Bytes, answers: &mut Answers) -> Result<(), Hangup> {
        let client = self.client.clone();
        let answer = match RequestHeader::decode(frame) {
            Ok((header, body)) if header.api == ApiKey::Produce => {
                let request = ProduceRequest::decode(header.version, body)?;
                self.producing.push((Asked { client, header }, request));
                return Ok(());
            }
            Ok((header, body)) => {
                self.settle(answers)?;
                answer(Asked { client, header }, body)?
            }
            Err(HeaderError::UnsupportedVersion { api: ApiKey::ApiVersions, correlation_id, .. }) => {
                self.settle(answers)?;
                let (header, response) = api::api_versions::unknown_version(correlation_id);
                Answer::Ready(Asked { client, header }.encode(&response)?)
            }
            Err(error) => return Err(error.into()),
        };
        answers.push(answer);
        Ok(())
    }
}

impl Answerer for Dispatch {
    fn take(&mut self, frame: Bytes, answers: &mut Answers) -> Result<(), Hangup> {
        let begun = self.begin(frame, answers);
        if begun.is_err() {
            self.settle(answers)?; // what came before it happens all the same
        }
        begun
    }

    fn settle(&mut self, answers: &mut Answers) -> Result<(), Hangup> {
        api::produce::answer(std::mem::take(&mut self.producing), answers)
    }
}

fn at_once<R: Request>(
    asked: Asked,
    body: Bytes,
    handle: impl FnOnce(&Asked, R) -> R::Response,
) -> Result<Answer, Hangup> {
    let request = R::decode(asked.version(), body)?;
    Ok(Answer::Ready(asked.encode(&handle(&asked, request))?))
}

fn later<R: Request, F: Future<Output = R::Response> + 'static>(
    asked: Asked,
    body: Bytes,
    handle: impl FnOnce(Rc<Asked>, R) -> F,
) -> Result<Answer, Hangup> {
    let request = R::decode(asked.version(), body)?;
    let asked = Rc::new(asked);
    let coming = handle(asked.clone(), request);
    Ok(Answer::Later(Box::pin(async move { asked.encode(&coming.await) })))
}

fn itself<R: Request>(
    asked: Asked,
    body: Bytes,
    handle: impl FnOnce(Asked, R) -> Result<Answer, Hangup>,
) -> Result<Answer, Hangup> {
    let request = R::decode(asked.version(), body)?;
    handle(asked, request)
}

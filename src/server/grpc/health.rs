//! `grpc.health.v1`: the same health as `/readyz`, for tools that ask by gRPC.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::sleep;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as Service, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::base::limits::HEALTH_WATCH_MS;
use crate::telemetry::Health;

struct Door {
    health: Health,
    services: &'static [&'static str],
}

/// The service; all of `services` are as ready as the node is, and so is the empty name.
pub fn service(health: Health, services: &'static [&'static str]) -> HealthServer<impl Service> {
    HealthServer::new(Door { health, services })
}

impl Door {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

#[tonic::async_trait]
impl Service for Door {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            return Err(Status::not_found(format!("there is no service {service:?} here")));
        }
        Ok(Response::new(answer(serving(&self.health))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.knows(&request.into_inner().service).then(|| self.health.clone());
        let answers = stream::unfold((known, None), |(known, told)| async move {
            loop {
                // The protocol wants a stream for a service that nobody knows, because it might come yet.
                let now = known.as_ref().map_or(ServingStatus::ServiceUnknown, serving);
                if told != Some(now) {
                    return Some((Ok(answer(now)), (known, Some(now))));
                }
                sleep(Duration::from_millis(HEALTH_WATCH_MS)).await;
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}

fn serving(health: &Health) -> ServingStatus {
    if health.missing().is_empty() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

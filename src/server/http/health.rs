//! `/livez` and `/readyz`: what a supervisor, a load balancer and a test ask.
//!
//! `/livez` answers 200 as long as the process can answer at all. `/readyz` answers 200 when the node can serve, and
//! otherwise 503 with what is missing.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Serialize;

use crate::telemetry::{Condition, Health};

/// What both probes answer.
#[derive(Serialize)]
struct Answer {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

pub fn routes(health: Health) -> Router {
    Router::new().route("/livez", get(alive)).route("/readyz", get(ready)).with_state(health)
}

async fn alive() -> Json<Answer> {
    Json(Answer { status: "alive", missing: Vec::new() })
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Answer>) {
    let missing: Vec<_> = health.missing().into_iter().map(Condition::name).collect();
    if missing.is_empty() {
        (StatusCode::OK, Json(Answer { status: "ready", missing }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Answer { status: "not ready", missing }))
    }
}

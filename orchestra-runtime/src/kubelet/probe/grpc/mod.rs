//! gRPC's health protocol, `grpc.health.v1.Health/Check`: one message there and one back, both with one field.

mod connection;
mod message;
mod refusal;

use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::GRPCAction;
use orchestra_core::go_duration;
use tokio::time::Instant;

use self::{
    connection::{Connection, connect},
    refusal::Refusal,
};
use super::{Address, address::join, check::Answer, tcp, user_agent};

const MAX_ANSWER: usize = 64 * 1024;
const SERVING: u64 = 1;

/// Asks for the service's health: it passes if that is `SERVING`.
pub(super) async fn probe(action: &GRPCAction, pod: &Address, timeout: Duration) -> Answer {
    let Ok(port) = u16::try_from(action.port) else {
        return Answer::Errored(format!("invalid port number: {}", action.port));
    };
    let host = match pod.host(None) {
        Ok(host) => host,
        Err(message) => return Answer::Errored(message),
    };
    let (address, limit, deadline) = (join(&host, port), go_duration(timeout), Instant::now() + timeout);
    let Some(connection) = connect(&host, port, deadline).await else {
        return Answer::Failure(format!(
            "timeout: failed to connect service {address:?} within {limit}: context deadline exceeded"
        ));
    };
    let service = action.service.as_deref().unwrap_or_default();
    match tokio::time::timeout_at(deadline, ask(connection, &address, service)).await {
        Ok(Ok(SERVING)) => Answer::Success,
        Ok(Ok(status)) => Answer::Failure(format!("service unhealthy (responded with {:?})", name_of(status))),
        Ok(Err(refusal)) => Answer::Failure(refusal.message(&limit)),
        Err(_) => Answer::Failure(format!("timeout: health rpc did not complete within {limit}")),
    }
}

fn name_of(status: u64) -> String {
    match status {
        0 => "UNKNOWN".to_owned(),
        1 => "SERVING".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => other.to_string(),
    }
}

async fn ask(connection: Connection, address: &str, service: &str) -> Result<u64, Refusal> {
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, user_agent("probe"))
        .body(Full::new(message::request(service)))
        .map_err(|error| Refusal::broken(&error.to_string()))?;
    let Connection { mut sender, mut driver } = connection;
    let mut answering = Box::pin(async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        status_of(response).await
    });
    tokio::select! {
        biased;
        answer = &mut answering => return answer,
        _ = &mut driver => {}
    }
    // The connection has ended; what came over it is still to be had.
    answering.await
}

async fn status_of(response: Response<Incoming>) -> Result<u64, Refusal> {
    let (parts, body) = response.into_parts();
    if let Some(refusal) = Refusal::not_grpc(parts.status, &parts.headers).or_else(|| Refusal::of(&parts.headers)) {
        return Err(refusal);
    }
    let read = Limited::new(body, MAX_ANSWER).collect().await;
    let body = read.map_err(|error| error.downcast_ref().map_or_else(Refusal::malformed, broken))?;
    if let Some(refusal) = body.trailers().and_then(Refusal::of) {
        return Err(refusal);
    }
    message::status_of(&body.to_bytes()).ok_or_else(Refusal::malformed)
}

fn broken(error: &hyper::Error) -> Refusal {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    Refusal::broken(&cause.map_or_else(|| "EOF".to_owned(), tcp::words))
}

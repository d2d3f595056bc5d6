//! gRPC's health protocol, `grpc.health.v1.Health/Check`: one message there and one back, both with one field.

use std::{pin::pin, time::Duration};

use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::GRPCAction;
use tokio::{net::TcpStream, time::Instant};

use super::{Address, address::join, check::Answer, tcp::dial};

const MAX_ANSWER: usize = 64 * 1024;
const SERVING: u64 = 1;
const UNIMPLEMENTED: &str = "12";

/// Asks for the service's health: it passes if that is `SERVING`.
pub(super) async fn probe(action: &GRPCAction, pod: &Address, timeout: Duration) -> Answer {
    let Ok(port) = u16::try_from(action.port) else {
        return Answer::Errored(format!("invalid port number: {}", action.port));
    };
    let host = match pod.host(None) {
        Ok(host) => host,
        Err(message) => return Answer::Errored(message),
    };
    let (address, limit, deadline) = (join(&host, port), format!("{}s", timeout.as_secs()), Instant::now() + timeout);
    // Kubernetes waits for a connection until the time is over, whatever keeps it from coming up.
    let Ok(stream) = dial(&host, port, deadline).await else {
        tokio::time::sleep_until(deadline).await;
        return Answer::Failure(format!(
            "timeout: failed to connect service {address:?} within {limit}: context deadline exceeded"
        ));
    };
    let service = action.service.as_deref().unwrap_or_default();
    match tokio::time::timeout_at(deadline, ask(stream, &address, service)).await {
        Ok(Ok(SERVING)) => Answer::Success,
        Ok(Ok(status)) => Answer::Failure(format!("service unhealthy (responded with {:?})", name_of(status))),
        Ok(Err(message)) => Answer::Failure(message),
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

async fn ask(stream: TcpStream, address: &str, service: &str) -> Result<u64, String> {
    let failed = |error: hyper::Error| format!("error: health rpc probe failed: {error}");
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(failed)?;
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "kube-probe/1.36")
        .body(Full::new(request_message(service)))
        .map_err(|error| error.to_string())?;
    let mut connection = pin!(connection);
    let mut answering = pin!(async {
        let (parts, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        refusal(&parts.headers).or_else(|| refusal(&trailers)).map_or(Ok(()), Err)?;
        if !parts.status.is_success() {
            return Err(format!("error: health rpc probe failed: unexpected HTTP status code {}", parts.status));
        }
        status_of(&body.to_bytes()).ok_or_else(|| "error: health rpc probe failed: malformed answer".to_owned())
    });
    tokio::select! {
        biased;
        answer = &mut answering => return answer,
        _ = &mut connection => {}
    }
    answering.await
}

/// Why the server did not answer, from its status: in the trailers, or in the headers if there is nothing else.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let message = text("grpc-message").unwrap_or_default();
    match text("grpc-status")? {
        "0" => None,
        UNIMPLEMENTED => Some(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
        )),
        code => Some(format!("error: health rpc probe failed: rpc error: code = {code} desc = {message}")),
    }
}

/// `HealthCheckRequest { string service = 1; }` in a frame.
fn request_message(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.append(&mut message);
    frame.into()
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The status of `HealthCheckResponse { ServingStatus status = 1; }` in a frame; zero if it is not set.
fn status_of(frame: &[u8]) -> Option<u64> {
    let (head, rest) = frame.split_at_checked(5)?;
    if head[0] != 0 {
        return None; // compressed, which was not asked for
    }
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    let message = rest.get(..usize::try_from(length).ok()?)?;
    match message {
        [] => Some(0),
        [0x08, value @ ..] => varint(value),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<u64> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_protobuf() {
        assert_eq!(&request_message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request_message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request_message(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn any_answer_is_read_or_refused() {
        assert_eq!(status_of(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status_of(&[0, 0, 0, 0, 0]), Some(0));
        for broken in [&[][..], &[0, 0, 0, 0, 9, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2, 8, 0x80], &[0, 255]] {
            assert_eq!(status_of(broken), None, "{broken:?}");
        }
    }
}

//! What servers that give no answer say, in the words of Go's gRPC, which are Kubernetes'.

use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;

const DEADLINE_EXCEEDED: u32 = 4;
const UNIMPLEMENTED: u32 = 12;
const UNAVAILABLE: u32 = 14;

/// The names of gRPC's codes, by their numbers.
const NAMES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u32,
    description: String,
}

impl Refusal {
    /// The connection broke.
    pub(super) fn broken(why: &str) -> Self {
        Self { code: UNAVAILABLE, description: format!("error reading from server: {why}") }
    }

    /// The answer cannot be read.
    pub(super) fn malformed() -> Self {
        const INTERNAL: u32 = 13;
        Self { code: INTERNAL, description: "grpc: failed to unmarshal the received message".to_owned() }
    }

    /// Of headers or trailers with a status, unless that is that all is well.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let code = text("grpc-status")?.parse().unwrap_or(2);
        let description = percent_decode_str(text("grpc-message").unwrap_or_default()).decode_utf8_lossy();
        (code != 0).then(|| Self { code, description: description.into_owned() })
    }

    /// Of an answer that is HTTP, but not gRPC.
    pub(super) fn not_grpc(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let mut faults = Vec::new();
        if status != StatusCode::OK {
            let reason = status.canonical_reason().unwrap_or_default();
            faults.push(format!("unexpected HTTP status code received from server: {} ({reason})", status.as_u16()));
        }
        match kind {
            Some(kind) if kind.starts_with("application/grpc") => {}
            Some(kind) => faults.push(format!("transport: received unexpected content-type {kind:?}")),
            None => faults.push("malformed header: missing HTTP content-type".to_owned()),
        }
        let code = match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => UNIMPLEMENTED,
            429 | 502..=504 => UNAVAILABLE,
            _ => 2,
        };
        (!faults.is_empty()).then(|| Self { code, description: faults.join("; ") })
    }

    /// What the probe says; `limit` is the time that it had.
    pub(super) fn message(&self, limit: &str) -> String {
        let Self { code, description } = self;
        match *code {
            UNIMPLEMENTED => format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {description}"
            ),
            DEADLINE_EXCEEDED => format!("timeout: health rpc did not complete within {limit}"),
            code => {
                let known = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
                let name = known.map_or_else(|| format!("Code({code})"), |name| (*name).to_owned());
                format!("error: health rpc probe failed: rpc error: code = {name} desc = {description}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn refusals_are_told_as_go_tells_them() {
        let said = |pairs| Refusal::of(&headers(pairs)).map(|refusal| refusal.message("1s"));
        assert_eq!(said(&[("grpc-status", "0")]), None);
        assert_eq!(said(&[]), None);
        let not_found = "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service";
        assert_eq!(said(&[("grpc-status", "5"), ("grpc-message", "unknown%20service")]).as_deref(), Some(not_found));
        let late = "timeout: health rpc did not complete within 1s";
        assert_eq!(said(&[("grpc-status", "4")]).as_deref(), Some(late));
        let strange = "error: health rpc probe failed: rpc error: code = Code(99) desc = ";
        assert_eq!(said(&[("grpc-status", "99")]).as_deref(), Some(strange));
    }

    #[test]
    fn web_servers_do_not_implement_it() {
        let said = |status: u16, pairs| {
            let status = StatusCode::from_u16(status).unwrap();
            Refusal::not_grpc(status, &headers(pairs)).map(|refusal| refusal.message("1s"))
        };
        assert_eq!(said(200, &[("content-type", "application/grpc+proto")]), None);
        let expected = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unexpected HTTP \
                        status code received from server: 404 (Not Found); transport: received unexpected content-type \
                        \"text/plain\"";
        assert_eq!(said(404, &[("content-type", "text/plain")]).as_deref(), Some(expected));
        let expected = "error: health rpc probe failed: rpc error: code = Unknown desc = malformed header: missing HTTP content-type";
        assert_eq!(said(200, &[]).as_deref(), Some(expected));
    }
}

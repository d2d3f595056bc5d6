//! `/healthz`, `/livez` and `/readyz`. A server that answers has started and is well.

use bytes::Bytes;

use super::{Document, TEXT};

const CHECKS: &[&str] = &["ping", "log", "etcd"];
const READINESS_CHECKS: &[&str] = &["ping", "log", "etcd", "informer-sync", "shutdown"];

/// Answers for an endpoint or one of its checks; `None` for a check that there is not.
pub(super) fn respond(endpoint: &str, check: &[&str], query: &str) -> Option<Document> {
    let checks = if endpoint == "readyz" { READINESS_CHECKS } else { CHECKS };
    let text = match check {
        [] if is_verbose(query) => {
            let lines: String = checks.iter().map(|check| format!("[+]{check} ok\n")).collect();
            format!("{lines}{endpoint} check passed\n")
        }
        [] => "ok".to_owned(),
        [check] if checks.contains(check) => "ok".to_owned(),
        _ => return None,
    };
    Some((TEXT, Bytes::from(text)))
}

fn is_verbose(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "verbose")
}

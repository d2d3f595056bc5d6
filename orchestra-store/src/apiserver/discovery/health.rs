//! `/healthz`, `/livez` and `/readyz`: a server that answers has started, and is well if its store is, whatever the store.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use crate::apiserver::{server::Shared, verbs::Answer};

const CHECKS: &[&str] = &["ping", "log", ETCD];
const READINESS_CHECKS: &[&str] = &["ping", "log", ETCD, "informer-sync", "shutdown"];
/// The check of the store has Kubernetes' name.
const ETCD: &str = "etcd";
/// How long the store may take to answer: kube-apiserver's `--etcd-healthcheck-timeout`.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers for an endpoint or one of its checks; `None` for any other path, and for a check that there is not.
pub(crate) async fn respond(shared: &Shared, path: &str, query: &str) -> Option<Answer> {
    let (endpoint, check) = match path.trim_matches('/').split_once('/') {
        Some((endpoint, check)) => (endpoint, Some(check)),
        None => (path.trim_matches('/'), None),
    };
    let checks = match endpoint {
        "readyz" => READINESS_CHECKS,
        "healthz" | "livez" => CHECKS,
        _ => return None,
    };
    let excluded: Vec<String> = parameters(query, "exclude");
    let asks_store = check.map_or(!excluded.iter().any(|name| name == ETCD), |check| check == ETCD);
    let failure = if asks_store { ask(shared).await } else { None };
    Some(match (check, failure) {
        (Some(check), _) if !checks.contains(&check) => return None,
        (Some(_), Some(why)) => Answer::text(500, format!("internal server error: {why}\n")),
        (Some(_), None) => Answer::text(200, "ok"),
        (None, Some(_)) => Answer::text(500, format!("{}{endpoint} check failed\n", lines(checks, &excluded, true))),
        (None, None) if !parameters(query, "verbose").is_empty() => {
            Answer::text(200, format!("{}{endpoint} check passed\n", lines(checks, &excluded, false)))
        }
        (None, None) => Answer::text(200, "ok"),
    })
}

/// Why the store does not answer, if it does not.
async fn ask(shared: &Shared) -> Option<String> {
    match timeout(PATIENCE, shared.store.revision()).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(format!("the store does not answer within {PATIENCE:?}")),
    }
}

fn lines(checks: &[&str], excluded: &[String], store_failed: bool) -> String {
    let line = |check: &&str| match *check {
        check if excluded.iter().any(|name| name == check) => format!("[+]{check} excluded: ok\n"),
        ETCD if store_failed => format!("[-]{ETCD} failed: reason withheld\n"),
        check => format!("[+]{check} ok\n"),
    };
    let unknown: BTreeSet<String> =
        excluded.iter().filter(|name| !checks.contains(&name.as_str())).map(|name| format!("{name:?}")).collect();
    let mut lines: String = checks.iter().map(line).collect();
    if !unknown.is_empty() {
        let unknown = unknown.into_iter().collect::<Vec<_>>().join(",");
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {unknown}\n"));
    }
    lines
}

fn parameters(query: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

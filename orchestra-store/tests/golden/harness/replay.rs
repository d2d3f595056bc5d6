//! Sends recorded requests in their order and compares the answers.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body};
use http::{Response, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    bindings::Bindings,
    compare::{Comparison, Difference},
    differences::{ALLOWED, Allowed, NOT_REPLAYED},
    off_stage::{self, Action},
    read::{Request, Scenario, Step},
    repair::repair,
};

/// How often a GET is tried until controllers have brought about what was recorded.
const TRIES: usize = 20;

/// A server that answers, and what is known of it so far.
pub(crate) struct Replay {
    router: Router,
    bindings: Bindings,
    used: BTreeSet<usize>,
    found: Vec<String>,
}

impl Replay {
    /// Begins with a server of which nothing is known; `controllers` may be at work beside it.
    pub(crate) async fn new(router: Router, controllers: bool) -> Self {
        let replay = Self { router, bindings: Bindings::new(!controllers), used: BTreeSet::new(), found: Vec::new() };
        replay.off_stage(off_stage::at_the_start()).await;
        replay
    }

    /// Replays all steps of a scenario.
    pub(crate) async fn run(&mut self, scenario: &Scenario) {
        for step in &scenario.steps {
            self.off_stage(off_stage::before(scenario, step.step)).await;
            let skipped = |(name, steps, _): &&(&str, std::ops::RangeInclusive<u32>, &str)| {
                *name == scenario.name && steps.contains(&step.step)
            };
            if NOT_REPLAYED.iter().find(skipped).is_none() {
                self.step(&scenario.name, step).await;
            }
            self.off_stage(off_stage::after(&scenario.name, step.step)).await;
        }
    }

    /// What differs and is not allowed to, and what is allowed in these scenarios and does not differ any more.
    pub(crate) fn finish(mut self, scenarios: &[&str]) -> Vec<String> {
        for (index, allowed) in ALLOWED.iter().enumerate() {
            if scenarios.contains(&allowed.scenario) && !self.used.contains(&index) {
                let Allowed { scenario, steps, path, .. } = allowed;
                self.found.push(format!("{scenario} {steps:?}: {path}: allowed to differ, but does not"));
            }
        }
        self.found
    }

    async fn step(&mut self, scenario: &str, step: &Step) {
        let tries = if step.request.method == "GET" && step.response.events.is_none() { TRIES } else { 1 };
        for left in (0..tries).rev() {
            let mut bindings = self.bindings.clone();
            let during = off_stage::during(scenario, step.step);
            let differences = self.compare(step, during, &mut bindings).await;
            let (allowed, left_over): (Vec<_>, Vec<_>) = differences
                .into_iter()
                .map(|found| (allowed(scenario, step.step, &found), found))
                .partition(|(a, _)| a.is_some());
            if left_over.is_empty() || left == 0 {
                self.bindings = bindings;
                self.used.extend(allowed.into_iter().filter_map(|(index, _)| index));
                self.found.extend(left_over.iter().map(|(_, found)| {
                    let Difference { path, recorded, ours } = found;
                    format!("{scenario} {}: {path}: {recorded} / {ours}", step.step)
                }));
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn compare(&self, step: &Step, during: Vec<Action>, bindings: &mut Bindings) -> Vec<Difference> {
        let response = self.send(&translated(&step.request, bindings)).await;
        self.off_stage(during).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let values = |name: header::HeaderName| -> Vec<&str> {
            parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
        };
        let one = |name| values(name).first().copied().map_or(Value::Null, Value::from);
        let head = json!({"code": parts.status.as_u16(), "contentType": one(header::CONTENT_TYPE),
            "retryAfter": one(header::RETRY_AFTER), "warnings": values(header::WARNING)});
        let recorded = &step.response;
        let warnings = match &recorded.warning {
            Some(Value::Array(warnings)) => warnings.clone(),
            warning => warning.iter().cloned().collect(),
        };
        let recorded_head = json!({"code": recorded.code, "contentType": recorded.content_type,
            "retryAfter": recorded.retry_after, "warnings": warnings});
        let mut comparison = Comparison { bindings, cut_off: false, differences: Vec::new() };
        comparison.values("head", &recorded_head, &head);
        let media_type = one(header::CONTENT_TYPE);
        match (&recorded.events, &recorded.body) {
            (Some(events), _) => {
                let ours = body
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| parse(line, &Value::Null));
                comparison.values("events", &certificates_first(events.clone()), &certificates_first(ours.collect()));
            }
            (None, None) => comparison.values("body", &Value::Null, &parse(&body, &media_type)),
            (None, Some(recorded)) => {
                let (recorded, cut_off) = repair(recorded);
                let recorded = match recorded.as_str() {
                    Some(text) => parse(text.as_bytes(), &media_type),
                    None => recorded,
                };
                comparison.cut_off = cut_off;
                let list =
                    recorded.get("items").or(recorded.get("rows")).is_some() && recorded["metadata"]["name"].is_null();
                comparison.values(if list { "list" } else { "body" }, &recorded, &parse(&body, &media_type));
            }
        }
        comparison.differences
    }

    async fn off_stage(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(request) => self.succeed(&request).await,
                Action::Ensure(request) => drop(self.send(&request).await),
                Action::Wait => tokio::time::sleep(Duration::from_secs(1)).await,
                Action::ActAsKubelet(namespace) => self.act_as_kubelet(namespace).await,
            }
        }
    }

    async fn act_as_kubelet(&self, namespace: &str) {
        let mut quiet = 0;
        while quiet < 3 {
            let listed = self.send(&off_stage::list_pods(namespace)).await.into_body().collect().await;
            let listed = parse(&listed.map(http_body_util::Collected::to_bytes).unwrap_or_default(), &Value::Null);
            let due = listed["items"].as_array().into_iter().flatten().filter_map(off_stage::as_kubelet);
            quiet += 1;
            for request in due.collect::<Vec<_>>() {
                self.succeed(&request).await;
                quiet = 0;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn succeed(&self, request: &Request) {
        let response = self.send(request).await;
        assert!(response.status().is_success(), "{} {}: {}", request.method, request.path, response.status());
    }

    async fn send(&self, request: &Request) -> Response<Body> {
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(&request.path);
        if let Some(accept) = &request.accept {
            builder = builder.header(header::ACCEPT, accept);
        }
        if let Some(content_type) = &request.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value.as_deref().unwrap_or_default());
        }
        let body = match &request.body {
            None => Body::empty(),
            Some(body) => Body::from(body.clone()),
        };
        let request = builder.body(body).expect("a recorded request is a request");
        self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

fn translated(request: &Request, bindings: &Bindings) -> Request {
    let body = request.body.as_ref().map(|body| bindings.translate(body));
    Request { path: bindings.translate(&request.path), body, ..request.clone() }
}

/// The body as a value: JSON, YAML, or else text; null for none.
fn parse(body: &[u8], media_type: &Value) -> Value {
    let text = String::from_utf8_lossy(body);
    if media_type == "application/yaml" {
        return serde_saphyr::from_str(&text).unwrap_or_else(|_| text.clone().into());
    }
    let text_or_none = || if text.is_empty() { Value::Null } else { text.clone().into() };
    serde_json::from_str(&text).unwrap_or_else(|_| text_or_none())
}

/// Controllers made some objects at their own pace: their events come first in both, each object's in its order.
fn certificates_first(mut events: Vec<Value>) -> Value {
    let name = |event: &Value| event["object"]["metadata"]["name"].as_str().map(str::to_owned);
    events.sort_by_key(|event| match name(event) {
        Some(name) if name.ends_with("-ca.crt") => name,
        _ => "~".to_owned(),
    });
    events.into()
}

/// Which entry allows a difference.
fn allowed(scenario: &str, step: u32, found: &Difference) -> Option<usize> {
    ALLOWED.iter().position(|allowed| {
        allowed.scenario == scenario && allowed.steps.contains(&step) && matches(allowed.path, &found.path)
    })
}

/// Whether a path, or one above it, is of a pattern in which `*` stands for anything.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
        Some((start, rest)) => {
            let Some(tail) = path.strip_prefix(start) else { return false };
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))
        }
    }
}

#[test]
fn a_pattern_covers_what_lies_below() {
    assert!(matches("body.status", "body.status.conditions[0]"));
    assert!(!matches("body.status", "body.statuses"));
    assert!(matches("*.status", "items[golden/a].status"));
    assert!(matches("list.rows[golden/ap-*", "list.rows[golden/ap-x]"));
}

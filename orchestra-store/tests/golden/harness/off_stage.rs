//! What happened in the recorded cluster beside the recorded requests: requests that were not recorded, and the work of
//! controllers that do not run here.

use serde_json::{Value, json};

use super::read::Request;

const CONFIG_MAPS: &str = "/api/v1/namespaces/golden/configmaps";

/// Before any step.
pub(crate) fn at_the_start() -> Vec<Request> {
    ["default", "kube-system", "kube-public", "kube-node-lease"].into_iter().map(service_account).collect()
}

/// Before a step.
pub(crate) fn before(scenario: &str, step: u32) -> Vec<Request> {
    match (scenario, step) {
        // Server-side apply left it behind, by way of these states.
        ("05-lists", 8) => {
            let app = format!("{CONFIG_MAPS}/app");
            let create = json!({"metadata": {"name": "app", "labels": {"l": "1"}}, "data": {"a": "1", "b": "1"}});
            let states =
                [json!({"data": {"a": "2"}}), json!({"metadata": {"labels": null}}), json!({"data": {"a": null}})];
            let mut requests = vec![post(CONFIG_MAPS, create)];
            requests.extend(states.into_iter().map(|state| patch(&app, state)));
            requests.extend((0..7).map(|i| {
                let labels = json!({"n": i.to_string(), "odd": (i % 2).to_string()});
                post(CONFIG_MAPS, json!({"metadata": {"name": format!("l{i}"), "labels": labels}}))
            }));
            requests
        }
        _ => Vec::new(),
    }
}

/// While a watch is open.
pub(crate) fn during(scenario: &str, step: u32) -> Vec<Request> {
    match (scenario, step) {
        ("06-watch", 7 | 14) => {
            let w = format!("{CONFIG_MAPS}/w");
            let label = |value: &str| json!({"metadata": {"labels": {"sel": value}}});
            vec![
                post(CONFIG_MAPS, json!({"metadata": {"name": "w", "labels": {"sel": "yes"}}})),
                patch(&w, json!({"data": {"a": "1"}})),
                patch(&w, label("no")),
                patch(&w, label("yes")),
                request("DELETE", &w, None),
            ]
        }
        _ => Vec::new(),
    }
}

/// After a step: the controllers of service accounts and of root certificates fill the namespace.
pub(crate) fn after(scenario: &str, step: u32) -> Vec<Request> {
    match (scenario, step) {
        ("02-objects", 1) => {
            let mut requests = vec![service_account("golden")];
            requests.extend(certificates());
            requests
        }
        ("02-objects", 54) => certificates(),
        _ => Vec::new(),
    }
}

fn certificates() -> Vec<Request> {
    let described = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such \
         as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
         Kubernetes clusters.";
    let root = json!({"metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": described}},
        "data": {"ca.crt": ""}});
    // The recorded build has this one too.
    let inject = json!({"service.beta.openshift.io/inject-cabundle": "true"});
    let service = json!({"metadata": {"name": "openshift-service-ca.crt", "annotations": inject},
        "data": {"service-ca.crt": ""}});
    vec![post(CONFIG_MAPS, root), post(CONFIG_MAPS, service)]
}

fn service_account(namespace: &str) -> Request {
    post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), json!({"metadata": {"name": "default"}}))
}

fn post(path: &str, body: Value) -> Request {
    request("POST", path, Some(("application/json", body)))
}

fn patch(path: &str, body: Value) -> Request {
    request("PATCH", path, Some(("application/merge-patch+json", body)))
}

fn request(method: &str, path: &str, body: Option<(&str, Value)>) -> Request {
    let (content_type, body) = body.map(|(kind, body)| (kind.to_owned(), body.to_string())).unzip();
    let (method, path) = (method.to_owned(), path.to_owned());
    Request { method, path, accept: None, content_type, body, headers: Default::default() }
}

//! What happened in the recorded cluster beside the recorded requests: requests that were not recorded, and the work of
//! controllers that do not run here.

use serde_json::{Value, json};

use super::read::{Request, Scenario};

const CONFIG_MAPS: &str = "/api/v1/namespaces/golden/configmaps";
const PODS: &str = "/api/v1/namespaces/roll/pods";

/// What is done beside the recorded requests.
pub(crate) enum Action {
    /// A request that must succeed.
    Send(Request),
    /// A request whose object may be there already.
    Ensure(Request),
    /// Controllers get time to work.
    Wait,
    /// What the recording's author did by hand in place of a kubelet, until there is nothing to do: sets bound pods of
    /// the namespace running, and removes those that are to go.
    ActAsKubelet(&'static str),
}

/// Before any step.
pub(crate) fn at_the_start() -> Vec<Action> {
    ["default", "kube-system", "kube-public", "kube-node-lease"].into_iter().map(service_account).collect()
}

/// Before a step.
pub(crate) fn before(scenario: &Scenario, step: u32) -> Vec<Action> {
    match (scenario.name.as_str(), step) {
        // Server-side apply left it behind, by way of these states.
        ("05-lists", 8) => {
            let app = format!("{CONFIG_MAPS}/app");
            let create = json!({"metadata": {"name": "app", "labels": {"l": "1"}}, "data": {"a": "1", "b": "1"}});
            let states =
                [json!({"data": {"a": "2"}}), json!({"metadata": {"labels": null}}), json!({"data": {"a": null}})];
            let mut actions = vec![post(CONFIG_MAPS, create)];
            actions.extend(states.into_iter().map(|state| patch(&app, state)));
            actions.extend((0..7).map(|i| {
                let labels = json!({"n": i.to_string(), "odd": (i % 2).to_string()});
                post(CONFIG_MAPS, json!({"metadata": {"name": format!("l{i}"), "labels": labels}}))
            }));
            actions
        }
        ("08-rollout", 15) => vec![post("/api/v1/namespaces", json!({"metadata": {"name": "roll"}})), Action::Wait],
        ("08-rollout", 23 | 42 | 59 | 82) => vec![Action::ActAsKubelet("roll")],
        ("09-scheduling", 11) => recorded_pods(scenario, 11),
        ("09-scheduling", 17) => {
            let pod =
                |name: &str| post(PODS, json!({"metadata": {"name": name}, "spec": {"containers": [container()]}}));
            let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
            vec![pod("cordoned"), Action::Wait, patch("/api/v1/nodes/n1", taint), pod("tainted"), Action::Wait]
        }
        ("11-services", 1) => vec![post("/api/v1/namespaces", json!({"metadata": {"name": "golden"}})), Action::Wait],
        ("10-namespaces", 2) => vec![service_certificate("dying")],
        _ => Vec::new(),
    }
}

/// Creates the pods that a step lists, in the order of their creation, as they were before anyone else wrote them.
fn recorded_pods(scenario: &Scenario, step: u32) -> Vec<Action> {
    let listed = scenario.steps.iter().find(|found| found.step == step).and_then(|step| step.response.body.as_ref());
    let mut pods: Vec<Value> = listed.and_then(|list| list["items"].as_array()).cloned().unwrap_or_default();
    pods.sort_by_key(|pod| pod["metadata"]["resourceVersion"].as_str().map(str::to_owned));
    let create = |pod: &mut Value| {
        let mut spec = pod["spec"].take();
        if pod["status"]["conditions"][0]["type"] == "PodScheduled"
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove("nodeName");
        }
        let metadata = json!({"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"]});
        [post(PODS, json!({"metadata": metadata, "spec": spec})), Action::Wait]
    };
    pods.iter_mut().flat_map(create).collect()
}

fn container() -> Value {
    json!({"name": "main", "image": "nginx:1.27", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}})
}

/// While a watch is open.
pub(crate) fn during(scenario: &str, step: u32) -> Vec<Action> {
    match (scenario, step) {
        ("06-watch", 7 | 14) => {
            let w = format!("{CONFIG_MAPS}/w");
            let label = |value: &str| json!({"metadata": {"labels": {"sel": value}}});
            vec![
                post(CONFIG_MAPS, json!({"metadata": {"name": "w", "labels": {"sel": "yes"}}})),
                patch(&w, json!({"data": {"a": "1"}})),
                patch(&w, label("no")),
                patch(&w, label("yes")),
                Action::Send(request("DELETE", &w, None)),
            ]
        }
        _ => Vec::new(),
    }
}

/// After a step: the controllers of service accounts and of root certificates fill the namespace.
pub(crate) fn after(scenario: &str, step: u32) -> Vec<Action> {
    match (scenario, step) {
        ("02-objects", 1) => {
            vec![service_account("golden"), root_certificate("golden"), service_certificate("golden")]
        }
        ("02-objects", 54) => vec![root_certificate("golden"), service_certificate("golden")],
        _ => Vec::new(),
    }
}

/// Lists the pods of a namespace.
pub(crate) fn list_pods(namespace: &str) -> Request {
    request("GET", &format!("/api/v1/namespaces/{namespace}/pods"), None)
}

/// What was done by hand with a pod in place of a kubelet, if anything is due.
pub(crate) fn as_kubelet(pod: &Value) -> Option<Request> {
    let metadata = &pod["metadata"];
    let path = format!("/api/v1/namespaces/{}/pods/{}", metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    if metadata.get("deletionTimestamp").is_some() {
        return Some(request("DELETE", &format!("{path}?gracePeriodSeconds=0"), None));
    }
    if pod["spec"].get("nodeName").is_none() || pod["status"]["phase"] == "Running" {
        return None;
    }
    let since = json!({"type": "Ready", "status": "True", "lastTransitionTime": metadata["creationTimestamp"]});
    let body = json!({"status": {"phase": "Running", "conditions": [since]}});
    let content_type = "application/strategic-merge-patch+json";
    Some(request("PATCH", &format!("{path}/status"), Some((content_type, body))))
}

fn root_certificate(namespace: &str) -> Action {
    let described = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such \
         as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
         Kubernetes clusters.";
    let root = json!({"metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": described}},
        "data": {"ca.crt": ""}});
    post(&format!("/api/v1/namespaces/{namespace}/configmaps"), root)
}

/// The recorded build has this one too.
fn service_certificate(namespace: &str) -> Action {
    let inject = json!({"service.beta.openshift.io/inject-cabundle": "true"});
    let service = json!({"metadata": {"name": "openshift-service-ca.crt", "annotations": inject},
        "data": {"service-ca.crt": ""}});
    post(&format!("/api/v1/namespaces/{namespace}/configmaps"), service)
}

fn service_account(namespace: &str) -> Action {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    Action::Ensure(request("POST", &path, Some(("application/json", json!({"metadata": {"name": "default"}})))))
}

fn post(path: &str, body: Value) -> Action {
    Action::Send(request("POST", path, Some(("application/json", body))))
}

fn patch(path: &str, body: Value) -> Action {
    Action::Send(request("PATCH", path, Some(("application/merge-patch+json", body))))
}

fn request(method: &str, path: &str, body: Option<(&str, Value)>) -> Request {
    let (content_type, body) = body.map(|(kind, body)| (kind.to_owned(), body.to_string())).unzip();
    let (method, path) = (method.to_owned(), path.to_owned());
    Request { method, path, accept: None, content_type, body, headers: Default::default() }
}

//! Evictions within disruption budgets.

use futures::future::join_all;
use http::header;
use serde_json::{Value, json};

use crate::harness::{Answer, JSON, MERGE, PODS, Server};

const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// A server with pods of the application `web` on a node, that run and are ready.
async fn with_pods(names: &[&str]) -> Server {
    let server = Server::start().await;
    for name in names {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        });
        assert_eq!(server.post(PODS, pod.to_string()).await.code, 201);
        says(&server, name, "Running", "True").await;
    }
    server
}

/// Says in place of a kubelet how a pod is.
async fn says(server: &Server, pod: &str, phase: &str, ready: &str) {
    let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
    let path = format!("{PODS}/{pod}/status");
    assert_eq!(server.with_body("PATCH", &path, MERGE, status.to_string()).await.code, 200);
}

/// A budget for these pods, of which its controller says `status`.
async fn budget(server: &Server, name: &str, spec: Value, status: Value) {
    let mut budget = json!({"metadata": {"name": name}, "spec": spec});
    budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    assert_eq!(server.post(BUDGETS, budget.to_string()).await.code, 201);
    let path = format!("{BUDGETS}/{name}/status");
    let answer = server.with_body("PATCH", &path, MERGE, json!({ "status": status }).to_string()).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
}

fn status(allowed: i32, current: i32, desired: i32) -> Value {
    json!({
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": current, "desiredHealthy": desired,
        "expectedPods": current,
    })
}

async fn evict_with(server: &Server, pod: &str, query: &str, options: Value) -> Answer {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}, "deleteOptions": options,
    });
    server.with_body("POST", &format!("{PODS}/{pod}/eviction{query}"), JSON, eviction.to_string()).await
}

async fn evict(server: &Server, pod: &str) -> Answer {
    evict_with(server, pod, "", Value::Null).await
}

async fn pod(server: &Server, name: &str) -> Value {
    server.get(&format!("{PODS}/{name}")).await.json()
}

async fn is_going(server: &Server, name: &str) -> bool {
    pod(server, name).await["metadata"].get("deletionTimestamp").is_some()
}

/// What is said of budgets in an answer that refuses an eviction.
fn cause(answer: &Answer) -> String {
    let json = answer.json();
    assert_eq!((answer.failure(), &json["reason"]), ((429, REFUSED.to_owned()), &json!("TooManyRequests")), "{json}");
    let cause = &json["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    cause["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_evicted_pod_says_why_it_goes() {
    let server = with_pods(&["a"]).await;
    let answer = evict(&server, "a").await;
    let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    assert_eq!((answer.code.as_u16(), answer.json()), (201, success));
    let pod = pod(&server, "a").await;
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    let why = pod["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "DisruptionTarget").unwrap();
    assert_eq!(
        (&why["status"], &why["reason"], &why["message"]),
        (&json!("True"), &json!("EvictionByEvictionAPI"), &json!("Eviction API: evicting"))
    );
}

#[tokio::test]
async fn a_budget_lets_go_what_it_allows_and_no_more() {
    let server = with_pods(&["a", "b"]).await;
    budget(&server, "web", json!({"minAvailable": 1}), status(1, 2, 1)).await;
    assert_eq!(evict(&server, "a").await.code, 201);
    let left = server.get(&format!("{BUDGETS}/web")).await.json()["status"].clone();
    assert_eq!(left["disruptionsAllowed"], 0);
    assert!(left["disruptedPods"]["a"].is_string(), "{left}");
    let condition = &left["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"]),
        (&json!("DisruptionAllowed"), &json!("False"), &json!("InsufficientPods"))
    );

    let refused = evict(&server, "b").await;
    assert_eq!(cause(&refused), "The disruption budget web does not allow evicting pods currently");
    assert_eq!(refused.header(header::RETRY_AFTER), "");
    assert!(!is_going(&server, "b").await);
    assert_eq!(evict(&server, "a").await.code, 201, "what goes already disrupts nothing");
}

#[tokio::test]
async fn of_many_evictions_at_once_only_as_many_pass_as_are_allowed() {
    let names: Vec<String> = (0..24).map(|i| format!("p{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = with_pods(&names).await;
    budget(&server, "web", json!({"maxUnavailable": 9}), status(9, 24, 15)).await;
    let answers = join_all(names.iter().map(|name| evict(&server, name))).await;
    let codes = |code: u16| answers.iter().filter(|answer| answer.code == code).count();
    assert_eq!((codes(201), codes(429)), (9, 15));
    let mut going = 0;
    for name in &names {
        going += usize::from(is_going(&server, name).await);
    }
    assert_eq!(going, 9);
}

#[tokio::test]
async fn a_budget_whose_controller_is_behind_lets_nobody_go_yet() {
    let server = with_pods(&["a"]).await;
    let behind = json!({"observedGeneration": 0, "disruptionsAllowed": 1});
    budget(&server, "web", json!({"minAvailable": 0}), behind).await;
    let refused = evict(&server, "a").await;
    assert_eq!(cause(&refused), "The disruption budget web is still being processed by the server.");
    assert_eq!(
        (refused.header(header::RETRY_AFTER), &refused.json()["details"]["retryAfterSeconds"]),
        ("10", &json!(10))
    );
}

#[tokio::test]
async fn why_a_budget_allows_nothing_is_told() {
    let server = with_pods(&["a"]).await;
    let condition = |reason: &str| {
        let mut status = status(0, 3, 2);
        status["conditions"] = json!([{
            "type": "DisruptionAllowed", "status": "False", "reason": reason, "message": "hm",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        json!({ "status": status })
    };
    budget(&server, "web", json!({"minAvailable": 2}), status(0, 3, 2)).await;
    let does_not = "The disruption budget web does not allow evicting pods currently";
    assert_eq!(cause(&evict(&server, "a").await), does_not);
    for (reason, words) in [("SyncFailed", "because it failed sync: hm"), ("Other", "(Other): hm")] {
        let path = format!("{BUDGETS}/web/status");
        server.with_body("PATCH", &path, MERGE, condition(reason).to_string()).await;
        assert_eq!(cause(&evict(&server, "a").await), format!("{does_not} {words}"));
    }
}

#[tokio::test]
async fn pods_that_serve_nobody_are_no_budgets_concern() {
    let server = with_pods(&["pending", "done", "failed", "unlabelled"]).await;
    budget(&server, "web", json!({"minAvailable": 4}), status(0, 4, 4)).await;
    says(&server, "pending", "Pending", "False").await;
    says(&server, "done", "Succeeded", "False").await;
    says(&server, "failed", "Failed", "False").await;
    let labels = json!({"metadata": {"labels": {"app": "other"}}});
    server.with_body("PATCH", &format!("{PODS}/unlabelled"), MERGE, labels.to_string()).await;
    for name in ["pending", "done", "failed", "unlabelled"] {
        assert_eq!(evict(&server, name).await.code, 201, "{name}");
    }
}

#[tokio::test]
async fn unhealthy_pods_go_if_the_others_suffice_or_always_if_the_budget_says_so() {
    let server = with_pods(&["a", "b", "c"]).await;
    for name in ["a", "b", "c"] {
        says(&server, name, "Running", "False").await;
    }
    budget(&server, "web", json!({"minAvailable": 2}), status(0, 1, 2)).await;
    let refused = cause(&evict(&server, "a").await);
    assert_eq!(refused, "The disruption budget web needs 2 healthy pods and has 1 currently");
    let enough = json!({"status": {"currentHealthy": 2}});
    server.with_body("PATCH", &format!("{BUDGETS}/web/status"), MERGE, enough.to_string()).await;
    assert_eq!(evict(&server, "a").await.code, 201);
    let nobody = json!({"status": {"currentHealthy": 0, "desiredHealthy": 0}});
    server.with_body("PATCH", &format!("{BUDGETS}/web/status"), MERGE, nobody.to_string()).await;
    cause(&evict(&server, "b").await);
    let always = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    server.with_body("PATCH", &format!("{BUDGETS}/web"), MERGE, always.to_string()).await;
    assert_eq!(evict(&server, "b").await.code, 201);
    says(&server, "c", "Running", "True").await;
    cause(&evict(&server, "c").await);
    let spent = server.get(&format!("{BUDGETS}/web")).await.json();
    assert!(spent["status"].get("disruptedPods").is_none(), "unhealthy pods are no disruption: {spent}");
}

#[tokio::test]
async fn a_pod_of_two_budgets_is_not_evicted() {
    let server = with_pods(&["a"]).await;
    budget(&server, "one", json!({"minAvailable": 0}), status(1, 1, 0)).await;
    budget(&server, "other", json!({"minAvailable": 0}), status(1, 1, 0)).await;
    let words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!(evict(&server, "a").await.failure(), (500, words.to_owned()));
    server.ask("DELETE", &format!("{BUDGETS}/other")).await;
    assert_eq!(evict(&server, "a").await.code, 201);
}

#[tokio::test]
async fn budgets_that_make_no_sense_forbid() {
    let server = with_pods(&["a"]).await;
    budget(&server, "web", json!({"minAvailable": 0}), status(0, 1, 0)).await;
    let pods: serde_json::Map<_, _> = (0..2001).map(|i| (format!("p{i}"), json!("2026-01-01T00:00:00Z"))).collect();
    let crowded = json!({"status": {"disruptedPods": pods, "disruptionsAllowed": 1}});
    server.with_body("PATCH", &format!("{BUDGETS}/web/status"), MERGE, crowded.to_string()).await;
    let (code, message) = evict(&server, "a").await.failure();
    let words = r#"poddisruptionbudget.policy "web" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller"#;
    assert_eq!((code, message.as_str()), (403, words));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_refuses_the_same() {
    let server = with_pods(&["a"]).await;
    budget(&server, "web", json!({"minAvailable": 0}), status(1, 1, 0)).await;
    for (query, options) in [("?dryRun=All", Value::Null), ("", json!({"dryRun": ["All"]}))] {
        assert_eq!(evict_with(&server, "a", query, options).await.code, 201);
        assert!(!is_going(&server, "a").await);
        assert_eq!(server.get(&format!("{BUDGETS}/web")).await.json()["status"]["disruptionsAllowed"], 1);
    }
    let (code, _) = evict_with(&server, "a", "", json!({"dryRun": ["Some"]})).await.failure();
    assert_eq!(code, 422);
    let none = json!({"status": {"disruptionsAllowed": 0}});
    server.with_body("PATCH", &format!("{BUDGETS}/web/status"), MERGE, none.to_string()).await;
    cause(&evict_with(&server, "a", "?dryRun=All", Value::Null).await);
}

#[tokio::test]
async fn preconditions_are_the_clients_own() {
    let server = with_pods(&["a"]).await;
    for preconditions in [json!({"resourceVersion": "1"}), json!({"uid": "other"})] {
        let answer = evict_with(&server, "a", "", json!({ "preconditions": preconditions })).await;
        assert_eq!(answer.failure().0, 409);
        assert!(!is_going(&server, "a").await);
    }
    let version = pod(&server, "a").await["metadata"]["resourceVersion"].clone();
    let answer = evict_with(&server, "a", "", json!({"preconditions": {"resourceVersion": version}})).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    assert_eq!(evict(&server, "nobody").await.failure(), (404, r#"pods "nobody" not found"#.to_owned()));
}

//! Events, which two groups serve over the same stored objects.

use serde_json::{Value, json};

use crate::harness::Server;

const CORE: &str = "/api/v1/namespaces/default/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

async fn create(server: &Server, name: &str) -> String {
    let event = json!({
        "metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Tested", "message": name, "type": "Normal",
    });
    let created = server.post(CORE, event.to_string()).await.json();
    created["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
}

/// What a watch shows within a second.
async fn watched(server: &Server, path: &str, version: &str) -> Vec<Value> {
    let answer = server.get(&format!("{path}?watch=1&resourceVersion={version}&timeoutSeconds=1")).await;
    answer.text().lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_at_any_version_seen_in_the_other_group() {
    let server = Server::start().await;
    let version = create(&server, "first").await;
    create(&server, "second").await;
    // Each in the form of its own group, whoever was first.
    for _ in 0..2 {
        for (path, message) in [(NEW, "note"), (CORE, "message")] {
            let events = watched(&server, path, &version).await;
            let texts: Vec<_> = events.iter().map(|event| (&event["type"], &event["object"][message])).collect();
            assert_eq!(texts, [(&json!("ADDED"), &json!("second"))], "{path}: {events:?}");
        }
    }
}

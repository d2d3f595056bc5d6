//! What a node does not take.

use serde_json::json;

use crate::node::{Seen, started};

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_fit_are_refused() {
    let node = started(&[]).await;
    let asks = |cpu: &str| {
        let resources = json!({ "requests": { "cpu": cpu } });
        json!({ "containers": [{ "name": "c", "image": "nginx", "resources": resources }] })
    };
    node.add_pod("a", "nginx", asks("3")).await;
    node.until("running", "a", Seen::is_running).await;
    node.add_pod("b", "nginx", asks("2")).await;
    node.add_pod("c", "nginx", json!({ "nodeSelector": { "disk": "ssd" } })).await;
    node.until("refused", "b", |pod| pod.phase() == "Failed").await;
    node.until("refused", "c", |pod| pod.phase() == "Failed").await;
    let status = node.status("b").await;
    assert_eq!(status["reason"], "OutOfcpu");
    assert_eq!(
        status["message"],
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
    );
    assert_eq!(node.status("c").await["reason"], "NodeAffinity");
}

//! A kubelet finds what runs already.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use orchestra_core::container_runtime::{ContainerRuntime, SandboxConfig, SandboxMetadata, labels};
use serde_json::json;
use tokio::time::sleep;

use crate::node::{SECOND, Seen, started};

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_takes_over_what_runs_and_removes_orphans() {
    let mut node = started(&[]).await;
    node.add_pod("a", "nginx", json!({})).await;
    node.add_pod("b", "nginx", json!({})).await;
    node.until("running", "a", Seen::is_ready).await;
    node.until("running", "b", Seen::is_ready).await;
    let before = node.status("a").await["containerStatuses"][0].clone();
    node.stop().await;
    node.delete_pod("b", 0).await;
    node.start();
    sleep(SECOND * 60).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    assert_eq!(node.status("a").await["containerStatuses"][0], before);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_made_by_a_call_whose_answer_was_lost_is_used() {
    let node = started(&[]).await;
    let leases = Api::<Lease>::namespaced(node.server.client(), "kube-node-lease");
    node.server.until("registration", async || leases.get_opt("n1").await.unwrap()).await;
    node.add_unbound_pod("a", "nginx").await;
    let metadata = SandboxMetadata {
        name: "a".into(),
        namespace: "default".into(),
        uid: node.uid("a").await,
        ..SandboxMetadata::default()
    };
    let labels = [
        (labels::POD_NAME, &metadata.name),
        (labels::POD_NAMESPACE, &metadata.namespace),
        (labels::POD_UID, &metadata.uid),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.clone())).into();
    node.runtime.run_pod_sandbox(SandboxConfig { metadata, labels, ..SandboxConfig::default() }).await.unwrap();
    node.bind("a").await;
    node.until("running", "a", Seen::is_ready).await;
    assert_eq!(node.runtime.counts(), (1, 1));
}

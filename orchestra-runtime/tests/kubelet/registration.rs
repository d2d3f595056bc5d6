//! The node itself.

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node as NodeObject};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{Node, SECOND};

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_renews_its_lease() {
    let mut node = Node::with(&[]).await;
    node.start_as(node.builder().labels([("zone", "a")]).capacity([("cpu", "8")]).node_events(true));
    let leases = Api::<Lease>::namespaced(node.server.client(), "kube-node-lease");
    let lease = node.server.until("lease", async || leases.get_opt("n1").await.unwrap()).await;
    let registered = Api::<NodeObject>::all(node.server.client()).get("n1").await.unwrap();
    assert_eq!(registered.labels()["kubernetes.io/hostname"], "n1");
    assert_eq!(registered.labels()["zone"], "a");
    assert_eq!(lease.owner_references()[0].uid, registered.uid().unwrap());
    let status = serde_json::to_value(registered.status).unwrap();
    assert_eq!(
        status["allocatable"],
        json!({ "cpu": "8", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi" })
    );
    let reasons: Vec<&Value> =
        status["conditions"].as_array().unwrap().iter().map(|condition| &condition["reason"]).collect();
    assert_eq!(
        reasons,
        ["KubeletHasSufficientMemory", "KubeletHasNoDiskPressure", "KubeletHasSufficientPID", "KubeletReady"]
    );
    sleep(SECOND * 11).await;
    let renewed = leases.get("n1").await.unwrap();
    assert_ne!(renewed.spec.unwrap().renew_time, lease.spec.unwrap().renew_time);
    assert_eq!(
        node.events().await,
        [
            "Normal Starting : Starting kubelet.",
            "Normal NodeHasSufficientMemory : Node n1 status is now: NodeHasSufficientMemory",
            "Normal NodeHasNoDiskPressure : Node n1 status is now: NodeHasNoDiskPressure",
            "Normal NodeHasSufficientPID : Node n1 status is now: NodeHasSufficientPID",
            "Normal NodeReady : Node n1 status is now: NodeReady",
        ]
    );
}

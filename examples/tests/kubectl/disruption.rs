//! Pods go only as far as their budgets allow.

use crate::harness::{Kubectl, holds};

#[tokio::test(flavor = "multi_thread")]
async fn drain_waits_for_the_budget() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.run("cordon node-2").await;
    kubectl.nginx().await;
    kubectl.run("create poddisruptionbudget nginx --selector=app=nginx --min-available=2").await;
    kubectl.run("wait --for=jsonpath={.status.currentHealthy}=2 pdb/nginx --timeout=50s").await;
    let table = kubectl.run("get pdb").await;
    let columns = ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE", "nginx", "2", "N/A", "0"];
    assert!(holds(&table, &columns), "{table}");

    let refused = kubectl.fails("drain node-1 --timeout=3s").await;
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert!(refused.contains(words), "{refused}");
    assert_eq!(kubectl.run("get pods -o jsonpath={.items[*].status.phase}").await, "Running Running");

    // One may go at a time; each waits for the one before to be ready on the other node.
    kubectl.run("uncordon node-2").await;
    kubectl.run("patch pdb nginx -p {\"spec\":{\"minAvailable\":1}}").await;
    let drained = kubectl.run("drain node-1 --timeout=50s").await;
    assert!(drained.ends_with("node/node-1 drained\n"), "{drained}");
    kubectl.rolled_out().await;
    assert_eq!(kubectl.run("get pods -o jsonpath={.items[*].spec.nodeName}").await, "node-2 node-2");
    let described = kubectl.run("describe pdb nginx").await;
    assert!(holds(&described, &["Min available:", "1", "Allowed disruptions:", "Current:", "Desired:"]), "{described}");
    kubectl.end().await;
}

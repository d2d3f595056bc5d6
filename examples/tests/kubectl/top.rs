//! What nodes and pods use.

use std::{sync::Arc, time::Duration};

use orchestra_runtime::{
    Cluster,
    container::{ImageScript, MemoryRuntime},
};

use crate::harness::{Kubectl, holds};

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_what_nodes_and_pods_use_once_it_is_known() {
    let busy = ImageScript { cpu_millis: 250, memory: 64 << 20, ..ImageScript::default() };
    let runtime = MemoryRuntime::new().image("busy", busy);
    let builder = Cluster::builder().node("node-1", Arc::new(runtime)).metrics_resolution(Duration::from_secs(2));
    let Some(kubectl) = Kubectl::with(builder).await else { return };
    let said = kubectl.fails("top nodes").await;
    assert_eq!(said, "error: metrics not available yet\n");
    kubectl.run("run web --image=busy -l app=web").await;
    kubectl.run("run idle --image=idle").await;
    // Each asking of the nodes is a look at the state of the API; here only time tells.
    let pods = loop {
        let (code, out, _) = kubectl.run_with(("LC_ALL", "C"), "top pods", "").await;
        if code == Some(0) && holds(&out, &["idle", "web"]) {
            break out;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // How much of a processor it comes to depends on when the kubelet was asked, as times are told in whole seconds.
    let uses_some = |out: &str| cpu_of(out, "web").is_some_and(|millis| millis > 0);
    assert!(
        holds(&pods, &["NAME", "CPU(cores)", "MEMORY(bytes)", "idle", "0m", "0Mi", "web", "64Mi"]) && uses_some(&pods),
        "{pods}"
    );
    let chosen = kubectl.run("top pods --containers -l app=web").await;
    assert!(holds(&chosen, &["POD", "NAME", "web", "web", "64Mi"]) && !chosen.contains("idle"), "{chosen}");
    assert!(uses_some(&chosen), "{chosen}");
    let nodes = kubectl.run("top nodes").await;
    assert!(holds(&nodes, &["NAME", "CPU(cores)", "CPU", "MEMORY(bytes)", "node-1", "64Mi", "0%"]), "{nodes}");
    assert!(cpu_of(&nodes, "node-1").is_some_and(|millis| millis > 0), "{nodes}");
    let missing = kubectl.fails("get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/none").await;
    assert!(missing.contains("podmetrics.metrics.k8s.io \"default/none\" not found"), "{missing}");
    kubectl.end().await;
}

/// The thousandths of a processor in the line of `name`.
fn cpu_of(out: &str, name: &str) -> Option<u64> {
    let line = out.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().find_map(|word| word.strip_suffix('m')?.parse().ok())
}

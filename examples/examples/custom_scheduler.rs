//! A scheduler of one's own in the place of Kubernetes': it packs pods onto as few nodes as it can. How it came to be is told in `orchestra_sched::guide`.
//!
//! ```text
//! cargo test --example custom_scheduler
//! cargo run --example custom_scheduler
//! ```

use std::{process::ExitCode, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams, runtime::wait::await_condition};
use orchestra_core::scheduler::{NodeInfo, PodInfo};
use orchestra_runtime::Cluster;
use orchestra_sched::{
    framework::{CycleState, Framework, Plugin, Score, normalize},
    testing::pod,
};

// The scheduler.

/// Likes a node the more the more pods are on it.
struct FullestNode;

impl Plugin for FullestNode {
    fn name(&self) -> &'static str {
        "FullestNode"
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for FullestNode {
    fn score(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        i64::try_from(node.pods().len()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }
}

/// What a pod must have is as in Kubernetes; what it had better have counts little beside full nodes.
fn packer() -> Framework {
    Framework::builder().default_plugins().enable(Arc::new(FullestNode), 100).build()
}

// A cluster that it runs in.

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().nodes(3).scheduler(Arc::new(packer())).start().await?;
    let done = show(cluster.client()).await;
    cluster.shut_down().await;
    done
}

async fn show(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    let pods = Api::<Pod>::default_namespaced(client);
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        pods.create(&PostParams::default(), &image(name, "100m")).await?;
        let runs = |pod: Option<&Pod>| {
            pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Running"))
        };
        let pod = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), name, runs)).await??;
        let node = pod.and_then(|pod| pod.spec).and_then(|spec| spec.node_name).unwrap_or_default();
        println!("pod {name} runs on {node}");
        nodes.push(node);
    }
    if nodes.iter().any(|node| *node != nodes[0]) {
        return Err("the pods should be on one node".into());
    }
    pods.create(&PostParams::default(), &image("giant", "1000")).await?;
    let waits = |pod: Option<&Pod>| pod.and_then(unschedulable).is_some();
    let giant = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), "giant", waits)).await??;
    println!("pod giant waits: {}", giant.as_ref().and_then(unschedulable).unwrap_or_default());
    Ok(())
}

/// A pod that asks for `cpu`, as users write them: without a uid.
fn image(name: &str, cpu: &str) -> Pod {
    let mut pod = pod(name).cpu(cpu).image("nginx").build();
    pod.metadata.uid = None;
    pod
}

/// Why the pod has no node, where the scheduler said so.
fn unschedulable(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    scheduled.message.as_deref().filter(|_| scheduled.status == "False")
}

// Its tests.

#[cfg(test)]
mod tests {
    use orchestra_sched::testing::{Conformance, TestCluster, node};

    use super::*;

    #[test]
    fn pods_go_to_the_fullest_node_on_which_they_fit() {
        let mut cluster = TestCluster::new().nodes([node("n1").cpu(2), node("n2").cpu(2)]).pod(pod("old").on("n2"));
        cluster.place_all(&packer(), (0..3).map(|i| pod(format!("p{i}")).cpu(1)));
        cluster.assert_on("p1", "n2");
        cluster.assert_on("p2", "n1");
        cluster.decide(&packer(), pod("huge").cpu(4)).assert_unschedulable("2 Insufficient cpu");
    }

    #[test]
    fn it_keeps_to_what_any_scheduler_must() {
        Conformance::new().cases(50).assert(&packer());
    }
}

//! A scheduler of one's own in the place of Kubernetes': it packs pods onto as few nodes as it can.
//!
//! A scheduler is a pure function of a pod and a snapshot of the nodes, so that its tests need no cluster:
//!
//! ```text
//! cargo test --example custom_scheduler
//! cargo run --example custom_scheduler
//! ```

use std::{process::ExitCode, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use kube::{Api, Client, api::PostParams, runtime::wait::await_condition};
use orchestra_core::scheduler::{
    Diagnosis, NodeInfo, Placement, PodInfo, Rejection, ScheduleError, Scheduler, Snapshot,
};
use orchestra_runtime::Cluster;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the fullest node (in pods) on which the pod's CPU and memory still fit; of equals the first by name. It heeds
/// cordons, and nothing else: no taints, no affinity.
struct Packer;

impl Packer {
    const NAME: &'static str = "Packer";

    /// Why `pod` does not fit on `node`.
    fn rejection(pod: &PodInfo, node: &NodeInfo) -> Option<Rejection> {
        if node.is_unschedulable() {
            return Some(Rejection::new("node(s) were unschedulable").unresolvable().by(Self::NAME));
        }
        let (asked, given, taken) = (pod.requests(), node.allocatable(), node.requested());
        let reason = if taken.pods >= given.pods {
            "Too many pods"
        } else if asked.milli_cpu > given.milli_cpu - taken.milli_cpu {
            "Insufficient cpu"
        } else if asked.memory > given.memory - taken.memory {
            "Insufficient memory"
        } else {
            return None;
        };
        Some(Rejection::new(reason).by(Self::NAME))
    }
}

impl Scheduler for Packer {
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, _seed: u64) -> Result<Placement, ScheduleError> {
        let mut diagnosis = Diagnosis::new(snapshot.len());
        let mut feasible = 0;
        let mut best: Option<&Arc<NodeInfo>> = None;
        for node in snapshot.iter() {
            if let Some(rejection) = Self::rejection(pod, node) {
                diagnosis.reject(Arc::clone(node.name()), rejection);
                continue;
            }
            feasible += 1;
            if best.is_none_or(|best| node.pods().len() > best.pods().len()) {
                best = Some(node);
            }
        }
        let best = best.ok_or(diagnosis)?;
        let score = i64::try_from(best.pods().len()).unwrap_or(i64::MAX);
        Ok(Placement::on(Arc::clone(best.name())).found(snapshot.len(), feasible, score))
    }
}

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
    let cluster = Cluster::builder().nodes(3).scheduler(Arc::new(Packer)).start().await?;
    let done = show(cluster.client()).await;
    cluster.shut_down().await;
    done
}

async fn show(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    let pods = Api::<Pod>::default_namespaced(client);
    for name in ["a", "b", "c"] {
        pods.create(&PostParams::default(), &pod(name, "100m")).await?;
        let runs = |pod: Option<&Pod>| {
            pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Running"))
        };
        let pod = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), name, runs)).await??;
        let node = pod.and_then(|pod| pod.spec).and_then(|spec| spec.node_name).unwrap_or_default();
        println!("pod {name} runs on {node}");
        if node != "node-1" {
            return Err(format!("pod {name} should be on node-1 with the others").into());
        }
    }
    pods.create(&PostParams::default(), &pod("giant", "1000")).await?;
    let message = tokio::time::timeout(
        PATIENCE,
        await_condition(pods.clone(), "giant", |pod: Option<&Pod>| pod.and_then(unschedulable).is_some()),
    )
    .await??;
    let message = message.as_ref().and_then(unschedulable).unwrap_or_default();
    println!("pod giant waits: {message}");
    Ok(())
}

/// Why the pod has no node, where the scheduler said so.
fn unschedulable(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    scheduled.message.as_deref().filter(|_| scheduled.status == "False")
}

/// A pod of one container that asks for `cpu`.
fn pod(name: &str, cpu: &str) -> Pod {
    let requests = [("cpu".to_owned(), k8s_openapi::apimachinery::pkg::api::resource::Quantity(cpu.to_owned()))].into();
    let container = Container {
        name: "main".to_owned(),
        image: Some("nginx".to_owned()),
        resources: Some(ResourceRequirements { requests: Some(requests), ..ResourceRequirements::default() }),
        ..Container::default()
    };
    let mut pod = Pod { spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }), ..Pod::default() };
    pod.metadata.name = Some(name.to_owned());
    pod
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::core::v1::{Node, NodeSpec, NodeStatus},
        apimachinery::pkg::api::resource::Quantity,
    };

    use super::*;

    /// A node with two CPUs, on which the pods named run with 500m each.
    fn node(name: &str, pods: &[&str]) -> NodeInfo {
        let amount = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
        let allocatable = [amount("cpu", "2"), amount("memory", "1Gi"), amount("pods", "10")].into();
        let mut node = Node {
            status: Some(NodeStatus { allocatable: Some(allocatable), ..NodeStatus::default() }),
            ..Node::default()
        };
        node.metadata.name = Some(name.to_owned());
        let mut info = NodeInfo::new(Arc::new(node));
        for name in pods {
            info.add_pod(Arc::new(PodInfo::from(pod(name, "500m"))));
        }
        info
    }

    fn place(cpu: &str, nodes: impl IntoIterator<Item = NodeInfo>) -> Result<String, String> {
        let placement = Packer.schedule(&PodInfo::from(pod("new", cpu)), &Snapshot::from_iter(nodes), 0);
        placement.map(|placement| placement.node.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_fullest_node_is_taken() {
        assert_eq!(place("500m", [node("n1", &["a"]), node("n2", &["b", "c"]), node("n3", &[])]), Ok("n2".to_owned()));
    }

    #[test]
    fn of_equal_nodes_the_first_is_taken() {
        assert_eq!(place("500m", [node("n2", &[]), node("n1", &[])]), Ok("n1".to_owned()));
    }

    #[test]
    fn a_full_node_is_passed_over() {
        assert_eq!(place("1", [node("n1", &["a", "b", "c"]), node("n2", &[])]), Ok("n2".to_owned()));
    }

    #[test]
    fn a_pod_that_fits_nowhere_learns_why() {
        let cordoned = node("n2", &[]);
        let mut object = Node::clone(cordoned.node());
        object.spec = Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() });
        let message = place("4", [node("n1", &[]), cordoned.with_node(Arc::new(object))]);
        let expected = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.";
        assert_eq!(message, Err(expected.to_owned()));
    }
}

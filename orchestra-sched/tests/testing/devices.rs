//! What the loop writes of claims of devices.

use std::sync::Arc;

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use orchestra_core::{
    ObjectKey,
    scheduler::{ClaimAllocation, Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
};
use orchestra_sched::{
    framework::Framework,
    testing::{LiveCluster, TestCluster, device_class, node, pod, resource_claim, resource_slice},
};
use serde_json::json;

/// Node `n1` with so many devices of a class, `gpu`, and a claim of one for each of `claims`.
fn cluster(devices: usize, claims: &[&str]) -> TestCluster {
    let slice = resource_slice("gpu.example.com", "n1").devices("gpu", devices);
    let cluster = TestCluster::new().node(node("n1")).object(device_class("gpu").build()).object(slice.build());
    claims.iter().fold(cluster, |cluster, name| cluster.object(resource_claim(*name).request("r", "gpu").build()))
}

fn claims(live: &LiveCluster) -> Api<ResourceClaim> {
    Api::default_namespaced(live.client())
}

fn devices(claim: &ResourceClaim) -> Vec<&str> {
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let results = allocation.and_then(|allocation| allocation.devices.as_ref()).and_then(|it| it.results.as_deref());
    results.unwrap_or_default().iter().map(|result| result.device.as_str()).collect()
}

fn users(claim: &ResourceClaim) -> Vec<&str> {
    let users = claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default();
    users.iter().map(|user| user.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn devices_are_written_before_a_pod_is_bound() {
    let pods = ["a", "b", "c"].map(|name| pod(name).devices(name));
    let live = cluster(2, &["a", "b", "c"]).pods(pods).start(Arc::new(Framework::kubernetes()));
    assert_eq!((live.bound("a").await, live.bound("b").await), ("n1".to_owned(), "n1".to_owned()));
    let (a, b) = (claims(&live).get("a").await.unwrap(), claims(&live).get("b").await.unwrap());
    assert_eq!((devices(&a), devices(&b)), (vec!["gpu-0"], vec!["gpu-1"]));
    assert_eq!((users(&a), users(&b)), (vec!["a"], vec!["b"]));
    assert_eq!(a.finalizers(), ["resource.kubernetes.io/delete-protection"]);
    assert_eq!(
        live.unschedulable("c").await,
        "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    // Who shares a claim is noted, too.
    live.add_pod(pod("d").devices("a"));
    assert_eq!(live.bound("d").await, "n1");
    assert_eq!(users(&claims(&live).get("a").await.unwrap()), ["a", "d"]);
    // What is given back goes to who waits.
    let nothing = json!({ "status": null });
    claims(&live).patch_status("b", &PatchParams::default(), &Patch::Merge(nothing)).await.unwrap();
    assert_eq!(live.bound("c").await, "n1");
    assert_eq!(devices(&claims(&live).get("c").await.unwrap()), ["gpu-1"]);
    live.stop().await;
}

/// Gives each pod a device of its claim, whether the claim has one or not.
struct Insists;

impl Scheduler for Insists {
    fn schedule(&self, pod: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        let mut placement = Placement::on("n1");
        let claim = ObjectKey::namespaced("default", pod.key().name());
        let uid = format!("claim/{}", pod.key().name());
        placement.claims.push(ClaimAllocation {
            claim,
            uid,
            allocation: Some(AllocationResult::default()),
            make: None,
        });
        Ok(placement)
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_another_allocated_is_left_to_it() {
    let allocated = resource_claim("a").request("r", "gpu").allocated("gpu.example.com/n1/gpu-0").reserved_for("other");
    let live = cluster(1, &[]).object(allocated.build()).pod(pod("a").devices("a")).start(Arc::new(Insists));
    let told = "FailedScheduling a: running PreBind plugin \"DynamicResources\": claim default/a got allocated elsewhere in the meantime";
    while !live.events().iter().any(|event| event == told) {
        tokio::task::yield_now().await;
    }
    assert_eq!(users(&claims(&live).get("a").await.unwrap()), ["other"]);
    assert_eq!(live.node_of("a"), None);
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_keeps_its_pod_off_all_nodes_is_deallocated() {
    // Its node is gone.
    let elsewhere = resource_claim("a").request("r", "gpu").allocated("gpu.example.com/n9/gpu-0");
    let cluster = cluster(1, &[]).object(elsewhere.build()).pod(pod("a").devices("a"));
    let live = cluster.start(Arc::new(Framework::kubernetes()));
    assert_eq!(live.bound("a").await, "n1");
    let told =
        "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim completed, ";
    assert!(live.events().iter().any(|event| event.starts_with(&format!("FailedScheduling a: {told}"))));
    assert_eq!(devices(&claims(&live).get("a").await.unwrap()), ["gpu-0"]);
    live.stop().await;
}

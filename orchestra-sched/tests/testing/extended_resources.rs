//! Claims are made for extended resources that devices provide (KEP-5004).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use k8s_openapi::api::{core::v1::Pod, resource::v1::ResourceClaim};
use kube::{Api, api::ListParams};
use orchestra_core::scheduler::Binding;
use orchestra_sched::{
    framework::{Bind, BindOutcome, Framework, Plugin},
    testing::{LiveCluster, PodBuilder, TestCluster, device_class, node, pod, resource_claim, resource_slice},
};
use serde_json::{Value, json};
use tokio::time::Instant;

const GPU: &str = "example.com/gpu";

/// Node `n1` with a device that provides `example.com/gpu`.
fn cluster() -> TestCluster {
    let class = device_class("gpu").extended_resource(GPU);
    let slice = resource_slice("gpu.example.com", "n1").devices("gpu", 1);
    TestCluster::new().node(node("n1")).object(class.build()).object(slice.build())
}

fn asking(name: &str) -> PodBuilder {
    pod(name).request(GPU, 1)
}

fn kubernetes() -> Arc<Framework> {
    Arc::new(Framework::kubernetes())
}

async fn claims(live: &LiveCluster) -> Vec<Value> {
    let all = Api::<ResourceClaim>::default_namespaced(live.client()).list(&ListParams::default()).await.unwrap();
    all.items.iter().map(|claim| json!(claim)).collect()
}

async fn until_told(live: &LiveCluster, event: &str) {
    let since = Instant::now();
    while !live.events().iter().any(|told| told.starts_with(event)) {
        assert!(since.elapsed() < Duration::from_secs(60), "{event:?} of {:#?}", live.events());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_made_for_extended_resources_and_its_pod_is_told() {
    let live = cluster().pod(asking("p")).start(kubernetes());
    assert_eq!(live.bound("p").await, "n1");
    let claims = claims(&live).await;
    let [claim] = claims.as_slice() else { panic!("{claims:#?}") };
    let name = claim["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("p-extended-resources-"), "{name}");
    assert_eq!(claim["metadata"]["annotations"]["resource.kubernetes.io/extended-resource-claim"], "true");
    assert_eq!(claim["metadata"]["finalizers"], json!(["resource.kubernetes.io/delete-protection"]));
    assert_eq!(claim["status"]["allocation"]["devices"]["results"][0]["device"], "gpu-0");
    assert_eq!(claim["status"]["reservedFor"][0]["name"], "p");
    let told = Api::<Pod>::default_namespaced(live.client()).get("p").await.unwrap();
    let container = &told.spec.as_ref().unwrap().containers[0].name;
    let mapping = json!({ "containerName": container, "resourceName": GPU, "requestName": "container-0-request-0" });
    assert_eq!(
        json!(told.status.unwrap().extended_resource_claim_status),
        json!({ "resourceClaimName": name, "requestMappings": [mapping] })
    );
    // The device is taken.
    live.add_pod(asking("q"));
    assert!(live.unschedulable("q").await.starts_with("0/1 nodes are available: 1 cannot allocate all claims."));
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_claim_is_made_of_what_the_node_has_itself() {
    let cluster = cluster().node(node("n1").resource(GPU, 1)).pod(asking("p"));
    let live = cluster.start(kubernetes());
    assert_eq!(live.bound("p").await, "n1");
    assert_eq!(claims(&live).await, Vec::<Value>::new());
    live.stop().await;
}

/// Fails the first time.
struct FailsOnce(AtomicUsize);

impl Plugin for FailsOnce {
    fn name(&self) -> &'static str {
        "FailsOnce"
    }
    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

#[async_trait]
impl Bind for FailsOnce {
    async fn bind(&self, _: Binding<'_>) -> BindOutcome {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => BindOutcome::Failed("not now".to_owned()),
            _ => BindOutcome::Skip,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_a_pod_that_is_not_bound_is_deleted() {
    let framework = Framework::builder().plugin(FailsOnce(AtomicUsize::new(0))).default_plugins().build();
    let live = cluster().pod(asking("p")).start(Arc::new(framework));
    until_told(&live, "FailedScheduling p: binding rejected: running Bind plugin \"FailsOnce\": not now").await;
    assert_eq!(claims(&live).await, Vec::<Value>::new());
    assert_eq!(live.bound("p").await, "n1");
    assert_eq!(claims(&live).await.len(), 1, "another was made");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_left_is_deleted_and_another_made() {
    let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "default/p", "controller": true });
    let left = resource_claim("left").request("container-0-request-0", "gpu").allocated("gpu.example.com/n1/gpu-0");
    let left = left.with(|claim| {
        let annotation = ("resource.kubernetes.io/extended-resource-claim".to_owned(), "true".to_owned());
        claim.metadata.annotations = Some([annotation].into());
        claim.metadata.owner_references = serde_json::from_value(json!([owner])).unwrap();
        claim.metadata.finalizers = Some(vec!["resource.kubernetes.io/delete-protection".to_owned()]);
    });
    let live = cluster().object(left.build()).pod(asking("p")).start(kubernetes());
    let told =
        "0/1 nodes are available: 1 cannot schedule extended resource claim. deletion of ResourceClaim completed";
    until_told(&live, &format!("FailedScheduling p: {told}")).await;
    assert_eq!(live.bound("p").await, "n1");
    let claims = claims(&live).await;
    assert!(claims.len() == 1 && claims[0]["metadata"]["name"] != "left", "{claims:#?}");
    live.stop().await;
}

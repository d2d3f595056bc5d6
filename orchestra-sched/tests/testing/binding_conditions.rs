//! Pods wait for devices that have to become ready before they are bound (KEP-5007).

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use orchestra_sched::{
    config::{KubeSchedulerConfiguration, Registry},
    framework::Framework,
    testing::{
        LiveCluster, ResourceClaimBuilder, TestCluster, device, device_class, node, pod, resource_claim, resource_slice,
    },
};
use serde_json::{Value, json};
use tokio::time::Instant;

const DRIVER: &str = "gpu.example.com";

fn claim() -> ResourceClaimBuilder {
    resource_claim("c").request("r", "gpu")
}

/// Node `n1` with a device that has to become `ready`, or is `broken`, a claim, and a pod `p` that uses it.
fn cluster(claim: ResourceClaimBuilder) -> TestCluster {
    let device = device("gpu-0").binding_conditions(&["ready"], &["broken"]);
    let slice = resource_slice(DRIVER, "n1").device(device);
    let cluster = TestCluster::new().node(node("n1")).object(device_class("gpu").build()).object(slice.build());
    cluster.object(claim.build()).pod(pod("p").devices("c"))
}

/// The loop, with ten seconds for devices to become ready.
fn start(cluster: TestCluster) -> LiveCluster {
    start_with(cluster, json!([]))
}

/// The same, with these plugins not taking part at PreBind.
fn start_with(cluster: TestCluster, disabled: Value) -> LiveCluster {
    let config: KubeSchedulerConfiguration = serde_json::from_value(json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{
            "schedulerName": "default-scheduler",
            "plugins": { "preBind": { "disabled": disabled } },
            "pluginConfig": [{ "name": "DynamicResources", "args": { "bindingTimeout": "10s" } }],
        }],
    }))
    .unwrap();
    let configured = |driver: orchestra_sched::driver::SchedulerDriver| {
        driver.with_configuration(&config, &Registry::kubernetes()).unwrap()
    };
    cluster.start_with(Arc::new(Framework::kubernetes()), configured)
}

fn claims(live: &LiveCluster) -> Api<ResourceClaim> {
    Api::default_namespaced(live.client())
}

async fn read(live: &LiveCluster) -> Value {
    json!(claims(live).get("c").await.unwrap())
}

/// Waits until the claim is as it should be.
async fn until(live: &LiveCluster, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let claim = read(live).await;
        if is_so(&claim) {
            return claim;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{what}: {claim:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_told(live: &LiveCluster, event: &str) {
    let since = Instant::now();
    while !live.events().iter().any(|told| told == event) {
        assert!(since.elapsed() < Duration::from_secs(60), "{event:?} of {:#?}", live.events());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_allocated(claim: &Value) -> bool {
    !claim["status"]["allocation"].is_null()
}

/// The driver says this of the claim's device.
async fn say(live: &LiveCluster, condition: &str) {
    let time = "2026-01-01T00:00:00Z";
    let condition = json!({ "type": condition, "status": "True", "reason": "Told", "message": "so it is", "lastTransitionTime": time });
    let device = json!({ "driver": DRIVER, "pool": "n1", "device": "gpu-0", "conditions": [condition] });
    let patch = Patch::Merge(json!({ "status": { "devices": [device] } }));
    claims(live).patch_status("c", &PatchParams::default(), &patch).await.unwrap();
}

const PENDING: &str = "BindingConditionsPending p: waiting for binding conditions for device on node n1";

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_when_its_devices_are_ready() {
    let live = start(cluster(claim()));
    let claim = until(&live, "devices are given", is_allocated).await;
    let allocation = &claim["status"]["allocation"];
    assert_eq!(allocation["devices"]["results"][0]["bindingConditions"], json!(["ready"]));
    assert!(allocation["allocationTimestamp"].is_string(), "{allocation:#}");
    assert_eq!(claim["status"]["reservedFor"][0]["name"], "p");
    until_told(&live, PENDING).await;
    say(&live, "attached").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(live.node_of("p"), None, "that was another condition");
    say(&live, "ready").await;
    assert_eq!(live.bound("p").await, "n1");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_fails_is_given_back_and_another_looked_for() {
    let live = start(cluster(claim()));
    until(&live, "devices are given", is_allocated).await;
    say(&live, "broken").await;
    let told = "running PreBind plugin \"DynamicResources\": claim c binding failed: reason=Told, message=\"so it is\"";
    until_told(&live, &format!("FailedScheduling p: {told}")).await;
    let told = "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim completed, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    until_told(&live, &format!("FailedScheduling p: {told}")).await;
    // What the driver said of the device went with it.
    until(&live, "devices are given again", |claim| is_allocated(claim) && claim["status"]["devices"].is_null()).await;
    assert_eq!(live.node_of("p"), None);
    say(&live, "ready").await;
    assert_eq!(live.bound("p").await, "n1");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_late_is_given_back() {
    let live = start(cluster(claim()));
    let since = Instant::now();
    let first = until(&live, "devices are given", is_allocated).await;
    until_told(&live, "FailedScheduling p: running PreBind plugin \"DynamicResources\": claim c binding timeout").await;
    assert!((9..12).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    let time = |claim: &Value| claim["status"]["allocation"]["allocationTimestamp"].clone();
    until(&live, "it is tried anew", |claim| is_allocated(claim) && time(claim) != time(&first)).await;
    say(&live, "ready").await;
    assert_eq!(live.bound("p").await, "n1");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_while_it_waits_is_not_noted_as_a_user_any_more() {
    let live = start(cluster(claim()));
    until(&live, "devices are given", is_allocated).await;
    live.remove_pod("p");
    let claim = until(&live, "nobody uses it", |claim| claim["status"]["reservedFor"] == json!([])).await;
    assert!(is_allocated(&claim), "its devices it keeps");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_begins_waits_for_devices_that_its_pod_has() {
    let has = claim().allocated("gpu.example.com/n1/gpu-0").binding_conditions(&["ready"], &["broken"]);
    let live = start(cluster(has.reserved_for("default/p")));
    until_told(&live, PENDING).await;
    assert_eq!(live.node_of("p"), None);
    say(&live, "ready").await;
    assert_eq!(live.bound("p").await, "n1");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_does_not_take_part_at_pre_bind_writes_nothing_and_waits_for_nothing() {
    let live = start_with(cluster(claim()), json!([{ "name": "DynamicResources" }]));
    assert_eq!(live.bound("p").await, "n1");
    assert!(!is_allocated(&read(&live).await));
    assert!(!live.events().iter().any(|event| event == PENDING));
    live.stop().await;
}

//! Devices for the pods of a Deployment, through all parts of a cluster.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
    resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use orchestra_core::clock::TokioClock;
use orchestra_runtime::Cluster;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const DRIVER: &str = "gpu.example.com";

fn object<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("an object of the type")
}

/// What a driver on the node tells of its devices.
async fn publish(client: &Client, node: &str, devices: usize) {
    let devices: Vec<Value> = (0..devices)
        .map(|index| json!({ "name": format!("gpu-{index}"), "attributes": { "model": { "string": "a100" } } }))
        .collect();
    let spec = json!({ "driver": DRIVER, "nodeName": node, "devices": devices,
        "pool": { "name": node, "generation": 1, "resourceSliceCount": 1 } });
    let slice: ResourceSlice = object(json!({ "metadata": { "name": format!("{node}-gpus") }, "spec": spec }));
    Api::all(client.clone()).create(&PostParams::default(), &slice).await.expect("the slice is valid");
}

async fn create_class_and_template(client: &Client) {
    let expression = format!("device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].model == 'a100'");
    let spec = json!({ "selectors": [{ "cel": { "expression": expression } }] });
    let class: DeviceClass = object(json!({ "metadata": { "name": "gpu" }, "spec": spec }));
    Api::all(client.clone()).create(&PostParams::default(), &class).await.expect("the class is valid");
    let request = json!({ "name": "gpu", "exactly": { "deviceClassName": "gpu" } });
    let spec = json!({ "spec": { "devices": { "requests": [request] } } });
    let template: ResourceClaimTemplate = object(json!({ "metadata": { "name": "one-gpu" }, "spec": spec }));
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &template).await.expect("it is valid");
}

fn pod_spec() -> Value {
    let container = json!({ "name": "main", "image": "nginx", "resources": { "claims": [{ "name": "gpu" }] } });
    json!({ "containers": [container], "terminationGracePeriodSeconds": 1,
        "resourceClaims": [{ "name": "gpu", "resourceClaimTemplateName": "one-gpu" }] })
}

fn is_running(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn has_replicas(count: i32) -> impl Fn(Option<&Deployment>) -> bool {
    move |deployment| {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        status.is_some_and(|status| status.ready_replicas == Some(count) && status.replicas == Some(count))
    }
}

/// The devices that claims have.
async fn devices(client: &Client) -> Vec<String> {
    let claims = Api::<ResourceClaim>::default_namespaced(client.clone());
    let claims = claims.list(&ListParams::default()).await.expect("the API server answers");
    let allocations = claims.items.into_iter().filter_map(|claim| claim.status?.allocation?.devices?.results);
    allocations.flatten().map(|result| format!("{}/{}", result.pool, result.device)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deployment_get_a_device_each_and_one_too_many_waits_for_another_to_go() {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().clock(Arc::new(clock)).seed(5).nodes(1).start().await.unwrap();
    let client = cluster.client();
    publish(&client, "node-1", 2).await;
    create_class_and_template(&client).await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let deployments = Api::<Deployment>::default_namespaced(client.clone());

    let template = json!({ "metadata": { "labels": { "app": "train" } }, "spec": pod_spec() });
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": { "app": "train" } }, "template": template });
    let deployment: Deployment = object(json!({ "metadata": { "name": "train" }, "spec": spec }));
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    await_condition(deployments.clone(), "train", has_replicas(2)).await.unwrap();
    let given: BTreeSet<String> = devices(&client).await.into_iter().collect();
    assert_eq!(given, ["node-1/gpu-0".to_owned(), "node-1/gpu-1".to_owned()].into(), "each its own");

    let extra: Pod = object(json!({ "metadata": { "name": "extra" }, "spec": pod_spec() }));
    pods.create(&PostParams::default(), &extra).await.unwrap();
    let is_told = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable")))
    };
    await_condition(pods.clone(), "extra", is_told).await.unwrap();
    let events = Api::<Event>::default_namespaced(client.clone());
    let has_event = loop {
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let of_extra = events.into_iter().find(|event| {
            event.reason.as_deref() == Some("FailedScheduling")
                && event.involved_object.name.as_deref() == Some("extra")
        });
        match of_extra {
            Some(event) => break event,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!(
        has_event.message.as_deref(),
        Some(
            "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
    );

    let fewer = json!({ "spec": { "replicas": 1 } });
    deployments.patch("train", &PatchParams::default(), &Patch::Merge(fewer)).await.unwrap();
    await_condition(pods.clone(), "extra", is_running).await.unwrap();
    let given = devices(&client).await;
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len(), "no device is given twice: {given:?}");
    assert!(given.len() >= 2, "{given:?}");
    let extra = pods.get("extra").await.unwrap();
    let claim = extra.status.clone().unwrap().resource_claim_statuses.unwrap()[0].resource_claim_name.clone().unwrap();
    let claim = Api::<ResourceClaim>::default_namespaced(client.clone()).get(&claim).await.unwrap();
    let users = claim.status.unwrap().reserved_for.unwrap();
    assert_eq!((users.len(), users[0].uid.clone()), (1, extra.uid().unwrap()));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn extended_resources_are_provided_by_devices_and_given_back_when_their_pod_ends() {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().clock(Arc::new(clock)).seed(5).nodes(1).start().await.unwrap();
    let client = cluster.client();
    publish(&client, "node-1", 1).await;
    let spec = json!({ "extendedResourceName": "example.com/gpu" });
    let class: DeviceClass = object(json!({ "metadata": { "name": "gpu" }, "spec": spec }));
    Api::all(client.clone()).create(&PostParams::default(), &class).await.expect("the class is valid");
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let create = |name: &'static str, resource: &'static str| {
        let pods = pods.clone();
        async move {
            let resources = json!({ "limits": { resource: "1" } });
            let container = json!({ "name": "main", "image": "nginx", "resources": resources });
            let spec = json!({ "containers": [container], "terminationGracePeriodSeconds": 1 });
            let pod: Pod = object(json!({ "metadata": { "name": name }, "spec": spec }));
            pods.create(&PostParams::default(), &pod).await.expect("the pod is valid");
        }
    };
    create("first", "example.com/gpu").await;
    await_condition(pods.clone(), "first", is_running).await.unwrap();
    let told = pods.get("first").await.unwrap().status.unwrap().extended_resource_claim_status.unwrap();
    assert!(told.resource_claim_name.starts_with("first-extended-resources-"), "{told:?}");
    assert_eq!(told.request_mappings[0].request_name, "container-0-request-0");
    let claims = Api::<ResourceClaim>::default_namespaced(client.clone());
    assert!(claims.get(&told.resource_claim_name).await.is_ok());

    // By the class's own name, which asks for the same device.
    create("second", "deviceclass.resource.kubernetes.io/gpu").await;
    pods.delete("first", &Default::default()).await.unwrap();
    await_condition(pods.clone(), "second", is_running).await.unwrap();
    assert_eq!(devices(&client).await, ["node-1/gpu-0"]);
    let is_gone = |claim: Option<&ResourceClaim>| claim.is_none();
    await_condition(claims, &told.resource_claim_name, is_gone).await.unwrap();
    cluster.shut_down().await;
}

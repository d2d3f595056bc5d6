//! Claims, volumes and pods in a whole cluster: who waits for whom, and where pods go.
#![allow(clippy::unwrap_used)]

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod},
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
    runtime::wait::{Condition, await_condition},
};
use orchestra_core::clock::TokioClock;
use orchestra_runtime::Cluster;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

async fn start(nodes: usize) -> Cluster {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    Cluster::builder().clock(Arc::new(clock)).seed(1).nodes(nodes).start().await.unwrap()
}

async fn create<K>(api: Api<K>, object: Value) -> K
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(client: &Client) -> Api<K> {
    Api::default_namespaced(client.clone())
}

/// A volume of class `local` on `node`.
async fn local_volume(client: &Client, name: &str, node: &str) {
    let host = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
        "local": {"path": "/disk"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}}});
    create(Api::<PersistentVolume>::all(client.clone()), json!({"metadata": {"name": name}, "spec": spec})).await;
    // A claim may have it at once.
    let seen = |volume: Option<&PersistentVolume>| {
        volume.and_then(|volume| volume.status.as_ref()?.phase.as_deref()).is_some_and(|phase| phase != "Pending")
    };
    await_condition(Api::<PersistentVolume>::all(client.clone()), name, seen).await.unwrap();
}

async fn claim(client: &Client, name: &str, class: &str) {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "resources": {"requests": {"storage": "1Gi"}}});
    create(api::<PersistentVolumeClaim>(client), json!({"metadata": {"name": name}, "spec": spec})).await;
}

async fn wait_for_consumers(client: &Client) {
    let class = json!({"metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer"});
    create(Api::<StorageClass>::all(client.clone()), class).await;
}

/// A pod that uses the claims.
async fn pod(client: &Client, name: &str, claims: &[&str]) {
    let volume = |claim: &&str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
    let volumes: Vec<Value> = claims.iter().map(volume).collect();
    let spec = json!({"containers": [{"name": "main", "image": "nginx"}], "volumes": volumes});
    create(api::<Pod>(client), json!({"metadata": {"name": name}, "spec": spec})).await;
}

async fn until(client: &Client, name: &str, condition: impl Condition<Pod>) -> Option<Pod> {
    await_condition(api::<Pod>(client), name, condition).await.unwrap()
}

fn running(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Running")
}

/// It waits for a node, and its condition says just that.
fn unscheduled(message: String) -> impl Condition<Pod> {
    move |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        let scheduled = conditions.into_iter().flatten().find(|condition| condition.type_ == "PodScheduled");
        scheduled.is_some_and(|scheduled| scheduled.status == "False" && scheduled.message.as_deref() == Some(&message))
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

#[tokio::test(start_paused = true)]
async fn a_pod_goes_to_the_node_of_the_volume_that_is_chosen_with_it() {
    let cluster = start(3).await;
    let client = cluster.client();
    wait_for_consumers(&client).await;
    local_volume(&client, "disk-2", "node-2").await;
    local_volume(&client, "disk-3", "node-3").await;
    for (name, node) in [("a", ["node-2", "node-3"]), ("b", ["node-2", "node-3"])] {
        claim(&client, name, "local").await;
        pod(&client, name, &[name]).await;
        let placed = until(&client, name, running).await.unwrap();
        let bound = api::<PersistentVolumeClaim>(&client).get(name).await.unwrap().spec.unwrap().volume_name.unwrap();
        assert!(node.contains(&node_of(&placed).unwrap()));
        assert_eq!(
            bound,
            node_of(&placed).unwrap().replace("node", "disk"),
            "the claim has the volume of its pod's node"
        );
    }
    claim(&client, "c", "local").await;
    pod(&client, "c", &["c"]).await;
    let message = "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind. no new claims to \
                   deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    until(&client, "c", unscheduled(message.to_owned())).await;
    local_volume(&client, "disk-1", "node-1").await;
    let placed = until(&client, "c", running).await.unwrap();
    assert_eq!(node_of(&placed), Some("node-1"));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_claims_and_follows_their_volumes_when_it_comes_again() {
    let cluster = start(2).await;
    let client = cluster.client();
    pod(&client, "p", &["data"]).await;
    let unschedulable = |why: &str| unscheduled(format!("0/2 nodes are available: {why}. not found"));
    until(&client, "p", unschedulable("persistentvolumeclaim \"data\" not found")).await;
    claim(&client, "data", "local").await;
    until(&client, "p", unschedulable("pod has unbound immediate PersistentVolumeClaims")).await;
    local_volume(&client, "disk", "node-2").await;
    let first = until(&client, "p", running).await.unwrap();
    assert_eq!(node_of(&first), Some("node-2"));

    // The claim outlives the pod, and is held for it as long as it is there.
    let claims = api::<PersistentVolumeClaim>(&client);
    claims.delete("data", &DeleteParams::default()).await.unwrap();
    assert!(claims.get("data").await.unwrap().metadata.deletion_timestamp.is_some());
    pod(&client, "late", &["data"]).await;
    until(&client, "late", unschedulable("persistentvolumeclaim \"data\" is being deleted")).await;
    api::<Pod>(&client).delete("p", &DeleteParams::default()).await.unwrap();
    until(&client, "late", unschedulable("persistentvolumeclaim \"data\" not found")).await;
    let volume = Api::<PersistentVolume>::all(client.clone()).get("disk").await.unwrap();
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Released"));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_bound_is_told_in_events() {
    let cluster = start(1).await;
    let client = cluster.client();
    wait_for_consumers(&client).await;
    claim(&client, "none", "").await;
    claim(&client, "local", "local").await;
    for (name, reason, message) in [
        ("none", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        ("local", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
    ] {
        // It is told again and again, and counted.
        loop {
            let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
            let events = api::<Event>(&client).list(&about).await.unwrap().items;
            if let Some(event) = events.iter().find(|event| event.count >= Some(3)) {
                assert_eq!((event.reason.as_deref(), event.message.as_deref()), (Some(reason), Some(message)));
                assert_eq!(events.len(), 1, "{:?}", events.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
                break;
            }
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        }
    }
    cluster.shut_down().await;
}

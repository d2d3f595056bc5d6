use orchestra_core::informer::Change;
use orchestra_core::scheduler::{ClusterEvent, ScheduleError, Scheduler};
use serde_json::{Value, json};

use super::*;
use crate::{
    framework::{Framework, Requeue},
    plugins::DynamicResources,
    testing::{PodBuilder, ResourceClaimBuilder, TestCluster, device_class, node, pod, resource_claim, resource_slice},
};

const GPU: &str = "example.com/gpu";

/// Nodes `n1`, of which two devices provide `example.com/gpu`, and `n2`, which has one itself.
fn cluster() -> TestCluster {
    let slice = resource_slice("gpu.example.com", "n1").devices("gpu", 2);
    TestCluster::new()
        .nodes([node("n1"), node("n2").resource(GPU, 1)])
        .object(device_class("gpu").extended_resource(GPU).build())
        .object(slice.build())
}

fn decided(cluster: &TestCluster, pod: PodBuilder) -> Result<(String, Option<ExtendedClaim>), String> {
    let placed = Framework::kubernetes().schedule(&pod.info(), &cluster.snapshot(), 0);
    let placement = placed.map_err(|error| error.to_string())?;
    let made = placement.claims.first().and_then(|decided| decided.make.as_deref().cloned());
    Ok((placement.node.to_string(), made))
}

/// The requests of a pod's claim, as `name: count class`, and which container uses which.
fn requests(cluster: &TestCluster, pod: PodBuilder) -> (Vec<String>, Vec<String>) {
    let claim = decided(cluster, pod).unwrap().1.unwrap();
    let one = |request: DeviceRequest| {
        let exactly = request.exactly.unwrap();
        format!("{}: {} {}", request.name, exactly.count.unwrap(), exactly.device_class_name)
    };
    let devices = claim.claim.spec.devices.unwrap().requests.unwrap().into_iter().map(one).collect();
    let used = |one: &ContainerExtendedResourceRequest| format!("{} {}", one.container_name, one.request_name);
    (devices, claim.requests.iter().map(used).collect())
}

#[test]
fn devices_provide_what_their_class_says() {
    let (node, made) = decided(&cluster(), pod("p").request(GPU, 2)).unwrap();
    let ExtendedClaim { claim, requests } = made.unwrap();
    assert_eq!(node, "n1");
    let exactly = json!({ "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2 });
    assert_eq!(
        json!(claim.spec.devices.unwrap().requests),
        json!([{ "name": "container-0-request-0", "exactly": exactly }])
    );
    let mapping = json!({ "containerName": "main", "resourceName": GPU, "requestName": "container-0-request-0" });
    assert_eq!(json!(requests)[0]["resourceName"], mapping["resourceName"]);
    assert_eq!(json!(requests)[0]["requestName"], mapping["requestName"]);
    let metadata = claim.metadata;
    assert_eq!(metadata.generate_name.as_deref(), Some("p-extended-resources-"));
    assert_eq!(json!(metadata.annotations), json!({ "resource.kubernetes.io/extended-resource-claim": "true" }));
    let owner = &metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str(), owner.controller), ("Pod", "default/p", Some(true)));
    let more = decided(&cluster(), pod("p").request(GPU, 3)).unwrap_err();
    assert!(
        more.starts_with("0/2 nodes are available: 1 Insufficient example.com/gpu, 1 cannot allocate all claims."),
        "{more}"
    );
}

#[test]
fn every_class_provides_a_resource_of_its_name() {
    let name = "deviceclass.resource.kubernetes.io/gpu";
    assert_eq!(decided(&cluster(), pod("p").request(name, 1)).unwrap().0, "n1");
    let unknown = decided(&cluster(), pod("p").request("deviceclass.resource.kubernetes.io/tpu", 1)).unwrap_err();
    assert!(
        unknown.starts_with("0/2 nodes are available: 2 Insufficient deviceclass.resource.kubernetes.io/tpu."),
        "{unknown}"
    );
}

#[test]
fn what_a_node_has_itself_is_not_taken_from_devices() {
    let mut cluster = cluster();
    cluster.remove_node("n1");
    let (node, made) = decided(&cluster, pod("p").request(GPU, 1)).unwrap();
    assert_eq!((node.as_str(), made), ("n2", None));
    let full = decided(&cluster, pod("p").request(GPU, 2)).unwrap_err();
    assert!(full.starts_with("0/1 nodes are available: 1 Insufficient example.com/gpu."), "{full}");
}

#[test]
fn what_is_not_provided_by_devices_nodes_have_to_have() {
    let scheduler = Framework::builder().plugin(DynamicResources::default()).build();
    let other = |pod: PodBuilder| scheduler.schedule(&pod.info(), &cluster().snapshot(), 0);
    let both = other(pod("p").request(GPU, 1).request("example.com/fpga", 1)).unwrap_err().to_string();
    assert!(both.starts_with("0/2 nodes are available: 2 cannot fit resource."), "{both}");
    assert!(other(pod("p").request("example.com/fpga", 1)).is_ok(), "that is for others to say");
}

#[test]
fn the_newest_class_that_says_so_provides() {
    let class = |name: &str, second: &str| {
        let mut class = device_class(name).extended_resource(GPU).build();
        class.metadata.creation_timestamp =
            serde_json::from_value(json!(format!("2026-01-01T00:00:{second}Z"))).unwrap();
        class
    };
    let provided = |classes: [DeviceClass; 3]| {
        let cluster = classes.into_iter().fold(TestCluster::new(), TestCluster::object);
        let snapshot = cluster.snapshot();
        class_of(GPU, snapshot.objects()).unwrap().metadata.name.clone().unwrap()
    };
    assert_eq!(provided([class("a", "01"), class("b", "03"), class("c", "02")]), "b");
    assert_eq!(provided([class("c", "01"), class("b", "01"), class("a", "00")]), "b", "the first by name");
}

/// A pod of these containers: name, `restartPolicy` of init containers, how many GPUs.
fn of_containers(init: &[(&str, Option<&str>, i64)], others: &[(&str, i64)]) -> PodBuilder {
    let container = |name: &str, count: i64| json!({ "name": name, "resources": { "requests": { "cpu": "1m", GPU: count.to_string() } } });
    let mut all: Vec<Value> = Vec::new();
    for (name, policy, count) in init {
        let mut one = container(name, *count);
        one["restartPolicy"] = json!(policy);
        all.push(one);
    }
    let others: Vec<Value> = others.iter().map(|(name, count)| container(name, *count)).collect();
    pod("p").with(|pod| {
        let spec = pod.spec.get_or_insert_default();
        spec.init_containers = serde_json::from_value(json!(all)).unwrap();
        spec.containers = serde_json::from_value(json!(others)).unwrap();
    })
}

#[test]
fn each_container_that_stays_has_a_request_and_those_that_end_use_the_ones_of_later_ones() {
    let cluster = cluster().object(resource_slice("gpu.example.com", "n1").devices("gpu", 20).build());
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let two = of_containers(&[], &[("a", 1), ("b", 2)]);
    assert_eq!(
        requests(&cluster, two),
        (
            texts(&["container-0-request-1: 1 gpu", "container-1-request-1: 2 gpu"]),
            texts(&["a container-0-request-1", "b container-1-request-1"])
        )
    );
    // The first needs no more than the last has, the third four more, for which it is asked once.
    let with_init =
        of_containers(&[("i", None, 1), ("s", Some("Always"), 1), ("j", None, 6), ("k", None, 3)], &[("a", 2)]);
    assert_eq!(
        requests(&cluster, with_init),
        (
            texts(&["container-1-request-1: 1 gpu", "container-2-request-1: 4 gpu", "container-4-request-1: 2 gpu"]),
            texts(&[
                "s container-1-request-1",
                "a container-4-request-1",
                "i container-1-request-1",
                "j container-4-request-1",
                "j container-2-request-1",
                "k container-4-request-1",
                "k container-2-request-1",
            ])
        )
    );
    let none = of_containers(&[], &[("a", 0), ("b", 1)]);
    assert_eq!(requests(&cluster, none).0, texts(&["container-1-request-1: 1 gpu"]));
}

#[test]
fn pods_get_different_devices() {
    let (mut cluster, scheduler) = (cluster(), Framework::kubernetes());
    cluster.remove_node("n2");
    cluster.place(&scheduler, pod("a").request(GPU, 1)).assert_bound("n1");
    cluster.place(&scheduler, pod("b").request(GPU, 1)).assert_bound("n1");
    cluster.place(&scheduler, pod("c").request(GPU, 1)).assert_unschedulable("1 cannot allocate all claims");
}

/// The claim that was made for a pod before.
fn left_over(of: &str) -> ResourceClaimBuilder {
    let claim = resource_claim("left").request("container-0-request-0", "gpu").allocated("gpu.example.com/n1/gpu-0");
    let owner =
        json!({ "apiVersion": "v1", "kind": "Pod", "name": of, "uid": format!("default/{of}"), "controller": true });
    claim.with(|claim| {
        claim.metadata.annotations = Some([(EXTENDED_RESOURCE_CLAIM.to_owned(), "true".to_owned())].into());
        claim.metadata.owner_references = serde_json::from_value(json!([owner])).unwrap();
    })
}

#[test]
fn a_claim_of_an_attempt_before_is_deleted() {
    let cluster = |of: &str| cluster().object(left_over(of).build());
    let asks = || pod("p").request(GPU, 1).info();
    let placed = Framework::kubernetes().schedule(&asks(), &cluster("p").snapshot(), 0);
    let Err(ScheduleError::Unschedulable(diagnosis)) = placed else { panic!("{placed:?}") };
    assert_eq!(diagnosis.deallocation(), Some(&ObjectKey::namespaced("default", "left")));
    let told = diagnosis.to_string();
    assert!(
        told.starts_with(
            "0/2 nodes are available: 2 cannot schedule extended resource claim. deletion of ResourceClaim completed"
        ),
        "{told}"
    );
    assert!(Framework::kubernetes().schedule(&asks(), &cluster("q").snapshot(), 0).is_ok(), "that is another's");
}

#[test]
fn the_end_of_the_claim_that_is_in_the_way_is_worth_another_attempt() {
    let pod = pod("p").request(GPU, 1).info();
    let gone = |claim: ResourceClaimBuilder| {
        let claim = claim.with(|claim| claim.status = None).build();
        ClusterEvent::ObjectChanged(Change::Deleted(Arc::new(claim)).into())
    };
    let plugin = DynamicResources::default();
    assert!(plugin.may_help(&gone(left_over("p")), &pod));
    assert!(!plugin.may_help(&gone(left_over("q")), &pod));
    let now = |count: i64| Arc::new(node("n1").resource(GPU, count).info());
    let told = |old: i64, new: i64| ClusterEvent::NodeUpdated { old: now(old), new: now(new) };
    assert!(plugin.may_help(&told(1, 0), &pod), "devices may provide it now");
    assert!(!plugin.may_help(&told(1, 1), &pod));
    assert!(!plugin.may_help(&told(1, 0), &crate::testing::pod("q").info()));
}

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    core::v1::{Endpoints, Event, Node, Pod, Service},
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::World;

const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": spec})
}

fn selecting() -> Value {
    json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
}

impl World {
    async fn node(&self, name: &str, zone: &str) {
        let node = json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}});
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    }

    /// A pod on a node, with an address, that is ready or not.
    async fn running(&self, name: &str, ip: &str, ready: bool) {
        let spec = json!({"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]});
        self.create::<Pod>(json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec})).await;
        self.set_status(name, json!({"podIP": ip, "podIPs": [{"ip": ip}]}), ready).await;
    }

    async fn set_status(&self, name: &str, mut status: Value, ready: bool) {
        let (ready, since) = if ready { ("True", "2026-01-01T00:00:07Z") } else { ("False", "2026-01-01T00:00:05Z") };
        status["phase"] = json!("Running");
        status["conditions"] = json!([{"type": "Ready", "status": ready, "lastTransitionTime": since}]);
        let patch = kube::api::Patch::Merge(json!({"status": status}));
        self.api::<Pod>().patch_status(name, &Default::default(), &patch).await.unwrap();
    }

    async fn end(&self, name: &str) {
        self.api::<Pod>().delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Waits until the slices hold these addresses, each once, with whether they are ready.
    async fn until_slices_hold(&self, wanted: &[(&str, bool)]) -> Vec<EndpointSlice> {
        self.until("endpoints", async || {
            let slices = self.list::<EndpointSlice>().await;
            let mut held: Vec<_> = endpoints(&slices).map(|endpoint| (address(endpoint), is_ready(endpoint))).collect();
            held.sort_unstable();
            (held == wanted).then_some(slices)
        })
        .await
    }
}

fn endpoints(slices: &[EndpointSlice]) -> impl Iterator<Item = &Endpoint> {
    slices.iter().flat_map(|slice| slice.endpoints.iter().flatten())
}

fn address(endpoint: &Endpoint) -> &str {
    &endpoint.addresses[0]
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
}

#[tokio::test(start_paused = true)]
async fn slices_and_endpoints_follow_the_pods() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    world.create::<Service>(service(selecting())).await;
    world.until_slices_hold(&[]).await;
    world.running("a", "10.0.0.1", true).await;
    world.running("b", "10.0.0.2", false).await;
    let slices = world.until_slices_hold(&[("10.0.0.1", true), ("10.0.0.2", false)]).await;
    assert_eq!(slices.len(), 1);
    let endpoint = serde_json::to_value(endpoints(&slices).next()).unwrap();
    assert_eq!(
        (&endpoint["nodeName"], &endpoint["zone"], &endpoint["targetRef"]["name"]),
        (&json!("n1"), &json!("z1"), &json!("a"))
    );
    let ports = serde_json::to_value(&slices[0].ports).unwrap();
    assert_eq!(ports, json!([{"name": "", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(slices[0].labels()["team"], "a");

    world.set_status("b", json!({}), true).await;
    world.until_slices_hold(&[("10.0.0.1", true), ("10.0.0.2", true)]).await;
    let old_form = world
        .until("endpoints", async || {
            let endpoints = world.api::<Endpoints>().get("web").await.ok()?;
            let subset = endpoints.subsets.clone()?.remove(0);
            (subset.addresses?.len() == 2).then_some(endpoints)
        })
        .await;
    assert_eq!(old_form.labels()["endpoints.kubernetes.io/managed-by"], "endpoint-controller");
    assert_eq!(old_form.annotations()["endpoints.kubernetes.io/last-change-trigger-time"], "2026-01-01T00:00:07Z");

    world.patch::<Pod>("a", json!({"metadata": {"labels": {"app": "other"}}})).await;
    world.until_slices_hold(&[("10.0.0.2", true)]).await;
    world.end("b").await;
    world.until_slices_hold(&[]).await;
    assert_eq!(world.list::<EndpointSlice>().await.len(), 1, "one slice says that there is nobody");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_being_deleted_serves_without_being_ready() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    world.create::<Service>(service(selecting())).await;
    world.running("a", "10.0.0.1", true).await;
    world.until_slices_hold(&[("10.0.0.1", true)]).await;
    world.api::<Pod>().delete("a", &DeleteParams::default()).await.unwrap();
    let slices = world.until_slices_hold(&[("10.0.0.1", false)]).await;
    let conditions = endpoints(&slices).next().unwrap().conditions.clone().unwrap();
    assert_eq!((conditions.serving, conditions.terminating), (Some(true), Some(true)));
    world
        .until("endpoints without it", async || {
            world.api::<Endpoints>().get("web").await.ok()?.subsets.is_none().then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn many_pods_are_spread_over_slices_of_a_hundred_and_few_of_them_change() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    let ip = |i: usize| format!("10.1.{}.{}", i / 250, i % 250 + 1);
    for i in 0..210 {
        world.running(&format!("p{i}"), &ip(i), true).await;
    }
    world.create::<Service>(service(selecting())).await;
    let all = async || {
        let slices = world.list::<EndpointSlice>().await;
        let held: BTreeSet<_> = endpoints(&slices).map(address).map(str::to_owned).collect();
        assert_eq!(held.len(), endpoints(&slices).count(), "an endpoint is in two slices");
        assert!(slices.iter().all(|slice| slice.endpoints.as_ref().map_or(0, Vec::len) <= 100));
        (held.len(), slices)
    };
    let before = world
        .until("all pods", async || {
            let (count, slices) = all().await;
            (count == 210).then_some(slices)
        })
        .await;
    assert_eq!(before.len(), 3);
    world.end("p7").await;
    let after = world
        .until("one less", async || {
            let (count, slices) = all().await;
            (count == 209).then_some(slices)
        })
        .await;
    let changed = |slice: &&EndpointSlice| before.iter().all(|old| old.resource_version() != slice.resource_version());
    assert_eq!(after.iter().filter(changed).count(), 1);
    let old_form = world.api::<Endpoints>().get("web").await.unwrap();
    assert_eq!(old_form.subsets.unwrap()[0].addresses.as_ref().unwrap().len(), 209);
}

#[tokio::test(start_paused = true)]
async fn what_others_do_to_slices_is_put_right() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    world.create::<Service>(service(selecting())).await;
    world.running("a", "10.0.0.1", true).await;
    let slices = world.until_slices_hold(&[("10.0.0.1", true)]).await;
    let name = slices[0].name_any();
    world.patch::<EndpointSlice>(&name, json!({"endpoints": [{"addresses": ["10.9.9.9"]}]})).await;
    world.until_slices_hold(&[("10.0.0.1", true)]).await;
    world.api::<EndpointSlice>().delete(&name, &DeleteParams::default()).await.unwrap();
    let again = world.until_slices_hold(&[("10.0.0.1", true)]).await;
    assert_ne!(again[0].name_any(), name);
    world.api::<Endpoints>().delete("web", &DeleteParams::default()).await.unwrap();
    world.until("endpoints again", async || world.api::<Endpoints>().get("web").await.ok()).await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_services_without_selector_are_left_alone() {
    let world = World::start().await;
    let manual = json!({"metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]});
    world.create::<Service>(service(json!({"ports": [{"port": 80}]}))).await;
    world.create::<Endpoints>(manual).await;
    let external = json!({"metadata": {"name": "ext"}, "spec": {"type": "ExternalName", "externalName": "example.org",
        "selector": {"app": "web"}}});
    world.create::<Service>(external).await;
    let other = json!({"metadata": {"name": "other"}, "spec": selecting()});
    world.create::<Service>(other).await;
    world.until("the other's", async || world.api::<Endpoints>().get("other").await.ok()).await;
    let names: Vec<_> = world.list::<Endpoints>().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["other", "web"]);
    let kept = world.api::<Endpoints>().get("web").await.unwrap();
    assert_eq!(kept.subsets.unwrap()[0].addresses.as_ref().unwrap()[0].ip, "192.0.2.1");
}

#[tokio::test(start_paused = true)]
async fn all_go_with_the_service() {
    let world = World::start().await;
    world.create::<Service>(service(selecting())).await;
    world
        .until("both forms", async || {
            let slices = world.list::<EndpointSlice>().await;
            let endpoints = world.list::<Endpoints>().await;
            (slices.len() == 1 && endpoints.len() == 1).then_some(())
        })
        .await;
    world.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    world
        .until("none of both", async || {
            let slices = world.list::<EndpointSlice>().await;
            let endpoints = world.list::<Endpoints>().await;
            (slices.is_empty() && endpoints.is_empty()).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn named_ports_that_differ_between_pods_make_slices_of_their_own() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]});
    world.create::<Service>(service(spec)).await;
    for (name, ip, port) in [("a", "10.0.0.1", 8080), ("b", "10.0.0.2", 9090)] {
        let ports = json!([{"name": "http", "containerPort": port}]);
        let spec = json!({"nodeName": "n1", "containers": [{"name": "c", "image": "i", "ports": ports}]});
        world.create::<Pod>(json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec})).await;
        world.set_status(name, json!({"podIP": ip, "podIPs": [{"ip": ip}]}), true).await;
    }
    let slices = world.until_slices_hold(&[("10.0.0.1", true), ("10.0.0.2", true)]).await;
    let ports: BTreeSet<_> = slices.iter().filter_map(|slice| slice.ports.as_ref()?[0].port).collect();
    assert_eq!(ports, BTreeSet::from([8080, 9090]));
}

#[tokio::test(start_paused = true)]
async fn hints_and_zones_follow_the_service_and_the_node() {
    let world = World::start().await;
    world.node("n1", "z1").await;
    world.create::<Service>(service(selecting())).await;
    world.running("a", "10.0.0.1", true).await;
    world.until_slices_hold(&[("10.0.0.1", true)]).await;
    world.patch::<Service>("web", json!({"spec": {"trafficDistribution": "PreferSameNode"}})).await;
    let hints = async |wanted: Value| {
        world
            .until("hints", async || {
                let slices = world.list::<EndpointSlice>().await;
                let endpoint = serde_json::to_value(endpoints(&slices).next()?).unwrap();
                (endpoint["hints"] == wanted).then_some(())
            })
            .await;
    };
    hints(json!({"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]})).await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    let moved = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z2"}}});
    nodes.patch("n1", &Default::default(), &kube::api::Patch::Merge(moved)).await.unwrap();
    hints(json!({"forZones": [{"name": "z2"}], "forNodes": [{"name": "n1"}]})).await;
    world.patch::<Service>("web", json!({"spec": {"trafficDistribution": null}})).await;
    hints(Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn zones_have_endpoints_for_their_share_of_processors_if_a_service_asks_for_that() {
    let world = World::start().await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    let processors = async |node: &str, cpu: &str| {
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"status": {"allocatable": {"cpu": cpu}, "conditions": conditions}});
        nodes.patch_status(node, &Default::default(), &kube::api::Patch::Merge(status)).await.unwrap();
    };
    for (node, zone) in [("n1", "z1"), ("n2", "z2")] {
        world.node(node, zone).await;
        processors(node, "4").await;
    }
    let mut web = service(selecting());
    web["metadata"]["annotations"] = json!({"service.kubernetes.io/topology-mode": "Auto"});
    world.create::<Service>(web).await;
    let event = async |wanted: &str| {
        world
            .until("an event", async || {
                let events = world.list::<Event>().await;
                events
                    .into_iter()
                    .find(|event| event.message.as_deref().is_some_and(|message| message.contains(wanted)))
            })
            .await
    };
    let few = event("Insufficient number of endpoints (0 endpoints, 2 zones), addressType: IPv4").await;
    assert_eq!((few.type_.as_deref(), few.reason.as_deref()), (Some("Warning"), Some("TopologyAwareHintsDisabled")));
    let ips: Vec<String> = (1..=4).map(|number| format!("10.0.0.{number}")).collect();
    for ip in &ips {
        world.running(&format!("p{}", &ip[7..]), ip, true).await;
    }
    // How many endpoints are for each zone; all of them are in the first.
    let shares = async |wanted: &[(&str, usize)]| {
        world
            .until("shares", async || {
                let mut counts = BTreeMap::<String, usize>::new();
                let slices = world.list::<EndpointSlice>().await;
                for endpoint in endpoints(&slices) {
                    let zones = endpoint.hints.as_ref().and_then(|hints| hints.for_zones.as_ref());
                    *counts.entry(zones.map_or(String::new(), |zones| zones[0].name.clone())).or_default() += 1;
                }
                counts.into_iter().eq(wanted.iter().map(|(zone, count)| ((*zone).to_owned(), *count))).then_some(())
            })
            .await;
    };
    shares(&[("z1", 2), ("z2", 2)]).await;
    event("Topology Aware Hints has been enabled, addressType: IPv4").await;
    processors("n1", "12").await;
    shares(&[("z1", 3), ("z2", 1)]).await;
    nodes.delete("n2", &DeleteParams::default()).await.unwrap();
    event("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes").await;
    shares(&[("", 4)]).await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_written_by_hand_are_mirrored_while_their_service_has_no_selector() {
    let world = World::start().await;
    let mirrored = async |wanted: &[(&str, bool)]| {
        let slices = world.until_slices_hold(wanted).await;
        let by = "endpointslice.kubernetes.io/managed-by";
        assert!(slices.iter().all(|slice| slice.labels()[by] == "endpointslicemirroring-controller.k8s.io"));
        slices
    };
    let subsets = |ip: &str| json!([{"addresses": [{"ip": ip}], "ports": [{"port": 5432}]}]);
    let by_hand = json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "subsets": subsets("192.0.2.1")});
    world.create::<Service>(service(json!({"ports": [{"port": 80}]}))).await;
    world.create::<Endpoints>(by_hand).await;
    let slices = mirrored(&[("192.0.2.1", true)]).await;
    assert_eq!((slices[0].labels()["team"].as_str(), slices[0].ports.as_ref().unwrap()[0].port), ("a", Some(5432)));
    world.patch::<Endpoints>("web", json!({"subsets": subsets("192.0.2.2")})).await;
    mirrored(&[("192.0.2.2", true)]).await;
    world.patch::<Endpoints>("web", json!({"metadata": {"labels": {SKIP_MIRROR: "true"}}})).await;
    world.until("no slices", async || world.list::<EndpointSlice>().await.is_empty().then_some(())).await;
    world.patch::<Endpoints>("web", json!({"metadata": {"labels": {SKIP_MIRROR: null}}})).await;
    mirrored(&[("192.0.2.2", true)]).await;
    world.api::<Endpoints>().delete("web", &DeleteParams::default()).await.unwrap();
    world.until("no slices", async || world.list::<EndpointSlice>().await.is_empty().then_some(())).await;
}

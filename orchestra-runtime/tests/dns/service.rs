//! The Service by which pods reach the server.

use std::{net::SocketAddr, time::Duration};

use hickory_proto::rr::RecordType::{A, NS, SRV};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use orchestra_runtime::dns::{ClusterDns, DnsError, Upstream};
use serde_json::{Value, json};

use super::world::{Running, World, api_server, loopback};

const LIMIT: Duration = Duration::from_secs(20);

fn services(client: &Client) -> Api<Service> {
    Api::namespaced(client.clone(), "kube-system")
}

fn slices(client: &Client) -> Api<EndpointSlice> {
    Api::namespaced(client.clone(), "kube-system")
}

async fn service_until(client: &Client, holds: impl Fn(&Service) -> bool) -> Service {
    let found = await_condition(services(client), "kube-dns", |found: Option<&Service>| found.is_some_and(&holds));
    tokio::time::timeout(LIMIT, found).await.unwrap().unwrap().unwrap()
}

/// Waits until the only slice of the server at this port, if it is one, is as `holds` says.
async fn slice_until(client: &Client, port: u16, holds: impl Fn(&EndpointSlice) -> bool) -> EndpointSlice {
    let beginning = format!("kube-dns-ipv4-{port}-");
    let found = async {
        loop {
            let all = slices(client).list(&ListParams::default()).await.unwrap();
            let mut found = all.items.into_iter().filter(|slice| slice.name_any().starts_with(&beginning));
            if let Some(slice) = found.find(|slice| holds(slice)) {
                return slice;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap()
}

/// A server that listens on all addresses; pods reach it at 192.0.2.53, they think.
async fn published(client: &Client) -> (SocketAddr, Running) {
    let dns = ClusterDns::builder(client.clone()).upstream(Upstream::None).listen("0.0.0.0:0".parse().unwrap());
    let dns = dns.publish_service().advertise("192.0.2.53".parse().unwrap()).build().unwrap();
    let port = dns.addresses()[0].port();
    (SocketAddr::from(([127, 0, 0, 1], port)), Running::start(dns))
}

fn ports(service: &Service) -> Value {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.map(|port| json!([port.name, port.port, port.protocol])).collect()
}

#[tokio::test]
async fn pods_are_led_to_it_by_a_service_of_its_own() {
    let client = api_server().await;
    let (server, running) = published(&client).await;
    let service = service_until(&client, |_| true).await;
    let spec = service.spec.clone().unwrap();
    assert_eq!((spec.cluster_ip.as_deref(), spec.selector), (Some("10.96.0.10"), None));
    assert_eq!(ports(&service), json!([["dns", 53, "UDP"], ["dns-tcp", 53, "TCP"]]));
    assert_eq!((&*service.labels()["k8s-app"], &*service.labels()["kubernetes.io/name"]), ("kube-dns", "CoreDNS"));
    let slice = slice_until(&client, server.port(), |_| true).await;
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "kube-dns");
    assert_eq!(slice.owner_references()[0].uid, service.uid().unwrap());
    let slice = serde_json::to_value(&slice).unwrap();
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.53"]));
    let port = server.port();
    assert_eq!(
        slice["ports"],
        json!([{"name": "dns", "port": port, "protocol": "UDP"}, {"name": "dns-tcp", "port": port, "protocol": "TCP"}])
    );
    // And it is found by its own name.
    let world = World { client, server, running };
    world
        .until_told(
            "kube-dns.kube-system.svc.cluster.local.",
            A,
            "kube-dns.kube-system.svc.cluster.local. 30 A 10.96.0.10",
        )
        .await;
    assert_eq!(world.ask("_dns._udp.kube-dns.kube-system.svc.cluster.local.", SRV).await.answers.len(), 1);
    let reached = |message: &hickory_proto::op::Message| {
        message.additionals.first().is_some_and(|record| record.data.to_string() == "10.96.0.10")
    };
    world.until("cluster.local.", NS, reached).await;
    world.running.stop().await;
    let left = slices(&world.client).list(&ListParams::default()).await.unwrap();
    assert!(left.items.is_empty(), "nobody is led to a server that is gone");
    service_until(&world.client, |_| true).await;
}

#[tokio::test]
async fn what_is_changed_or_deleted_is_put_right() {
    let client = api_server().await;
    let (server, running) = published(&client).await;
    let name = slice_until(&client, server.port(), |_| true).await.name_any();
    let change = json!({"metadata": {"labels": {"k8s-app": "other", "mine": "stays"}}, "spec": {"ports": [{"name": "dns", "port": 54, "protocol": "UDP"}]}});
    services(&client).patch("kube-dns", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let right = |service: &Service| service.labels().get("k8s-app").is_some_and(|label| label == "kube-dns");
    let service = service_until(&client, right).await;
    assert_eq!(ports(&service), json!([["dns", 53, "UDP"], ["dns-tcp", 53, "TCP"]]));
    assert_eq!(service.labels()["mine"], "stays");
    let change = json!({"endpoints": [{"addresses": ["192.0.2.66"]}]});
    slices(&client).patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let right = |slice: &EndpointSlice| {
        slice.endpoints.iter().flatten().next().is_some_and(|endpoint| endpoint.addresses == ["192.0.2.53"])
    };
    slice_until(&client, server.port(), right).await;
    services(&client).delete("kube-dns", &DeleteParams::default()).await.unwrap();
    let again = service_until(&client, |found| found.uid() != service.uid()).await;
    let owned = |slice: &EndpointSlice| slice.owner_references().first().map(|owner| owner.uid.clone()) == again.uid();
    slice_until(&client, server.port(), owned).await;
    running.stop().await;
}

#[tokio::test]
async fn a_service_that_gets_a_selector_leads_here_no_more() {
    let client = api_server().await;
    let (server, running) = published(&client).await;
    let name = slice_until(&client, server.port(), |_| true).await.name_any();
    let change = json!({"spec": {"selector": {"k8s-app": "kube-dns"}}});
    services(&client).patch("kube-dns", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let gone = await_condition(slices(&client), &name, |found: Option<&EndpointSlice>| found.is_none());
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test]
async fn servers_leave_the_endpoints_of_others_as_long_as_these_are_there() {
    let client = api_server().await;
    // One that was killed, with a clock that is far ahead.
    let labels = json!({
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "cluster-dns.orchestra",
        "cluster-dns.orchestra/server": "killed",
    });
    let killed = json!({
        "metadata": {"name": "kube-dns-killed", "labels": labels}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.99"]}], "ports": [],
    });
    let lease = json!({
        "metadata": {"name": "cluster-dns-killed"},
        "spec": {"holderIdentity": "killed", "leaseDurationSeconds": 1, "renewTime": "2999-01-01T00:00:00.000000Z"},
    });
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-system");
    leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    slices(&client).create(&PostParams::default(), &serde_json::from_value(killed).unwrap()).await.unwrap();
    let (one, first) = published(&client).await;
    let (other, second) = published(&client).await;
    let version = slice_until(&client, one.port(), |_| true).await.resource_version();
    slice_until(&client, other.port(), |_| true).await;
    let gone = await_condition(slices(&client), "kube-dns-killed", |found: Option<&EndpointSlice>| found.is_none());
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    let gone = await_condition(leases.clone(), "cluster-dns-killed", |found: Option<&Lease>| found.is_none());
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    // What the second wakes the first for changes nothing of either.
    let change = json!({"endpoints": [{"addresses": ["192.0.2.66"]}]});
    let name = slice_until(&client, other.port(), |_| true).await.name_any();
    slices(&client).patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let right = |slice: &EndpointSlice| {
        slice.endpoints.iter().flatten().next().is_some_and(|endpoint| endpoint.addresses == ["192.0.2.53"])
    };
    slice_until(&client, other.port(), right).await;
    assert_eq!(slice_until(&client, one.port(), |_| true).await.resource_version(), version);
    second.stop().await;
    let left: Vec<_> = slices(&client).list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].resource_version(), version);
    first.stop().await;
    let gone = leases.list(&ListParams::default()).await.unwrap();
    assert!(gone.items.is_empty(), "{:?}", gone.items);
}

#[tokio::test]
async fn another_servers_service_is_left_alone() {
    let client = api_server().await;
    let other = json!({"metadata": {"name": "kube-dns"}, "spec": {"clusterIP": "10.96.0.10", "selector": {"k8s-app": "kube-dns"}, "ports": [{"port": 53, "protocol": "UDP"}]}});
    let other =
        services(&client).create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
    let (server, running) = published(&client).await;
    let world = World { client, server, running };
    world
        .until_told(
            "kube-dns.kube-system.svc.cluster.local.",
            A,
            "kube-dns.kube-system.svc.cluster.local. 30 A 10.96.0.10",
        )
        .await;
    let same = services(&world.client).get("kube-dns").await.unwrap();
    assert_eq!(same.resource_version(), other.resource_version());
    assert!(slices(&world.client).list(&ListParams::default()).await.unwrap().items.is_empty());
    world.running.stop().await;
}

#[tokio::test]
async fn endpoints_are_addresses_that_pods_can_reach() {
    let client = api_server().await;
    for listen in [loopback(), "0.0.0.0:0".parse().unwrap()] {
        let dns = ClusterDns::builder(client.clone()).upstream(Upstream::None).listen(listen).publish_service();
        assert!(matches!(dns.build().unwrap_err(), DnsError::Unreachable));
    }
}

//! What is in the cluster is found, as it is at the moment.

use std::collections::BTreeSet;

use hickory_proto::{
    op::ResponseCode,
    rr::RecordType::{A, AAAA, PTR, SRV, TXT},
};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use orchestra_runtime::{
    Cluster,
    dns::{ClusterDns, DnsError, Upstream},
};
use serde_json::json;

use super::{
    ask::{Connection, question, text},
    world::{World, loopback},
};

#[tokio::test]
async fn a_service_is_found_by_its_name_its_port_and_its_address() {
    let world = World::start().await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    world.service("web", json!({"clusterIP": "10.96.1.1", "selector": {"app": "web"}, "ports": ports})).await;
    world.until_told("web.default.svc.cluster.local.", A, "web.default.svc.cluster.local. 30 A 10.96.1.1").await;
    assert_eq!(world.told("web.default.svc.cluster.local.", AAAA).await, "NODATA");
    let srv = world.ask("_http._tcp.web.default.svc.cluster.local.", SRV).await;
    let expected = "_http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 web.default.svc.cluster.local.";
    assert_eq!(srv.answers.iter().map(text).collect::<Vec<_>>(), [expected]);
    assert_eq!(text(&srv.additionals[0]), "web.default.svc.cluster.local. 30 A 10.96.1.1");
    let back = "1.1.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local.";
    assert_eq!(world.told("1.1.96.10.in-addr.arpa.", PTR).await, back);
    assert_eq!(world.told("dns-version.cluster.local.", TXT).await, "dns-version.cluster.local. 28800 TXT 1.1.0");
    world.running.stop().await;
}

#[tokio::test]
async fn the_pods_of_a_stateful_set_are_found_by_their_names_while_they_are_ready() {
    let world = World::start().await;
    world
        .service(
            "nginx",
            json!({"clusterIP": "None", "selector": {"app": "nginx"}, "ports": [{"port": 80, "name": "web"}]}),
        )
        .await;
    let pod = |name: &str, address: &str, ready: bool| json!({"addresses": [address], "hostname": name, "conditions": {"ready": ready}});
    let ports = json!([{"name": "web", "port": 80, "protocol": "TCP"}]);
    let slice =
        world.slice("nginx", ports, json!([pod("web-0", "10.244.0.1", true), pod("web-1", "10.244.0.2", false)])).await;
    let first = "web-0.nginx.default.svc.cluster.local. 30 A 10.244.0.1";
    world.until_told("web-0.nginx.default.svc.cluster.local.", A, first).await;
    assert_eq!(world.told("web-1.nginx.default.svc.cluster.local.", A).await, "NXDOMAIN");
    assert_eq!(
        world.told("nginx.default.svc.cluster.local.", A).await,
        "nginx.default.svc.cluster.local. 30 A 10.244.0.1"
    );
    let api = Api::<EndpointSlice>::default_namespaced(world.client.clone());
    let change = json!({"endpoints": [pod("web-0", "10.244.0.1", false), pod("web-1", "10.244.0.2", true)]});
    api.patch(&slice.name_any(), &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    world.until_told("web-0.nginx.default.svc.cluster.local.", A, "NXDOMAIN").await;
    let back = "2.0.244.10.in-addr.arpa. 30 PTR web-1.nginx.default.svc.cluster.local.";
    assert_eq!(world.told("2.0.244.10.in-addr.arpa.", PTR).await, back);
    api.delete(&slice.name_any(), &DeleteParams::default()).await.unwrap();
    world.until_told("nginx.default.svc.cluster.local.", A, "NXDOMAIN").await;
    world.running.stop().await;
}

#[tokio::test]
async fn that_there_is_nothing_may_be_kept_as_long_as_the_zone_says() {
    let world = World::with(|dns| dns.ttl(5)).await;
    for (name, code) in [
        ("missing.default.svc.cluster.local.", ResponseCode::NXDomain),
        ("default.svc.cluster.local.", ResponseCode::NoError),
    ] {
        let message = world.ask(name, A).await;
        assert_eq!(message.metadata.response_code, code, "{name}");
        assert!(message.metadata.authoritative && message.answers.is_empty());
        let soa = text(&message.authorities[0]);
        assert!(soa.starts_with("cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. "), "{soa}");
        assert!(soa.ends_with(" 7200 1800 86400 5"), "{soa}");
    }
    world.running.stop().await;
}

#[tokio::test]
async fn what_is_deleted_is_found_no_more() {
    let world = World::start().await;
    world.service("web", json!({"clusterIP": "10.96.1.1", "ports": [{"port": 80}]})).await;
    world.until_told("web.default.svc.cluster.local.", A, "web.default.svc.cluster.local. 30 A 10.96.1.1").await;
    let api = Api::<Service>::default_namespaced(world.client.clone());
    api.delete("web", &DeleteParams::default()).await.unwrap();
    world.until_told("web.default.svc.cluster.local.", A, "NXDOMAIN").await;
    assert_eq!(world.told("1.1.96.10.in-addr.arpa.", PTR).await, "NXDOMAIN");
    world.running.stop().await;
}

#[tokio::test]
async fn addresses_come_in_any_order() {
    let world = World::start().await;
    world.service("web", json!({"clusterIP": "None", "ports": [{"port": 80}]})).await;
    let endpoints: Vec<_> = (1..=3).map(|number| json!({"addresses": [format!("10.244.0.{number}")]})).collect();
    world.slice("web", json!([]), endpoints.into()).await;
    world.until("web.default.svc.cluster.local.", A, |message| message.answers.len() == 3).await;
    let mut firsts = BTreeSet::new();
    // One in a hundred million that a fair server fails.
    for _ in 0..50 {
        let message = world.ask("web.default.svc.cluster.local.", A).await;
        firsts.insert(message.answers[0].data.to_string());
    }
    assert_eq!(firsts.len(), 3);
    world.running.stop().await;
}

#[tokio::test]
async fn the_cluster_can_have_another_domain() {
    let client = super::world::api_server().await;
    let dns = ClusterDns::builder(client.clone()).listen(loopback()).upstream(Upstream::None).domain("K8s.Example.");
    let dns = dns.build().unwrap();
    let server = dns.addresses()[0];
    let world = World { client, server, running: super::world::Running::start(dns) };
    let expected = "kubernetes.default.svc.k8s.example. 30 A 10.96.0.1";
    world.until_told("kubernetes.default.svc.k8s.example.", A, expected).await;
    assert_eq!(world.told("kubernetes.default.svc.cluster.local.", A).await, "REFUSED");
    world.running.stop().await;
}

#[tokio::test]
async fn a_cluster_shares_its_informers_with_it() {
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let dns = ClusterDns::builder(cluster.client()).informers(cluster.informers().clone()).listen(loopback());
    let dns = dns.upstream(Upstream::None).build().unwrap();
    let server = dns.addresses()[0];
    let world = World { client: cluster.client(), server, running: super::world::Running::start(dns) };
    let expected = "kubernetes.default.svc.cluster.local. 30 A 10.96.0.1";
    world.until_told("kubernetes.default.svc.cluster.local.", A, expected).await;
    world.running.stop().await;
    cluster.shut_down().await;
}

#[tokio::test]
async fn it_goes_when_it_is_told_to_also_with_a_connection_open() {
    let world = World::start().await;
    let mut connection = Connection::open(world.server).await;
    let message = connection.send(&question("kubernetes.default.svc.cluster.local.", A)).await;
    assert_eq!(message.answers.len(), 1);
    let (server, client) = (world.server, world.client);
    world.running.stop().await;
    assert!(connection.has_ended().await);
    // Its address is free again.
    drop(ClusterDns::builder(client).upstream(Upstream::None).listen(server).build().unwrap());
}

#[tokio::test]
async fn what_it_cannot_be_made_of_is_an_error() {
    let client = super::world::api_server().await;
    let builder = || ClusterDns::builder(client.clone()).upstream(Upstream::None);
    let taken = builder().listen(loopback()).build().unwrap();
    let error = builder().listen(taken.addresses()[0]).build().unwrap_err();
    assert!(matches!(error, DnsError::Listen { address, .. } if address == taken.addresses()[0]), "{error}");
    assert!(matches!(builder().build().unwrap_err(), DnsError::NoAddress));
    for domain in ["", ".", "a..b"] {
        let error = builder().listen(loopback()).domain(domain).build().unwrap_err();
        assert!(matches!(error, DnsError::Domain { .. }), "{domain}: {error}");
    }
    let missing = Upstream::ResolvConf("/nowhere/resolv.conf".to_owned());
    let error = builder().listen(loopback()).upstream(missing).build().unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nowhere/resolv.conf: "), "{error}");
}

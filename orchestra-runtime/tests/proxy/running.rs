//! The whole proxy, with an API server in memory.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_runtime::proxy::{KubeProxy, SERVICE_NAME};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    server::{PORT, SILENCE, ask_udp, ask_within},
    world::{NODE, World},
};

const SERVICE: &str = "10.96.0.10:80";
/// Where the proxy's own health is served, on the node's loopback device.
const HEALTHZ: &str = "127.0.0.1:10256";

/// Looks again until `wanted`, as nothing tells when the kernel does as it should.
async fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !wanted() {
        assert!(Instant::now() < end, "never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The status and the body of a GET.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), SILENCE).ok()?;
    stream.set_read_timeout(Some(SILENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Asks until the answer has this status, and gives its body.
async fn answered(address: &'static str, path: &'static str, status: u16) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A thread of its own, as the proxy answers on this one.
        let asking = std::thread::spawn(move || drop(sender.send(get(address, path))));
        let answer = receiver.await.unwrap();
        asking.join().unwrap();
        match answer {
            Some((found, body)) if found == status => return body,
            other => assert!(Instant::now() < end, "{address}{path} is never {status}: {other:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

struct Cluster {
    services: Api<Service>,
    slices: Api<EndpointSlice>,
    nodes: Api<Node>,
}

impl Cluster {
    async fn start(api: &ApiServer) -> Self {
        let client = api.client("default");
        let cluster = Self {
            services: Api::default_namespaced(client.clone()),
            slices: Api::default_namespaced(client.clone()),
            nodes: Api::all(client),
        };
        let node = json!({"metadata": {"name": "here"}});
        cluster.nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": NODE}]}});
        cluster.nodes.patch_status("here", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        let service = json!({"metadata": {"name": "web"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.10", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "ports": [{"name": "tcp", "port": 80, "nodePort": 30080}, {"name": "udp", "port": 80, "protocol": "UDP", "nodePort": 30081}]}});
        cluster.services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        let slice = json!({
            "metadata": {"name": "web-1", "labels": {SERVICE_NAME: "web"}}, "addressType": "IPv4", "endpoints": [],
            "ports": [{"name": "tcp", "port": PORT, "protocol": "TCP"}, {"name": "udp", "port": PORT, "protocol": "UDP"}]});
        cluster.slices.create(&PostParams::default(), &serde_json::from_value(slice).unwrap()).await.unwrap();
        cluster
    }

    /// Has `pod`, on `node`, be the only endpoint.
    async fn serve_by(&self, pod: usize, node: &str) {
        let address = format!("10.244.0.{}", pod + 2);
        let endpoints = json!([{"addresses": [address], "nodeName": node, "conditions": {"ready": true}}]);
        let patch = Patch::Merge(json!({"endpoints": endpoints}));
        self.slices.patch("web-1", &PatchParams::default(), &patch).await.unwrap();
    }
}

/// Runs `test` beside a proxy that looks at its tables every `period`, on a node with pods.
fn beside_a_proxy<T: AsyncFnOnce(&World, Cluster) + Send>(period: Duration, test: T) {
    let world = World::new(3);
    world.node.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let api = ApiServer::builder(Arc::new(MemoryStore::default())).start().await.unwrap();
            let cluster = Cluster::start(&api).await;
            let stop = CancellationToken::new();
            let proxy = KubeProxy::builder(api.client("default"), "here")
                .config(world.config.clone())
                .min_sync_period(Duration::from_millis(10))
                .sync_period(period)
                .healthz(HEALTHZ.parse().unwrap())
                .clean_up(true)
                .build();
            let testing = async {
                test(&world, cluster).await;
                stop.cancel();
            };
            tokio::join!(proxy.run(stop.clone()), testing);
        });
    });
    assert_eq!(world.ruleset(), "", "a clean-up leaves nothing");
}

fn answers(world: &World, name: &str) -> bool {
    ask_within(&world.pods[2], SERVICE, SILENCE).is_ok_and(|answer| answer.starts_with(name))
}

#[test]
fn a_proxy_follows_endpoints_and_forgets_stale_udp_connections() {
    beside_a_proxy(Duration::from_secs(3600), async |world, cluster| {
        cluster.serve_by(0, "here").await;
        until("the first endpoint answers", || answers(world, "pod0 ")).await;
        let udp = || ask_udp(&world.pods[2], 5000, SERVICE, SILENCE).unwrap_or_default();
        until("the first endpoint answers over UDP", || udp().starts_with("pod0 ")).await;
        cluster.serve_by(1, "here").await;
        until("the second endpoint answers", || answers(world, "pod1 ")).await;
        until("the second endpoint answers the same client's datagrams", || udp().starts_with("pod1 ")).await;
        cluster.services.delete("web", &kube::api::DeleteParams::default()).await.unwrap();
        until("the service is gone", || !answers(world, "pod")).await;
    });
}

#[test]
fn a_proxy_answers_health_checks_and_probes() {
    beside_a_proxy(Duration::from_secs(3600), async |world, cluster| {
        cluster.serve_by(0, "here").await;
        until("the endpoint answers", || answers(world, "pod0 ")).await;
        assert_eq!(
            answered("192.0.2.1:32000", "/", 200).await,
            "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}"
        );
        cluster.serve_by(0, "elsewhere").await;
        assert!(answered("192.0.2.1:32000", "/", 503).await.contains("\"localEndpoints\": 0"));
        answered(HEALTHZ, "/livez", 200).await;
        assert!(answered(HEALTHZ, "/healthz", 200).await.contains("\"nodeEligible\": true"));
        let taint = json!({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}});
        cluster.nodes.patch("here", &PatchParams::default(), &Patch::Merge(taint)).await.unwrap();
        assert!(answered(HEALTHZ, "/healthz", 503).await.contains("\"nodeEligible\": false"));
        answered(HEALTHZ, "/livez", 200).await;
    });
}

#[test]
fn a_table_that_somebody_deletes_comes_back() {
    beside_a_proxy(Duration::from_secs(3600), async |world, cluster| {
        cluster.serve_by(0, "here").await;
        until("the endpoint answers", || answers(world, "pod0 ")).await;
        // Nothing but the kernel's word tells the proxy: it would not look for an hour.
        world.node.run("nft delete table ip kube-proxy");
        until("the endpoint answers again", || answers(world, "pod0 ")).await;
    });
}

#[test]
fn rules_that_somebody_flushes_come_back() {
    beside_a_proxy(Duration::from_millis(200), async |world, cluster| {
        cluster.serve_by(0, "here").await;
        until("the endpoint answers", || answers(world, "pod0 ")).await;
        world.node.run("nft flush chain ip kube-proxy services");
        until("the endpoint answers again", || answers(world, "pod0 ")).await;
    });
}

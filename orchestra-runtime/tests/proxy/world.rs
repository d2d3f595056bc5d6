//! A node with pods, and a client outside.

use std::net::IpAddr;

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use orchestra_runtime::proxy::{
    Applier, Change, LocalTraffic, NftError, Program, ProxyConfig, ProxyNode, RuleSet, SERVICE_NAME,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    namespace::Namespace,
    server::{PORT, Server},
};

/// The node's addresses.
pub(crate) const NODE: &str = "192.0.2.1";
const NODE_6: &str = "2001:db8::1";
/// The client's outside.
pub(crate) const OUTSIDE: &str = "192.0.2.9";
/// The cluster IPs of the Service `web`.
pub(crate) const WEB: &str = "10.96.0.10:80";
pub(crate) const WEB_6: &str = "[fd00:96::10]:80";

/// Namespaces joined by veth pairs: `outside` by the network 192.0.2.0/24, pod `i` as 10.244.0.(i+2) and fd00:244::(i+2).
pub(crate) struct World {
    pub(crate) node: Namespace,
    pub(crate) outside: Namespace,
    pub(crate) pods: Vec<Namespace>,
    pub(crate) config: ProxyConfig,
    applier: Applier,
    runtime: Runtime,
    _servers: Vec<Server>,
}

impl World {
    /// One whose pods all serve, by the names `pod0` and so on.
    pub(crate) fn new(pods: usize) -> Self {
        let (node, outside) = (Namespace::new("node"), Namespace::new("outside"));
        join(&node, "eth0", &outside);
        // The client is also the node's gateway. That it could do without the node need not be told to it: it would not be told of refusals then.
        for switch in [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.eth0.send_redirects=0",
        ] {
            node.run(&format!("sysctl -qw {switch}"));
        }
        for (namespace, four, six) in [(&node, NODE, NODE_6), (&outside, OUTSIDE, "2001:db8::9")] {
            namespace.run(&format!("ip addr add {four}/24 dev eth0"));
            namespace.run(&format!("ip addr add {six}/64 dev eth0 nodad"));
        }
        for (namespace, four, six) in [(&node, OUTSIDE, "2001:db8::9"), (&outside, NODE, NODE_6)] {
            namespace.run(&format!("ip route add default via {four}"));
            namespace.run(&format!("ip -6 route add default via {six}"));
        }
        let pods: Vec<Namespace> = (0..pods).map(|number| pod(&node, number)).collect();
        let servers =
            pods.iter().enumerate().map(|(number, pod)| Server::start(pod, &format!("pod{number}"))).collect();
        let pod_cidrs = ["10.244.0.0/16", "fd00:244::/64"].iter().map(|range| range.parse().unwrap()).collect();
        Self {
            node,
            outside,
            pods,
            config: ProxyConfig { local_traffic: LocalTraffic::PodCidrs(pod_cidrs), ..ProxyConfig::default() },
            applier: Applier::new(Program::new("nft")),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            _servers: servers,
        }
    }

    /// Brings the rules of these objects into force.
    pub(crate) fn apply(&mut self, services: &[Service], slices: &[EndpointSlice]) -> Change {
        let rules = RuleSet::of(services, slices, &node(), &self.config);
        self.try_apply(&rules).unwrap()
    }

    /// Brings `rules` into force, if nft lets it.
    pub(crate) fn try_apply(&mut self, rules: &RuleSet) -> Result<Change, NftError> {
        let Self { node, applier, runtime, .. } = self;
        node.enter(|| runtime.block_on(applier.apply(rules)))
    }

    /// Whether the tables are as they were made.
    pub(crate) fn is_intact(&self) -> bool {
        self.node.enter(|| self.runtime.block_on(self.applier.is_intact())).unwrap()
    }

    /// Removes all that is out of use.
    pub(crate) fn tidy(&mut self) {
        let Self { node, applier, runtime, .. } = self;
        node.enter(|| {
            runtime.block_on(async {
                while let Some(time) = applier.tidy_at() {
                    tokio::time::sleep_until(time).await;
                    applier.tidy().await.unwrap();
                }
            });
        });
    }

    /// Removes the tables.
    pub(crate) fn clean_up(&mut self) {
        let Self { node, applier, runtime, .. } = self;
        node.enter(|| runtime.block_on(applier.clean_up())).unwrap();
    }

    /// All that nftables has on the node.
    pub(crate) fn ruleset(&self) -> String {
        self.node.run("nft list ruleset")
    }
}

/// The node as the rules see it.
pub(crate) fn node() -> ProxyNode {
    let addresses: Vec<IpAddr> = vec![NODE.parse().unwrap(), NODE_6.parse().unwrap()];
    ProxyNode { addresses, ..ProxyNode::named("here") }
}

/// Makes `device` in both namespaces, joined.
fn join(one: &Namespace, device: &str, other: &Namespace) {
    one.run(&format!("ip link add {device} type veth peer name eth0 netns {}", other.name));
    one.run(&format!("ip link set {device} up"));
    other.run("ip link set eth0 up");
}

/// As CNI's `ptp` joins pods: each by a route of its own.
fn pod(node: &Namespace, number: usize) -> Namespace {
    let (pod, device) = (Namespace::new(&format!("pod{number}")), format!("pod{number}"));
    join(node, &device, &pod);
    for (option, prefix, length) in [("-4", "10.244.0.", 32), ("-6", "fd00:244::", 128)] {
        let nodad = if option == "-6" { "nodad" } else { "" };
        let (gateway, address) = (format!("{prefix}1"), pod_address(prefix, number));
        node.run(&format!("ip {option} addr add {gateway}/{length} dev {device} {nodad}"));
        node.run(&format!("ip {option} route add {address} dev {device}"));
        pod.run(&format!("ip {option} addr add {address}/{length} dev eth0 {nodad}"));
        pod.run(&format!("ip {option} route add {gateway} dev eth0"));
        pod.run(&format!("ip {option} route add default via {gateway}"));
    }
    pod
}

fn pod_address(prefix: &str, number: usize) -> String {
    format!("{prefix}{}", number + 2)
}

/// A Service of the name `web`, with `more` in its spec.
pub(crate) fn web(more: Value) -> Service {
    let mut spec =
        json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:96::10"], "ports": [{"port": 80}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"namespace": "default", "name": "web"}, "spec": spec})).unwrap()
}

/// An endpoint of `web`: the pod with this number, on the node `here` or `elsewhere`, as ready as `conditions` say.
pub(crate) struct Endpoint(pub(crate) usize, pub(crate) &'static str, pub(crate) Value);

/// A ready endpoint.
pub(crate) fn at(pod: usize, node: &'static str) -> Endpoint {
    Endpoint(pod, node, json!({"ready": true}))
}

/// The slices of `web`, of each family.
pub(crate) fn slices(endpoints: &[Endpoint]) -> Vec<EndpointSlice> {
    slices_of("TCP", endpoints)
}

/// As [`slices`], of a port of another protocol.
pub(crate) fn slices_of(protocol: &str, endpoints: &[Endpoint]) -> Vec<EndpointSlice> {
    let slice = |family: &str, prefix: &str| {
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|Endpoint(pod, node, conditions)| {
                json!({"addresses": [pod_address(prefix, *pod)], "nodeName": node, "conditions": conditions})
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": {"namespace": "default", "name": family, "labels": {SERVICE_NAME: "web"}},
            "addressType": family, "ports": [{"port": PORT, "protocol": protocol}], "endpoints": endpoints,
        }))
        .unwrap()
    };
    vec![slice("IPv4", "10.244.0."), slice("IPv6", "fd00:244::")]
}

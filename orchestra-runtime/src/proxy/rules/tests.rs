use serde_json::{Value, json};

use super::*;
use crate::proxy::Family;

fn service(spec: Value) -> Service {
    named("web", spec)
}

fn named(name: &str, spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"namespace": "default", "name": name}, "spec": spec})).unwrap()
}

/// A slice of `web`'s port 8080, unnamed.
fn slice(name: &str, endpoints: Value) -> EndpointSlice {
    slice_of("web", name, endpoints)
}

fn slice_of(service: &str, name: &str, endpoints: Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": name, "labels": {SERVICE_NAME: service}},
        "addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP", "name": ""}], "endpoints": endpoints,
    }))
    .unwrap()
}

/// A ready endpoint on `node`.
fn at(address: &str, node: &str) -> Value {
    json!({"addresses": [address], "nodeName": node})
}

fn terminating(address: &str, node: &str) -> Value {
    let conditions = json!({"ready": false, "serving": true, "terminating": true});
    json!({"addresses": [address], "nodeName": node, "conditions": conditions})
}

fn hinted(address: &str, zone: &str, node: Option<&str>) -> Value {
    let mut hints = json!({"forZones": [{"name": zone}]});
    if let Some(node) = node {
        hints["forNodes"] = json!([{"name": node}]);
    }
    json!({"addresses": [address], "nodeName": node.unwrap_or("elsewhere"), "hints": hints})
}

fn cluster_ip() -> Value {
    json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]})
}

fn with(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn here() -> ProxyNode {
    ProxyNode { zone: Some("a".to_owned()), addresses: vec![[10, 0, 0, 1].into()], ..ProxyNode::named("n1") }
}

/// The rules of the only port.
fn rules(service: &Service, slices: &[EndpointSlice]) -> PortRules {
    let rules = RuleSet::of(std::slice::from_ref(service), slices, &here(), &ProxyConfig::default());
    let mut ports = rules.ports();
    let (_, port) = ports.next().unwrap();
    assert!(ports.next().is_none());
    PortRules::clone(port)
}

fn addresses(endpoints: &[std::net::SocketAddr]) -> Vec<String> {
    endpoints.iter().map(ToString::to_string).collect()
}

fn targets(rules: &PortRules) -> Vec<Target> {
    rules.fronts.iter().map(|rule| rule.target).collect()
}

#[test]
fn traffic_to_a_cluster_ip_goes_to_the_ready_endpoints_of_all_slices_in_order() {
    let slices = [
        slice(
            "b",
            json!([at("10.244.0.9", "n1"), at("10.244.0.3", "n2"), {"addresses": ["10.244.0.4"], "conditions": {"ready": false}}]),
        ),
        slice("a", json!([at("10.244.0.3", "n2"), at("10.244.0.2", "n2")])),
        slice_of("other", "c", json!([at("10.244.0.7", "n2")])),
    ];
    let port = rules(&service(cluster_ip()), &slices);
    assert_eq!(addresses(&port.cluster), ["10.244.0.2:8080", "10.244.0.3:8080", "10.244.0.9:8080"]);
    assert_eq!(targets(&port), [Target::Endpoints(Policy::Cluster)]);
    assert_eq!(port.local, []);
    assert_eq!(port.loops, ["10.244.0.9".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn ports_are_matched_by_name_and_protocol() {
    let spec = json!({"clusterIP": "10.96.0.10", "ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]});
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": "x", "labels": {SERVICE_NAME: "web"}}, "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns", "port": 1, "protocol": "TCP"}, {"name": "dns-tcp"}],
        "endpoints": [at("10.244.0.2", "n1")]}))
    .unwrap();
    let rules = RuleSet::of(&[service(spec)], &[slice], &here(), &ProxyConfig::default());
    let seen: Vec<_> = rules
        .ports()
        .map(|(key, port)| (key.to_string(), key.protocol.to_string(), addresses(&port.cluster)))
        .collect();
    assert_eq!(
        seen,
        [
            ("default/web:dns".into(), "udp".into(), vec!["10.244.0.2:5353".to_owned()]),
            ("default/web:dns-tcp".into(), "tcp".into(), vec![]),
        ]
    );
    assert_eq!(rules.ports().next().unwrap().1.serving.len(), 1);
}

#[test]
fn each_family_has_endpoints_of_its_own() {
    let spec = json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:96::a"], "ports": [{"port": 80}]});
    let mut six = slice("six", json!([at("fd00::2", "n1"), at("10.244.0.2", "n1")]));
    six.address_type = "IPv6".to_owned();
    let mut names = slice("names", json!([at("example.org", "n1")]));
    names.address_type = "FQDN".to_owned();
    let rules = RuleSet::of(&[service(spec)], &[six, names], &here(), &ProxyConfig::default());
    let seen: Vec<_> = rules.ports().map(|(key, port)| (key.family, targets(port), addresses(&port.cluster))).collect();
    assert_eq!(
        seen,
        [
            (Family::Ipv4, vec![Target::Reject], vec![]),
            (Family::Ipv6, vec![Target::Endpoints(Policy::Cluster)], vec!["[fd00::2]:8080".to_owned()]),
        ]
    );
}

#[test]
fn services_without_a_cluster_ip_and_those_left_to_others_have_no_rules() {
    let mut labelled = service(cluster_ip());
    labelled.metadata.labels =
        Some([("service.kubernetes.io/service-proxy-name".to_owned(), "mine".to_owned())].into());
    let mut headless = service(cluster_ip());
    headless.metadata.labels = Some([("service.kubernetes.io/headless".to_owned(), String::new())].into());
    let none = service(with(cluster_ip(), json!({"clusterIP": "None"})));
    let external = service(json!({"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]}));
    for service in [labelled, headless, none, external, service(json!({"ports": [{"port": 80}]}))] {
        assert_eq!(service_rules(&service, &[], &here()), ServiceRules::default());
    }
}

#[test]
fn endpoints_that_terminate_but_serve_are_the_last_resort() {
    let serving = slice("a", json!([terminating("10.244.0.2", "n1"), terminating("10.244.0.3", "n2")]));
    let port = rules(&service(cluster_ip()), std::slice::from_ref(&serving));
    assert_eq!(addresses(&port.cluster), ["10.244.0.2:8080", "10.244.0.3:8080"]);
    let ready = slice("b", json!([at("10.244.0.4", "n2")]));
    let slices = [serving, ready];
    assert_eq!(addresses(&rules(&service(cluster_ip()), &slices).cluster), ["10.244.0.4:8080"]);
    // Under the policy Local the only local endpoint is as good as a ready one elsewhere.
    let local = service(with(cluster_ip(), json!({"internalTrafficPolicy": "Local"})));
    assert_eq!(addresses(&rules(&local, &slices).local), ["10.244.0.2:8080"]);
}

#[test]
fn the_internal_policy_local_drops_what_no_local_endpoint_can_take() {
    let local = service(with(cluster_ip(), json!({"internalTrafficPolicy": "Local"})));
    let elsewhere = slice("a", json!([at("10.244.0.2", "n2")]));
    assert_eq!(targets(&rules(&local, &[elsewhere])), [Target::Drop]);
    assert_eq!(targets(&rules(&local, &[])), [Target::Reject]);
    let both = slice("a", json!([at("10.244.0.2", "n2"), at("10.244.0.3", "n1")]));
    let port = rules(&local, &[both]);
    assert_eq!(targets(&port), [Target::Endpoints(Policy::Local)]);
    assert_eq!((addresses(&port.cluster), addresses(&port.local)), (vec![], vec!["10.244.0.3:8080".to_owned()]));
}

fn load_balancer(more: Value) -> Service {
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.10", "externalIPs": ["198.51.100.1", "fd00::1"],
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, "ports": [{"port": 80, "nodePort": 30080}]});
    let mut service = service(with(spec, more));
    service.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [
        {"ip": "203.0.113.9"}, {"ip": "203.0.113.10", "ipMode": "Proxy"}, {"hostname": "example.org"}]}}))
    .unwrap();
    service
}

#[test]
fn a_load_balancer_has_all_kinds_of_fronts_and_a_health_check() {
    let both = [slice("a", json!([at("10.244.0.2", "n2"), at("10.244.0.3", "n1")]))];
    let balancer = load_balancer(json!({}));
    let port = rules(&balancer, &both);
    let fronts: Vec<_> = port
        .fronts
        .iter()
        .map(|rule| (rule.front.address.map(|a| a.to_string()), rule.front.port, rule.target))
        .collect();
    let outside = Target::External(Policy::Local);
    assert_eq!(
        fronts,
        [
            (Some("10.96.0.10".to_owned()), 80, Target::Endpoints(Policy::Cluster)),
            (Some("198.51.100.1".to_owned()), 80, outside),
            (Some("203.0.113.9".to_owned()), 80, outside),
            (None, 30080, outside),
        ]
    );
    assert_eq!((port.cluster.len(), addresses(&port.local)), (2, vec!["10.244.0.3:8080".to_owned()]));
    let set = RuleSet::of(&[balancer], &both, &here(), &ProxyConfig::default());
    let checks: Vec<_> = set.health_checks().values().copied().collect();
    assert_eq!(checks, [HealthCheck { port: 32000, local_endpoints: 1 }]);
}

#[test]
fn source_ranges_hold_for_the_load_balancers_address_and_admit_it_where_the_node_is_admitted() {
    let ranges = json!({"loadBalancerSourceRanges": [" 10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.0.2.0/24"]});
    let port = rules(&load_balancer(ranges), &[]);
    let firewalled: Vec<_> = port.fronts.iter().filter(|rule| rule.firewalled).map(|rule| rule.front.address).collect();
    assert_eq!(firewalled, ["203.0.113.9".parse().ok()]);
    let sources: Vec<_> = port.sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["10.0.0.0/8", "192.0.2.0/24", "203.0.113.9/32"]);
    let elsewhere = json!({"loadBalancerSourceRanges": ["192.0.2.0/24"]});
    assert_eq!(rules(&load_balancer(elsewhere), &[]).sources.len(), 1);
}

#[test]
fn hints_are_followed_only_if_all_have_them_and_one_is_for_here() {
    let chosen = |endpoints: Value| addresses(&rules(&service(cluster_ip()), &[slice("a", endpoints)]).cluster);
    let (near, far) = (hinted("10.244.0.2", "a", None), hinted("10.244.0.3", "b", None));
    assert_eq!(chosen(json!([near, far])), ["10.244.0.2:8080"]);
    assert_eq!(chosen(json!([near, far, at("10.244.0.4", "n2")])).len(), 3);
    assert_eq!(chosen(json!([far])), ["10.244.0.3:8080"]);
    let (same, other) = (hinted("10.244.0.2", "a", Some("n1")), hinted("10.244.0.3", "a", Some("n2")));
    assert_eq!(chosen(json!([same, other])), ["10.244.0.2:8080"]);
    // No endpoint is meant for this node: the zone's are.
    assert_eq!(
        chosen(json!([hinted("10.244.0.2", "a", Some("n3")), hinted("10.244.0.3", "b", Some("n2"))])),
        ["10.244.0.2:8080"]
    );
}

#[test]
fn session_affinity_lasts_three_hours_unless_told() {
    use std::time::Duration;
    let affinity = |more: Value| rules(&service(with(cluster_ip(), more)), &[]).affinity;
    assert_eq!(affinity(json!({"sessionAffinity": "None"})), None);
    assert_eq!(affinity(json!({"sessionAffinity": "ClientIP"})), Some(Duration::from_secs(10_800)));
    let told = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}});
    assert_eq!(affinity(told), Some(Duration::from_secs(5)));
}

#[test]
fn a_front_that_two_services_claim_belongs_to_the_first_until_it_goes() {
    let claiming = |name: &str, address: &str| {
        named(name, json!({"clusterIP": address, "externalIPs": ["198.51.100.1"], "ports": [{"port": 80}]}))
    };
    let services = [claiming("b", "10.96.0.2"), claiming("a", "10.96.0.1")];
    let mut rules = RuleSet::of(&services, &[], &here(), &ProxyConfig::default());
    let shadowed = |rules: &RuleSet| -> Vec<(String, bool)> {
        rules.ports().map(|(key, port)| (key.to_string(), port.fronts[1].shadowed)).collect()
    };
    assert_eq!(shadowed(&rules), [("default/a".to_owned(), false), ("default/b".to_owned(), true)]);
    rules.set_service(&ObjectKey::namespaced("default", "a"), ServiceRules::default());
    assert_eq!(shadowed(&rules), [("default/b".to_owned(), false)]);
}

#[test]
fn nonsense_is_passed_over() {
    let spec = json!({"clusterIP": "nowhere", "ports": [{"port": 80}]});
    assert_eq!(service_rules(&service(spec), &[], &here()).ports, []);
    let spec = json!({"clusterIP": "10.96.0.1", "ports": [{"port": 70000}, {"port": -1}, {"port": 1, "protocol": "X"}, {"port": 80, "nodePort": -5}]});
    let odd = slice("a", json!([{"addresses": []}, {"addresses": ["x"]}, {"addresses": ["fd00::1"]}]));
    let port = rules(&service(spec), &[odd]);
    assert_eq!((targets(&port), port.fronts[0].front.port), (vec![Target::Reject], 80));
}

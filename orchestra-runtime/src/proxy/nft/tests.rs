//! What is told to nft, without nft: `tests/proxy` tells whether it does what it should.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{
    super::{LocalTraffic, NodePortAddresses, ProxyConfig, ProxyNode, RuleSet},
    applied::Applied,
    transaction::Transaction,
};

fn rules_of(name: &str, config: &ProxyConfig, spec: Json, endpoints: &[&str]) -> RuleSet {
    let mut whole = json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let service: Service =
        serde_json::from_value(json!({"metadata": {"namespace": "default", "name": name}, "spec": whole})).unwrap();
    let endpoints: Vec<Json> = endpoints
        .iter()
        .map(|endpoint| endpoint.split_once('@').unwrap())
        .map(|(address, node)| json!({"addresses": [address], "nodeName": node}))
        .collect();
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": endpoints}))
    .unwrap();
    let node = ProxyNode { addresses: vec![[192, 0, 2, 1].into()], ..ProxyNode::named("n1") };
    RuleSet::of(&[service], &[slice], &node, config)
}

fn rules_with(config: &ProxyConfig, spec: Json, endpoints: &[&str]) -> RuleSet {
    rules_of("web", config, spec, endpoints)
}

fn rules(spec: Json, endpoints: &[&str]) -> RuleSet {
    rules_with(&ProxyConfig::default(), spec, endpoints)
}

fn fresh(rules: &RuleSet) -> (Applied, String) {
    let (applied, transaction) = Applied::fresh(rules, Instant::now());
    let [text] = <[String; 1]>::try_from(transaction.finish()).expect("fresh tables are one transaction");
    (applied, text)
}

fn step(applied: &mut Applied, rules: &RuleSet) -> String {
    let mut transaction = Transaction::default();
    applied.step(rules, &mut transaction, Instant::now());
    transaction.finish().concat()
}

fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "no line\n{line}\nin\n{text}");
    }
}

#[test]
fn a_service_is_elements_of_maps_and_a_shared_chain() {
    let (_, text) = fresh(&rules(json!({}), &["10.244.0.2@n1", "10.244.0.3@n2"]));
    assert_has(
        &text,
        &[
            "add chain ip kube-proxy endpoints-2",
            "add rule ip kube-proxy endpoints-2 meta priority set numgen random mod 2",
            "add rule ip kube-proxy endpoints-2 meta l4proto { tcp, udp, sctp } dnat ip addr . port to ip daddr . meta l4proto . th dport . meta priority map @service-endpoints",
            "add element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 comment \"default/web\" : goto endpoints-2 }",
            "add element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:0 : 10.244.0.2 . 8080, 10.96.0.10 . tcp . 80 . 0:1 : 10.244.0.3 . 8080 }",
            "add element ip kube-proxy cluster-ips { 10.96.0.10 }",
            "add element ip kube-proxy hairpin-endpoints { 10.244.0.2 . 10.244.0.2 }",
        ],
    );
}

#[test]
fn what_is_the_same_is_left_alone() {
    let (mut applied, _) = fresh(&rules(json!({}), &["10.244.0.2@n2"]));
    assert_eq!(step(&mut applied, &rules(json!({}), &["10.244.0.2@n2"])), "");
}

#[test]
fn chains_are_there_a_transaction_before_what_leads_to_them() {
    let (mut applied, _) = fresh(&rules(json!({}), &["10.244.0.2@n1"]));
    let wanted = rules(json!({}), &["10.244.0.2@n1", "10.244.0.3@n1"]);
    let mut transaction = Transaction::default();
    applied.step(&wanted, &mut transaction, Instant::now());
    let runs = transaction.finish();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs[0].starts_with("add chain ip kube-proxy endpoints-2\n"), "{}", runs[0]);
    assert!(!runs[0].contains(" element "), "{}", runs[0]);
    assert!(runs[1].contains("goto endpoints-2"), "{}", runs[1]);

    let mut transaction = Transaction::default();
    applied.step(&rules(json!({"sessionAffinity": "ClientIP"}), &["10.244.0.2@n1"]), &mut transaction, Instant::now());
    let runs = transaction.finish();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs[0].contains("add set ip kube-proxy affinity-"), "{}", runs[0]);
    assert!(!runs[1].contains("add chain"), "{}", runs[1]);
}

#[test]
fn another_endpoint_in_the_place_of_one_is_one_element() {
    let (mut applied, _) = fresh(&rules(json!({}), &["10.244.0.2@n2", "10.244.0.3@n2"]));
    let text = step(&mut applied, &rules(json!({}), &["10.244.0.2@n2", "10.244.0.4@n2"]));
    assert_eq!(
        text,
        "delete element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 }\n\
         add element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 : 10.244.0.4 . 8080 }\n"
    );
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_too_high_lead_to_what_is_left_and_go_later() {
    let (mut applied, _) = fresh(&rules(json!({}), &["10.244.0.2@n2", "10.244.0.3@n2"]));
    let text = step(&mut applied, &rules(json!({}), &["10.244.0.2@n2"]));
    assert_has(
        &text,
        &[
            "add chain ip kube-proxy endpoints-1",
            "delete element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 }",
            "add element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 comment \"default/web\" : goto endpoints-1 }",
            "add element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 : 10.244.0.2 . 8080 }",
        ],
    );
    assert!(!text.contains("delete chain"));
    tokio::time::advance(Duration::from_millis(999)).await;
    assert_eq!(applied.tidy(Instant::now()).finish().concat(), "");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(applied.tidy_at(), Some(Instant::now()));
    assert_eq!(
        applied.tidy(Instant::now()).finish().concat(),
        "flush chain ip kube-proxy endpoints-2\n\
         delete element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 }\n\
         delete chain ip kube-proxy endpoints-2\n"
    );
    assert_eq!(applied.tidy_at(), None);
}

#[test]
fn what_was_to_go_is_taken_up_again() {
    let two = rules(json!({}), &["10.244.0.2@n2", "10.244.0.3@n2"]);
    let (mut applied, _) = fresh(&two);
    step(&mut applied, &rules(json!({}), &["10.244.0.2@n2"]));
    let text = step(&mut applied, &two);
    assert!(!text.contains("add chain"), "{text}");
    assert_has(
        &text,
        &[
            "delete element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 }",
            "add element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:1 : 10.244.0.3 . 8080 }",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_traffic_is_refused_and_comes_back_with_them() {
    let (mut applied, text) = fresh(&rules(json!({}), &[]));
    let refused = "add element ip kube-proxy no-endpoint-services { 10.96.0.10 . tcp . 80 comment \"default/web\" : goto reject-chain }";
    assert_has(&text, &[refused]);
    let text = step(&mut applied, &rules(json!({}), &["10.244.0.2@n2"]));
    assert_has(&text, &["delete element ip kube-proxy no-endpoint-services { 10.96.0.10 . tcp . 80 }"]);
    let text = step(&mut applied, &RuleSet::new(ProxyNode::named("n1"), ProxyConfig::default()));
    assert_has(
        &text,
        &[
            "delete element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 }",
            "delete element ip kube-proxy cluster-ips { 10.96.0.10 }",
        ],
    );
    // A packet may be on its way to the endpoint.
    let endpoint = "delete element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:0 }";
    assert!(!text.contains(endpoint), "{text}");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_has(&applied.tidy(Instant::now()).finish().concat(), &[endpoint]);
}

#[test]
fn a_front_goes_from_one_service_to_another_at_once() {
    let of = |name: &str, endpoint: &str| rules_of(name, &ProxyConfig::default(), json!({}), &[endpoint]);
    for (from, to) in [("a", "b"), ("b", "a")] {
        let (mut applied, _) = fresh(&of(from, "10.244.0.2@n1"));
        let text = step(&mut applied, &of(to, "10.244.0.3@n1"));
        let slot = "element ip kube-proxy service-endpoints { 10.96.0.10 . tcp . 80 . 0:0";
        assert_eq!(text.matches(&format!("delete {slot}")).count(), 1, "{text}");
        assert_has(&text, &[&format!("add {slot} : 10.244.0.3 . 8080 }}")]);
        assert_eq!(applied.tidy_at(), None);
    }
}

#[test]
fn the_external_policy_local_spares_pods_and_the_node() {
    let config = ProxyConfig {
        local_traffic: LocalTraffic::PodCidrs(vec!["10.244.0.0/16".parse().unwrap()]),
        ..ProxyConfig::default()
    };
    let spec =
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30080}]});
    let (_, text) = fresh(&rules_with(&config, spec.clone(), &["10.244.0.2@n1", "10.244.1.2@n2"]));
    assert_has(
        &text,
        &[
            "add rule ip kube-proxy services ip saddr != { 10.244.0.0/16 } ip daddr @cluster-ips jump mark-for-masquerade",
            "add rule ip kube-proxy nodeport-external-2-local-1 ip saddr { 10.244.0.0/16 } goto nodeport-endpoints-2 comment \"short-circuit pod traffic\"",
            "add rule ip kube-proxy nodeport-external-2-local-1 fib saddr type local jump mark-for-masquerade comment \"masquerade local traffic\"",
            "add rule ip kube-proxy nodeport-external-2-local-1 goto nodeport-local-endpoints-1",
            "add element ip kube-proxy service-nodeports { tcp . 30080 comment \"default/web\" : goto nodeport-external-2-local-1 }",
            "add element ip kube-proxy nodeport-local-endpoints { tcp . 30080 . 0:0 : 10.244.0.2 . 8080 }",
        ],
    );
    let (_, text) = fresh(&rules_with(&config, spec, &["10.244.1.2@n2"]));
    assert_has(
        &text,
        &["add element ip kube-proxy no-endpoint-nodeports { tcp . 30080 comment \"default/web\" : drop }"],
    );
}

#[test]
fn session_affinity_has_chains_and_sets_of_its_own() {
    let affinity = |seconds: u32| {
        let client_ip = json!({"clientIP": {"timeoutSeconds": seconds}});
        rules(json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": client_ip}), &["10.244.0.2@n2"])
    };
    let (mut applied, text) = fresh(&affinity(60));
    let line_with = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_owned();
    assert!(
        line_with("add set ip kube-proxy affinity-")
            .ends_with("{ type ipv4_addr; flags dynamic,timeout; timeout 60s; }")
    );
    assert!(line_with("update @affinity-").ends_with("-default/web/tcp/__10.244.0.2/8080 { ip saddr }"));
    assert!(line_with("dnat to").ends_with("meta l4proto tcp dnat to 10.244.0.2:8080"));
    assert!(line_with("add element ip kube-proxy service-ips").contains(" : goto service-"));
    let text = step(&mut applied, &affinity(90));
    assert_eq!(text.matches("delete set").count(), 1);
    assert!(text.contains("timeout 90s"));
    let text = step(&mut applied, &rules(json!({}), &["10.244.0.2@n2"]));
    assert_eq!((text.matches("delete set").count(), text.matches("flush chain").count()), (1, 3), "{text}");
}

#[test]
fn node_ports_answer_where_they_are_told_to() {
    let at = |addresses: NodePortAddresses| {
        let config = ProxyConfig { node_port_addresses: addresses, ..ProxyConfig::default() };
        fresh(&rules_with(&config, json!({}), &[])).1
    };
    let text = at(NodePortAddresses::Primary);
    assert!(text.contains("elements = { 192.0.2.1 }"));
    assert!(!text.contains("add set ip6 kube-proxy nodeport-ips"), "there is no such address");
    let text = at(NodePortAddresses::Cidrs(vec!["192.0.2.0/24".parse().unwrap(), "192.0.2.0/30".parse().unwrap()]));
    assert!(text.contains("elements = { 192.0.2.0/24 }"));
    let text = at(NodePortAddresses::Cidrs(vec!["0.0.0.0/0".parse().unwrap()]));
    let all = "add rule ip kube-proxy services fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports";
    assert_has(&text, &[all]);
}

#[test]
fn another_configuration_or_address_makes_the_tables_anew() {
    let (applied, _) = fresh(&rules(json!({}), &[]));
    assert!(applied.leads_to(&rules(json!({"type": "NodePort"}), &["10.244.0.2@n2"])));
    let config = ProxyConfig { masquerade_all: true, ..ProxyConfig::default() };
    assert!(!applied.leads_to(&rules_with(&config, json!({}), &[])));
    assert!(!applied.leads_to(&RuleSet::new(ProxyNode::named("n1"), ProxyConfig::default())));
}

#[test]
fn what_services_change_is_no_part_of_what_is_fixed() {
    let fixed = super::table::fixed_part;
    let before = "table ip other {\n\tchain services { # handle 1\n\t}\n}\ntable ip kube-proxy { # handle 5\n\tmap service-ips { # handle 1\n\t\ttype x\n\t}\n\n\tchain services { # handle 2\n\t\tjump a # handle 3\n\t}\n}\n";
    assert_eq!(
        fixed(before),
        "table ip kube-proxy { # handle 5\n\tmap service-ips { # handle 1\n\tchain services { # handle 2\n\t\tjump a # handle 3\n\t}\n}\n"
    );
    assert_eq!(super::table::rules_in(&fixed(before)), 1);
    let grown = before.replace(
        "\tchain services { # handle 2",
        "\tset affinity-x { # handle 9\n\t}\n\tchain endpoints-1 { # handle 8\n\t}\n\n\tchain services { # handle 2",
    );
    assert_ne!(grown, before);
    assert_eq!(fixed(&grown), fixed(before));
    assert_ne!(fixed(&before.replace("\t\tjump a # handle 3\n", "")), fixed(before));
    assert_eq!(fixed("table ip other { # handle 5\n}\n"), "");
}

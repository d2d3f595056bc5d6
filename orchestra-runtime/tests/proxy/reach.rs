use std::collections::BTreeSet;

use serde_json::json;

use super::{
    server::{ask, ask_udp},
    world::{NODE, OUTSIDE, WEB, WEB_6, World, at, slices, slices_of, web},
};

/// The names of those who answer `count` connections.
fn answering(mut ask: impl FnMut() -> String, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| ask().split_once(' ').unwrap().0.to_owned()).collect()
}

fn all_three() -> BTreeSet<String> {
    ["pod0", "pod1", "pod2"].map(str::to_owned).into()
}

#[test]
fn pods_and_the_node_reach_all_endpoints_by_the_cluster_ip_in_both_families() {
    let mut world = World::new(4);
    world.apply(&[web(json!({}))], &slices(&[at(0, "here"), at(1, "here"), at(2, "elsewhere")]));
    for address in [WEB, WEB_6] {
        assert_eq!(answering(|| ask(&world.pods[3], address).unwrap(), 40), all_three());
        assert_eq!(answering(|| ask(&world.node, address).unwrap(), 40), all_three());
    }
    assert!(ask(&world.pods[3], WEB).unwrap().ends_with(" 10.244.0.5"), "a pod keeps its address");
}

#[test]
fn datagrams_reach_endpoints_and_stay_with_them() {
    let mut world = World::new(3);
    let service = web(json!({"ports": [{"port": 80, "protocol": "UDP"}]}));
    world.apply(&[service], &slices_of("UDP", &[at(0, "here"), at(1, "here")]));
    for address in [WEB, WEB_6] {
        let patience = std::time::Duration::from_secs(5);
        let first = ask_udp(&world.pods[2], 5000, address, patience).unwrap();
        for _ in 0..10 {
            assert_eq!(ask_udp(&world.pods[2], 5000, address, patience).unwrap(), first);
        }
    }
}

#[test]
fn a_pod_reaches_itself_through_its_service() {
    let mut world = World::new(1);
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    assert_eq!(ask(&world.pods[0], WEB).unwrap(), "pod0 10.244.0.1");
    assert_eq!(ask(&world.pods[0], WEB_6).unwrap(), "pod0 fd00:244::1");
}

#[test]
fn clients_outside_reach_node_ports_external_ips_and_routed_cluster_ips_and_are_masqueraded() {
    let mut world = World::new(2);
    let spec = json!({"type": "NodePort", "externalIPs": ["198.51.100.1"], "ports": [{"port": 80, "nodePort": 30080}]});
    world.apply(&[web(spec)], &slices(&[at(0, "here"), at(1, "elsewhere")]));
    let both: BTreeSet<String> = ["pod0", "pod1"].map(str::to_owned).into();
    for address in ["192.0.2.1:30080", "[2001:db8::1]:30080", "198.51.100.1:80", WEB] {
        assert_eq!(answering(|| ask(&world.outside, address).unwrap(), 20), both, "{address}");
    }
    let seen = ask(&world.outside, "192.0.2.1:30080").unwrap();
    assert!(!seen.ends_with(OUTSIDE), "{seen}");
    // The node itself, and pods, by the node's address.
    for client in [&world.node, &world.pods[0]] {
        assert_eq!(answering(|| ask(client, &format!("{NODE}:30080")).unwrap(), 20), both);
    }
}

#[test]
fn cluster_ips_of_other_configurations_masquerade_as_they_are_told() {
    let mut world = World::new(2);
    world.config.masquerade_all = true;
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    assert_eq!(ask(&world.pods[1], WEB).unwrap(), "pod0 10.244.0.1");
    world.config.masquerade_all = false;
    let change = world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    assert!(change.full);
    assert_eq!(ask(&world.pods[1], WEB).unwrap(), "pod0 10.244.0.3");
}

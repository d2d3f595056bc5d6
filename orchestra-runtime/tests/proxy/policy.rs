use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::{
    server::{SILENCE, ask, ask_within},
    world::{Endpoint, OUTSIDE, WEB, World, at, slices, web},
};

fn local_node_port() -> Service {
    web(json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30080}]}))
}

#[test]
fn under_the_external_policy_local_clients_keep_their_address_and_stay_on_the_node() {
    let mut world = World::new(3);
    world.apply(&[local_node_port()], &slices(&[at(0, "here"), at(1, "elsewhere")]));
    for _ in 0..20 {
        assert_eq!(ask(&world.outside, "192.0.2.1:30080").unwrap(), format!("pod0 {OUTSIDE}"));
    }
}

#[test]
fn without_local_endpoints_clients_outside_get_no_answer_but_pods_and_the_node_do() {
    let mut world = World::new(3);
    world.apply(&[local_node_port()], &slices(&[at(1, "elsewhere")]));
    let error = ask_within(&world.outside, "192.0.2.1:30080", SILENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(ask(&world.pods[2], "192.0.2.1:30080").unwrap().starts_with("pod1 "));
    assert!(ask(&world.node, "192.0.2.1:30080").unwrap().starts_with("pod1 "));
}

#[test]
fn the_internal_policy_local_never_leaves_the_node() {
    let mut world = World::new(3);
    let local = web(json!({"internalTrafficPolicy": "Local"}));
    world.apply(std::slice::from_ref(&local), &slices(&[at(0, "here"), at(1, "elsewhere")]));
    for _ in 0..20 {
        assert!(ask(&world.pods[2], WEB).unwrap().starts_with("pod0 "));
    }
    world.apply(&[local], &slices(&[at(1, "elsewhere")]));
    let error = ask_within(&world.pods[2], WEB, SILENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn endpoints_that_terminate_serve_until_there_are_others() {
    let mut world = World::new(3);
    let terminating = || Endpoint(0, "here", json!({"ready": false, "serving": true, "terminating": true}));
    world.apply(&[web(json!({}))], &slices(&[terminating()]));
    assert!(ask(&world.pods[2], WEB).unwrap().starts_with("pod0 "));
    world.apply(&[web(json!({}))], &slices(&[terminating(), at(1, "here")]));
    for _ in 0..20 {
        assert!(ask(&world.pods[2], WEB).unwrap().starts_with("pod1 "));
    }
}

#[test]
fn source_ranges_keep_others_from_the_load_balancers_address() {
    let mut world = World::new(1);
    let balancer = |ranges: &[&str]| {
        let spec = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges, "ports": [{"port": 80, "nodePort": 30080}]});
        let mut service = web(spec);
        service.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}})).unwrap();
        service
    };
    world.apply(&[balancer(&["192.0.2.8/30", "192.0.2.9/32"])], &slices(&[at(0, "here")]));
    assert!(ask(&world.outside, "203.0.113.9:80").unwrap().starts_with("pod0 "));
    world.apply(&[balancer(&["192.0.2.128/25"])], &slices(&[at(0, "here")]));
    let error = ask_within(&world.outside, "203.0.113.9:80", SILENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(ask(&world.outside, "192.0.2.1:30080").is_ok(), "node ports are not subject to the ranges");
}

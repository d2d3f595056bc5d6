use std::io::ErrorKind;

use serde_json::json;

use super::{
    server::{SILENCE, ask, ask_udp},
    world::{WEB, WEB_6, World, at, slices, slices_of, web},
};

#[test]
fn a_service_without_endpoints_refuses_at_once_everywhere() {
    let mut world = World::new(1);
    let spec = json!({"type": "NodePort", "externalIPs": ["198.51.100.1"], "ports": [{"port": 80, "nodePort": 30080}]});
    world.apply(&[web(spec)], &slices(&[]));
    for (client, address) in [
        (&world.pods[0], WEB),
        (&world.pods[0], WEB_6),
        (&world.node, WEB),
        (&world.node, WEB_6),
        (&world.outside, "198.51.100.1:80"),
        (&world.outside, "192.0.2.1:30080"),
    ] {
        assert_eq!(ask(client, address).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{address}");
    }
}

#[test]
fn datagrams_to_a_service_without_endpoints_are_refused() {
    let mut world = World::new(1);
    world.apply(&[web(json!({"ports": [{"port": 80, "protocol": "UDP"}]}))], &slices_of("UDP", &[]));
    let error = ask_udp(&world.pods[0], 5000, WEB, std::time::Duration::from_secs(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn ports_that_a_cluster_ip_does_not_have_are_refused_and_addresses_that_no_service_has_are_silent() {
    let mut world = World::new(1);
    world.config.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()];
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    for client in [&world.pods[0], &world.node] {
        assert_eq!(ask(client, "10.96.0.10:81").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let error = super::server::ask_within(client, "10.96.0.11:80", SILENCE).unwrap_err();
        // What the node itself sends is told to it as an error.
        assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::PermissionDenied), "{error}");
    }
}

//! The specification's examples, and what CoreDNS does where it leaves things open.

use std::net::IpAddr;

use hickory_proto::rr::{Name, Record, RecordType};
use serde_json::{Value, json};

use super::{Answer, Lookup};
use crate::dns::{index::Index, zone::Zone};

fn zone() -> Zone {
    Zone { name: name("cluster.local."), ttl: 30 }
}

fn name(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn text(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

struct World(Index);

impl World {
    fn new() -> Self {
        let mut index = Index::default();
        let namespace = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        index.namespace(None, Some(&namespace));
        index.changed(1_767_225_600);
        Self(index)
    }

    fn service(mut self, name: &str, spec: Value) -> Self {
        let service = json!({"metadata": {"namespace": "default", "name": name}, "spec": spec});
        self.0.set_service(None, Some(&serde_json::from_value(service).unwrap()));
        self
    }

    fn slice(mut self, name: &str, service: &str, ports: Value, endpoints: Value) -> Self {
        let labels = json!({"kubernetes.io/service-name": service});
        let slice = json!({"metadata": {"namespace": "default", "name": name, "labels": labels},
            "addressType": "any", "ports": ports, "endpoints": endpoints});
        self.0.set_slice(None, Some(&serde_json::from_value(slice).unwrap()));
        self
    }

    /// The answer's records, those that are only helpful after a `+`; or what there is in place of an answer.
    fn ask(&self, asked: &str, record_type: RecordType) -> Vec<String> {
        let (zone, own_addresses) = (zone(), ["10.3.0.9".parse().unwrap()]);
        let lookup = Lookup { zone: &zone, index: &self.0, own_addresses: &own_addresses };
        match lookup.answer(&name(asked), record_type).unwrap() {
            Answer::Records { answers, additionals } => {
                let additionals = additionals.iter().map(|record| format!("+ {}", text(record)));
                answers.iter().map(text).chain(additionals).collect()
            }
            Answer::NoData => vec!["nodata".to_owned()],
            Answer::NoName => vec!["nxdomain".to_owned()],
            Answer::Elsewhere { aliases, target } => {
                aliases.iter().map(text).chain([format!("elsewhere {target}")]).collect()
            }
        }
    }

    fn name_of(&self, address: &str) -> Vec<String> {
        let zone = zone();
        let lookup = Lookup { zone: &zone, index: &self.0, own_addresses: &[] };
        let reverse = Name::from(address.parse::<IpAddr>().unwrap());
        lookup.names(&reverse).unwrap().iter().map(|record| record.data.to_string()).collect()
    }

    fn check(&self, table: &[(&str, RecordType, &[&str])]) {
        for (asked, record_type, expected) in table {
            assert_eq!(self.ask(asked, *record_type), *expected, "{asked} {record_type}");
        }
    }
}

use RecordType::{A, AAAA, ANY, CNAME, MX, NS, SOA, SRV, TXT};

#[test]
fn the_zone_tells_of_itself() {
    World::new().check(&[
        ("dns-version.cluster.local.", TXT, &["dns-version.cluster.local. 28800 TXT 1.1.0"]),
        ("dns-version.cluster.local.", A, &["nodata"]),
        (
            "cluster.local.",
            SOA,
            &["cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1767225600 7200 1800 86400 30"],
        ),
        (
            "cluster.local.",
            NS,
            &["cluster.local. 30 NS ns.dns.cluster.local.", "+ ns.dns.cluster.local. 30 A 10.3.0.9"],
        ),
        ("ns.dns.cluster.local.", A, &["ns.dns.cluster.local. 30 A 10.3.0.9"]),
        ("ns.dns.cluster.local.", AAAA, &["nodata"]),
        ("cluster.local.", A, &["nodata"]),
        ("svc.cluster.local.", A, &["nodata"]),
        ("pod.cluster.local.", A, &["nodata"]),
        ("default.svc.cluster.local.", A, &["nodata"]),
        ("default.pod.cluster.local.", A, &["nodata"]),
        ("missing.svc.cluster.local.", A, &["nxdomain"]),
        ("kubernetes.missing.svc.cluster.local.", A, &["nxdomain"]),
        ("kubernetes.default.svc.cluster.local.", A, &["nxdomain"]),
        ("kubernetes.default.cluster.local.", A, &["nxdomain"]),
        ("dns.cluster.local.", A, &["nxdomain"]),
    ]);
}

#[test]
fn a_service_has_its_addresses_and_its_ports() {
    let ports =
        json!([{"name": "https", "port": 443, "protocol": "TCP"}, {"name": "quic", "port": 443, "protocol": "UDP"}]);
    let world = World::new().service("kubernetes", json!({"clusterIPs": ["10.3.0.1", "2001:db8::1"], "ports": ports}));
    let both = [
        "+ kubernetes.default.svc.cluster.local. 30 A 10.3.0.1",
        "+ kubernetes.default.svc.cluster.local. 30 AAAA 2001:db8::1",
    ];
    let https =
        "_https._tcp.kubernetes.default.svc.cluster.local. 30 SRV 0 50 443 kubernetes.default.svc.cluster.local.";
    world.check(&[
        ("kubernetes.default.svc.cluster.local.", A, &["kubernetes.default.svc.cluster.local. 30 A 10.3.0.1"]),
        ("kubernetes.default.svc.cluster.local.", AAAA, &["kubernetes.default.svc.cluster.local. 30 AAAA 2001:db8::1"]),
        ("KUBERNETES.Default.svc.Cluster.LOCAL.", A, &["KUBERNETES.Default.svc.Cluster.LOCAL. 30 A 10.3.0.1"]),
        ("_https._tcp.kubernetes.default.svc.cluster.local.", SRV, &[https, both[0], both[1]]),
        ("_https._TCP.kubernetes.default.svc.cluster.local.", MX, &["nodata"]),
        ("_https._udp.kubernetes.default.svc.cluster.local.", SRV, &["nxdomain"]),
        ("_http._tcp.kubernetes.default.svc.cluster.local.", SRV, &["nxdomain"]),
        ("kubernetes.default.svc.cluster.local.", TXT, &["nodata"]),
        ("kubernetes.default.svc.cluster.local.", ANY, &["nodata"]),
        ("kubernetes.default.svc.cluster.local.", CNAME, &["nodata"]),
        // Nothing is everything: wild cards are names like any other.
        ("*.default.svc.cluster.local.", A, &["nxdomain"]),
        ("kubernetes.*.svc.cluster.local.", A, &["nxdomain"]),
        ("any.kubernetes.default.svc.cluster.local.", A, &["nxdomain"]),
    ]);
    // One record for each port and address, as CoreDNS has it, though both ports have one number here.
    let all = world.ask("kubernetes.default.svc.cluster.local.", SRV);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(world.name_of("10.3.0.1"), ["kubernetes.default.svc.cluster.local."]);
    assert_eq!(world.name_of("2001:db8::1"), ["kubernetes.default.svc.cluster.local."]);
    assert!(world.name_of("10.3.0.2").is_empty());
}

#[test]
fn a_headless_service_has_its_endpoints_that_are_ready() {
    let ports = json!([{"name": "https", "port": 8443, "protocol": "TCP"}]);
    let ready = json!({"ready": true});
    let world = World::new()
        .service(
            "headless",
            json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"name": "https", "port": 443}]}),
        )
        .service("empty", json!({"clusterIP": "None", "clusterIPs": ["None"]}))
        .slice(
            "headless-a",
            "headless",
            ports.clone(),
            json!([
                {"addresses": ["10.3.0.1"], "hostname": "my-pet", "conditions": ready},
                {"addresses": ["10.3.0.2"]},
                {"addresses": ["10.3.0.3"], "hostname": "not-yet", "conditions": {"ready": false}},
            ]),
        )
        .slice("headless-b", "headless", ports, json!([{"addresses": ["2001:db8::"], "conditions": ready}]))
        .slice("empty-a", "empty", json!([]), json!([{"addresses": ["10.3.0.7"], "conditions": {"ready": false}}]));
    let of = |host: &str| {
        format!(
            "_https._tcp.headless.default.svc.cluster.local. 30 SRV 0 33 8443 {host}.headless.default.svc.cluster.local."
        )
    };
    let with = |host: &str, address: &str| format!("+ {host}.headless.default.svc.cluster.local. 30 {address}");
    let expected = [
        of("my-pet"),
        of("10-3-0-2"),
        of("2001-db8--0"),
        with("my-pet", "A 10.3.0.1"),
        with("10-3-0-2", "A 10.3.0.2"),
        with("2001-db8--0", "AAAA 2001:db8::"),
    ];
    assert_eq!(world.ask("_https._tcp.headless.default.svc.cluster.local.", SRV), expected);
    world.check(&[
        (
            "headless.default.svc.cluster.local.",
            A,
            &["headless.default.svc.cluster.local. 30 A 10.3.0.1", "headless.default.svc.cluster.local. 30 A 10.3.0.2"],
        ),
        ("headless.default.svc.cluster.local.", AAAA, &["headless.default.svc.cluster.local. 30 AAAA 2001:db8::"]),
        (
            "my-pet.headless.default.svc.cluster.local.",
            A,
            &["my-pet.headless.default.svc.cluster.local. 30 A 10.3.0.1"],
        ),
        ("my-pet.headless.default.svc.cluster.local.", AAAA, &["nodata"]),
        ("not-yet.headless.default.svc.cluster.local.", A, &["nxdomain"]),
        (
            "10-3-0-2.headless.default.svc.cluster.local.",
            A,
            &["10-3-0-2.headless.default.svc.cluster.local. 30 A 10.3.0.2"],
        ),
        ("empty.default.svc.cluster.local.", A, &["nxdomain"]),
    ]);
    assert_eq!(world.name_of("10.3.0.1"), ["my-pet.headless.default.svc.cluster.local."]);
    assert_eq!(world.name_of("2001:db8::"), ["2001-db8--0.headless.default.svc.cluster.local."]);
    assert!(world.name_of("10.3.0.3").is_empty());
}

#[test]
fn endpoints_without_ports_have_addresses_but_no_srv_records() {
    let world = World::new().service("headless", json!({"clusterIP": "None"})).slice(
        "headless-a",
        "headless",
        json!([]),
        json!([{"addresses": ["10.3.0.1"]}]),
    );
    world.check(&[
        ("headless.default.svc.cluster.local.", A, &["headless.default.svc.cluster.local. 30 A 10.3.0.1"]),
        ("headless.default.svc.cluster.local.", SRV, &["nodata"]),
    ]);
}

#[test]
fn an_external_name_is_followed() {
    let external = |name: &str| json!({"type": "ExternalName", "externalName": name});
    let world = World::new()
        .service("web", json!({"clusterIP": "10.3.0.1", "ports": [{"port": 80}]}))
        .service("foo", external("www.example.com"))
        .service("near", external("web.default.svc.cluster.local"))
        .service("nothing", external("missing.default.svc.cluster.local"))
        .service("circle", external("circle.default.svc.cluster.local"))
        .service("number", external("10.0.0.1"));
    let foo = "foo.default.svc.cluster.local. 30 CNAME www.example.com.";
    let near = "near.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.";
    world.check(&[
        ("foo.default.svc.cluster.local.", A, &[foo, "elsewhere www.example.com."]),
        ("foo.default.svc.cluster.local.", AAAA, &[foo, "elsewhere www.example.com."]),
        ("foo.default.svc.cluster.local.", CNAME, &[foo]),
        ("foo.default.svc.cluster.local.", SRV, &["nodata"]),
        ("_http._tcp.foo.default.svc.cluster.local.", SRV, &["nxdomain"]),
        ("a.foo.default.svc.cluster.local.", A, &["nxdomain"]),
        ("near.default.svc.cluster.local.", A, &[near, "web.default.svc.cluster.local. 30 A 10.3.0.1"]),
        ("near.default.svc.cluster.local.", AAAA, &["nodata"]),
        ("nothing.default.svc.cluster.local.", A, &["nodata"]),
        ("circle.default.svc.cluster.local.", A, &["nodata"]),
        ("number.default.svc.cluster.local.", A, &["nxdomain"]),
    ]);
}

#[test]
fn a_pod_has_the_address_in_its_name() {
    World::new().check(&[
        ("10-1-2-3.default.pod.cluster.local.", A, &["10-1-2-3.default.pod.cluster.local. 30 A 10.1.2.3"]),
        ("10-1-2-3.default.pod.cluster.local.", AAAA, &["nodata"]),
        (
            "2001-db8--7.default.pod.cluster.local.",
            AAAA,
            &["2001-db8--7.default.pod.cluster.local. 30 AAAA 2001:db8::7"],
        ),
        ("10-1-2-3.missing.pod.cluster.local.", A, &["nxdomain"]),
        ("10-1-2-300.default.pod.cluster.local.", A, &["nxdomain"]),
        ("web.default.pod.cluster.local.", A, &["nxdomain"]),
    ]);
}

#[test]
fn what_is_gone_is_found_no_more() {
    let mut world = World::new().service("web", json!({"clusterIP": "10.3.0.1", "ports": [{"port": 80}]}));
    let old = json!({"metadata": {"namespace": "default", "name": "web"}, "spec": {"clusterIP": "10.3.0.1"}});
    let new = json!({"metadata": {"namespace": "default", "name": "web"}, "spec": {"clusterIP": "10.3.0.2"}});
    let (old, new) = (serde_json::from_value(old).unwrap(), serde_json::from_value(new).unwrap());
    world.0.set_service(Some(&old), Some(&new));
    assert_eq!(world.name_of("10.3.0.2"), ["web.default.svc.cluster.local."]);
    assert!(world.name_of("10.3.0.1").is_empty());
    world.0.set_service(Some(&new), None);
    assert_eq!(world.ask("web.default.svc.cluster.local.", A), ["nxdomain"]);
    assert!(world.name_of("10.3.0.2").is_empty());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    world.0.namespace(Some(&namespace), None);
    assert_eq!(world.ask("default.svc.cluster.local.", A), ["nxdomain"]);
}

#[test]
fn an_endpoint_of_two_services_leads_back_to_both() {
    let endpoint = json!([{"addresses": ["10.3.0.1"], "hostname": "a"}]);
    let world =
        World::new().slice("one-x", "one", json!([]), endpoint.clone()).slice("two-x", "two", json!([]), endpoint);
    assert_eq!(world.name_of("10.3.0.1"), ["a.one.default.svc.cluster.local.", "a.two.default.svc.cluster.local."]);
}

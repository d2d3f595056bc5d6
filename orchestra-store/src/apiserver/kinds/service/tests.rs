use serde_json::json;

use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn services() -> Services {
    Services { ranges: ServiceRanges::default() }
}

/// A Service with this spec, as the server is about to store it.
fn created(spec: Value) -> Service {
    let mut service = object(json!({"metadata": {"name": "s"}, "spec": spec}));
    services().default(&mut service);
    services().prepare_for_create(&context(), &mut service);
    services().assign(&mut service, &BTreeSet::new(), &Generator::seeded(1)).unwrap();
    service
}

fn spec(service: &Service) -> Value {
    serde_json::to_value(service).unwrap()["spec"].clone()
}

fn errors(spec: Value) -> Vec<String> {
    texts(&services().validate(&context(), &created(spec)))
}

fn updated(old: &Service, change: Value) -> Service {
    let mut value = serde_json::to_value(old).unwrap();
    for (key, change) in change.as_object().unwrap() {
        value["spec"][key] = change.clone();
    }
    let mut new = object(value);
    services().default(&mut new);
    services().prepare_for_update(&context(), &mut new, old);
    services().assign(&mut new, &BTreeSet::new(), &Generator::seeded(2)).unwrap();
    new
}

fn keys(service: &Service) -> Vec<String> {
    services().claims(service).into_iter().map(|claim| claim.key).collect()
}

#[test]
fn a_service_has_an_address_of_the_cluster() {
    let service = created(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}));
    let found = spec(&service);
    let ip = found["clusterIP"].as_str().unwrap();
    assert!(ip.starts_with("10.") && services().validate(&context(), &service).is_empty(), "{ip}");
    assert_eq!(
        found,
        json!({
            "clusterIP": ip, "clusterIPs": [ip], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "selector": {"app": "web"}, "sessionAffinity": "None", "type": "ClusterIP"
        })
    );
    assert_eq!(keys(&service), [format!("/registry/ipaddresses/{ip}")]);
    assert_eq!(serde_json::to_value(&service).unwrap()["status"], json!({"loadBalancer": {}}));
}

#[test]
fn a_headless_service_has_none() {
    let service = created(json!({"selector": {"app": "web"}, "clusterIP": "None"}));
    assert_eq!(spec(&service)["clusterIPs"], json!(["None"]));
    assert_eq!(keys(&service), Vec::<String>::new());
    assert!(services().validate(&context(), &service).is_empty());
    let open = spec(&created(json!({"clusterIP": "None"})));
    assert_eq!((&open["ipFamilies"], &open["ipFamilyPolicy"]), (&json!(["IPv4", "IPv6"]), &json!("RequireDualStack")));
    assert!(errors(json!({"clusterIP": "None"})).is_empty());
}

#[test]
fn an_external_name_has_neither_address_nor_ports() {
    let service = created(json!({"type": "ExternalName", "externalName": "example.org"}));
    let expected = json!({"type": "ExternalName", "sessionAffinity": "None", "externalName": "example.org"});
    assert_eq!(spec(&service), expected);
    assert!(services().validate(&context(), &service).is_empty());
    assert_eq!(errors(json!({"type": "ExternalName"})), ["spec.externalName: Required value"]);
}

#[test]
fn a_load_balancer_has_ports_on_nodes() {
    let service = created(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}));
    let found = spec(&service);
    assert_eq!(found["allocateLoadBalancerNodePorts"], true);
    let (port, health) = (&found["ports"][0]["nodePort"], &found["healthCheckNodePort"]);
    assert_ne!(port, health);
    assert_eq!(keys(&service)[1..], [format!("/registry/nodeports/{port}"), format!("/registry/nodeports/{health}")]);
    assert!(services().validate(&context(), &service).is_empty());
}

#[test]
fn requests_that_no_service_can_have() {
    let port = json!([{"port": 80}]);
    let cases = [
        (json!({}), "spec.ports: Required value"),
        (
            json!({"ports": port, "clusterIP": "192.168.1.1"}),
            r#"spec.clusterIPs: Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: the provided network does not match the current range"#,
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 100}], "type": "NodePort"}),
            "spec.ports[0].nodePort: Invalid value: 100: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            json!({"ports": port, "ipFamilyPolicy": "RequireDualStack"}),
            r#"spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services"#,
        ),
        (
            json!({"ports": port, "trafficDistribution": "Near"}),
            r#"spec.trafficDistribution: Unsupported value: "Near": supported values: "PreferClose", "PreferSameZone", "PreferSameNode""#,
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"ports": port, "type": "NodePort", "clusterIP": "None"}),
            r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services"#,
        ),
        (
            json!({"ports": [{"port": 0}]}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"ports": port, "type": "Odd"}),
            r#"spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(errors(spec.clone())[0], expected, "{spec}");
    }
    assert_eq!(
        errors(json!({"ports": [{"port": 80}, {"port": 80}]})),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            r#"spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#,
        ]
    );
}

#[test]
fn a_taken_address_is_named() {
    let service = created(json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.1"}));
    assert_eq!(
        services().claims(&service)[0].taken.to_string(),
        r#"spec.clusterIPs: Invalid value: ["10.96.0.1"]: failed to allocate IP 10.96.0.1: provided IP is already allocated"#
    );
}

#[test]
fn the_address_stays() {
    let old = created(json!({"ports": [{"port": 80}]}));
    let moved = updated(&old, json!({"clusterIP": "10.96.9.9"}));
    assert_eq!(
        texts(&services().validate_update(&context(), &moved, &old)),
        [r#"spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set"#]
    );
    let left_out = updated(&old, json!({"clusterIP": null, "clusterIPs": null}));
    assert_eq!(spec(&left_out), spec(&old));
}

#[test]
fn a_change_of_type_takes_and_gives_up_ports() {
    let old = created(json!({"ports": [{"port": 80}]}));
    let opened = updated(&old, json!({"type": "NodePort"}));
    assert!(services().validate_update(&context(), &opened, &old).is_empty());
    assert_eq!(spec(&opened)["externalTrafficPolicy"], "Cluster");
    assert!(spec(&opened)["ports"][0]["nodePort"].is_i64());
    let kept = updated(&opened, json!({"ports": [{"port": 80}]}));
    assert_eq!(spec(&kept), spec(&opened));
    let closed = updated(&opened, json!({"type": "ClusterIP"}));
    assert!(services().validate_update(&context(), &closed, &opened).is_empty());
    assert_eq!(spec(&closed), spec(&old));
    let named = updated(&old, json!({"type": "ExternalName", "externalName": "example.org"}));
    assert_eq!(texts(&services().validate_update(&context(), &named, &old)), Vec::<String>::new());
    assert_eq!(keys(&named), Vec::<String>::new());
}

#[test]
fn cells_by_type() {
    let cells = |value| services().cells(&created(value), Timestamp::UNIX_EPOCH)[1..].to_vec();
    let port = json!([{"port": 80, "nodePort": 30080}]);
    let balanced =
        cells(json!({"type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": port, "selector": {"a": "b"}}));
    assert_eq!(json!(balanced), json!(["LoadBalancer", "10.96.0.9", "<pending>", "80:30080/TCP", "<unknown>", "a=b"]));
    let external = cells(json!({"type": "ExternalName", "externalName": "example.org"}));
    assert_eq!(json!(external), json!(["ExternalName", "<none>", "example.org", "<none>", "<unknown>", "<none>"]));
}

#[test]
fn external_addresses_are_not_the_nodes_own() {
    assert_eq!(
        errors(json!({"ports": [{"port": 80}], "externalIPs": ["192.0.2.1", "127.0.0.1", "x"]})),
        [
            r#"spec.externalIPs[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
            r#"spec.externalIPs[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
        ]
    );
}

#[test]
fn the_two_fields_for_addresses_agree() {
    let wrong = r#"spec.clusterIPs: Invalid value: ["10.96.0.8"]: first value must match `clusterIP`"#;
    let ports = json!([{"port": 80}]);
    assert_eq!(errors(json!({"ports": ports, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]})), [wrong]);
    let wrong = r#"spec.clusterIPs: Invalid value: ["10.96.0.8"]: must be empty when `clusterIP` is not specified"#;
    assert_eq!(errors(json!({"ports": ports, "clusterIPs": ["10.96.0.8"]})), [wrong]);
}

#[test]
fn classes_of_load_balancers_are_qualified_names() {
    let spec = json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerClass": "a b"});
    assert!(errors(spec)[0].starts_with(r#"spec.loadBalancerClass: Invalid value: "a b": name part must"#));
}

#[test]
fn only_load_balancers_say_where_they_are() {
    let status = |kind: &str, ingress: Value| {
        let mut service: Service = object(json!({"spec": {"type": kind, "ports": [{"port": 80}]},
            "status": {"loadBalancer": {"ingress": [ingress]}}}));
        services().default(&mut service);
        (texts(&services().validate_status_update(&context(), &service, &service)), service.status)
    };
    let path = "status.loadBalancer.ingress";
    let (errors, _) = status("ClusterIP", json!({"ip": "192.0.2.1"}));
    assert_eq!(errors, [format!("{path}: Forbidden: may only be used when `spec.type` is 'LoadBalancer'")]);
    let (errors, found) = status("LoadBalancer", json!({"ip": "192.0.2.1", "hostname": "a.example.org"}));
    assert!(errors.is_empty(), "{errors:?}");
    let found = serde_json::to_value(found).unwrap();
    assert_eq!(found["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
    let (errors, _) = status("LoadBalancer", json!({"hostname": "192.0.2.1", "ipMode": "VIP"}));
    assert_eq!(
        errors,
        [
            format!("{path}[0].ipMode: Forbidden: may not be specified when `ip` is not set"),
            format!(r#"{path}[0].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address"#),
        ]
    );
}

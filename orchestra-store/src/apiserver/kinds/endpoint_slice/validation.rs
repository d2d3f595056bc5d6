//! Checks of EndpointSlices (`pkg/apis/discovery/validation`).

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{ip, label_selector, name, port, qualified_name},
};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 100;
const MAX_TOPOLOGY: usize = 16;
const MAX_HINTS: usize = 8;
const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is wrong with a slice.
pub(super) fn slice(slice: &EndpointSlice) -> Errors {
    let mut errors = Errors::new();
    let kind = slice.address_type.as_str();
    let path = Path::new("addressType");
    match kind {
        "" => errors.push(Error::required(&path, "")),
        kind if ADDRESS_TYPES.contains(&kind) => {}
        kind => errors.push(Error::not_supported(&path, kind, &ADDRESS_TYPES)),
    }
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    let path = Path::new("endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(Error::too_many(&path, endpoints.len(), MAX_ENDPOINTS));
    } else {
        let each = endpoints.iter().enumerate();
        errors.extend(each.flat_map(|(i, endpoint)| one(endpoint, kind, &path.index(i))));
    }
    errors.extend(ports(slice.ports.as_deref().unwrap_or_default(), &Path::new("ports")));
    errors
}

/// What is wrong with a change of a slice.
pub(super) fn update(new: &EndpointSlice, old: &EndpointSlice) -> Errors {
    let mut errors = slice(new);
    if new.address_type != old.address_type {
        errors.push(Error::invalid(&Path::new("addressType"), &new.address_type, "field is immutable"));
    }
    errors
}

fn one(endpoint: &Endpoint, kind: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("addresses");
    match endpoint.addresses.len() {
        0 => errors.push(Error::required(&at, "must contain at least 1 address")),
        count if count > MAX_ADDRESSES => errors.push(Error::too_many(&at, count, MAX_ADDRESSES)),
        _ => {}
    }
    for (i, text) in endpoint.addresses.iter().enumerate() {
        errors.extend(address(text, kind, &at.index(i)));
    }
    if let Some(topology) = &endpoint.deprecated_topology {
        let at = path.child("deprecatedTopology");
        if topology.len() > MAX_TOPOLOGY {
            errors.push(Error::too_many(&at, topology.len(), MAX_TOPOLOGY));
        }
        errors.extend(label_selector::labels(topology, &at));
    }
    let mut check = |field: &str, value: &Option<String>, syntax: fn(&str, bool) -> Option<String>| {
        if let Some(value) = value {
            errors.extend(syntax(value, false).map(|error| Error::invalid(&path.child(field), value, error)));
        }
    };
    check("nodeName", &endpoint.node_name, name::subdomain);
    check("hostname", &endpoint.hostname, name::label);
    if let Some(found) = &endpoint.hints {
        errors.extend(hints(found, &path.child("hints")));
    }
    errors
}

fn address(text: &str, kind: &str, path: &Path) -> Errors {
    match kind {
        "IPv4" | "IPv6" => match (ip::error(path, text), kind == "IPv6", text.contains(':')) {
            (Some(error), ..) => vec![error],
            (None, true, false) => vec![Error::invalid(path, text, "must be an IPv6 address")],
            (None, false, true) => vec![Error::invalid(path, text, "must be an IPv4 address")],
            _ => ip::endpoint_error(path, text).into_iter().collect(),
        },
        "FQDN" => domain(text, path),
        _ => Errors::new(),
    }
}

/// What is wrong with a fully qualified domain name (`IsFullyQualifiedDomainName`).
fn domain(text: &str, path: &Path) -> Errors {
    if text.is_empty() {
        return vec![Error::required(path, "")];
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Some(error) = name::subdomain(text, false) {
        return vec![Error::invalid(path, text, error)];
    }
    if !text.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        return vec![Error::invalid(path, text, detail)];
    }
    let labels = text.split('.');
    labels.filter_map(|label| Some(Error::invalid(path, label, name::label(label, false)?))).collect()
}

fn hints(hints: &EndpointHints, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let zones: Vec<&str> = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = hints.for_nodes.iter().flatten().map(|node| node.name.as_str()).collect();
    names(&zones, &path.child("forZones"), qualified_name::label_value, &mut errors);
    names(&nodes, &path.child("forNodes"), |node| name::subdomain(node, false).into_iter().collect(), &mut errors);
    errors
}

fn names(names: &[&str], path: &Path, syntax: impl Fn(&str) -> Vec<String>, errors: &mut Errors) {
    if names.len() > MAX_HINTS {
        errors.push(Error::too_many(path, names.len(), MAX_HINTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, name) in names.iter().copied().enumerate() {
        let path = path.index(i).child("name");
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
        errors.extend(syntax(name).into_iter().map(|error| Error::invalid(&path, name, error)));
    }
}

fn ports(ports: &[EndpointPort], path: &Path) -> Errors {
    if ports.len() > MAX_PORTS {
        return vec![Error::too_many(path, ports.len(), MAX_PORTS)];
    }
    let mut errors = Errors::new();
    let mut names = BTreeSet::new();
    for (i, found) in ports.iter().enumerate() {
        let path = path.index(i);
        let port_name = found.name.as_deref().unwrap_or_default();
        let at = path.child("name");
        if !port_name.is_empty() {
            errors.extend(name::label(port_name, false).map(|error| Error::invalid(&at, port_name, error)));
        }
        if !names.insert(port_name) {
            errors.push(Error::duplicate(&at, port_name));
        }
        if let Some(number) = found.port {
            errors.extend(port::number(number).map(|error| Error::invalid(&path.child("port"), number, error)));
        }
        let at = path.child("protocol");
        match found.protocol.as_deref() {
            None => errors.push(Error::required(&at, "")),
            Some(protocol) if PROTOCOLS.contains(&protocol) => {}
            Some(protocol) => errors.push(Error::not_supported(&at, protocol, &PROTOCOLS)),
        }
        if let Some(protocol) = &found.app_protocol {
            let wrong = qualified_name::key(protocol).into_iter();
            errors.extend(wrong.map(|error| Error::invalid(&path.child("appProtocol"), protocol, error)));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    fn errors(kind: &str, endpoint: Value) -> Vec<String> {
        texts(&slice(&object(json!({"addressType": kind, "endpoints": [endpoint]}))))
    }

    #[test]
    fn addresses_are_of_the_slices_type_and_can_be_reached() {
        let told = |kind: &str, address: &str| errors(kind, json!({"addresses": [address]}));
        let path = "endpoints[0].addresses[0]: Invalid value";
        assert_eq!(told("IPv4", "10.0.0.1"), [""; 0]);
        assert_eq!(told("IPv4", "2001:db8::1"), [format!("{path}: \"2001:db8::1\": must be an IPv4 address")]);
        assert_eq!(told("IPv6", "10.0.0.1"), [format!("{path}: \"10.0.0.1\": must be an IPv6 address")]);
        let loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
        assert_eq!(told("IPv4", "127.0.0.1"), [format!("{path}: \"127.0.0.1\": {loopback}")]);
        assert_eq!(told("FQDN", "a.example."), [""; 0]);
        let segments = "should be a domain with at least two segments separated by dots";
        assert_eq!(told("FQDN", "example"), [format!("{path}: \"example\": {segments}")]);
        let required = "endpoints[0].addresses: Required value: must contain at least 1 address";
        assert_eq!(errors("IPv4", json!({"addresses": []})), [required]);
    }

    #[test]
    fn the_type_is_one_of_three_and_stays() {
        let of = |kind: &str| -> EndpointSlice { object(json!({"addressType": kind})) };
        assert_eq!(texts(&slice(&of(""))), ["addressType: Required value"]);
        let supported = r#"supported values: "FQDN", "IPv4", "IPv6""#;
        assert_eq!(texts(&slice(&of("IP"))), [format!("addressType: Unsupported value: \"IP\": {supported}")]);
        assert_eq!(
            texts(&update(&of("IPv4"), &of("IPv6"))),
            ["addressType: Invalid value: \"IPv4\": field is immutable"]
        );
    }

    #[test]
    fn ports_have_names_of_their_own() {
        let slice = slice(&object(json!({
            "addressType": "IPv4",
            "ports": [{"name": "", "protocol": "TCP", "port": 0}, {"name": "", "protocol": "X"}, {"name": "A"}],
        })));
        let told = texts(&slice);
        assert_eq!(told[0], "ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive");
        assert_eq!(told[1], "ports[1].name: Duplicate value: \"\"");
        assert_eq!(
            told[2],
            "ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""
        );
        assert!(told[3].starts_with("ports[2].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of"));
        assert_eq!(told[4], "ports[2].protocol: Required value");
    }

    #[test]
    fn hints_name_each_zone_and_node_once() {
        let hints = json!({"forZones": [{"name": "a"}, {"name": "a"}], "forNodes": [{"name": "N"}]});
        let told = errors("IPv4", json!({"addresses": ["10.0.0.1"], "hints": hints}));
        assert_eq!(told[0], "endpoints[0].hints.forZones[1].name: Duplicate value: \"a\"");
        assert!(told[1].starts_with("endpoints[0].hints.forNodes[0].name: Invalid value: \"N\": a lowercase RFC 1123"));
        let many: Vec<_> = (0..9).map(|i| json!({"name": format!("z{i}")})).collect();
        let told = errors("IPv4", json!({"addresses": ["10.0.0.1"], "hints": {"forZones": many}}));
        assert_eq!(told, ["endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"]);
    }
}

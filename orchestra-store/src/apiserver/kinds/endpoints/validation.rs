//! Checks of Endpoints (`validateEndpointSubsets` of `pkg/apis/core/validation`).

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{ip, name, port, qualified_name},
};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is wrong with the subsets.
pub(super) fn subsets(subsets: &[EndpointSubset]) -> Errors {
    let mut errors = Errors::new();
    for (i, subset) in subsets.iter().enumerate() {
        let path = Path::new("subsets").index(i);
        let ready = subset.addresses.as_deref().unwrap_or_default();
        let not_ready = subset.not_ready_addresses.as_deref().unwrap_or_default();
        if ready.is_empty() && not_ready.is_empty() {
            errors.push(Error::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            let addresses = addresses.iter().enumerate();
            errors.extend(addresses.flat_map(|(i, found)| address(found, &path.child(field).index(i))));
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        let each = ports.iter().enumerate();
        errors.extend(each.flat_map(|(i, port)| one(port, ports.len() > 1, &path.child("ports").index(i))));
    }
    errors
}

fn address(address: &EndpointAddress, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("ip");
    let malformed = ip::error(&at, &address.ip);
    let can_be_reached = malformed.is_none();
    errors.extend(malformed);
    if let Some(hostname) = address.hostname.as_deref().filter(|hostname| !hostname.is_empty()) {
        let wrong = name::label(hostname, false);
        errors.extend(wrong.map(|error| Error::invalid(&path.child("hostname"), hostname, error)));
    }
    if let Some(node) = &address.node_name {
        let wrong = name::subdomain(node, false);
        errors.extend(wrong.map(|error| Error::invalid(&path.child("nodeName"), node, error)));
    }
    if can_be_reached {
        errors.extend(ip::endpoint_error(&at, &address.ip));
    }
    errors
}

fn one(port: &EndpointPort, has_others: bool, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("name");
    match port.name.as_deref().unwrap_or_default() {
        "" if has_others => errors.push(Error::required(&at, "")),
        "" => {}
        name => errors.extend(name::label(name, false).map(|error| Error::invalid(&at, name, error))),
    }
    errors.extend(port::number(port.port).map(|error| Error::invalid(&path.child("port"), port.port, error)));
    let at = path.child("protocol");
    match port.protocol.as_deref().unwrap_or_default() {
        "" => errors.push(Error::required(&at, "")),
        protocol if PROTOCOLS.contains(&protocol) => {}
        protocol => errors.push(Error::not_supported(&at, protocol, &PROTOCOLS)),
    }
    if let Some(protocol) = &port.app_protocol {
        let wrong = qualified_name::key(protocol).into_iter();
        errors.extend(wrong.map(|error| Error::invalid(&path.child("appProtocol"), protocol, error)));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    #[test]
    fn subsets_have_addresses_that_can_be_reached() {
        let given: Vec<EndpointSubset> = object(json!([
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            {"addresses": [{"ip": "169.254.1.1"}, {"ip": "x"}], "notReadyAddresses": [{"ip": "0.0.0.0"}]},
        ]));
        let valid = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        let link_local = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        assert_eq!(
            texts(&subsets(&given)),
            [
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`".to_owned(),
                format!("subsets[1].addresses[0].ip: Invalid value: \"169.254.1.1\": {link_local}"),
                format!("subsets[1].addresses[1].ip: Invalid value: \"x\": {valid}"),
                "subsets[1].notReadyAddresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn several_ports_have_names() {
        let given: Vec<EndpointSubset> = object(json!([{
            "addresses": [{"ip": "10.0.0.1"}],
            "ports": [{"port": 0, "protocol": "TCP"}, {"name": "b", "port": 81, "protocol": "X"}],
        }]));
        assert_eq!(
            texts(&subsets(&given)),
            [
                "subsets[0].ports[0].name: Required value",
                "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "subsets[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ]
        );
    }
}

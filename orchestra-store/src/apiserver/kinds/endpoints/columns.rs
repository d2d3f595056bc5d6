//! The table of Endpoints (`printEndpoints` of `pkg/printers/internalversion`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints};
use serde_json::{Value, json};

use crate::apiserver::{
    age,
    kinds::column::{self, some_of},
    strategy::Column,
};

/// The cells.
pub(super) fn cells(endpoints: &Endpoints, now: Timestamp) -> Vec<Value> {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default();
    let shown = if subsets.is_empty() { "<none>".to_owned() } else { some_of(subsets.iter().flat_map(reachable)) };
    let metadata = &endpoints.metadata;
    vec![json!(metadata.name), json!(shown), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
}

/// Where the ready addresses are reached: each at each port, or by themselves where there are no ports.
fn reachable(subset: &EndpointSubset) -> Vec<String> {
    let ips = || subset.addresses.iter().flatten().map(|address| &address.ip);
    match subset.ports.as_deref().unwrap_or_default() {
        [] => ips().cloned().collect(),
        ports => {
            let join = |ip: &String, port: i32| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            };
            ports.iter().flat_map(|port| ips().map(|ip| join(ip, port.port)).collect::<Vec<_>>()).collect()
        }
    }
}

/// The columns.
pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Endpoints",
        kind: "string",
        format: "",
        description: "The set of all endpoints is the union of all subsets. Addresses are placed into subsets according to the IPs they share. A single address with multiple ports, some of which are ready and some of which are not (because they come from different containers) will result in the address being displayed in different subsets for the different ports. No address will appear in both Addresses and NotReadyAddresses in the same subset. Sets of addresses and ports that comprise a service.",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::object;

    #[test]
    fn ready_addresses_are_shown_with_their_ports() {
        let shown = |subsets: Value| {
            let endpoints: Endpoints = object(json!({"metadata": {"name": "web"}, "subsets": subsets}));
            cells(&endpoints, Timestamp::UNIX_EPOCH)[1].clone()
        };
        let addresses = json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]);
        assert_eq!(shown(json!([])), "<none>");
        assert_eq!(shown(json!([{"addresses": addresses}])), "10.0.0.1,10.0.0.2");
        assert_eq!(shown(json!([{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}])), "[fd00::1]:80");
        assert_eq!(shown(json!([{"notReadyAddresses": addresses, "ports": [{"port": 80}]}])), "");
        assert_eq!(
            shown(json!([{"addresses": addresses, "ports": [{"port": 80}, {"port": 81}]}])),
            "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."
        );
    }
}

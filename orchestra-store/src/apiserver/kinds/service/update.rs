//! What an update of a Service keeps, gives up and may not change (`pkg/registry/core/service/storage`).

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};

use super::{defaults, needs};
use crate::apiserver::field::{Error, Errors, Path, Shown};

/// Makes the list of addresses follow the one address of a client that knows only that.
pub(super) fn cluster_ips(new: &mut ServiceSpec, old: &ServiceSpec) {
    if ip(new) != ip(old) && new.cluster_ips == old.cluster_ips {
        new.cluster_ips = None;
    }
    defaults::cluster_ips(new);
}

/// Puts back what was allocated and the client left out.
pub(super) fn keep_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs::cluster_ip(old) && needs::cluster_ip(new) {
        if ip(new).is_empty() {
            new.cluster_ip = old.cluster_ip.clone();
        }
        if new.cluster_ips.as_ref().is_none_or(Vec::is_empty) && new.cluster_ip == old.cluster_ip {
            new.cluster_ips = old.cluster_ips.clone();
        }
    }
    if needs::node_ports(old) && needs::node_ports(new) {
        keep_node_ports(new, old);
    }
    if needs::health_check_port(old)
        && needs::health_check_port(new)
        && new.health_check_node_port.unwrap_or_default() == 0
    {
        new.health_check_node_port = old.health_check_node_port;
    }
}

fn keep_node_ports(new: &mut ServiceSpec, old: &ServiceSpec) {
    let key = |port: &ServicePort| (port.protocol.clone(), port.port);
    let mut used: HashSet<i32> = ports(new).filter_map(|port| port.node_port).collect();
    for port in new.ports.iter_mut().flatten().filter(|port| port.node_port.unwrap_or_default() == 0) {
        let before = ports(old).find(|before| key(before) == key(port)).and_then(|before| before.node_port);
        port.node_port = before.filter(|number| used.insert(*number));
    }
}

/// Drops what the old type needed and the new one does not, unless the client changed it, which is then an error.
pub(super) fn drop_unneeded(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs::cluster_ip(old) && !needs::cluster_ip(new) {
        if new.cluster_ip == old.cluster_ip && new.cluster_ips == old.cluster_ips {
            new.cluster_ip = None;
            new.cluster_ips = None;
        }
        drop_same(&mut new.ip_families, &old.ip_families);
        drop_same(&mut new.ip_family_policy, &old.ip_family_policy);
        drop_same(&mut new.internal_traffic_policy, &old.internal_traffic_policy);
    }
    let same_ports = ports(new).map(|port| port.node_port).eq(ports(old).map(|port| port.node_port));
    if needs::node_ports(old) && !needs::node_ports(new) && same_ports {
        new.ports.iter_mut().flatten().for_each(|port| port.node_port = None);
    }
    if needs::health_check_port(old) && !needs::health_check_port(new) {
        drop_same(&mut new.health_check_node_port, &old.health_check_node_port);
    }
    if needs::kind(old) == "LoadBalancer" && needs::kind(new) != "LoadBalancer" {
        drop_same(&mut new.allocate_load_balancer_node_ports, &old.allocate_load_balancer_node_ports);
        drop_same(&mut new.load_balancer_class, &old.load_balancer_class);
    }
    if needs::external_traffic(old) && !needs::external_traffic(new) {
        drop_same(&mut new.external_traffic_policy, &old.external_traffic_policy);
    }
}

fn drop_same<T: PartialEq>(new: &mut Option<T>, old: &Option<T>) {
    if new == old {
        *new = None;
    }
}

/// What may not change while the Service has an address.
pub(super) fn validate(new: &ServiceSpec, old: &ServiceSpec) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    if needs::cluster_ip(old) && needs::cluster_ip(new) && old.cluster_ips.iter().flatten().next().is_some() {
        errors.extend(kept(&new.cluster_ips, &old.cluster_ips, &path.child("clusterIPs")));
        errors.extend(kept(&new.ip_families, &old.ip_families, &path.child("ipFamilies")));
    }
    if needs::kind(old) == "LoadBalancer"
        && needs::kind(new) == "LoadBalancer"
        && new.load_balancer_class != old.load_balancer_class
    {
        let class = Shown::json(&new.load_balancer_class);
        errors.push(Error::invalid(&path.child("loadBalancerClass"), class, "may not change once set"));
    }
    errors
}

/// The first of a list stays, and so does the second while there is one.
fn kept(new: &Option<Vec<String>>, old: &Option<Vec<String>>, path: &Path) -> Errors {
    let (new_items, old_items) = (new.as_deref().unwrap_or_default(), old.as_deref().unwrap_or_default());
    let changed = old_items.iter().enumerate().filter(|(index, item)| match new_items.get(*index) {
        Some(new) => new != *item,
        None => *index == 0,
    });
    let error = |(index, _)| Error::invalid(&path.index(index), Shown::json(new), "may not change once set");
    changed.map(error).collect()
}

fn ip(spec: &ServiceSpec) -> &str {
    spec.cluster_ip.as_deref().unwrap_or_default()
}

fn ports(spec: &ServiceSpec) -> impl Iterator<Item = &ServicePort> {
    spec.ports.iter().flatten()
}

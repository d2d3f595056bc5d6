//! Checks of Services (`ValidateService` of `pkg/apis/core/validation`).

mod ports;
mod status;

use k8s_openapi::api::core::v1::ServiceSpec;

pub(super) use self::status::status;
use super::{families, needs};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::{ip, label_selector, name, qualified_name},
};

/// The longest a client's connections may go to the same pod, in seconds.
const MAX_AFFINITY_SECONDS: i32 = 24 * 60 * 60;

/// What is wrong with the spec.
pub(super) fn spec(spec: &ServiceSpec) -> Errors {
    let path = Path::new("spec");
    let mut errors = Errors::new();
    let no_ports = spec.ports.as_ref().is_none_or(Vec::is_empty);
    if no_ports && !needs::headless(spec) && needs::kind(spec) != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    errors.extend(of_type(spec, &path));
    errors.extend(ports::validate(spec, &path.child("ports")));
    if let Some(selector) = &spec.selector {
        errors.extend(label_selector::labels(selector, &path.child("selector")));
    }
    errors.extend(one_of(&spec.session_affinity, &path.child("sessionAffinity"), &["ClientIP", "None"]));
    errors.extend(affinity(spec, &path));
    errors.extend(cluster_ips(spec, &path));
    errors.extend(families::written(spec, &path));
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        let at = path.child("externalIPs").index(index);
        errors.extend(ip::error(&at, ip).or_else(|| ip::endpoint_error(&at, ip)));
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    errors.extend(one_of(&spec.type_, &path.child("type"), &types));
    errors.extend(load_balancer(spec, &path));
    errors.extend(traffic(spec, &path));
    errors
}

/// An error unless the value is one of those supported.
fn one_of(value: &Option<String>, path: &Path, supported: &[&str]) -> Option<Error> {
    match value.as_deref().unwrap_or_default() {
        "" => Some(Error::required(path, "")),
        value if supported.contains(&value) => None,
        value => Some(Error::not_supported(path, value, supported)),
    }
}

fn of_type(spec: &ServiceSpec, path: &Path) -> Errors {
    let kind = needs::kind(spec);
    match kind {
        "LoadBalancer" | "NodePort" if needs::headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            vec![Error::invalid(&path.child("clusterIPs").index(0), "None", detail)]
        }
        "ExternalName" => external_name(spec, path),
        _ => Errors::new(),
    }
}

fn external_name(spec: &ServiceSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty()) {
        errors.push(Error::forbidden(&path.child("clusterIPs"), "may not be set for ExternalName services"));
    }
    if spec.ip_families.as_ref().is_some_and(|families| !families.is_empty()) {
        errors.push(Error::forbidden(&path.child("ipFamilies"), "may not be set for ExternalName services"));
    }
    if spec.ip_family_policy.is_some() {
        errors.push(Error::forbidden(&path.child("ipFamilyPolicy"), "may not be set for ExternalName services"));
    }
    let at = path.child("externalName");
    let name = spec.external_name.as_deref().unwrap_or_default();
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(Error::required(&at, "")),
        name => errors.extend(name::subdomain(name, false).map(|error| Error::invalid(&at, name, error))),
    }
    errors
}

fn affinity(spec: &ServiceSpec, path: &Path) -> Option<Error> {
    let seconds = spec.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds?;
    let path = path.child("sessionAffinityConfig.clientIP.timeoutSeconds");
    let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
    (!(1..=MAX_AFFINITY_SECONDS).contains(&seconds)).then(|| Error::invalid(&path, seconds, detail))
}

fn cluster_ips(spec: &ServiceSpec, path: &Path) -> Errors {
    let path = path.child("clusterIPs");
    let mut errors = Errors::new();
    let ips = spec.cluster_ips.as_deref().unwrap_or_default();
    let shown = || Shown::json(&ips);
    match (spec.cluster_ip.as_deref().unwrap_or_default(), ips.first()) {
        ("", Some(_)) => errors.push(Error::invalid(&path, shown(), "must be empty when `clusterIP` is not specified")),
        ("", None) => {}
        (_, None) => errors.push(Error::required(&path, "")),
        (ip, Some(first)) if ip != first => {
            errors.push(Error::invalid(&path, shown(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (index, ip) in ips.iter().enumerate() {
        match (index, ip.as_str()) {
            (0, "None") if ips.len() > 1 => {
                errors.push(Error::invalid(&path, shown(), "'None' must be the first and only value"));
            }
            (0, "None") => {}
            _ => errors.extend(ip::error(&path.index(index), ip)),
        }
    }
    if ips.len() > 2 {
        errors.push(Error::invalid(&path, shown(), "may only hold up to 2 values"));
    }
    errors
}

fn load_balancer(spec: &ServiceSpec, path: &Path) -> Errors {
    if needs::kind(spec) == "LoadBalancer" {
        let at = path.child("loadBalancerSourceRanges");
        let ranges = spec.load_balancer_source_ranges.iter().flatten().enumerate();
        let mut errors: Errors =
            ranges.filter_map(|(index, range)| ip::range_error(&at.index(index), range.trim())).collect();
        if let Some(class) = &spec.load_balancer_class {
            let found = qualified_name::key(class).into_iter();
            errors.extend(found.map(|error| Error::invalid(&path.child("loadBalancerClass"), class, error)));
        }
        return errors;
    }
    let set = [
        (
            "loadBalancerSourceRanges",
            spec.load_balancer_source_ranges.as_ref().is_some_and(|ranges| !ranges.is_empty()),
        ),
        ("allocateLoadBalancerNodePorts", spec.allocate_load_balancer_node_ports.is_some()),
        ("loadBalancerClass", spec.load_balancer_class.is_some()),
    ];
    let set = set.into_iter().filter(|(_, set)| *set);
    set.map(|(name, _)| Error::forbidden(&path.child(name), "may only be used when `type` is 'LoadBalancer'")).collect()
}

fn traffic(spec: &ServiceSpec, path: &Path) -> Errors {
    const POLICIES: [&str; 2] = ["Cluster", "Local"];
    const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    let mut errors = Errors::new();
    let external = path.child("externalTrafficPolicy");
    match spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty()) {
        Some(policy) if !needs::external_traffic(spec) => {
            let detail = "may only be set for externally-accessible services";
            errors.push(Error::invalid(&external, policy, detail));
        }
        None if needs::external_traffic(spec) => errors.push(Error::required(&external, "")),
        Some(policy) if !POLICIES.contains(&policy) => {
            errors.push(Error::not_supported(&external, policy, &POLICIES));
        }
        _ => {}
    }
    if let Some(port) = spec.health_check_node_port.filter(|port| *port != 0)
        && !needs::health_check_port(spec)
    {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(Error::invalid(&path.child("healthCheckNodePort"), port, detail));
    }
    let internal = path.child("internalTrafficPolicy");
    if needs::cluster_ip(spec) {
        errors.extend(one_of(&spec.internal_traffic_policy, &internal, &POLICIES));
    }
    if let Some(distribution) = spec.traffic_distribution.as_deref().filter(|asked| !DISTRIBUTIONS.contains(asked)) {
        errors.push(Error::not_supported(&path.child("trafficDistribution"), distribution, &DISTRIBUTIONS));
    }
    errors
}

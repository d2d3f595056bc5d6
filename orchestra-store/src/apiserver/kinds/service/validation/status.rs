use std::net::IpAddr;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};

use super::needs;
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{ip, name},
};

/// What is wrong with where a load balancer is said to be (`ValidateLoadBalancerStatus`).
pub(in crate::apiserver::kinds::service) fn status(service: &Service) -> Errors {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let is_balanced = service.spec.as_ref().is_some_and(|spec| needs::kind(spec) == "LoadBalancer");
    if !is_balanced && !ingress.is_empty() {
        return vec![Error::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    ingress.iter().enumerate().flat_map(|(index, point)| of(point, &path.index(index))).collect()
}

fn of(point: &LoadBalancerIngress, path: &Path) -> Errors {
    const MODES: [&str; 2] = ["Proxy", "VIP"];
    let mut errors = Errors::new();
    let (ip, hostname) = (point.ip.as_deref().unwrap_or_default(), point.hostname.as_deref().unwrap_or_default());
    if !ip.is_empty() {
        errors.extend(ip::error(&path.child("ip"), ip));
    }
    let mode = path.child("ipMode");
    match point.ip_mode.as_deref() {
        None if ip.is_empty() => {}
        None => errors.push(Error::required(&mode, "must be specified when `ip` is set")),
        Some(_) if ip.is_empty() => errors.push(Error::forbidden(&mode, "may not be specified when `ip` is not set")),
        Some(said) if !MODES.contains(&said) => errors.push(Error::not_supported(&mode, said, &MODES)),
        Some(_) => {}
    }
    if !hostname.is_empty() {
        let path = path.child("hostname");
        errors.extend(name::subdomain(hostname, false).map(|error| Error::invalid(&path, hostname, error)));
        if hostname.parse::<IpAddr>().is_ok() {
            errors.push(Error::invalid(&path, hostname, "must be a DNS name, not an IP address"));
        }
    }
    errors
}

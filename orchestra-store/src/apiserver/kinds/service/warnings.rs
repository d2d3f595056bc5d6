//! What the server warns of in a service (`pkg/api/service/warnings.go`).

use k8s_openapi::api::core::v1::Service;

use super::needs;
use crate::apiserver::{field::Path, validation::ip};

const OLD_TOPOLOGY: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY: &str = "service.kubernetes.io/topology-mode";

/// What is odd about the service.
pub(super) fn service(service: &Service) -> Vec<String> {
    let mut warnings = Vec::new();
    if service.metadata.annotations.iter().flatten().any(|(name, _)| name == OLD_TOPOLOGY) {
        warnings.push(format!("annotation {OLD_TOPOLOGY} is deprecated, please use {TOPOLOGY} instead"));
    }
    let Some(spec) = &service.spec else { return warnings };
    let path = Path::new("spec");
    let headless = needs::kind(spec) == "ClusterIP" && spec.cluster_ip.as_deref() == Some("None");
    let external_name = needs::kind(spec) == "ExternalName";
    let has_external_ips = spec.external_ips.iter().flatten().next().is_some();
    let written = |name: &str, ips: Option<&Vec<String>>| -> Vec<String> {
        let ips = ips.into_iter().flatten().enumerate();
        ips.filter_map(|(i, text)| ip::warning(&path.child(name).index(i), text)).collect()
    };
    let load_balancer = spec.load_balancer_ip.as_deref().filter(|ip| !ip.is_empty());
    warnings.extend(written("clusterIPs", spec.cluster_ips.as_ref()));
    if headless {
        let ignored = [
            ("loadBalancerIP", load_balancer.is_some()),
            ("externalIPs", has_external_ips),
            ("SessionAffinity", spec.session_affinity.as_deref() != Some("None")),
        ];
        let ignored = ignored.into_iter().filter(|(_, set)| *set);
        warnings.extend(ignored.map(|(name, _)| format!("spec.{name} is ignored for headless services")));
    }
    warnings.extend(written("externalIPs", spec.external_ips.as_ref()));
    if has_external_ips && !headless && !external_name {
        warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    warnings.extend(load_balancer.and_then(|text| ip::warning(&path.child("loadBalancerIP"), text)));
    for (i, range) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        warnings.extend(ip::range_warning(&path.child("loadBalancerSourceRanges").index(i), range));
    }
    if external_name && has_external_ips {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external_name && spec.external_name.as_ref().is_some_and(|name| !name.is_empty()) {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        let instead = "is deprecated; use \"PreferSameZone\"";
        warnings.push(format!("spec.trafficDistribution: \"PreferClose\" {instead}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::apiserver::kinds::testing::object;

    fn warnings(spec: Value) -> Vec<String> {
        service(&object(json!({"metadata": {"annotations": {"a": "b"}}, "spec": spec})))
    }

    #[test]
    fn what_is_ignored_or_goes_away_is_told() {
        assert_eq!(
            warnings(json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]})),
            Vec::<String>::new()
        );
        let deprecated = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
        assert_eq!(warnings(json!({"type": "NodePort", "externalIPs": ["192.0.2.1"]})), [deprecated]);
        let headless = json!({
            "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "externalIPs": ["192.0.2.1"],
            "sessionAffinity": "ClientIP", "loadBalancerIP": "192.0.2.2", "externalName": "a.b",
        });
        let expected = [
            "spec.loadBalancerIP is ignored for headless services",
            "spec.externalIPs is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ];
        assert_eq!(warnings(headless), expected);
        let elsewhere = json!({"type": "ExternalName", "externalName": "a.b", "externalIPs": ["192.0.2.1"]});
        assert_eq!(warnings(elsewhere), ["spec.externalIPs is ignored when spec.type is \"ExternalName\""]);
    }

    #[test]
    fn addresses_and_old_names_are_told() {
        let spec = json!({
            "type": "LoadBalancer", "loadBalancerIP": "192.0.02.1", "loadBalancerSourceRanges": ["2001:DB8::/32"],
            "trafficDistribution": "PreferClose",
        });
        let found = warnings(spec);
        assert!(found[0].starts_with("spec.loadBalancerIP: non-standard IP address \"192.0.02.1\""), "{found:?}");
        assert!(found[1].starts_with("spec.loadBalancerSourceRanges[0]: IPv6 CIDR value \"2001:DB8::/32\" should be"));
        assert_eq!(found[2], "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
        let annotated = json!({"metadata": {"annotations": {(OLD_TOPOLOGY): "auto"}}});
        assert!(service(&object(annotated))[0].starts_with("annotation service.kubernetes.io/topology-aware-hints is"));
    }
}

//! Which pods are behind a Service, and what of them its endpoints tell: for all who list endpoints in one form or another.

mod port;
mod trigger_time;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, Service, ServiceSpec};
use orchestra_core::{
    ObjectKey,
    informer::{Change, Informer},
    selector::label::Selector,
};

pub(super) use self::{port::find_port, trigger_time::TriggerTimes};
use super::pod_state;
use crate::lean_pod::LeanPod;

/// The annotation that tells when that happened which the endpoints follow.
pub(super) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// The label of the endpoints of a Service without an address of its own.
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The index of services by one label that their pods must have.
const BY_SELECTOR: &str = "selector";

/// Makes [`affected`] work.
pub(super) fn index(services: &Informer<Service>) {
    services.add_index(BY_SELECTOR, |service| {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        // One label is enough to find the service by: a pod that lacks it is not selected.
        selector(service).and_then(BTreeMap::first_key_value).map(|pair| entry(namespace, pair)).into_iter().collect()
    });
}

fn entry(namespace: &str, (key, value): (&String, &String)) -> String {
    format!("{namespace}/{key}={value}")
}

/// What selects the pods of a Service. Without one, somebody else says what its endpoints are; and an external name has none.
pub(super) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))?;
    spec.selector.as_ref().filter(|selector| !selector.is_empty())
}

/// The pods in the namespace of a Service that have all of these labels.
pub(super) fn selected(
    service: &Service,
    selector: &BTreeMap<String, String>,
    pods: &Informer<LeanPod>,
) -> Vec<Arc<LeanPod>> {
    let selector = Selector::from_labels(selector);
    let mut pods = pods.list_namespace(service.metadata.namespace.as_deref().unwrap_or_default());
    pods.retain(|pod| selector.matches_optional(pod.metadata.labels.as_ref()));
    pods
}

/// The services whose endpoints a change of a pod may change.
pub(super) fn affected(services: &Informer<Service>, change: &Change<LeanPod>) -> Vec<ObjectKey> {
    if let Change::Updated { old, new } = change
        && !differs(old, new)
    {
        return Vec::new();
    }
    let mut keys: Vec<_> =
        change.old().into_iter().chain(change.new()).flat_map(|pod| selecting(services, pod)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The services that select a pod.
pub(super) fn selecting(services: &Informer<Service>, pod: &Pod) -> Vec<ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(labels) = &pod.metadata.labels else { return Vec::new() };
    let found = labels.iter().flat_map(|pair| services.by_index(BY_SELECTOR, &entry(namespace, pair)));
    let selects = |service: &Arc<Service>| {
        selector(service).is_some_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    found.filter(selects).map(|service| ObjectKey::of(&*service)).collect()
}

/// Whether anything that endpoints tell differs between two states of a pod.
fn differs(old: &Pod, new: &Pod) -> bool {
    let host = |pod: &Pod| {
        let spec = pod.spec.as_ref();
        spec.map(|spec| (spec.hostname.clone(), spec.subdomain.clone(), spec.node_name.clone()))
    };
    old.metadata.labels != new.metadata.labels
        || old.metadata.uid != new.metadata.uid
        || old.metadata.deletion_timestamp.is_some() != new.metadata.deletion_timestamp.is_some()
        || pod_state::is_ready(old) != pod_state::is_ready(new)
        || pod_state::is_finished(old) != pod_state::is_finished(new)
        || !addresses(old).eq(addresses(new))
        || host(old) != host(new)
}

/// The addresses of a pod.
pub(super) fn addresses(pod: &Pod) -> impl Iterator<Item = &str> {
    let status = pod.status.as_ref();
    let ips = status.into_iter().flat_map(|status| status.pod_ips.iter().flatten()).map(|ip| ip.ip.as_str());
    let none = status.is_none_or(|status| status.pod_ips.iter().flatten().next().is_none());
    let first = status.and_then(|status| status.pod_ip.as_deref()).filter(|_| none);
    ips.chain(first).filter(|ip| !ip.is_empty())
}

/// Whether a pod can be an endpoint: it has an address and has not come to its end (`ShouldPodBeInEndpoints`).
pub(super) fn can_serve(pod: &Pod, include_terminating: bool) -> bool {
    let stays = include_terminating || pod.metadata.deletion_timestamp.is_none();
    stays && !pod_state::is_finished(pod) && addresses(pod).next().is_some()
}

/// The name by which a pod is found below the name of its Service, if it has one.
pub(super) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref().filter(|spec| spec.subdomain == service.metadata.name)?;
    spec.hostname.clone().filter(|hostname| !hostname.is_empty())
}

/// Whether pods that are not ready are to be reached nevertheless.
pub(super) fn publishes_not_ready(spec: &ServiceSpec) -> bool {
    spec.publish_not_ready_addresses == Some(true)
}

/// Whether the Service has an address of its own.
pub(super) fn has_cluster_ip(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref().is_some_and(|ip| !ip.is_empty() && ip != "None")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_pods_with_an_address_that_have_not_ended_can_serve() {
        let running = json!({"metadata": {}, "status": {"phase": "Running", "podIP": "10.0.0.1"}});
        assert!(can_serve(&pod(running), false));
        assert!(!can_serve(&pod(json!({"metadata": {}, "status": {"phase": "Running"}})), true));
        assert!(!can_serve(&pod(json!({"metadata": {}, "status": {"phase": "Failed", "podIP": "10.0.0.1"}})), true));
        let terminating = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": "Running", "podIP": "10.0.0.1"}});
        assert!(can_serve(&pod(terminating.clone()), true) && !can_serve(&pod(terminating), false));
    }

    #[test]
    fn changes_that_endpoints_do_not_tell_wake_nobody() {
        let ready = |status: &str| {
            let condition = json!({"type": "Ready", "status": status});
            pod(json!({"metadata": {"labels": {"a": "b"}}, "status": {"podIP": "10.0.0.1", "conditions": [condition]}}))
        };
        let mut annotated = ready("True");
        annotated.metadata.annotations = Some(BTreeMap::from([("c".to_owned(), "d".to_owned())]));
        assert!(!differs(&ready("True"), &annotated));
        assert!(differs(&ready("True"), &ready("False")));
        annotated.metadata.labels = None;
        assert!(differs(&ready("True"), &annotated));
    }

    #[test]
    fn a_hostname_is_told_below_the_service_that_is_its_subdomain() {
        let pod = pod(json!({"metadata": {}, "spec": {"containers": [], "hostname": "db-0", "subdomain": "db"}}));
        let service = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        assert_eq!(hostname(&pod, &service("db")).as_deref(), Some("db-0"));
        assert_eq!(hostname(&pod, &service("web")), None);
    }
}

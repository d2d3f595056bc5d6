use std::{borrow::Cow, ops::Deref, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, Volume},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use orchestra_core::{
    condition::DISRUPTION_TARGET,
    informer::{Identity, Reflected, Told},
};

/// What controllers ask of pods, and no more: there are many pods, and a controller that looks at all of an owner, a service or a node has no
/// time to decode them. A whole pod takes three times as much.
///
/// It reads as a [`Pod`] in which the rest was never said: a controller that comes to ask for something else has it kept here first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeanPod(Pod);

impl LeanPod {
    fn new(pod: &Pod) -> Self {
        Self(Pod {
            metadata: ObjectMeta { managed_fields: None, ..pod.metadata.clone() },
            spec: pod.spec.as_ref().map(spec),
            status: pod.status.as_ref().map(status),
        })
    }
}

/// Growing by doubling, lists hold up to four times what is in them: these hold what they need.
fn exactly<T>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.shrink_to_fit();
    all
}

/// Where it runs and by which name, what it tolerates, and what it uses that is not its own.
fn spec(spec: &PodSpec) -> PodSpec {
    let with_ports = |containers: &[Container]| exactly(containers.iter().filter_map(with_named_ports));
    PodSpec {
        node_name: spec.node_name.clone(),
        hostname: spec.hostname.clone(),
        subdomain: spec.subdomain.clone(),
        tolerations: spec.tolerations.clone().filter(|all| !all.is_empty()),
        resource_claims: spec.resource_claims.clone(),
        containers: with_ports(&spec.containers),
        init_containers: spec.init_containers.as_deref().map(with_ports).filter(|all| !all.is_empty()),
        volumes: spec
            .volumes
            .as_ref()
            .map(|volumes| exactly(volumes.iter().filter(|volume| is_claim(volume)).cloned()))
            .filter(|claims| !claims.is_empty()),
        ..PodSpec::default()
    }
}

/// A container with a port that can be asked for by its name, and nothing else of it.
fn with_named_ports(container: &Container) -> Option<Container> {
    let ports = exactly(container.ports.iter().flatten().filter(|port| port.name.is_some()).cloned());
    (!ports.is_empty()).then(|| Container {
        name: container.name.clone(),
        restart_policy: container.restart_policy.clone(),
        ports: Some(ports),
        ..Container::default()
    })
}

fn is_claim(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

/// How it is with it, and where it is reached.
fn status(status: &PodStatus) -> PodStatus {
    let asked_for = |condition: &&PodCondition| ["Ready", DISRUPTION_TARGET].contains(&&*condition.type_);
    PodStatus {
        phase: status.phase.clone(),
        reason: status.reason.clone(),
        pod_ip: status.pod_ip.clone(),
        pod_ips: status.pod_ips.clone(),
        resource_claim_statuses: status.resource_claim_statuses.clone(),
        extended_resource_claim_status: status.extended_resource_claim_status.clone(),
        conditions: status.conditions.as_ref().map(|all| exactly(all.iter().filter(asked_for).cloned())),
        container_statuses: status.container_statuses.as_deref().map(restarts).filter(|all| !all.is_empty()),
        ..PodStatus::default()
    }
}

/// Of the containers that were started again, how often.
fn restarts(containers: &[ContainerStatus]) -> Vec<ContainerStatus> {
    let again = containers.iter().filter(|container| container.restart_count > 0);
    exactly(again.map(|container| ContainerStatus {
        name: container.name.clone(),
        restart_count: container.restart_count,
        ..ContainerStatus::default()
    }))
}

impl Deref for LeanPod {
    type Target = Pod;

    fn deref(&self) -> &Pod {
        &self.0
    }
}

impl From<Pod> for LeanPod {
    fn from(pod: Pod) -> Self {
        Self::new(&pod)
    }
}

impl Reflected for LeanPod {
    type Object = Pod;

    fn of(told: &Told<Pod>) -> Arc<Self> {
        Arc::new(Self::new(told.object()))
    }

    fn identity(&self) -> Identity<'_> {
        self.0.identity()
    }
}

impl Resource for LeanPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lean(pod: Value) -> Value {
        serde_json::to_value(&*LeanPod::from(serde_json::from_value::<Pod>(pod).unwrap())).unwrap()
    }

    #[test]
    fn what_controllers_ask_of_a_pod_is_there_and_nothing_else() {
        let kept = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": { "app": "web" },
                          "annotations": { "a": "b" }, "finalizers": ["f"] },
            "spec": { "nodeName": "n1", "hostname": "h", "subdomain": "s",
                      "tolerations": [{ "operator": "Exists" }], "resourceClaims": [{ "name": "gpu" }],
                      "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "name": "http" }] }],
                      "initContainers": [{ "name": "i", "restartPolicy": "Always",
                                           "ports": [{ "containerPort": 81, "name": "side" }] }],
                      "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }] },
            "status": { "phase": "Running", "reason": "Evicted", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }],
                        "resourceClaimStatuses": [{ "name": "gpu" }],
                        "extendedResourceClaimStatus": { "requestMappings": [], "resourceClaimName": "r" },
                        "conditions": [{ "type": "Ready", "status": "True" }, { "type": "DisruptionTarget", "status": "True" }] },
        });
        let mut whole = kept.clone();
        whole["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]);
        whole["spec"]["serviceAccountName"] = json!("default");
        whole["spec"]["volumes"].as_array_mut().unwrap().push(json!({ "name": "e", "emptyDir": {} }));
        whole["spec"]["containers"][0]["image"] = json!("nginx");
        whole["spec"]["containers"][0]["ports"].as_array_mut().unwrap().push(json!({ "containerPort": 82 }));
        whole["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "other" }));
        whole["status"]["hostIP"] = json!("10.0.0.2");
        whole["status"]["conditions"].as_array_mut().unwrap().push(json!({ "type": "Initialized", "status": "True" }));
        assert_eq!(lean(whole), kept);
        assert_eq!(lean(kept.clone()), kept);
    }

    #[test]
    fn restarts_are_counted_where_there_are_any() {
        let status = |name: &str, restarts: i32| json!({ "name": name, "restartCount": restarts, "ready": true, "image": "i", "imageID": "i" });
        let pod = json!({ "metadata": {}, "status": { "containerStatuses": [status("a", 0), status("b", 3)] } });
        let lean = LeanPod::from(serde_json::from_value::<Pod>(pod).unwrap());
        let counts: Vec<_> = lean.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).collect();
        assert_eq!(counts.iter().map(|status| (&*status.name, status.restart_count)).collect::<Vec<_>>(), [("b", 3)]);
    }
}

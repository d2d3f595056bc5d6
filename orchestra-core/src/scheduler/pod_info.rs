use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};

use super::{AffinityTerms, HostPort, Resources, requests::Requests};
use crate::ObjectKey;

/// The name that pods without a `schedulerName` go by.
pub const DEFAULT_SCHEDULER_NAME: &str = "default-scheduler";

/// A pod with what schedulers ask of it, worked out once.
#[derive(Clone, Debug)]
pub struct PodInfo {
    pod: Arc<Pod>,
    key: ObjectKey,
    id: Arc<str>,
    requests: Resources,
    non_zero: (i64, i64),
    priority: i32,
    host_ports: Vec<HostPort>,
    affinity_terms: Option<Box<AffinityTerms>>,
    attachable_volumes: usize,
}

impl PodInfo {
    /// Reads `pod`.
    pub fn new(pod: Arc<Pod>) -> Self {
        let requests = Requests::of(&pod);
        let key = ObjectKey::of(&*pod);
        let id = pod.metadata.uid.as_deref().map_or_else(|| key.to_string().into(), Arc::from);
        let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        let host_ports = pod.spec.as_ref().map(HostPort::of).unwrap_or_default();
        let affinity_terms = AffinityTerms::of(&pod);
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let attachable_volumes = volumes.filter(|volume| is_attachable(volume)).count();
        Self {
            pod,
            key,
            id,
            requests: requests.exact,
            non_zero: requests.non_zero,
            priority,
            host_ports,
            affinity_terms,
            attachable_volumes,
        }
    }

    /// The API object.
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// The pod's `spec`, if it has one.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The uid, which tells a pod from a later one of the same name; without uid, namespace and name.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What the pod reserves on its node: containers, sidecars, init containers, pod-level resources and overhead.
    pub fn requests(&self) -> &Resources {
        &self.requests
    }

    /// Thousandths of a CPU, counting 100m for each container that names none. For comparing nodes only.
    pub fn non_zero_milli_cpu(&self) -> i64 {
        self.non_zero.0
    }

    /// Bytes of memory, counting 200Mi for each container that names none. For comparing nodes only.
    pub fn non_zero_memory(&self) -> i64 {
        self.non_zero.1
    }

    /// The priority that its priority class stands for.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// The node's ports that it takes.
    pub fn host_ports(&self) -> &[HostPort] {
        &self.host_ports
    }

    /// Which pods it wants to be near to, and which not; `None` if it does not say.
    pub fn affinity_terms(&self) -> Option<&AffinityTerms> {
        self.affinity_terms.as_deref()
    }

    /// How many of its volumes may have to be attached to its node: claims, its own ones too, and disks of clouds.
    pub fn attachable_volumes(&self) -> usize {
        self.attachable_volumes
    }

    /// The node it is bound to.
    pub fn node_name(&self) -> Option<&str> {
        self.spec().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
    }

    /// The node that its status says it waits for.
    pub fn nominated_node(&self) -> Option<&str> {
        Self::nominated_node_of(&self.pod)
    }

    /// The same of a pod of which nothing else is asked.
    pub fn nominated_node_of(pod: &Pod) -> Option<&str> {
        let status = pod.status.as_ref();
        status.and_then(|status| status.nominated_node_name.as_deref()).filter(|name| !name.is_empty())
    }

    /// The same pod once it is bound to `node`.
    #[must_use]
    pub fn bound_to(&self, node: &str) -> Self {
        let mut pod = Pod::clone(&self.pod);
        pod.spec.get_or_insert_default().node_name = Some(node.to_owned());
        pod.into()
    }

    /// Whether its containers have ended for good: it takes no room any more.
    pub fn has_ended(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether a scheduling gate holds it back (KEP-3521).
    pub fn is_gated(&self) -> bool {
        self.spec().and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty())
    }

    /// Which scheduler it waits for.
    pub fn scheduler_name(&self) -> &str {
        let name = self.spec().and_then(|spec| spec.scheduler_name.as_deref());
        name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER_NAME)
    }
}

/// Disks that the pod names itself are those that CSI drivers have taken over.
fn is_attachable(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some()
        || volume.ephemeral.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.gce_persistent_disk.is_some()
        || volume.azure_disk.is_some()
        || volume.cinder.is_some()
        || volume.portworx_volume.is_some()
}

impl From<Pod> for PodInfo {
    fn from(pod: Pod) -> Self {
        Self::new(Arc::new(pod))
    }
}

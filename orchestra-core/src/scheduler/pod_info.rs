use std::sync::{Arc, OnceLock};

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, Volume},
    jiff::Timestamp,
};

use super::{AffinityTerms, HostPort, PodLabels, Resources, requests::Requests};
use crate::{
    ObjectKey,
    informer::{Identity, Packed, Reflected, Told},
};

/// The name that pods without a `schedulerName` go by.
pub const DEFAULT_SCHEDULER_NAME: &str = "default-scheduler";

/// A pod with what schedulers ask of it, worked out once.
///
/// A cluster has many pods that have a node, and of them little is asked. So those may be [compact](Self::compact): what the methods below
/// tell is there, and the object itself is kept encoded until somebody asks for it.
#[derive(Clone, Debug)]
pub struct PodInfo {
    object: Object,
    key: ObjectKey,
    id: Arc<str>,
    requests: Resources,
    non_zero: (i64, i64),
    resource_version: Option<Box<str>>,
    labels: PodLabels,
    node_name: Option<Arc<str>>,
    scheduling_group: Option<Box<str>>,
    start_time: Option<Timestamp>,
    host_ports: Box<[HostPort]>,
    affinity_terms: Option<Box<AffinityTerms>>,
    attachable_volumes: u32,
    priority: i32,
    has_ended: bool,
    is_terminating: bool,
}

/// The API object.
#[derive(Clone, Debug)]
enum Object {
    Decoded(Arc<Pod>),
    Encoded(Arc<Encoded>),
}

#[derive(Debug)]
struct Encoded {
    packed: Arc<Packed<Pod>>,
    /// Once somebody asked for it.
    decoded: OnceLock<Arc<Pod>>,
}

impl Object {
    fn packed(packed: Arc<Packed<Pod>>) -> Self {
        Self::Encoded(Arc::new(Encoded { packed, decoded: OnceLock::new() }))
    }
}

impl PodInfo {
    /// Reads `pod`.
    pub fn new(pod: Arc<Pod>) -> Self {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let requests = Requests::of(&pod);
        let key = ObjectKey::of(&*pod);
        let id = pod.metadata.uid.as_deref().map_or_else(|| key.to_string().into(), Arc::from);
        let node_name = spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
        let group = spec.and_then(|spec| spec.scheduling_group.as_ref()?.pod_group_name.as_deref());
        let volumes = spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten());
        let attachable_volumes = volumes.filter(|volume| is_attachable(volume)).count();
        Self {
            key,
            id,
            requests: requests.exact,
            non_zero: requests.non_zero,
            resource_version: pod.metadata.resource_version.as_deref().map(Box::from),
            labels: pod.metadata.labels.as_ref().map(PodLabels::from).unwrap_or_default(),
            node_name: node_name.map(Arc::from),
            scheduling_group: group.filter(|name| !name.is_empty()).map(Box::from),
            start_time: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            host_ports: spec.map(HostPort::of).unwrap_or_default().into(),
            affinity_terms: AffinityTerms::of(&pod),
            attachable_volumes: attachable_volumes.try_into().unwrap_or(u32::MAX),
            priority: spec.and_then(|spec| spec.priority).unwrap_or(0),
            has_ended: matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")),
            is_terminating: pod.metadata.deletion_timestamp.is_some(),
            object: Object::Decoded(pod),
        }
    }

    /// The same in little memory: the object is kept encoded, and is decoded when [`pod`](Self::pod) or what comes from it is asked for
    /// the first time, which takes some microseconds and the memory from then on. To be used where that will be seldom.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use orchestra_core::scheduler::PodInfo;
    /// let mut pod = Pod::default();
    /// pod.metadata.generate_name = Some("web-".to_owned());
    /// assert_eq!(**PodInfo::from(pod.clone()).compact().pod(), pod);
    /// ```
    #[must_use]
    pub fn compact(mut self) -> Self {
        if let Object::Decoded(pod) = &self.object {
            self.object = Object::packed(Arc::new(Packed::new(&**pod)));
        }
        self
    }

    /// The API object.
    pub fn pod(&self) -> &Arc<Pod> {
        match &self.object {
            Object::Decoded(pod) => pod,
            Object::Encoded(encoded) => encoded.decoded.get_or_init(|| encoded.packed.object()),
        }
    }

    /// The pod's `spec`, if it has one.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod().spec.as_ref()
    }

    /// The labels.
    pub fn labels(&self) -> &PodLabels {
        &self.labels
    }

    /// When the kubelet saw it first.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.start_time
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
        self.attachable_volumes as usize
    }

    /// The node it is bound to.
    pub fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// The name of the PodGroup that it is scheduled with (KEP-4671).
    pub fn scheduling_group(&self) -> Option<&str> {
        self.scheduling_group.as_deref()
    }

    /// The node that its status says it waits for.
    pub fn nominated_node(&self) -> Option<&str> {
        let status = self.pod().status.as_ref();
        status.and_then(|status| status.nominated_node_name.as_deref()).filter(|name| !name.is_empty())
    }

    /// The same pod once it is bound to `node`.
    #[must_use]
    pub fn bound_to(&self, node: &str) -> Self {
        let mut pod = Pod::clone(self.pod());
        pod.spec.get_or_insert_default().node_name = Some(node.to_owned());
        pod.into()
    }

    /// Whether its containers have ended for good: it takes no room any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.is_terminating
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

/// What an informer keeps of pods for a scheduler. Pods that have a node are compact, unless somebody keeps the object itself anyway.
impl Reflected for PodInfo {
    type Object = Pod;

    fn of(told: &Told<Pod>) -> Arc<Self> {
        let mut info = Self::new(Arc::clone(told.object()));
        info.key = told.key().clone();
        if info.node_name.is_some() && !told.is_kept() {
            let packed = told.packed();
            // One copy of what all keep.
            packed.uid().into_iter().for_each(|uid| info.id = Arc::clone(uid));
            info.object = Object::packed(Arc::clone(packed));
        }
        Arc::new(info)
    }

    fn identity(&self) -> Identity<'_> {
        Identity { uid: Some(&self.id), resource_version: self.resource_version.as_deref() }
    }
}

impl From<Pod> for PodInfo {
    fn from(pod: Pod) -> Self {
        Self::new(Arc::new(pod))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(node: Option<&str>) -> Arc<Pod> {
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": { "app": "web" },
                          "annotations": { "a": "b" }, "deletionTimestamp": "2026-01-02T03:04:05Z" },
            "spec": { "nodeName": node, "priority": 3, "nodeSelector": { "disk": "ssd" },
                      "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "k" }] } },
                      "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }],
                      "containers": [{ "name": "c", "ports": [{ "containerPort": 1, "hostPort": 80 }],
                                       "resources": { "requests": { "cpu": "1", "a/b": "2" } } }] },
            "status": { "phase": "Failed", "startTime": "2026-01-02T03:04:05Z" },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_compact_pod_tells_the_same() {
        let pod = pod(Some("n1"));
        let (whole, compact) = (PodInfo::new(pod.clone()), PodInfo::new(pod.clone()).compact());
        assert!(Arc::ptr_eq(whole.pod(), &pod) && !Arc::ptr_eq(compact.pod(), &pod));
        assert_eq!(*compact.pod(), pod);
        let without_object =
            |info: PodInfo| format!("{:?}", PodInfo { object: Object::Decoded(Arc::default()), ..info });
        assert_eq!(without_object(compact.clone()), without_object(whole));
        assert_eq!((compact.node_name(), compact.labels().get("app")), (Some("n1"), Some("web")));
        assert!(compact.has_ended() && compact.is_terminating() && compact.start_time().is_some());
        assert!(Arc::ptr_eq(compact.pod(), compact.clone().compact().pod()), "it is decoded once");
    }

    #[test]
    fn pods_that_wait_and_those_that_are_kept_anyway_stay_as_they_are() {
        let is_whole = |pod: Arc<Pod>, is_kept| Arc::ptr_eq(PodInfo::of(&Told::new(pod.clone(), is_kept)).pod(), &pod);
        assert!(is_whole(pod(None), false));
        assert!(is_whole(pod(Some("")), false));
        assert!(is_whole(pod(Some("n1")), true));
        assert!(!is_whole(pod(Some("n1")), false));
    }
}

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::PodStatus;
use orchestra_core::container_runtime::ContainerId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    cgroup::PodCgroup,
    held_pod::HeldPod,
    pod::record::PodRecord,
    probe::News,
    resize::{Amounts, Pending},
    static_pods::Mirror,
    volume::Volumes,
};

/// One pod's place in the kubelet: what came in since it was last looked at, and what is known.
pub(super) struct Slot {
    pub(super) inbox: Mutex<Inbox>,
    /// Taken out by the one who works on the pod.
    pub(super) known: Mutex<Option<Box<Known>>>,
    /// Told when the pod itself changed, or a probe came to something.
    pub(super) changed: Notify,
}

/// Why a node ends a pod, and how long its containers may take to stop.
pub(super) struct Ending {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) grace: Duration,
}

/// What came in.
pub(super) struct Inbox {
    pub(super) pod: HeldPod,
    /// What shows the pod in the API.
    pub(super) mirror: Mirror,
    pub(super) gone: bool,
    /// Containers to look at again.
    pub(super) dirty: BTreeSet<ContainerId>,
    /// All containers are to be looked at again.
    pub(super) all_dirty: bool,
    /// Why the node has no room for the pod.
    pub(super) rejected: Option<Box<(String, String)>>,
    /// Why the node ends the pod.
    pub(super) ended: Option<Box<Ending>>,
    /// What probes came to.
    pub(super) probed: Vec<News>,
    /// What the containers had before a resize that the node granted.
    pub(super) resized: Option<Box<Amounts>>,
    /// Why the node does not grant what the pod asks for now.
    pub(super) resize_pending: Option<Arc<Pending>>,
}

/// What is known of a pod between two looks at it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) record: PodRecord,
    /// The status that was written last and not yet seen to come back, with the version it made.
    pub(super) written: Option<(u64, PodStatus)>,
    /// Whether the pod was checked against the node's labels.
    pub(super) admitted: bool,
    /// Whether what was written of a static pod, which comes later than the pod, was believed.
    pub(super) mirror_seen: bool,
    /// What is known of its cgroup, on a node where pods have some of their own.
    pub(super) cgroup: Option<Box<PodCgroup>>,
    /// What was made of its volumes, on a node that has some.
    pub(super) volumes: Option<Box<Volumes>>,
}

impl Slot {
    pub(super) fn new(pod: HeldPod, mirror: Mirror, known: Known) -> Self {
        let inbox = Inbox {
            pod,
            mirror,
            gone: false,
            dirty: BTreeSet::new(),
            all_dirty: false,
            rejected: None,
            ended: None,
            probed: Vec::new(),
            resized: None,
            resize_pending: None,
        };
        Self { inbox: Mutex::new(inbox), known: Mutex::new(Some(Box::new(known))), changed: Notify::new() }
    }
}

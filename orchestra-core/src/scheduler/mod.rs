//! The seam between a cluster and whatever decides where its pods go: [`Scheduler`], and the values it works on.
//!
//! ```text
//!   informers ──► Snapshot { NodeInfo { PodInfo … } … } ──┐
//!                                              PodInfo ──┼──► Scheduler::schedule ──► Placement
//!                                                 seed ──┘                        └─► ScheduleError::Unschedulable(Diagnosis)
//! ```
//!
//! The loop around it (queues, assumed pods, binding) is `orchestra_sched`'s, and takes any implementation.

mod affinity_terms;
mod binding_context;
mod binding_cycle;
mod decision;
mod diagnosis;
mod event;
mod generation;
mod host_port;
mod images;
mod node_changes;
mod node_info;
mod nomination;
mod object_kind;
mod objects;
mod pending_allocations;
mod pod_info;
mod pod_labels;
mod queue_sort;
mod quorum;
mod requests;
mod resources;
mod snapshot;
mod taint;
mod toleration;
mod waiting_pods;

use std::{sync::Arc, time::Duration};

use crate::ObjectKey;

pub use self::{
    affinity_terms::{AffinityTerm, AffinityTerms},
    binding_context::{BindingContext, Cause, Look, Reservation},
    binding_cycle::{Binding, BindingCycle, Permission},
    decision::Decision,
    diagnosis::{Diagnosis, Rejection},
    event::{ClusterEvent, EventKind},
    host_port::HostPort,
    node_info::NodeInfo,
    nomination::{Nomination, Nominations},
    object_kind::{ObjectChange, ObjectKind, ObjectWatch},
    objects::Objects,
    pending_allocations::{ClaimAllocation, ExtendedClaim, PendingAllocations},
    pod_info::{DEFAULT_SCHEDULER_NAME, PodInfo},
    pod_labels::PodLabels,
    queue_sort::{QueueSort, QueuedPod},
    quorum::Quorum,
    resources::Resources,
    snapshot::Snapshot,
    taint::{Effect, Taint},
    toleration::tolerates,
    waiting_pods::{WaitingPod, WaitingPods},
};

/// Chooses a node for a pod.
///
/// # Contract
/// - [`schedule`](Scheduler::schedule) does no I/O and does not wait; it looks only at its arguments. The same pod, snapshot and
///   seed give the same answer. The seed is for ties (and for where a sample of the nodes starts). Who has to ask others
///   does so in [`decide`](Scheduler::decide).
/// - Ok names a node of the snapshot on which the pod fits. The caller assumes the pod there before it asks again.
/// - [`ScheduleError::Unschedulable`] has a reason for every node of the snapshot.
/// - A call that panics counts as [`ScheduleError::Internal`]; the pod is tried again after a back-off.
///
/// # Example
/// ```
/// use orchestra_core::scheduler::{Diagnosis, Placement, PodInfo, Rejection, ScheduleError, Scheduler, Snapshot};
///
/// /// Takes the node with the fewest pods.
/// struct Emptiest;
///
/// impl Scheduler for Emptiest {
///     fn schedule(&self, _: &PodInfo, snapshot: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
///         let node = snapshot.iter().min_by_key(|node| node.pods().len());
///         node.map(|node| Placement::on(&**node.name())).ok_or_else(|| Diagnosis::new(snapshot.len()).into())
///     }
/// }
/// ```
pub trait Scheduler: Send + Sync + 'static {
    /// Chooses a node of `snapshot` for `pod`.
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Result<Placement, ScheduleError>;

    /// As [`schedule`](Self::schedule), for a cluster that runs: others, as Kubernetes' extenders, may be asked over the network before the
    /// decision is made. No other pod is decided about meanwhile. By default nobody is asked.
    fn decide<'a>(&'a self, pod: &'a PodInfo, snapshot: &'a Snapshot, seed: u64) -> Decision<'a> {
        Decision::Made(self.schedule(pod, snapshot, seed))
    }

    /// Whether the pod may be tried at all now (`PreEnqueue`); else who holds it back, and why. It is asked again when the pod changes, and
    /// when something happens that [`may_help`](Self::may_help). By default a pod with scheduling gates is held back (KEP-3521).
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        if pod.is_gated() { Err(Rejection::new("waiting for scheduling gates").by("SchedulingGates")) } else { Ok(()) }
    }

    /// The group that `pod` belongs to, if several pods are to have nodes at once (KEP-4671). By default it is on its own. It is asked of pods
    /// that have a node, too, whose objects may have to be decoded first: what [`PodInfo`] tells without costs nothing.
    fn group(&self, pod: &PodInfo) -> Option<ObjectKey> {
        let _ = pod;
        None
    }

    /// How many pods of `group` have to have a node for any of them to get one; `pods` is how many there are, with a node or without. An error
    /// holds them back, as [`pre_enqueue`](Self::pre_enqueue) does. It is asked when one of them would be tried; if several have to find nodes
    /// at once, all that wait are tried together, in their [order](Self::queue_sort). By default each pod is on its own.
    fn quorum(&self, group: &ObjectKey, pods: usize, objects: &Objects) -> Result<Quorum, Rejection> {
        let _ = (group, pods, objects);
        Ok(Quorum::none())
    }

    /// In which order pods are tried, if that is not by priority and then by how long they wait. Schedulers that share a queue have to
    /// agree.
    fn queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
        None
    }

    /// What is done between the decision and the pod's being bound, if that is more than to bind it.
    fn binding_cycle(&self) -> Option<&dyn BindingCycle> {
        None
    }

    /// Whether events of this kind can ever change a rejection by `plugin` (a name from the [`Diagnosis`]). What is not of
    /// concern costs a waiting pod nothing. By default every event is.
    fn concerns(&self, plugin: &str, kind: EventKind) -> bool {
        let _ = (plugin, kind);
        true
    }

    /// Whether `event` may make `pod`, which `plugin` rejected, schedulable: Kubernetes calls this a queueing hint (KEP-4247).
    /// When in doubt the answer is yes: a pod that nobody wakes waits for minutes. By default it is yes.
    fn may_help(&self, plugin: &str, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let _ = (plugin, event, pod);
        true
    }

    /// What it thinks of `pod` and the nodes of `snapshot`, in words for people: why this node and not that one. By default it has nothing
    /// to say beyond its answer.
    fn describe(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<String> {
        let _ = (pod, snapshot);
        None
    }

    /// The kinds of [`Snapshot::objects`] that it looks at. What nobody uses is not watched, and not there; what somebody uses is listed
    /// before the first pod is scheduled. By default none.
    fn uses(&self) -> Vec<ObjectKind> {
        Vec::new()
    }
}

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Placement {
    /// The node's name.
    pub node: Arc<str>,
    /// How many nodes were looked at.
    pub evaluated_nodes: usize,
    /// How many of them the pod could run on.
    pub feasible_nodes: usize,
    /// The chosen node's weighted score; zero where there was no choice.
    pub score: i64,
    /// What is to be done about the pod's claims of volumes before it is bound.
    pub volumes: Vec<VolumeChoice>,
    /// How long that may take until all claims are bound.
    pub volume_timeout: Duration,
    /// What is to be written of the pod's claims of devices before it is bound.
    pub claims: Vec<ClaimAllocation>,
}

/// What is to be done about a claim that waits for its first consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeChoice {
    /// The volume is to be kept for the claim.
    Bind {
        /// The claim.
        claim: ObjectKey,
        /// The volume's name.
        volume: String,
    },
    /// A volume is to be provisioned for it that the node can reach.
    Provision {
        /// The claim.
        claim: ObjectKey,
    },
}

impl Placement {
    /// How long volumes may take to be bound if nobody says otherwise (`bindTimeoutSeconds`).
    pub const VOLUME_TIMEOUT: Duration = Duration::from_secs(600);

    /// A placement on `node`, with nothing said about how it was found.
    pub fn on(node: impl Into<Arc<str>>) -> Self {
        Self {
            node: node.into(),
            evaluated_nodes: 1,
            feasible_nodes: 1,
            score: 0,
            volumes: Vec::new(),
            volume_timeout: Self::VOLUME_TIMEOUT,
            claims: Vec::new(),
        }
    }

    /// Adds how the node was found: nodes looked at, nodes that fit, the score of the chosen one.
    #[must_use]
    pub fn found(self, evaluated_nodes: usize, feasible_nodes: usize, score: i64) -> Self {
        Self { evaluated_nodes, feasible_nodes, score, ..self }
    }
}

/// Why a pod got no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It fits nowhere now. The text is Kubernetes' `0/3 nodes are available: ...`.
    #[error("{0}")]
    Unschedulable(Box<Diagnosis>),
    /// The scheduler itself failed: says nothing about the nodes. The pod is tried again after a back-off.
    #[error("{0}")]
    Internal(String),
}

impl From<Diagnosis> for ScheduleError {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::Unschedulable(Box::new(diagnosis))
    }
}

#[cfg(feature = "mocks")]
mockall::mock! {
    /// A [`Scheduler`] that answers as it is told to; it takes every event to be of concern.
    pub Scheduler {}

    impl Scheduler for Scheduler {
        fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Result<Placement, ScheduleError>;
    }
}

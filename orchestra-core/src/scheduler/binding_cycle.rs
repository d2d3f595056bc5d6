use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kube::Client;

use super::{BindingContext, Placement, PodInfo, Rejection, WaitingPods};

/// A pod on its way to the node that was chosen for it.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// The API server's client.
    pub client: &'a Client,
    /// The pod.
    pub pod: &'a Arc<PodInfo>,
    /// What was decided.
    pub placement: &'a Placement,
    /// The loop that this is part of.
    pub context: &'a dyn BindingContext,
}

/// Whether a pod may be bound to the node that was chosen for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// These plugins want it to wait, for so long at most, until they [allow](WaitingPods::allow) or [reject](WaitingPods::reject) it.
    Pending(Vec<(&'static str, Duration)>),
    /// It may not: it gives the node up.
    Denied(Rejection),
    /// That could not be told, and why: the pod gives the node up, and is tried again after a back-off.
    Failed(String),
}

/// What a [`Scheduler`](super::Scheduler) has done between its decision and the pod's being bound, in this order: permit, pre-bind, bind,
/// post-bind. The pod counts as being on its node meanwhile, and other pods are scheduled. Unlike the decision this may do I/O and wait.
///
/// # Contract
/// - What fails is told, and the pod tried again: before that [`unreserve`](Self::unreserve) is called once, and then [`undo`](Self::undo).
/// - `pre_bind`, `bind` and `undo` may be dropped before their end when the process is told to stop.
/// - [`bind`](Self::bind) and [`bind_all`](Self::bind_all) answer `Ok` only if the pod is bound; where that is not known, they find out.
#[async_trait]
pub trait BindingCycle: Send + Sync {
    /// Whether the pod may be bound (`Permit`). It is called in the order of decisions. `waiting` has those that wait, not this one yet.
    fn permit(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) -> Permission;

    /// Whether [`pre_bind`](Self::pre_bind) does anything for this pod (`PreBindPreFlight`). If not, it is not called.
    fn has_pre_bind(&self, pod: &PodInfo, placement: &Placement) -> bool;

    /// Does what has to be done before (`PreBind`). The error is told to the user.
    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String>;

    /// Binds the pod (`Bind`). The error is told to the user.
    async fn bind(&self, binding: Binding<'_>) -> Result<(), String>;

    /// Binds the pods of a group at once: all of them or none. Answers for each pod, in their order. `None` if that cannot be done here: then
    /// each is [bound](Self::bind) on its own.
    async fn bind_all(&self, bindings: &[Binding<'_>]) -> Option<Vec<Result<(), String>>> {
        let _ = bindings;
        None
    }

    /// The pod is bound (`PostBind`).
    fn post_bind(&self, pod: &PodInfo, node: &str);

    /// The pod gives up the node (`Unreserve`).
    fn unreserve(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods);

    /// Takes back what [`pre_bind`](Self::pre_bind) has written, if it was called: the pod is not bound. By default nothing is.
    async fn undo(&self, binding: Binding<'_>) {
        let _ = binding;
    }
}

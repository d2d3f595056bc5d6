//! Pods that want to be near others, or far from them.
//!
//! ```text
//! pods on nodes ─┬─► Existing: each distinct term, and by the value of its key how often it is there ─┐ means the pod?
//!                └─► Incoming: of each term of the pod, by the value of its key the pods that it means ┴─► Prepared ─► Filter, Score
//! ```
//! Both are kept from one decision to the next, and look only at nodes that changed.

mod existing;
mod incoming;
mod namespaces;
mod requeue;
mod score;
mod state;
mod sums;
#[cfg(test)]
mod tests;
mod trial;

use k8s_openapi::api::core::v1::Namespace;
use orchestra_core::{
    field::{Error, Path},
    scheduler::{NodeInfo, ObjectKind, PodInfo, Rejection, Snapshot},
};
use serde::Deserialize;

use self::{
    existing::Existing,
    incoming::{Incoming, Wishes},
    namespaces::NamespaceLabels,
    state::Prepared,
};
use super::{recent::Recent, rows::Ledger};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, PreScore, Requeue, Score};

/// For the terms of how many kinds of pods it is remembered which pods they mean.
const KEPT: usize = 64;

/// Lets a pod go only where its required affinity and anti-affinity, and the required anti-affinity of the pods that are there, allow; and
/// prefers what preferred terms of either name (`affinity.podAffinity` and `podAntiAffinity`,
/// [documentation](https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity), KEP-2249,
/// KEP-3633).
///
/// Pods that are being deleted count until they are gone. A pod with an invalid selector is rejected everywhere; that of a pod that has a
/// node is passed over.
///
/// ```
/// use orchestra_core::scheduler::{NodeInfo, PodInfo, Scheduler, Snapshot};
/// use orchestra_sched::framework::Framework;
/// # use std::sync::Arc;
/// # use k8s_openapi::api::core::v1::Pod;
/// let pod: Pod = serde_json::from_str(r#"{"metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}}, "spec": {"containers": [],
///     "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
///         {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}]}}}}"#)?;
/// let node = serde_json::from_str(r#"{"metadata": {"name": "n", "labels": {"zone": "a"}}, "status": {"allocatable": {"pods": "10"}}}"#)?;
/// let mut node = NodeInfo::new(Arc::new(node));
/// node.add_pod(Arc::new(PodInfo::from(pod.clone())));
/// let error = Framework::kubernetes().schedule(&pod.into(), &Snapshot::from_iter([node]), 0).unwrap_err();
/// assert!(error.to_string().starts_with("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct InterPodAffinity {
    args: InterPodAffinityArgs,
    existing: Recent<Ledger<Existing>>,
    incoming: Recent<Ledger<Incoming>>,
}

/// `InterPodAffinityArgs` of a `KubeSchedulerConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InterPodAffinityArgs {
    /// How much a node is liked more for each pod near it that requires to be near the incoming one: 0 to 100.
    pub hard_pod_affinity_weight: i32,
    /// Whether a pod that prefers no others itself is not compared by what existing pods say.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinityArgs {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

impl InterPodAffinity {
    /// With these arguments; the error is in Kubernetes' words.
    pub fn new(args: InterPodAffinityArgs) -> Result<Self, String> {
        let weight = args.hard_pod_affinity_weight;
        if !(0..=100).contains(&weight) {
            let field = Path::new("hardPodAffinityWeight");
            return Err(Error::invalid(&field, weight, "not in valid range [0-100]").to_string());
        }
        Ok(Self { args, existing: Recent::new(1), incoming: Recent::new(KEPT) })
    }
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { args: InterPodAffinityArgs::default(), existing: Recent::new(1), incoming: Recent::new(KEPT) }
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![ObjectKind::of::<Namespace>()]
    }
}

impl PreFilter for InterPodAffinity {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let terms = pod.affinity_terms();
        if let Some(error) = terms.and_then(|terms| terms.error.as_ref()) {
            return PreFilterOutcome::Reject(Rejection::new(format!("parsing pod: {error}")).unresolvable());
        }
        let new = || Ledger::new(Existing::new(self.args.hard_pod_affinity_weight.into()));
        let existing = self.existing.get(|_| true, new, |ledger| ledger.update(snapshot));
        let incoming = terms.map(|terms| {
            let wishes = Wishes::of(terms, snapshot);
            let is_wanted = |ledger: &Ledger<Incoming>| *ledger.account().wishes() == wishes;
            let new = || Ledger::new(Incoming::new(wishes.clone()));
            self.incoming.get(is_wanted, new, |ledger| ledger.update(snapshot))
        });
        let namespace_labels = NamespaceLabels::of(snapshot, pod.key().namespace().unwrap_or_default());
        let prepared = Prepared::new(pod, existing, incoming, namespace_labels);
        let may_reject = prepared.may_reject();
        state.write(prepared);
        if may_reject { PreFilterOutcome::Continue } else { PreFilterOutcome::Skip }
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        if let Some(prepared) = state.read_mut::<Prepared>() {
            prepared.try_pod(pod, added, node, 1);
        }
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        if let Some(prepared) = state.read_mut::<Prepared>() {
            prepared.try_pod(pod, removed, node, -1);
        }
    }
}

impl Filter for InterPodAffinity {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(prepared) = state.read::<Prepared>() else { return Ok(()) };
        if !prepared.has_what_attracts(node) {
            return Err(Rejection::new("node(s) didn't match pod affinity rules").unresolvable());
        }
        if prepared.has_what_repels(node) {
            return Err(Rejection::new("node(s) didn't match pod anti-affinity rules"));
        }
        if prepared.is_repelled(node) {
            return Err(Rejection::new("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

//! Says of each PodDisruptionBudget how many of its pods may go (`pkg/controller/disruption`).
//!
//! ```text
//!   pods, their owners' scale ──► expected, desired, healthy ──► disruptionsAllowed ──► eviction, preemption
//!                                      evictions on their way ──► disruptedPods ──┘
//! ```

mod count;
mod owner_scale;
mod selector_text;
mod stale_target;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, Client, api::PostParams};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    disruption_budget,
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informed, Informer},
};
use tracing::warn;

pub use self::stale_target::StaleDisruptionTargets;
use self::{
    count::{Expected, expected},
    owner_scale::OwnerScales,
};
use super::{api_error, pod_state};
use crate::lean_pod::LeanPod;

/// For how long a pod counts as going that was evicted, and whose deletion nobody has seen (`DeletionTimeout`).
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// When a budget is looked at again whose numbers could not be found out.
const RETRY: Duration = Duration::from_secs(60);

/// Keeps the status of all disruption budgets.
///
/// Where Kubernetes' controller waits for pods to change, this one also looks again when a Deployment or ReplicaSet is scaled, and a minute
/// after it failed.
pub struct DisruptionController {
    client: Client,
    budgets: Informer<PodDisruptionBudget>,
    pods: Informer<LeanPod>,
    deployments: Informer<Deployment>,
    replica_sets: Informer<ReplicaSet>,
    scales: OwnerScales,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
}

impl DisruptionController {
    /// A controller of all budgets. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let deployments = context.informers.informer::<Deployment>();
        let replica_sets = context.informers.informer::<ReplicaSet>();
        Self {
            client: context.client.clone(),
            budgets: context.informers.informer(),
            pods: context.informers.informer(),
            scales: OwnerScales::new(context.client.clone(), deployments.clone(), replica_sets.clone()),
            deployments,
            replica_sets,
            clock: Arc::clone(&context.clock),
            recorder: context.recorder("controllermanager"),
        }
    }

    /// The new status, and after how long it may change though nothing else does; the error is why nobody knows.
    async fn assess(
        &self,
        budget: &PodDisruptionBudget,
        now: Timestamp,
    ) -> Result<(PodDisruptionBudgetStatus, Option<Duration>), String> {
        let selector = disruption_budget::selector(budget);
        let mut pods = self.pods.list_namespace(budget.metadata.namespace.as_deref().unwrap_or_default());
        pods.retain(|pod| selector.matches_optional(pod.metadata.labels.as_ref()));
        if pods.is_empty() {
            self.recorder.event(budget, EventType::Normal, "NoPods", "No matching pods found");
        }
        let Expected { pods: count, healthy: desired, unmanaged } = match expected(budget, &pods, &self.scales).await {
            Ok(expected) => expected,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                self.recorder.event(budget, EventType::Warning, "CalculateExpectedPodCountFailed", message);
                return Err(why);
            }
        };
        if unmanaged {
            self.recorder.event(budget, EventType::Warning, "UnmanagedPods", unmanaged_pods(budget));
        }
        let (disrupted, next) = self.disrupted(budget, &pods, now);
        let is_healthy = |pod: &Pod| {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            pod.metadata.deletion_timestamp.is_none() && !disrupted.contains_key(name) && pod_state::is_ready(pod)
        };
        let healthy = pods.iter().filter(|pod| is_healthy(pod)).count();
        let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
        // None as long as no pods are expected: their first ones may come before the next look.
        let allowed = if count > 0 { healthy.saturating_sub(desired).max(0) } else { 0 };
        let mut status = PodDisruptionBudgetStatus {
            conditions: budget.status.as_ref().and_then(|status| status.conditions.clone()),
            current_healthy: Some(healthy),
            desired_healthy: Some(desired),
            disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
            disruptions_allowed: Some(allowed),
            expected_pods: Some(count),
            observed_generation: budget.metadata.generation,
        };
        disruption_budget::update_condition(&mut status, now);
        Ok((status, next))
    }

    /// The pods that were evicted and are not seen to go yet, and when the first of them counts as staying.
    fn disrupted(
        &self,
        budget: &PodDisruptionBudget,
        pods: &[Arc<LeanPod>],
        now: Timestamp,
    ) -> (BTreeMap<String, Time>, Option<Duration>) {
        let (mut left, mut next) = (BTreeMap::new(), None);
        let Some(noted) = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref()) else {
            return (left, next);
        };
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let Some(since) = noted.get(name) else { continue };
            let wait = DELETION_TIMEOUT.saturating_sub(now.duration_since(since.0));
            if wait.is_negative() {
                let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
                // Kubernetes names the namespace twice, and never the budget.
                let message = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
                self.recorder.event(&**pod, EventType::Warning, "NotDeleted", message);
                continue;
            }
            // Over is what lies behind, not what ends now.
            let wait = wait.unsigned_abs() + Duration::from_millis(1);
            next = Some(next.map_or(wait, |next: Duration| next.min(wait)));
            left.insert(name.to_owned(), since.clone());
        }
        (left, next)
    }

    /// Writes the status, if it is another one.
    async fn write(&self, budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> Result<(), kube::Error> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let changed = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        let (namespace, name) = (budget.metadata.namespace.as_deref(), budget.metadata.name.as_deref());
        let api = Api::<PodDisruptionBudget>::namespaced(self.client.clone(), namespace.unwrap_or_default());
        match api.replace_status(name.unwrap_or_default(), &PostParams::default(), &changed).await {
            // A newer state will come, and bring the budget here again.
            Err(error) if api_error::is_conflict(&error) || api_error::is_not_found(&error) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn unmanaged_pods(budget: &PodDisruptionBudget) -> String {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of \
         the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods \
         please set \".spec.minAvailable\" field of the PDB to an integer value.",
        selector_text::of(selector)
    )
}

/// Whether anything differs that budgets count.
fn matters(change: &Change<LeanPod>) -> bool {
    match (change.old(), change.new()) {
        (Some(old), Some(new)) => pod_state::differs_as_replica(old, new),
        _ => true,
    }
}

/// The budgets about a pod, before or after it changed.
fn budgets_of(budgets: &Informer<PodDisruptionBudget>, change: &Change<LeanPod>) -> Vec<Arc<PodDisruptionBudget>> {
    if budgets.is_empty() || !matters(change) {
        return Vec::new();
    }
    let namespace = change.object().metadata.namespace.as_deref().unwrap_or_default();
    let mut found = budgets.list_namespace(namespace);
    found.retain(|budget| {
        change.old().into_iter().chain(change.new()).any(|pod| disruption_budget::selects(budget, pod))
    });
    found
}

/// The budgets of a namespace in which a workload's size changed.
fn resized<K: Informed>(
    workloads: &Informer<K>,
    budgets: Informer<PodDisruptionBudget>,
    replicas: impl Fn(&K) -> Option<i32> + Send + Sync + 'static,
) -> Watch {
    Watch::mapped(workloads, move |change: &Change<K>| {
        let size = |workload: Option<&Arc<K>>| workload.map(|workload| replicas(workload));
        if budgets.is_empty() || size(change.old()) == size(change.new()) {
            return Vec::new();
        }
        let namespace = change.object().meta().namespace.as_deref().unwrap_or_default();
        budgets.list_namespace(namespace).iter().map(|budget| ObjectKey::of(&**budget)).collect()
    })
}

#[async_trait]
impl Controller for DisruptionController {
    fn name(&self) -> &str {
        "disruption"
    }

    fn watches(&self) -> Vec<Watch> {
        let (budgets, recorder) = (self.budgets.clone(), self.recorder.clone());
        let pods = Watch::mapped(&self.pods, move |change: &Change<LeanPod>| {
            let found = budgets_of(&budgets, change);
            if let (Some(pod), [first, _, ..]) = (change.new(), found.as_slice()) {
                let name = |name: &Option<String>| name.clone().unwrap_or_default();
                // Kubernetes keeps the chosen one only; here the others are kept too, and the eviction is refused all the same.
                let message = format!(
                    "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
                    name(&pod.metadata.namespace),
                    name(&pod.metadata.name),
                    name(&first.metadata.name)
                );
                recorder.event(&**pod, EventType::Warning, "MultiplePodDisruptionBudgets", message);
            }
            found.iter().map(|budget| ObjectKey::of(&**budget)).collect()
        });
        let of_deployment = |deployment: &Deployment| deployment.spec.as_ref()?.replicas;
        let of_replica_set = |set: &ReplicaSet| set.spec.as_ref()?.replicas;
        vec![
            Watch::objects(&self.budgets),
            pods,
            resized(&self.deployments, self.budgets.clone(), of_deployment),
            resized(&self.replica_sets, self.budgets.clone(), of_replica_set),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(budget) = self.budgets.get(key) else { return Ok(Action::Done) };
        let now = self.clock.now();
        match self.assess(&budget, now).await {
            Ok((status, next)) => {
                self.write(&budget, status).await?;
                Ok(next.map_or(Action::Done, Action::RequeueAfter))
            }
            Err(why) => {
                warn!(budget = %key, why, "how many pods may go is not known, so none may");
                let mut status = budget.status.clone().unwrap_or_default();
                disruption_budget::fail(&mut status, why, now);
                self.write(&budget, status).await?;
                Ok(Action::RequeueAfter(RETRY))
            }
        }
    }

    fn workers(&self) -> usize {
        4
    }
}

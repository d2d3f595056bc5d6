mod args;
mod budgets;
#[cfg(test)]
mod tests;
mod victims;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orchestra_core::{
    condition::{self, DISRUPTION_TARGET},
    scheduler::{Diagnosis, Nomination, ObjectKind, PodInfo, Rejection, Snapshot},
};

pub use self::args::DefaultPreemptionArgs;
use self::{
    budgets::Budgets,
    victims::{NoVictims, Preemptor, by_importance, cost},
};
use crate::framework::{Candidate, CycleState, Failure, Plugin, PostFilter, PostFilterOutcome, Preemption};

/// Finds pods of lower priority that have to go for a pod that fits nowhere
/// ([documentation](https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/), KEP-268, KEP-4832).
///
/// On each node that fewer pods could make fit (on a sample of them, if they are many) it finds the least that has to go. Of the nodes it
/// takes the one where budgets are violated by the fewest, then where the most important victim is the least important, then by the sum
/// of the priorities, by the number of victims, and by how short the most important ones have run.
#[derive(Clone, Debug, Default)]
pub struct DefaultPreemption {
    args: DefaultPreemptionArgs,
}

impl DefaultPreemption {
    /// The plugin with these arguments, or what is wrong with them in Kubernetes' words.
    pub fn new(args: DefaultPreemptionArgs) -> Result<Self, String> {
        args.validate()?;
        Ok(Self { args })
    }

    /// The candidates among the nodes that are looked at, beginning with the one that the seed says; or why there is none.
    fn search(
        &self,
        preemptor: &Preemptor<'_>,
        state: &mut CycleState,
        failure: &Failure<'_>,
    ) -> Result<Vec<Candidate>, Hopeless> {
        let nodes = failure.diagnosis.resolvable_nodes(preemptor.snapshot);
        let mut budgets = Budgets::of(preemptor.snapshot.objects());
        let (wanted, mut found) = (self.args.wanted(nodes.len()), Vec::<Candidate>::new());
        let (mut hopeless, mut is_harmless) = (Hopeless::of(preemptor.snapshot.len()), false);
        let from = usize::try_from(failure.seed % u64::try_from(nodes.len()).unwrap_or(1).max(1)).unwrap_or(0);
        for node in nodes[from..].iter().chain(&nodes[..from]) {
            match preemptor.victims_on(node, state, &mut budgets) {
                Ok(candidate) => {
                    is_harmless |= candidate.violations == 0;
                    found.push(candidate);
                    // As long as all violate budgets, one that does not may come.
                    if found.len() >= wanted && is_harmless {
                        break;
                    }
                }
                Err(NoVictims::Rejected(why)) => hopeless.diagnosis.reject(node.name().clone(), why),
                Err(NoVictims::Contradiction(why)) => hopeless.errors.push(why),
            }
        }
        if found.is_empty() { Err(hopeless) } else { Ok(found) }
    }
}

/// Why there is no candidate.
struct Hopeless {
    diagnosis: Box<Diagnosis>,
    errors: Vec<String>,
}

impl Hopeless {
    fn of(nodes: usize) -> Self {
        let mut diagnosis = Diagnosis::new(nodes);
        diagnosis.reject_others(Rejection::new("Preemption is not helpful for scheduling").unresolvable());
        Self { diagnosis: Box::new(diagnosis), errors: Vec::new() }
    }

    fn outcome(self) -> PostFilterOutcome {
        match self.errors.as_slice() {
            [] => PostFilterOutcome::Hopeless(format!("preemption: {}", self.diagnosis)),
            [error] => PostFilterOutcome::Failed(format!("preemption: {error}")),
            errors => PostFilterOutcome::Failed(format!("preemption: [{}]", errors.join(", "))),
        }
    }
}

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![ObjectKind::of::<PodDisruptionBudget>()]
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        failure: &Failure<'_>,
    ) -> PostFilterOutcome {
        match self.candidates(state, pod, snapshot, failure) {
            Ok(candidates) => self.choose(candidates),
            Err(outcome) => outcome,
        }
    }

    fn as_preemption(&self) -> Option<&dyn Preemption> {
        Some(self)
    }
}

impl Preemption for DefaultPreemption {
    fn candidates(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        failure: &Failure<'_>,
    ) -> Result<Vec<Candidate>, PostFilterOutcome> {
        let preemptor = Preemptor { pod, snapshot, filters: failure.filters };
        if let Some(why) = ineligible(&preemptor, failure.diagnosis) {
            return Err(PostFilterOutcome::Unhelpful(format!("preemption: {why}")));
        }
        self.search(&preemptor, state, failure).map_err(Hopeless::outcome)
    }

    fn choose(&self, mut candidates: Vec<Candidate>) -> PostFilterOutcome {
        for candidate in &mut candidates {
            candidate.victims.sort_by(by_importance);
        }
        match candidates.into_iter().min_by_key(cost) {
            Some(Candidate { node, victims, .. }) => PostFilterOutcome::Nominated(Nomination::For { node, victims }),
            None => PostFilterOutcome::Unhelpful("preemption: no candidate node for preemption".to_owned()),
        }
    }
}

/// Why the pod may not take others away, if it may not.
fn ineligible(preemptor: &Preemptor<'_>, diagnosis: &Diagnosis) -> Option<&'static str> {
    let Preemptor { pod, snapshot, .. } = preemptor;
    if pod.spec().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never") {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = snapshot.nominations().of(pod)?;
    // Where fewer pods do not help, what goes there is not worth waiting for.
    diagnosis.rejection(nominated).filter(|rejection| rejection.is_resolvable())?;
    let mut pods = snapshot.get(nominated)?.pods().iter();
    let waits = pods.any(|other| preemptor.outranks(other) && is_going_for_another(other));
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Whether the pod is being deleted because a scheduler took it away.
fn is_going_for_another(pod: &PodInfo) -> bool {
    let conditions = || pod.pod().status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    pod.is_terminating()
        && condition::find(conditions(), DISRUPTION_TARGET).is_some_and(|condition| {
            condition.status == "True" && condition.reason.as_deref() == Some("PreemptionByScheduler")
        })
}

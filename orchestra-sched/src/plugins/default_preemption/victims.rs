use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Snapshot};

use super::budgets::Budgets;
use crate::framework::{Candidate, CycleState, Filters};

/// Added to each priority before they are summed up, so that fewer pods of negative priority are less than more of them.
const OFFSET: i64 = i32::MAX as i64 + 1;

/// Why a node is no candidate.
pub(super) enum NoVictims {
    /// The pod does not fit there, whoever goes.
    Rejected(Rejection),
    /// A plugin said that the pod does not fit, and then that it does.
    Contradiction(String),
}

/// How bad it is that pods go: violated budgets, the highest priority, the sum of the priorities, how many, and how late the most important
/// ones were started.
type Cost = (usize, i32, i64, usize, Reverse<Option<Start>>);

/// When a pod was started; what was not yet is the latest.
type Start = (bool, Option<Timestamp>);

fn start(pod: &PodInfo) -> Start {
    let start = pod.start_time();
    (start.is_none(), start)
}

/// By priority, then by who runs longer.
pub(super) fn by_importance(a: &Arc<PodInfo>, b: &Arc<PodInfo>) -> Ordering {
    b.priority().cmp(&a.priority()).then_with(|| start(a).cmp(&start(b))).then_with(|| a.id().cmp(b.id()))
}

/// The least is the best. The victims are in order of their importance.
pub(super) fn cost(candidate: &Candidate) -> Cost {
    let victims = &candidate.victims;
    let highest = victims.first().map_or(i32::MIN, |pod| pod.priority());
    let sum: i64 = victims.iter().map(|pod| i64::from(pod.priority()) + OFFSET).sum();
    let most_important = victims.iter().take_while(|pod| pod.priority() == highest);
    // Of what is lost in any case, rather what has run for a short time.
    let earliest = most_important.map(|pod| start(pod)).min();
    (candidate.violations, highest, sum, victims.len(), Reverse(earliest))
}

/// The pod that needs room, and who says whether it has some.
pub(super) struct Preemptor<'a> {
    pub(super) pod: &'a PodInfo,
    pub(super) snapshot: &'a Snapshot,
    pub(super) filters: &'a Filters<'a>,
}

impl Preemptor<'_> {
    /// Whether `other` may be taken away for the pod.
    pub(super) fn outranks(&self, other: &PodInfo) -> bool {
        other.priority() < self.pod.priority()
    }

    /// Which pods have to go from `node`: all that may are taken away, and as many as possible put back. `state` is left as it was.
    pub(super) fn victims_on(
        &self,
        node: &NodeInfo,
        state: &mut CycleState,
        budgets: &mut Budgets<'_>,
    ) -> Result<Candidate, NoVictims> {
        if node.lowest_priority().is_none_or(|lowest| lowest >= self.pod.priority()) {
            let why = Rejection::new("No preemption victims found for incoming pod");
            return Err(NoVictims::Rejected(why.unresolvable()));
        }
        let (mut rest, mut lower) = node.without(|other| self.outranks(other));
        for other in &lower {
            self.filters.remove_pod(state, self.pod, other, &rest);
        }
        let fits = self.filters.check_with_nominated(state, self.pod, &rest, self.snapshot);
        let candidate = match fits {
            Ok(()) => {
                lower.sort_by(by_importance);
                self.keep_most(&mut rest, lower, state, budgets)
            }
            Err(why) => {
                self.put_back(node, &lower, state);
                return Err(NoVictims::Rejected(why));
            }
        };
        self.put_back(node, &candidate.victims, state);
        if candidate.victims.is_empty() {
            return Err(NoVictims::Contradiction(format!(
                "expected at least one victim pod on node {:?}",
                node.name()
            )));
        }
        Ok(candidate)
    }

    /// Puts back on `rest` what leaves room for the pod: first what budgets protect, and of that the most important.
    fn keep_most(
        &self,
        rest: &mut NodeInfo,
        lower: Vec<Arc<PodInfo>>,
        state: &mut CycleState,
        budgets: &mut Budgets<'_>,
    ) -> Candidate {
        let (protected, others) = budgets.split(lower);
        let mut candidate = Candidate { node: rest.name().clone(), victims: Vec::new(), violations: 0 };
        for (other, violates) in protected.into_iter().map(|pod| (pod, 1)).chain(others.into_iter().map(|pod| (pod, 0)))
        {
            if !self.can_stay(rest, &other, state) {
                candidate.victims.push(other);
                candidate.violations += violates;
            }
        }
        candidate
    }

    /// Puts `other` back on `rest` if the pod fits there all the same.
    fn can_stay(&self, rest: &mut NodeInfo, other: &Arc<PodInfo>, state: &mut CycleState) -> bool {
        rest.add_pod(other.clone());
        self.filters.add_pod(state, self.pod, other, rest);
        if self.filters.check_with_nominated(state, self.pod, rest, self.snapshot).is_ok() {
            return true;
        }
        rest.remove_pod(other.id());
        self.filters.remove_pod(state, self.pod, other, rest);
        false
    }

    fn put_back(&self, node: &NodeInfo, pods: &[Arc<PodInfo>], state: &mut CycleState) {
        for pod in pods {
            self.filters.add_pod(state, self.pod, pod, node);
        }
    }
}

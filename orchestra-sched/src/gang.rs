//! One decision about several pods, of which enough have to find a node or none gets one (KEP-4671).
//!
//! ```text
//!   Gang { pods, missing } ─► pod after pod, each on the snapshot as those before it left it ─┬─► enough found a node: Placed
//!                                   │ too few                                                 │
//!                                   └─► those that found none, with what they may preempt gone ─┬─► enough: Preempting
//!                                                                                               └─► Unschedulable
//! ```
//!
//! Nothing is held meanwhile: what is decided is done as a whole, or not at all. So two gangs never wait for each other's half. Kubernetes 1.36
//! preempts for each pod of a gang as it comes; here nothing is preempted for a gang that would not fit even then.

use std::{collections::VecDeque, sync::Arc};

use orchestra_core::scheduler::{Nomination, Placement, PodInfo, ScheduleError, Snapshot};

use crate::{cache::assume_in, queue::Gang};

/// What came of a gang.
#[derive(Clone, Debug)]
pub struct GangDecision {
    /// What came of each pod, in the order in which they were tried. Where the scheduler failed, those behind are missing.
    pub pods: Vec<(Arc<PodInfo>, Result<Placement, ScheduleError>)>,
    /// What came of them together.
    pub outcome: GangOutcome,
}

/// What came of the pods of a gang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GangOutcome {
    /// Enough found a node: they get it. The others are unschedulable, each by itself.
    Placed,
    /// Enough will find a node when what is to be preempted for them is gone. None gets one now.
    Preempting,
    /// Too few found a node: none gets one.
    Unschedulable,
    /// The scheduler failed, and why: none gets a node.
    Failed(String),
}

/// A gang on trial in a copy of the cluster: whoever decides is given a pod and the cluster, as the pods before it left it, and answers, until
/// there is no pod left.
///
/// ```
/// use std::sync::Arc;
/// use orchestra_core::{ObjectKey, scheduler::{Rejection, Scheduler}};
/// use orchestra_sched::{framework::Framework, gang::{GangOutcome, GangTrial}, queue::Gang, testing::{TestCluster, node, pod}};
/// let pods = ["a", "b"].map(|name| Arc::new(pod(name).cpu(1).info())).into();
/// let gang = Gang { group: ObjectKey::cluster("g"), pods, missing: 2, unmet: Rejection::new("two are needed") };
/// let mut trial = GangTrial::new(&gang, TestCluster::new().node(node("n1").cpu(1)).snapshot());
/// while let Some((pod, cluster)) = trial.next() {
///     let result = Framework::kubernetes().schedule(pod, cluster, 0);
///     trial.answer(result);
/// }
/// assert_eq!(trial.end().outcome, GangOutcome::Unschedulable);
/// ```
pub struct GangTrial<'a> {
    gang: &'a Gang,
    snapshot: Snapshot,
    /// The answers so far, for the first of the pods.
    results: Vec<Result<Placement, ScheduleError>>,
    /// How many pods have a node, or will have one.
    found: usize,
    again: Option<Again>,
    failure: Option<String>,
}

/// The second round, in which pods may preempt.
struct Again {
    /// Which of the pods are left, by their places.
    left: VecDeque<usize>,
    /// What was answered before.
    before: Vec<Result<Placement, ScheduleError>>,
}

impl<'a> GangTrial<'a> {
    /// The snapshot is changed as the trial goes on: nobody else sees it.
    pub fn new(gang: &'a Gang, snapshot: Snapshot) -> Self {
        let results = Vec::with_capacity(gang.pods.len());
        Self { gang, snapshot, results, found: 0, again: None, failure: None }
    }

    /// The pod to decide about, and the cluster to do so in; `None` if nothing is left.
    pub fn next(&self) -> Option<(&'a Arc<PodInfo>, &Snapshot)> {
        if self.failure.is_some() {
            return None;
        }
        let index = match &self.again {
            Some(again) => *again.left.front()?,
            None => self.results.len(),
        };
        self.gang.pods.get(index).map(|pod| (pod, &self.snapshot))
    }

    /// What was decided about [the pod](Self::next).
    pub fn answer(&mut self, result: Result<Placement, ScheduleError>) {
        let Some((pod, _)) = self.next() else { return };
        let result = result.and_then(|placement| self.place(pod, placement));
        if let Err(error) = &result
            && !matches!(error, ScheduleError::Unschedulable(_))
        {
            self.failure = Some(error.to_string());
        }
        match &mut self.again {
            None => {
                self.results.push(result);
                if self.results.len() == self.gang.pods.len() && self.found < self.gang.missing {
                    self.try_preemption();
                }
            }
            Some(again) => {
                let index = again.left.pop_front();
                self.preempt(pod, &result);
                if let Some(old) = index.and_then(|index| self.results.get_mut(index)) {
                    *old = result;
                }
            }
        }
    }

    /// What came of it.
    pub fn end(self) -> GangDecision {
        let (mut results, is_enough) = (self.results, self.found >= self.gang.missing);
        let outcome = match (self.failure, &self.again) {
            (Some(why), _) => GangOutcome::Failed(why),
            (None, None) if is_enough => GangOutcome::Placed,
            (None, Some(_)) if is_enough => GangOutcome::Preempting,
            (None, _) => GangOutcome::Unschedulable,
        };
        if let (GangOutcome::Unschedulable, Some(Again { before, .. })) = (&outcome, self.again) {
            results = before;
        }
        GangDecision { pods: self.gang.pods.iter().cloned().zip(results).collect(), outcome }
    }

    fn place(&mut self, pod: &Arc<PodInfo>, placement: Placement) -> Result<Placement, ScheduleError> {
        if !assume_in(&mut self.snapshot, pod, &placement) {
            let why = format!("node {:?} was chosen, which is not there", placement.node);
            return Err(ScheduleError::Internal(why));
        }
        self.found += 1;
        Ok(placement)
    }

    /// Too few found a node. If others may go for some of them, those are tried again as if they had.
    fn try_preemption(&mut self) {
        if self.results.iter().any(|result| preemption(result).is_some()) {
            let without = self.results.iter().enumerate().filter(|(_, result)| result.is_err());
            let left = without.map(|(index, _)| index).collect();
            self.again = Some(Again { left, before: self.results.clone() });
        }
    }

    /// A pod that others go for counts as being where they are.
    fn preempt(&mut self, pod: &Arc<PodInfo>, result: &Result<Placement, ScheduleError>) {
        if let Some((node, victims)) = preemption(result) {
            self.snapshot.update(node, |node| victims.iter().for_each(|victim| drop(node.remove_pod(victim.id()))));
            self.found += usize::from(assume_in(&mut self.snapshot, pod, &Placement::on(node.clone())));
        }
    }
}

/// Where a pod will have room, and who has to go for that.
fn preemption(result: &Result<Placement, ScheduleError>) -> Option<(&Arc<str>, &[Arc<PodInfo>])> {
    match result {
        Err(ScheduleError::Unschedulable(diagnosis)) => match diagnosis.nomination() {
            Nomination::For { node, victims } => Some((node, victims)),
            Nomination::None | Nomination::Kept => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use orchestra_core::{
        ObjectKey,
        scheduler::{Rejection, Scheduler},
    };

    use super::*;
    use crate::{
        framework::Framework,
        testing::{PodBuilder, TestCluster, node, pod},
    };

    fn decide(cluster: &TestCluster, missing: usize, pods: impl IntoIterator<Item = PodBuilder>) -> GangDecision {
        let pods = pods.into_iter().map(|pod| Arc::new(pod.info())).collect();
        let gang = Gang { group: ObjectKey::cluster("g"), pods, missing, unmet: Rejection::new("unmet") };
        let (scheduler, mut trial) = (Framework::kubernetes(), GangTrial::new(&gang, cluster.snapshot()));
        while let Some((pod, cluster)) = trial.next() {
            let result = scheduler.schedule(pod, cluster, 0);
            trial.answer(result);
        }
        trial.end()
    }

    fn workers(count: usize) -> impl Iterator<Item = PodBuilder> + Clone {
        (0..count).map(|index| pod(format!("p{index}")).cpu(1).priority(9))
    }

    fn nodes(decision: &GangDecision) -> Vec<Option<&str>> {
        decision.pods.iter().map(|(_, result)| result.as_ref().ok().map(|placement| &*placement.node)).collect()
    }

    #[test]
    fn each_pod_sees_those_before_it_and_the_cluster_stays_as_it_is() {
        let cluster = TestCluster::new().node(node("n1").cpu(2)).node(node("n2").cpu(1));
        let decision = decide(&cluster, 3, workers(3));
        assert_eq!(decision.outcome, GangOutcome::Placed);
        let mut found: Vec<_> = nodes(&decision).into_iter().flatten().collect();
        found.sort_unstable();
        assert_eq!(found, ["n1", "n1", "n2"]);
        assert!(cluster.snapshot().iter().all(|node| node.pods().is_empty()));
        assert_eq!(decide(&cluster, 4, workers(4)).outcome, GangOutcome::Unschedulable);
    }

    #[test]
    fn more_than_are_needed_may_fail() {
        let cluster = TestCluster::new().node(node("n1").cpu(2));
        let decision = decide(&cluster, 2, workers(3));
        assert_eq!(
            (decision.outcome.clone(), nodes(&decision)),
            (GangOutcome::Placed, vec![Some("n1"), Some("n1"), None])
        );
    }

    #[test]
    fn pods_may_want_to_be_near_to_each_other() {
        let cluster = TestCluster::new().nodes(["n1", "n2", "n3"].map(|name| node(name).cpu(2)));
        let near = |pod: PodBuilder| pod.label("app", "g").affinity("app=g", "kubernetes.io/hostname");
        let decision = decide(&cluster, 2, workers(2).map(near));
        let found = nodes(&decision);
        assert!(found[0].is_some() && found[0] == found[1], "{found:?}");
        assert_eq!(
            decide(&cluster, 3, workers(3).map(near)).outcome,
            GangOutcome::Unschedulable,
            "no node takes three"
        );
    }

    fn victims(decision: &GangDecision) -> Vec<usize> {
        decision.pods.iter().filter_map(|(_, result)| preemption(result)).map(|(_, victims)| victims.len()).collect()
    }

    #[test]
    fn room_that_others_leave_is_given_away_once() {
        let low = |index: usize, node: &str| pod(format!("low{index}")).cpu(1).on(node);
        let cluster = TestCluster::new().node(node("n1").cpu(3)).pods([low(0, "n1"), low(1, "n1")]);
        let decision = decide(&cluster, 3, workers(3));
        assert_eq!(decision.outcome, GangOutcome::Preempting);
        assert_eq!((nodes(&decision)[0], victims(&decision)), (Some("n1"), vec![1, 1]));
        let first = decide(&cluster, 4, workers(4));
        assert_eq!(first.outcome, GangOutcome::Unschedulable, "four do not fit even then");
    }

    #[test]
    fn nobody_is_preempted_if_enough_fit_without() {
        let cluster = TestCluster::new().node(node("n1").cpu(3)).pod(pod("low").cpu(1).on("n1"));
        assert_eq!(decide(&cluster, 2, workers(3)).outcome, GangOutcome::Placed);
    }

    #[test]
    fn a_node_that_is_not_there_is_the_schedulers_failure() {
        let pods: Vec<_> = workers(2).map(|pod| Arc::new(pod.info())).collect();
        let gang = Gang { group: ObjectKey::cluster("g"), pods, missing: 2, unmet: Rejection::new("unmet") };
        let mut trial = GangTrial::new(&gang, TestCluster::new().snapshot());
        trial.answer(Ok(Placement::on("n1")));
        assert!(trial.next().is_none());
        let decision = trial.end();
        let why = "node \"n1\" was chosen, which is not there";
        assert_eq!((decision.outcome, decision.pods.len()), (GangOutcome::Failed(why.to_owned()), 1));
    }
}

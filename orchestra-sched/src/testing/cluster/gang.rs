//! Pods that get nodes together.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::Pod,
    scheduling::v1alpha2::{GangSchedulingPolicy, PodGroup},
};
use orchestra_core::{
    ObjectKey,
    scheduler::{Diagnosis, PodInfo, ScheduleError, Scheduler},
};

use super::TestCluster;
use crate::{
    driver::schedule,
    gang::{GangDecision, GangOutcome, GangTrial},
    queue::Gang,
    testing::{Decision, PodBuilder},
};

/// A group called `name` that asks for `count` pods at once, and these: `pod` under the names `NAME-0`, `NAME-1`...
pub(in crate::testing) fn gang(name: &str, count: usize, pod: &PodBuilder) -> (PodGroup, Vec<Pod>) {
    let member =
        |index| pod.clone().group(name).with(|pod| pod.metadata.name = Some(format!("{name}-{index}"))).build();
    let mut group = PodGroup::default();
    group.metadata.name = Some(name.to_owned());
    group.metadata.namespace = pod.clone().build().metadata.namespace;
    group.metadata.uid = Some(format!("podgroup/{name}"));
    let min_count = i32::try_from(count).unwrap_or(i32::MAX);
    group.spec.scheduling_policy.gang = Some(GangSchedulingPolicy { min_count });
    (group, (0..count).map(member).collect())
}

impl TestCluster {
    /// Adds a PodGroup called `name` that asks for `count` pods at once, and these: `pod` under the names `NAME-0`, `NAME-1`...
    /// [`place_pending`](Self::place_pending) places all of them or none.
    ///
    /// ```
    /// use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
    /// let mut cluster = TestCluster::new().node(node("n1").cpu(3)).gang("train", 4, pod("worker").cpu(1));
    /// let scheduler = Framework::kubernetes();
    /// cluster.place_pending(&scheduler);
    /// assert_eq!(cluster.node_of("train-0"), None, "there is room for three");
    /// cluster.add_node(node("n2").cpu(1));
    /// cluster.place_pending(&scheduler);
    /// cluster.assert_on("train-3", "n2");
    /// ```
    #[must_use]
    pub fn gang(mut self, name: &str, count: usize, pod: PodBuilder) -> Self {
        self.add_gang(name, count, pod);
        self
    }

    /// As [`gang`](Self::gang).
    pub fn add_gang(&mut self, name: &str, count: usize, pod: PodBuilder) {
        let (group, pods) = gang(name, count, &pod);
        self.add_object(group);
        pods.into_iter().for_each(|pod| self.add_pod(pod));
    }

    /// Places the pods of a group that wait: at once if several have to have nodes at once. A group that has to wait has no decisions.
    pub(super) fn place_group<'s>(&mut self, scheduler: &'s dyn Scheduler, group: &ObjectKey) -> Vec<Decision<'s>> {
        let is_member = |pod: &Arc<PodInfo>| scheduler.group(pod).as_ref() == Some(group);
        let members: Vec<_> = self.pods.values().filter(|pod| !pod.has_ended() && is_member(pod)).collect();
        let placed = members.iter().filter(|pod| pod.node_name().is_some()).count();
        let Ok(quorum) = scheduler.quorum(group, members.len(), self.cache.objects()) else { return Vec::new() };
        let pods: Vec<_> = self.pending().into_iter().filter(is_member).collect();
        let missing = quorum.minimum.saturating_sub(placed);
        if missing <= 1 {
            return self.place_all(scheduler, pods.iter().map(|pod| PodInfo::clone(pod)));
        }
        if pods.len() < missing {
            return Vec::new();
        }
        let gang = Gang { group: group.clone(), pods, missing, unmet: quorum.unmet };
        let (snapshot, seed) = (self.snapshot(), self.seed);
        let mut trial = GangTrial::new(&gang, snapshot.clone());
        while let Some((pod, cluster)) = trial.next() {
            let result = schedule(scheduler, pod, cluster, seed);
            trial.answer(result);
        }
        let GangDecision { pods, outcome } = trial.end();
        let decided = pods.into_iter().map(|(pod, result)| {
            let result = match result {
                Ok(placement) if outcome == GangOutcome::Placed => {
                    self.settle(&pod, &placement);
                    Ok(placement)
                }
                Ok(_) => {
                    let mut diagnosis = Diagnosis::new(snapshot.len());
                    diagnosis.reject_everywhere(gang.unmet.clone());
                    Err(ScheduleError::from(diagnosis))
                }
                Err(error) => Err(error),
            };
            Decision::of(scheduler, pod, snapshot.clone(), result)
        });
        decided.collect()
    }
}

//! A rolling update stays within its bounds: never more than `maxSurge` pods over, never more than `maxUnavailable` under.
//!
//! Nobody can act on a scale or on the loss of a pod before having read of it. So exactly this is checked:
//! - When the bounds change, the former ones hold too until all replica sets have followed.
//! - A deployment may have too few available pods because users delete them, because they crash, or because it was scaled up. What its rollout may not
//!   do is to *take* an available pod that it cannot spare. It is excused for pods that were lost otherwise until it has read of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use parking_lot::Mutex;

use super::{Verdict, ensure};
use crate::{
    state::{State, is_active, is_available, uid},
    workload::Bounds,
};

pub(crate) struct Rollouts {
    by_deployment: BTreeMap<String, Rollout>,
    deleted_by_user: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Default)]
struct Rollout {
    /// The bounds in force, the newest last.
    bounds: Vec<Bounds>,
    /// The uids of the pods that were available at the revision before.
    available: BTreeSet<String>,
    /// How many available pods were lost without its doing, of which it may not have read.
    excused: usize,
}

/// A replica set with its pods.
struct Set<'a> {
    object: &'a ReplicaSet,
    active: Vec<&'a Pod>,
    available: Vec<&'a Pod>,
}

impl Rollouts {
    pub(crate) fn new(deleted_by_user: Arc<Mutex<BTreeSet<String>>>) -> Self {
        Self { by_deployment: BTreeMap::new(), deleted_by_user }
    }

    pub(crate) fn check(&mut self, state: &State) -> Verdict {
        let deleted_by_user = self.deleted_by_user.lock();
        for deployment in state.deployments.values() {
            let Some(bounds) = Bounds::of(deployment) else { continue };
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let rollout = self.by_deployment.entry(name.to_owned()).or_default();
            let sets: Vec<_> =
                state.sets_of(deployment).into_iter().map(|set| Set::of(set, deployment, state)).collect();
            let verdict = rollout.check(deployment, bounds, &sets, &deleted_by_user, state);
            verdict.map_err(|what| format!("deployment {name}: {what}"))?;
        }
        Ok(())
    }
}

impl Rollout {
    fn check(
        &mut self,
        deployment: &Deployment,
        bounds: Bounds,
        sets: &[Set<'_>],
        deleted_by_user: &BTreeSet<String>,
        state: &State,
    ) -> Verdict {
        if self.bounds.last() != Some(&bounds) {
            self.bounds.push(bounds);
        }
        let active: usize = sets.iter().map(|set| set.active.len()).sum();
        let wanted: usize = sets.iter().map(Set::wanted).sum();
        let most = self.bounds.iter().map(|bounds| bounds.most).max().unwrap_or(0);
        ensure(wanted <= most, || format!("its replica sets want {wanted} pods, and {most} are allowed"))?;
        ensure(active <= most, || format!("{active} pods, and {most} are allowed"))?;

        let available: BTreeSet<String> =
            sets.iter().flat_map(|set| &set.available).map(|pod| uid(pod).to_owned()).collect();
        let lost: Vec<String> = self.available.difference(&available).cloned().collect();
        let taken: Vec<&String> =
            lost.iter().filter(|uid| is_being_deleted(uid, state) && !deleted_by_user.contains(*uid)).collect();
        self.excused += lost.len() - taken.len();
        let (left, excused) = (available.len(), self.excused);
        let least = self.bounds.iter().map(|bounds| bounds.least).min().unwrap_or(0);
        ensure(taken.is_empty() || left + excused >= least, || {
            format!(
                "{left} pods are available, {least} should be, {excused} were lost otherwise, and it took {taken:?}"
            )
        })?;
        self.available = available;

        let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
        if observed == deployment.metadata.generation && sets.iter().all(Set::has_followed) && active <= bounds.most {
            self.bounds = vec![bounds];
            let told = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
            if usize::try_from(told) == Ok(left) && sets.iter().all(Set::tells_its_pods) {
                self.excused = 0;
            }
        }
        Ok(())
    }
}

fn is_being_deleted(wanted: &str, state: &State) -> bool {
    let pod = state.pods.values().find(|pod| uid(pod) == wanted);
    pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
}

impl<'a> Set<'a> {
    fn of(object: &'a ReplicaSet, deployment: &Deployment, state: &'a State) -> Self {
        let seconds = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let active: Vec<&Pod> = state.pods_of(object).into_iter().filter(|pod| is_active(pod)).collect();
        let available = active.iter().filter(|pod| is_available(pod, seconds, state.now)).copied().collect();
        Self { object, active, available }
    }

    fn wanted(&self) -> usize {
        let replicas = self.object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        usize::try_from(replicas).unwrap_or(0)
    }

    /// Whether the set's controller has read its size, and no pod is left to delete.
    fn has_followed(&self) -> bool {
        let observed = self.object.status.as_ref().and_then(|status| status.observed_generation);
        observed == self.object.metadata.generation && self.active.len() <= self.wanted()
    }

    /// Whether its status is as its pods are.
    fn tells_its_pods(&self) -> bool {
        let is = |told: i32, count: usize| usize::try_from(told) == Ok(count);
        self.object.status.as_ref().is_some_and(|status| {
            is(status.replicas, self.active.len()) && is(status.available_replicas.unwrap_or(0), self.available.len())
        })
    }
}

//! A rolling update stays within its bounds: never more than `maxSurge` pods over, never more than `maxUnavailable` under.
//!
//! Nobody can act on a scale, or on what became of a pod, before having read of it. So exactly this is checked:
//! - When the bounds change, the former ones hold too until all replica sets have followed.
//! - A deployment may have too few available pods because users delete them, because they crash, or because it was scaled up. What its
//!   rollout may not do is to *take* an available pod that it cannot spare. It is excused for pods that were lost otherwise until it has
//!   read of that, and for taking pods that became available only after it had decided that they, being of no use, can go: it takes no more
//!   than it was told that it can.

mod set;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::apps::v1::Deployment;
use parking_lot::Mutex;

use self::set::{Set, count};
use super::{Verdict, ensure};
use crate::{
    state::{State, uid},
    workload::Bounds,
};

pub(crate) struct Rollouts {
    by_deployment: BTreeMap<String, Rollout>,
    deleted_by_user: Arc<Mutex<BTreeSet<String>>>,
}

/// What is to be remembered of a deployment from revision to revision.
#[derive(Default)]
struct Rollout {
    last: Option<Arc<Deployment>>,
    /// The bounds in force, the newest last.
    bounds: Vec<Bounds>,
    /// The uids of the available pods.
    available: BTreeSet<String>,
    /// The size of each replica set, by uid.
    sizes: BTreeMap<String, usize>,
    /// How many available pods were lost without its doing, of which it may not have read.
    excused: usize,
    /// How many available pods there were by the statuses of the replica sets when one was made smaller, while pods are still to go for
    /// that.
    told: Option<usize>,
}

impl Rollouts {
    pub(crate) fn new(deleted_by_user: Arc<Mutex<BTreeSet<String>>>) -> Self {
        Self { by_deployment: BTreeMap::new(), deleted_by_user }
    }

    pub(crate) fn check(&mut self, state: &State) -> Verdict {
        let deleted_by_user = self.deleted_by_user.lock();
        state.deployments.iter().try_for_each(|(key, deployment)| {
            let Some(bounds) = Bounds::of(deployment) else { return Ok(()) };
            let rollout = self.by_deployment.entry(key.clone()).or_default();
            let sets = Set::all(deployment, state);
            rollout.note_bounds(bounds);
            rollout.note_decision(&sets);
            let verdict = rollout.surge(&sets).and_then(|()| rollout.availability(&sets, state, &deleted_by_user));
            rollout.settle(deployment, bounds, &sets);
            verdict.map_err(|what| format!("{key}: {what}"))
        })
    }
}

impl Rollout {
    fn note_bounds(&mut self, bounds: Bounds) {
        if self.bounds.last() != Some(&bounds) {
            self.bounds.push(bounds);
        }
    }

    /// Notes what was known when a replica set is made smaller.
    fn note_decision(&mut self, sets: &[Set<'_>]) {
        let sizes: BTreeMap<String, usize> = sets.iter().map(|set| (set.uid(), set.wanted())).collect();
        let before = |set: &Set<'_>| self.sizes.get(&set.uid()).copied().unwrap_or(0);
        if sets.iter().any(|set| set.wanted() < before(set)) {
            // What was to go by decisions before this one did not count any more.
            let told = sets.iter().map(|set| set.told_available().min(before(set))).sum();
            self.told = Some(self.told.map_or(told, |earlier| earlier.min(told)));
        }
        self.sizes = sizes;
    }

    fn surge(&self, sets: &[Set<'_>]) -> Verdict {
        let (active, wanted): (usize, usize) =
            (sets.iter().map(|set| set.active.len()).sum(), sets.iter().map(Set::wanted).sum());
        let most = self.bounds.iter().map(|bounds| bounds.most).max().unwrap_or(0);
        ensure(wanted <= most, || format!("its replica sets want {wanted} pods, and {most} are allowed"))?;
        ensure(active <= most, || format!("{active} pods, and {most} are allowed"))
    }

    fn availability(&mut self, sets: &[Set<'_>], state: &State, deleted_by_user: &BTreeSet<String>) -> Verdict {
        let available = sets.iter().flat_map(|set| &set.available).map(|pod| uid(pod).to_owned()).collect();
        let before = std::mem::replace(&mut self.available, available);
        let lost: Vec<&String> = before.difference(&self.available).collect();
        let is_taken = |uid: &&&String| is_being_deleted(uid, state) && !deleted_by_user.contains(**uid);
        let taken: Vec<_> = lost.iter().filter(is_taken).collect();
        self.excused += lost.len() - taken.len();
        let (left, excused) = (self.available.len(), self.excused);
        let least = self.bounds.iter().map(|bounds| bounds.least).chain(self.told).min().unwrap_or(0);
        ensure(taken.is_empty() || left + excused >= least, || {
            format!(
                "{left} available pods, at least {least} should be, {excused} were lost otherwise, and it took {taken:?}"
            )
        })
    }

    /// Forgets what excuses, once all replica sets have followed.
    fn settle(&mut self, deployment: &Arc<Deployment>, bounds: Bounds, sets: &[Set<'_>]) {
        let has_written = self.last.as_ref().is_some_and(|last| !Arc::ptr_eq(last, deployment));
        self.last = Some(Arc::clone(deployment));
        let Some(status) = &deployment.status else { return };
        let active: usize = sets.iter().map(|set| set.active.len()).sum();
        let has_observed = status.observed_generation == deployment.metadata.generation;
        if !has_observed || active > bounds.most || !sets.iter().all(Set::has_followed) {
            return;
        }
        self.bounds = vec![bounds];
        self.told = None;
        // What it writes itself shows what it has read.
        let has_read = has_written && count(status.available_replicas) == self.available.len();
        if has_read && sets.iter().all(Set::tells_its_pods) {
            self.excused = 0;
        }
    }
}

fn is_being_deleted(wanted: &str, state: &State) -> bool {
    let pod = state.pods.values().find(|pod| uid(pod) == wanted);
    pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
}

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};

use crate::state::{State, is_active, is_available};

/// A replica set with its pods: what it is told to have, what it tells, and what is.
pub(super) struct Set<'a> {
    object: &'a ReplicaSet,
    pub(super) active: Vec<&'a Pod>,
    pub(super) available: Vec<&'a Pod>,
}

impl<'a> Set<'a> {
    /// The sets of a deployment.
    pub(super) fn all(deployment: &Deployment, state: &'a State) -> Vec<Self> {
        let seconds = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let set = |object| {
            let active: Vec<&Pod> = state.pods_of(object).into_iter().filter(|pod| is_active(pod)).collect();
            let available = active.iter().filter(|pod| is_available(pod, seconds, state.now)).copied().collect();
            Self { object, active, available }
        };
        state.sets_of(deployment).into_iter().map(set).collect()
    }

    pub(super) fn uid(&self) -> String {
        self.object.metadata.uid.clone().unwrap_or_default()
    }

    /// How many pods it is to have.
    pub(super) fn wanted(&self) -> usize {
        count(self.object.spec.as_ref().and_then(|spec| spec.replicas))
    }

    /// How many of its pods are available by its status.
    pub(super) fn told_available(&self) -> usize {
        count(self.object.status.as_ref().and_then(|status| status.available_replicas))
    }

    /// Whether its controller has read its size, and no pod is left to delete.
    pub(super) fn has_followed(&self) -> bool {
        let observed = self.object.status.as_ref().and_then(|status| status.observed_generation);
        observed == self.object.metadata.generation && self.active.len() <= self.wanted()
    }

    /// Whether its status is as its pods are.
    pub(super) fn tells_its_pods(&self) -> bool {
        let told = count(self.object.status.as_ref().map(|status| status.replicas));
        told == self.active.len() && self.told_available() == self.available.len()
    }
}

/// What the API has as a number that may be left out.
pub(super) fn count(number: Option<i32>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

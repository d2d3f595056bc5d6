//! With `Recreate`, pods of two templates never exist at the same time, not even those that are on their way out.

use super::{Verdict, ensure};
use crate::state::{State, is_finished, name};

pub(crate) struct Recreate;

impl Recreate {
    pub(crate) fn check(&self, state: &State) -> Verdict {
        state.deployments.values().try_for_each(|deployment| {
            let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
            if strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate") {
                return Ok(());
            }
            let sets = state.sets_of(deployment).into_iter();
            let pods = sets.filter_map(|set| state.pods_of(set).into_iter().find(|pod| !is_finished(pod)));
            let pods: Vec<_> = pods.map(name).collect();
            ensure(pods.len() < 2, || format!("pods of two templates: {pods:?}"))
        })
    }
}

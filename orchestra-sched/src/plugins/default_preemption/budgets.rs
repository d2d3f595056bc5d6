use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orchestra_core::{
    scheduler::{Objects, PodInfo},
    selector::label::Selector,
};

/// Which pods may go without harm: PodDisruptionBudgets, read as far as they are asked for.
pub(super) struct Budgets<'a> {
    objects: &'a Objects,
    exist: bool,
    by_namespace: HashMap<String, Vec<Budget>>,
    round: u64,
}

struct Budget {
    selector: Selector,
    budget: Arc<PodDisruptionBudget>,
    /// How many more pods may go in the round.
    left: i32,
    round: u64,
}

impl Budget {
    /// A budget with an invalid selector, or one that selects nothing or everything, holds for no pod: so does kube-scheduler.
    fn of(budget: &Arc<PodDisruptionBudget>) -> Option<Self> {
        let selector = budget.spec.as_ref()?.selector.as_ref()?;
        let selector = Selector::try_from(selector).ok().filter(|selector| !selector.is_everything())?;
        Some(Self { selector, budget: budget.clone(), left: 0, round: 0 })
    }

    /// Whether the budget forbids that the pod goes too.
    fn is_violated_by(&mut self, pod: &PodInfo, round: u64) -> bool {
        let status = self.budget.status.as_ref();
        if self.round != round {
            self.left = status.and_then(|status| status.disruptions_allowed).unwrap_or(0);
            self.round = round;
        }
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        let applies = self.selector.matches(pod.labels())
            // The API server has let it go already, and counted it.
            && !disrupted.is_some_and(|pods| pods.contains_key(pod.key().name()));
        if applies {
            self.left = self.left.saturating_sub(1);
        }
        applies && self.left < 0
    }
}

impl<'a> Budgets<'a> {
    pub(super) fn of(objects: &'a Objects) -> Self {
        let exist = objects.iter::<PodDisruptionBudget>().next().is_some();
        Self { objects, exist, by_namespace: HashMap::new(), round: 0 }
    }

    /// Those of `pods` that budgets would not let go if all before them went, and the others; the order is kept.
    pub(super) fn split(&mut self, pods: Vec<Arc<PodInfo>>) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
        if !self.exist {
            return (Vec::new(), pods);
        }
        self.round += 1;
        pods.into_iter().partition(|pod| self.is_violated_by(pod))
    }

    fn is_violated_by(&mut self, pod: &PodInfo) -> bool {
        if pod.labels().is_empty() {
            return false;
        }
        let (namespace, round) = (pod.key().namespace().unwrap_or_default(), self.round);
        if !self.by_namespace.contains_key(namespace) {
            let budgets = self.objects.in_namespace(namespace).filter_map(Budget::of).collect();
            self.by_namespace.insert(namespace.to_owned(), budgets);
        }
        // Each one counts the pod, whether another forbids it or not.
        let budgets = self.by_namespace.get_mut(namespace).into_iter().flatten();
        budgets.fold(false, |violated, budget| budget.is_violated_by(pod, round) | violated)
    }
}

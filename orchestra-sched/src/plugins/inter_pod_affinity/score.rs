//! Which of the nodes that can take a pod are nearer to what it likes, and to what likes it.

use orchestra_core::scheduler::{NodeInfo, PodInfo};

use super::{
    InterPodAffinity,
    existing::{ByKey, Effect},
    incoming::Role,
    state::Prepared,
};
use crate::framework::{CycleState, MAX_NODE_SCORE, PreScore, Score};

/// Where scores come from.
struct Sources {
    /// The numbers of the pod's own terms, with their keys.
    own: Vec<(usize, String)>,
    /// The terms of existing pods that mean the pod.
    existing: Vec<ByKey>,
}

impl PreScore for InterPodAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, _: &[&NodeInfo]) -> bool {
        let Some(prepared) = state.read::<Prepared>() else { return false };
        let incoming = prepared.incoming.as_ref().map(|incoming| incoming.account());
        let wishes = incoming.into_iter().flat_map(|incoming| incoming.wishes().iter());
        let preferred: Vec<_> = wishes.filter(|(_, wish)| matches!(wish.role, Role::Preferred(_))).collect();
        if preferred.is_empty() && self.args.ignore_preferred_terms_of_existing_pods {
            return false;
        }
        let is_there = |slot: usize| incoming.is_some_and(|incoming| !incoming.sums(slot).is_zero());
        let there = preferred.into_iter().filter(|(slot, _)| is_there(*slot));
        let own: Vec<_> = there.map(|(slot, wish)| (slot, wish.term.topology_key.clone())).collect();
        let existing = prepared.existing.account().meaning(Effect::Sways, pod, &prepared.namespace_labels);
        let any = !own.is_empty() || !existing.is_empty();
        state.write(Sources { own, existing });
        any
    }
}

impl Score for InterPodAffinity {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        let (Some(prepared), Some(sources)) = (state.read::<Prepared>(), state.read::<Sources>()) else { return 0 };
        let value = |key: &String| node.labels().get(key);
        let incoming = prepared.incoming.as_ref().map(|incoming| incoming.account());
        let own = sources.own.iter().filter_map(|(slot, key)| Some(incoming?.sums(*slot).of(value(key)?)));
        let existing = sources.existing.iter();
        let existing = existing.filter_map(|terms| Some(prepared.existing.account().of(terms, value(&terms.key)?)));
        own.sum::<i64>() + existing.sum::<i64>()
    }

    /// The least liked node gets nothing, the most liked one everything, and those between them a share.
    fn normalize(&self, scores: &mut [i64]) {
        let (Some(least), Some(most)) = (scores.iter().min().copied(), scores.iter().max().copied()) else { return };
        let range = most - least;
        for score in scores {
            // Kubernetes reckons in fractions and rounds down.
            let share = if range > 0 { (*score - least) as f64 / range as f64 } else { 0.0 };
            *score = (MAX_NODE_SCORE as f64 * share) as i64;
        }
    }
}

mod args;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{NodeAffinity as Affinity, PreferredSchedulingTerm};
use orchestra_core::{
    scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Snapshot},
    selector::{label::Selector, node::Term},
};

pub use self::args::NodeAffinityArgs;
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, PreScore, Requeue, Score, normalize};

const OTHER_THAN_ENFORCED: &str = "node(s) didn't match scheduler-enforced node affinity";
const OTHER_THAN_WANTED: &str = "node(s) didn't match Pod's node affinity/selector";

/// Lets a pod go only where its `nodeSelector` and required node affinity allow, and prefers what its preferred affinity names. An affinity
/// can be added that is every pod's of the profile.
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity {
    /// One of them has to match, if there are any to match.
    enforced: Option<Vec<Term>>,
    preferred: Preferred,
}

impl NodeAffinity {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: NodeAffinityArgs) -> Result<Self, String> {
        args.validate()?;
        let added = args.added_affinity.unwrap_or_default();
        let enforced = added.required_during_scheduling_ignored_during_execution;
        Ok(Self {
            enforced: enforced.map(|required| required.node_selector_terms.iter().map(Term::compile).collect()),
            preferred: Preferred::of(added.preferred_during_scheduling_ignored_during_execution.as_deref()),
        })
    }

    /// Whether the affinity that was added allows the node.
    fn allows(&self, node: &NodeInfo) -> bool {
        self.enforced.as_ref().is_none_or(|terms| any_matches(terms, node))
    }
}

fn any_matches(terms: &[Term], node: &NodeInfo) -> bool {
    terms.iter().any(|term| term.matches(node.name(), node.labels()))
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

/// What a node must be like.
#[derive(Clone, PartialEq)]
pub(super) struct Required {
    selector: Selector,
    /// One of them has to match, if there are any to match.
    terms: Option<Vec<Term>>,
}

impl Required {
    /// What the pod requires; `None` if nothing.
    pub(super) fn of(pod: &PodInfo) -> Option<Self> {
        let labels = pod.spec().and_then(|spec| spec.node_selector.as_ref()).filter(|labels| !labels.is_empty());
        let terms = affinity(pod).and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        if labels.is_none() && terms.is_none() {
            return None;
        }
        Some(Self {
            selector: labels.map(Selector::from_labels).unwrap_or_default(),
            terms: terms.map(|required| required.node_selector_terms.iter().map(Term::compile).collect()),
        })
    }

    /// Whether `node` is like that.
    pub(super) fn matches(&self, node: &NodeInfo) -> bool {
        self.selector.matches(node.labels()) && self.terms.as_ref().is_none_or(|terms| any_matches(terms, node))
    }

    /// The nodes that the terms name, if every one names some.
    fn named_nodes(&self) -> Option<BTreeSet<String>> {
        let named: Option<Vec<BTreeSet<String>>> = self.terms.as_ref()?.iter().map(Term::named_nodes).collect();
        named.filter(|sets| !sets.is_empty()).map(|sets| sets.into_iter().flatten().collect())
    }
}

/// What is preferred, and how much.
#[derive(Clone, Debug, Default)]
struct Preferred(Vec<(i64, Term)>);

impl Preferred {
    fn of(terms: Option<&[PreferredSchedulingTerm]>) -> Self {
        let weighted = terms.into_iter().flatten().filter(|term| term.weight != 0);
        Self(weighted.map(|term| (i64::from(term.weight), Term::compile(&term.preference))).collect())
    }

    fn score(&self, node: &NodeInfo) -> i64 {
        let matching = self.0.iter().filter(|(_, term)| term.matches(node.name(), node.labels()));
        matching.map(|(weight, _)| weight).sum()
    }
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        let Some(required) = Required::of(pod) else {
            return if self.enforced.is_none() { PreFilterOutcome::Skip } else { PreFilterOutcome::Continue };
        };
        let named = required.named_nodes();
        state.write(required);
        match named {
            None => PreFilterOutcome::Continue,
            Some(nodes) if nodes.is_empty() => {
                PreFilterOutcome::Reject(Rejection::new("pod affinity terms conflict").unresolvable())
            }
            Some(nodes) => PreFilterOutcome::Only(nodes),
        }
    }
}

impl Filter for NodeAffinity {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !self.allows(node) {
            Err(Rejection::new(OTHER_THAN_ENFORCED).unresolvable())
        } else if !state.read::<Required>().is_none_or(|required| required.matches(node)) {
            Err(Rejection::new(OTHER_THAN_WANTED).unresolvable())
        } else {
            Ok(())
        }
    }
}

impl PreScore for NodeAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, _: &[&NodeInfo]) -> bool {
        let terms =
            affinity(pod).and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_deref());
        let preferred = Preferred::of(terms);
        let any = !preferred.0.is_empty() || !self.preferred.0.is_empty();
        state.write(preferred);
        any
    }
}

impl Score for NodeAffinity {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        self.preferred.score(node) + state.read::<Preferred>().map_or(0, |preferred| preferred.score(node))
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }
}

impl Requeue for NodeAffinity {
    fn concerns(&self, kind: EventKind) -> bool {
        // A pod's own affinity can be changed while a gate holds it only, and then it has not been rejected.
        matches!(kind, EventKind::NodeAdded | EventKind::NodeUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let required = Required::of(pod);
        event
            .may_bring_node(|node| self.allows(node) && required.as_ref().is_none_or(|required| required.matches(node)))
    }
}

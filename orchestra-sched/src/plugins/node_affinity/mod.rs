use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::NodeAffinity as Affinity;
use orchestra_core::{
    scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Snapshot},
    selector::{label::Selector, node::Term},
};

use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, PreScore, Requeue, Score, normalize};

/// Lets a pod go only where its `nodeSelector` and required node affinity allow, and prefers what its preferred affinity names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeAffinity;

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
        self.selector.matches(node.labels())
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node.name(), node.labels())))
    }

    /// The nodes that the terms name, if every one names some.
    fn named_nodes(&self) -> Option<BTreeSet<String>> {
        let named: Option<Vec<BTreeSet<String>>> = self.terms.as_ref()?.iter().map(Term::named_nodes).collect();
        named.filter(|sets| !sets.is_empty()).map(|sets| sets.into_iter().flatten().collect())
    }
}

struct Preferred(Vec<(i64, Term)>);

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        let Some(required) = Required::of(pod) else { return PreFilterOutcome::Skip };
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
        if state.read::<Required>().is_none_or(|required| required.matches(node)) {
            Ok(())
        } else {
            Err(Rejection::new("node(s) didn't match Pod's node affinity/selector").unresolvable())
        }
    }
}

impl PreScore for NodeAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, _: &[&NodeInfo]) -> bool {
        let preferred =
            affinity(pod).and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
        let weighted = preferred.into_iter().flatten().filter(|term| term.weight != 0);
        let terms: Vec<_> = weighted.map(|term| (i64::from(term.weight), Term::compile(&term.preference))).collect();
        let any = !terms.is_empty();
        state.write(Preferred(terms));
        any
    }
}

impl Score for NodeAffinity {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        let terms = state.read::<Preferred>().into_iter().flat_map(|preferred| &preferred.0);
        terms.filter(|(_, term)| term.matches(node.name(), node.labels())).map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }
}

impl Requeue for NodeAffinity {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::NodeUpdated | EventKind::PodUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        event.may_bring_node(|node| Required::of(pod).is_none_or(|required| required.matches(node)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn labelled(labels: Value) -> NodeInfo {
        node(json!({ "metadata": { "labels": labels } }))
    }

    fn requiring(terms: Value) -> PodInfo {
        pod(json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } }))
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
    }

    fn fits(pod: &PodInfo, node: &NodeInfo) -> bool {
        let verdict = verdict(&NodeAffinity, pod, node);
        assert!(verdict.iter().all(|v| *v == ("node(s) didn't match Pod's node affinity/selector".to_owned(), false)));
        verdict.is_none()
    }

    #[test]
    fn every_label_of_the_selector_must_match() {
        let pod = pod(json!({ "nodeSelector": { "disk": "ssd", "zone": "a" } }));
        assert!(fits(&pod, &labelled(json!({ "disk": "ssd", "zone": "a" }))));
        assert!(!fits(&pod, &labelled(json!({ "disk": "ssd" }))));
        assert!(!fits(&pod, &labelled(json!({ "disk": "hdd", "zone": "a" }))));
    }

    #[test]
    fn each_operator_is_understood() {
        for (operator, values, hit, miss) in [
            ("In", &["a", "b"][..], json!({ "k": "b" }), json!({ "k": "c" })),
            ("NotIn", &["a"], json!({}), json!({ "k": "a" })),
            ("Exists", &[], json!({ "k": "" }), json!({})),
            ("DoesNotExist", &[], json!({}), json!({ "k": "a" })),
            ("Gt", &["5"], json!({ "k": "6" }), json!({ "k": "5" })),
            ("Lt", &["5"], json!({ "k": "4" }), json!({ "k": "x" })),
        ] {
            let pod = requiring(json!([expression("k", operator, values)]));
            assert!(fits(&pod, &labelled(hit)), "{operator}");
            assert!(!fits(&pod, &labelled(miss)), "{operator}");
        }
    }

    #[test]
    fn one_term_is_enough_but_all_of_its_expressions_are_needed() {
        let both = json!({ "matchExpressions": [
            { "key": "a", "operator": "Exists" }, { "key": "b", "operator": "Exists" } ] });
        let pod = requiring(json!([both, expression("c", "Exists", &[])]));
        assert!(fits(&pod, &labelled(json!({ "a": "", "b": "" }))));
        assert!(fits(&pod, &labelled(json!({ "c": "" }))));
        assert!(!fits(&pod, &labelled(json!({ "a": "" }))));
    }

    #[test]
    fn selector_and_affinity_are_both_needed() {
        let pod = pod(json!({ "nodeSelector": { "disk": "ssd" }, "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [expression("zone", "In", &["a"])] } } } }));
        assert!(fits(&pod, &labelled(json!({ "disk": "ssd", "zone": "a" }))));
        assert!(!fits(&pod, &labelled(json!({ "zone": "a" }))));
    }

    #[test]
    fn empty_and_invalid_terms_match_nothing() {
        assert!(!fits(&requiring(json!([])), &labelled(json!({}))));
        assert!(!fits(&requiring(json!([{}])), &labelled(json!({}))));
        assert!(!fits(&requiring(json!([expression("k", "Near", &["a"])])), &labelled(json!({ "k": "a" }))));
        assert!(!fits(&requiring(json!([expression("k", "Gt", &["many"])])), &labelled(json!({ "k": "9" }))));
        let valid_too = requiring(json!([expression("k", "Near", &["a"]), expression("k", "Exists", &[])]));
        assert!(fits(&valid_too, &labelled(json!({ "k": "a" }))));
    }

    #[test]
    fn terms_that_name_nodes_leave_only_those_in_question() {
        let field = |operator: &str, name: &str| json!({ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": [name] }] });
        let outcome =
            |terms| NodeAffinity.pre_filter(&mut CycleState::default(), &requiring(terms), &Snapshot::default());
        let names = |names: &[&str]| PreFilterOutcome::Only(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(outcome(json!([field("In", "n1"), field("In", "n2")])), names(&["n1", "n2"]));
        assert_eq!(outcome(json!([field("In", "n1"), expression("k", "Exists", &[])])), PreFilterOutcome::Continue);
        assert_eq!(outcome(json!([field("NotIn", "n1")])), PreFilterOutcome::Continue);
        assert!(fits(&requiring(json!([field("In", "n1")])), &labelled(json!({}))));
        assert!(!fits(&requiring(json!([field("NotIn", "n1")])), &labelled(json!({}))));
        let conflict = json!([{ "matchFields": [
            { "key": "metadata.name", "operator": "In", "values": ["n1"] },
            { "key": "metadata.name", "operator": "In", "values": ["n2"] } ] }]);
        assert!(matches!(outcome(conflict), PreFilterOutcome::Reject(_)));
    }

    #[test]
    fn preferred_terms_add_up_by_weight() {
        let pod = pod(json!({ "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 30, "preference": expression("a", "Exists", &[]) },
            { "weight": 10, "preference": expression("b", "Exists", &[]) } ] } } }));
        let nodes = [
            labelled(json!({ "a": "", "b": "" })),
            labelled(json!({ "a": "" })),
            labelled(json!({ "b": "" })),
            labelled(json!({})),
        ];
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        assert_eq!(scores(&NodeAffinity, &pod, &nodes), Some(vec![100, 75, 25, 0]));
    }

    #[test]
    fn a_pod_without_preferences_is_not_scored() {
        assert_eq!(scores(&NodeAffinity, &pod(json!({})), &[&labelled(json!({}))]), None);
    }

    #[test]
    fn a_node_that_gains_the_label_is_worth_another_attempt() {
        let pod = pod(json!({ "nodeSelector": { "disk": "ssd" } }));
        let (plain, ssd) = (labelled(json!({})), labelled(json!({ "disk": "ssd" })));
        let update = |old: &NodeInfo, new: &NodeInfo| ClusterEvent::NodeUpdated {
            old: old.clone().into(),
            new: new.clone().into(),
        };
        assert!(NodeAffinity.may_help(&update(&plain, &ssd), &pod));
        assert!(!NodeAffinity.may_help(&update(&ssd, &plain), &pod));
        assert!(!NodeAffinity.may_help(&ClusterEvent::NodeAdded(plain.into()), &pod));
    }
}

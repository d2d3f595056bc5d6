use k8s_openapi::{
    api::core::v1::{
        Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity, PodAffinityTerm,
        PodAntiAffinity,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

use super::{Dice, KEYS, NAMESPACES, pod::selector, strings};

/// The affinity of a pod.
pub(super) fn of_nodes_and_pods(dice: &mut Dice) -> Option<Affinity> {
    let (near, far) = (terms(dice), terms(dice));
    let required = |terms: Option<NodeSelectorTerms>| {
        let required = terms.map(|node_selector_terms| NodeSelector { node_selector_terms });
        NodeAffinity { required_during_scheduling_ignored_during_execution: required, ..NodeAffinity::default() }
    };
    let affinity = Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: near,
            ..PodAffinity::default()
        }),
        pod_anti_affinity: Some(PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: far,
            ..PodAntiAffinity::default()
        }),
        node_affinity: dice.once_in(6).then(|| required(node_terms(dice))),
    };
    Some(affinity)
}

/// Terms of inter-pod affinity or anti-affinity.
fn terms(dice: &mut Dice) -> Option<Vec<PodAffinityTerm>> {
    let number = [0, 0, 0, 0, 0, 0, 1, 1, 2][dice.roll(9)];
    let term = |_| PodAffinityTerm {
        topology_key: dice.choose(&KEYS).to_owned(),
        label_selector: selector(dice),
        namespaces: dice.maybe(&NAMESPACES).filter(|_| dice.once_in(2)).map(|name| vec![name.to_owned()]),
        namespace_selector: namespaces(dice),
        ..PodAffinityTerm::default()
    };
    (number > 0).then(|| (0..number).map(term).collect())
}

/// A selector of namespaces.
fn namespaces(dice: &mut Dice) -> Option<LabelSelector> {
    match dice.roll(6) {
        3 => Some(LabelSelector::default()),
        4 => Some(LabelSelector { match_labels: Some(strings(&[("team", "a")])), match_expressions: None }),
        5 => Some(LabelSelector { match_labels: None, match_expressions: Some(expressions("team", dice)) }),
        _ => None,
    }
}

/// A requirement on a label.
pub(super) fn expressions(key: &str, dice: &mut Dice) -> Vec<LabelSelectorRequirement> {
    let operator = dice.choose(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let values = match key {
        "app" => ["web", "db"],
        "version" => ["1", "3"],
        _ => ["a", "c"],
    };
    let values = operator.ends_with("In").then(|| values.map(str::to_owned).to_vec());
    vec![LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values }]
}

type NodeSelectorTerms = Vec<NodeSelectorTerm>;

fn node_terms(dice: &mut Dice) -> Option<NodeSelectorTerms> {
    let number = dice.choose(&[1, 1, 2, 0]);
    Some((0..number).map(|_| node_term(dice)).collect())
}

fn node_term(dice: &mut Dice) -> NodeSelectorTerm {
    let mut term = NodeSelectorTerm { match_expressions: Some(vec![requirement(dice)]), match_fields: None };
    match dice.roll(6) {
        3 => term.match_expressions.get_or_insert_default().push(requirement(dice)),
        4 => term.match_fields = Some(vec![of_name(dice)]),
        5 => {
            term =
                NodeSelectorTerm { match_expressions: None, match_fields: dice.once_in(4).then(|| vec![of_name(dice)]) }
        }
        _ => {}
    }
    term
}

fn requirement(dice: &mut Dice) -> NodeSelectorRequirement {
    let (key, operator, values) = dice.choose(&[
        ("zone", "In", &["a", "b"][..]),
        ("zone", "NotIn", &["c"]),
        ("disk", "Exists", &[]),
        ("disk", "DoesNotExist", &[]),
        ("size", "Gt", &["2"]),
        ("size", "Lt", &["3"]),
    ]);
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    NodeSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values: Some(values) }
}

fn of_name(dice: &mut Dice) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: dice.choose(&["In", "NotIn"]).to_owned(),
        values: Some(vec![dice.choose(&["n0", "n1", "n2"]).to_owned()]),
    }
}

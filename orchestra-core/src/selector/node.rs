//! Selectors of nodes, by their labels and by name, as the affinities of pods and volumes have them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

use super::label::{Operator, Requirement};

/// Whether the node called `name` with these labels is selected: one term is enough. Without terms no node is.
///
/// ```
/// use std::collections::BTreeMap;
/// use k8s_openapi::api::core::v1::NodeSelector;
/// use orchestra_core::selector::node;
/// let selector: NodeSelector = serde_json::from_str(
///     r#"{"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}"#)?;
/// assert!(node::selects(&selector, "n1", &BTreeMap::new()));
/// assert!(!node::selects(&selector, "n2", &BTreeMap::new()));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn selects(selector: &NodeSelector, name: &str, labels: &BTreeMap<String, String>) -> bool {
    selector.node_selector_terms.iter().any(|term| Term::compile(term).matches(name, labels))
}

/// A compiled node selector term: all of its requirements have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    labels: Vec<Requirement>,
    names: Vec<NameRequirement>,
    /// A term that is empty or cannot be understood matches no node.
    matches_nothing: bool,
}

/// A requirement on `metadata.name`, the only field there is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NameRequirement {
    Is(String),
    IsNot(String),
}

impl Term {
    /// Reads a term.
    pub fn compile(term: &NodeSelectorTerm) -> Self {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        let labels: Option<Vec<_>> = expressions.iter().map(label_requirement).collect();
        let names: Option<Vec<_>> = fields.iter().map(name_requirement).collect();
        let matches_nothing = expressions.is_empty() && fields.is_empty() || labels.is_none() || names.is_none();
        Self { labels: labels.unwrap_or_default(), names: names.unwrap_or_default(), matches_nothing }
    }

    /// Whether the node called `name` with these labels is meant.
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        !self.matches_nothing
            && self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.names.iter().all(|requirement| match requirement {
                NameRequirement::Is(wanted) => wanted == name,
                NameRequirement::IsNot(unwanted) => unwanted != name,
            })
    }

    /// The nodes that the term allows by name; `None` if it names none.
    pub fn named_nodes(&self) -> Option<BTreeSet<String>> {
        let sets = self.names.iter().filter_map(|requirement| match requirement {
            NameRequirement::Is(name) => Some(BTreeSet::from([name.clone()])),
            NameRequirement::IsNot(_) => None,
        });
        sets.reduce(|all, next| all.intersection(&next).cloned().collect())
    }
}

fn label_requirement(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let values = requirement.values.clone().unwrap_or_default();
    let number = || match values.as_slice() {
        [only] => only.parse().ok(),
        _ => None,
    };
    let operator = match requirement.operator.as_str() {
        "In" if !values.is_empty() => Operator::In(values),
        "NotIn" if !values.is_empty() => Operator::NotIn(values),
        "Exists" if values.is_empty() => Operator::Exists,
        "DoesNotExist" if values.is_empty() => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan(number()?),
        "Lt" => Operator::LessThan(number()?),
        _ => return None,
    };
    Some(Requirement { key: requirement.key.clone(), operator })
}

fn name_requirement(requirement: &NodeSelectorRequirement) -> Option<NameRequirement> {
    let [name] = requirement.values.as_deref()? else { return None };
    match (requirement.key.as_str(), requirement.operator.as_str()) {
        ("metadata.name", "In") => Some(NameRequirement::Is(name.clone())),
        ("metadata.name", "NotIn") => Some(NameRequirement::IsNot(name.clone())),
        _ => None,
    }
}

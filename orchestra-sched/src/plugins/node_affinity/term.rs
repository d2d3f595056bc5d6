use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use orchestra_core::{
    scheduler::NodeInfo,
    selector::label::{Operator, Requirement},
};

/// A compiled node selector term: all of its requirements have to hold.
pub(super) struct Term {
    labels: Vec<Requirement>,
    names: Vec<NameRequirement>,
    /// A term that is empty or cannot be understood matches no node.
    matches_nothing: bool,
}

/// A requirement on `metadata.name`, the only field there is.
enum NameRequirement {
    Is(String),
    IsNot(String),
}

impl Term {
    pub(super) fn compile(term: &NodeSelectorTerm) -> Self {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        let labels: Option<Vec<_>> = expressions.iter().map(label_requirement).collect();
        let names: Option<Vec<_>> = fields.iter().map(name_requirement).collect();
        let matches_nothing = expressions.is_empty() && fields.is_empty() || labels.is_none() || names.is_none();
        Self { labels: labels.unwrap_or_default(), names: names.unwrap_or_default(), matches_nothing }
    }

    pub(super) fn matches(&self, node: &NodeInfo) -> bool {
        !self.matches_nothing
            && self.labels.iter().all(|requirement| requirement.matches(node.labels()))
            && self.names.iter().all(|requirement| match requirement {
                NameRequirement::Is(name) => *name == **node.name(),
                NameRequirement::IsNot(name) => *name != **node.name(),
            })
    }

    /// The nodes that the term allows by name; `None` if it names none.
    pub(super) fn named_nodes(&self) -> Option<BTreeSet<String>> {
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

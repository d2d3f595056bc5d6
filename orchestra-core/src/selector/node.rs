//! Selectors of nodes, by their labels and by name, as the affinities of pods and volumes have them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

use super::label::{Operator, Requirement};
use crate::{
    field::{Error, Errors, Path, Shown},
    validation::qualified_name,
};

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
    // What cannot be a label is no selector either.
    if !qualified_name::key(&requirement.key).is_empty()
        || !values.iter().all(|value| qualified_name::label_value(value).is_empty())
    {
        return None;
    }
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

/// Why a term cannot be understood, in the words of `component-helpers/scheduling/corev1/nodeaffinity`; nothing if it can be. `path` is
/// where it stands. An empty term is understood: it matches no node.
///
/// ```
/// use k8s_openapi::api::core::v1::NodeSelectorTerm;
/// use orchestra_core::{field::Path, selector::node};
/// let term: NodeSelectorTerm = serde_json::from_str(r#"{"matchExpressions": [{"key": "a", "operator": "In"}]}"#)?;
/// assert_eq!(
///     node::errors(&term, &Path::new("term"))[0].to_string(),
///     "term.matchExpressions[0].values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn errors(term: &NodeSelectorTerm, path: &Path) -> Errors {
    let each = |requirements: &Option<Vec<NodeSelectorRequirement>>, path: Path, check: Check| -> Errors {
        let requirements = requirements.iter().flatten().enumerate();
        requirements.flat_map(|(index, requirement)| check(requirement, &path.index(index))).collect()
    };
    let mut errors = each(&term.match_expressions, path.child("matchExpressions"), label_errors);
    errors.extend(each(&term.match_fields, path.child("matchFields"), field_errors));
    errors
}

type Check = fn(&NodeSelectorRequirement, &Path) -> Errors;

fn label_errors(requirement: &NodeSelectorRequirement, path: &Path) -> Errors {
    const OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
    let operator = requirement.operator.as_str();
    if !OPERATORS.contains(&operator) {
        return vec![Error::not_supported(&path.child("operator"), operator, &OPERATORS)];
    }
    let mut errors = Errors::new();
    let wrong_key = qualified_name::key(&requirement.key);
    if !wrong_key.is_empty() {
        errors.push(Error::invalid(&path.child("key"), &requirement.key, wrong_key.join("; ")));
    }
    let (values, path) = (requirement.values.as_deref().unwrap_or_default(), path.child("values"));
    let mut wrong_number = |why: &str| errors.push(Error::invalid(&path, Shown::json(&requirement.values), why));
    match operator {
        "In" | "NotIn" if values.is_empty() => wrong_number("for 'in', 'notin' operators, values set can't be empty"),
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            wrong_number("values set must be empty for exists and does not exist");
        }
        "Gt" | "Lt" if values.len() != 1 => wrong_number("for 'Gt', 'Lt' operators, exactly one value is required"),
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        if matches!(operator, "Gt" | "Lt") && value.parse::<i64>().is_err() {
            errors.push(Error::invalid(
                &path.index(index),
                value,
                "for 'Gt', 'Lt' operators, the value must be an integer",
            ));
        }
        let wrong_value = qualified_name::label_value(value);
        if !wrong_value.is_empty() {
            errors.push(Error::invalid(&path.index(index).key(&requirement.key), value, wrong_value.join("; ")));
        }
    }
    errors
}

fn field_errors(requirement: &NodeSelectorRequirement, path: &Path) -> Errors {
    const OPERATORS: [&str; 2] = ["In", "NotIn"];
    let values = requirement.values.as_deref().unwrap_or_default();
    if !OPERATORS.contains(&requirement.operator.as_str()) {
        vec![Error::not_supported(&path.child("operator"), &requirement.operator, &OPERATORS)]
    } else if values.len() != 1 {
        vec![Error::invalid(&path.child("values"), Shown::json(&requirement.values), "must have one element")]
    } else if requirement.key != "metadata.name" {
        vec![Error::not_supported(&path.child("key"), &requirement.key, &["metadata.name"])]
    } else {
        Errors::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn term(term: Value) -> NodeSelectorTerm {
        serde_json::from_value(term).unwrap()
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> NodeSelectorTerm {
        term(json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }))
    }

    #[test]
    fn what_is_wrong_with_a_term_is_said_and_it_matches_nothing() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let values = "t.matchExpressions[0].values";
        for (wrong, why) in [
            (
                expression("a", "Near", &[]),
                r#"t.matchExpressions[0].operator: Unsupported value: "Near": supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt""#
                    .to_owned(),
            ),
            (
                expression("a", "In", &[]),
                format!("{values}: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"),
            ),
            (
                expression("a", "Exists", &["1"]),
                format!(r#"{values}: Invalid value: ["1"]: values set must be empty for exists and does not exist"#),
            ),
            (
                expression("a", "Gt", &["0", "1"]),
                format!(r#"{values}: Invalid value: ["0","1"]: for 'Gt', 'Lt' operators, exactly one value is required"#),
            ),
            (
                expression("a", "Lt", &["many"]),
                format!(r#"{values}[0]: Invalid value: "many": for 'Gt', 'Lt' operators, the value must be an integer"#),
            ),
            (expression("/a", "DoesNotExist", &[]), {
                r#"t.matchExpressions[0].key: Invalid value: "/a": prefix part must be non-empty"#.to_owned()
            }),
            (
                term(json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["a", "b"] }] })),
                r#"t.matchFields[0].values: Invalid value: ["a","b"]: must have one element"#.to_owned(),
            ),
            (
                term(json!({ "matchFields": [{ "key": "metadata.name", "operator": "Exists" }] })),
                r#"t.matchFields[0].operator: Unsupported value: "Exists": supported values: "In", "NotIn""#.to_owned(),
            ),
        ] {
            let found: Vec<String> = errors(&wrong, &Path::new("t")).iter().map(ToString::to_string).collect();
            assert_eq!(found, [why]);
            assert!(!Term::compile(&wrong).matches("n1", &labels));
        }
        let bad_value = expression("a", "NotIn", &["-"]);
        assert_eq!(errors(&bad_value, &Path::new("t")).len(), 1);
        assert!(!Term::compile(&bad_value).matches("n1", &labels));
    }

    #[test]
    fn what_is_right_has_no_errors() {
        for right in [
            expression("a", "In", &["1"]),
            expression("a", "NotIn", &["2"]),
            expression("a", "Exists", &[]),
            expression("b", "DoesNotExist", &[]),
            expression("a", "Gt", &["0"]),
            expression("a", "Lt", &["2"]),
            term(json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] })),
        ] {
            assert!(errors(&right, &Path::new("t")).is_empty());
            let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
            assert!(Term::compile(&right).matches("n1", &labels), "{right:?}");
        }
        assert!(errors(&NodeSelectorTerm::default(), &Path::new("t")).is_empty());
        assert!(!Term::compile(&NodeSelectorTerm::default()).matches("n1", &BTreeMap::new()));
    }
}

//! Label selectors: `app=web,tier in (a,b),!legacy,generation>3`.

mod parse;

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// What a selector looks labels up in.
pub trait Labels {
    /// The value of the label `key`, if it is there.
    fn value(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// How a [`Requirement`] judges a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label's value is one of these (`=`, `==`, `in`).
    In(Vec<String>),
    /// The label is absent or its value none of these (`!=`, `notin`).
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label's value is an integer greater than this.
    GreaterThan(i64),
    /// The label's value is an integer less than this.
    LessThan(i64),
}

/// What one label must be like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How its value is judged.
    pub operator: Operator,
}

impl Requirement {
    /// Whether `labels` meet the requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.value(&self.key);
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|one| one == v)),
            Operator::NotIn(values) => value.is_none_or(|v| values.iter().all(|one| one != v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|n| n > *bound),
            Operator::LessThan(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

/// A conjunction of requirements; an empty one selects everything, [`Selector::nothing`] nothing.
///
/// ```
/// use std::collections::BTreeMap;
/// use orchestra_core::selector::label::Selector;
/// let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
/// assert!(Selector::parse("app in (web,api),!legacy")?.matches(&labels));
/// assert!(!Selector::nothing().matches(&labels));
/// # Ok::<(), orchestra_core::selector::label::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// Why a text or an API object is not a label selector, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub(super) String);

impl Selector {
    /// Selects nothing: what an absent `metav1.LabelSelector` means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Selects what has all of these labels.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let equals = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::In(vec![value.clone()]),
        };
        Self { requirements: labels.iter().map(equals).collect(), nothing: false }
    }

    /// Selects what meets `requirement` too.
    #[must_use]
    pub fn and(mut self, requirement: Requirement) -> Self {
        self.requirements.push(requirement);
        self
    }

    /// Parses the form that queries use.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { requirements: parse::requirements(text)?, nothing: false })
    }

    /// The requirements.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether nothing is selected, whatever its labels.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether `labels` are selected.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }

    /// As [`matches`](Self::matches), for labels that may be absent altogether.
    pub fn matches_optional(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.matches(labels.unwrap_or(&NONE))
    }
}

impl TryFrom<&LabelSelector> for Selector {
    type Error = ParseError;

    fn try_from(selector: &LabelSelector) -> Result<Self, ParseError> {
        let labels = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Ok(Requirement { key: key.clone(), operator: Operator::In(vec![value.clone()]) }));
        let expressions = selector.match_expressions.iter().flatten().map(Requirement::try_from);
        Ok(Self { requirements: labels.chain(expressions).collect::<Result<_, _>>()?, nothing: false })
    }
}

impl TryFrom<&LabelSelectorRequirement> for Requirement {
    type Error = ParseError;

    fn try_from(requirement: &LabelSelectorRequirement) -> Result<Self, ParseError> {
        let values = requirement.values.clone().unwrap_or_default();
        let error = |text: &str| Err(ParseError(text.to_owned()));
        let operator = match (requirement.operator.as_str(), values.is_empty()) {
            ("In", false) => Operator::In(values),
            ("NotIn", false) => Operator::NotIn(values),
            ("In" | "NotIn", true) => return error("for 'in', 'notin' operators, values set can't be empty"),
            ("Exists", true) => Operator::Exists,
            ("DoesNotExist", true) => Operator::DoesNotExist,
            ("Exists" | "DoesNotExist", false) => {
                return error("values set must be empty for exists and does not exist");
            }
            (other, _) => return Err(ParseError(format!("{other:?} is not a valid label selector operator"))),
        };
        Ok(Self { key: requirement.key.clone(), operator })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Operator::In(values) => write!(f, "{key} in ({})", sorted(values)),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", sorted(values)),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

fn sorted(values: &[String]) -> String {
    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.sort_unstable();
    values.join(",")
}

impl fmt::Display for Selector {
    /// The form that [`Selector::parse`] reads, requirements sorted by key as Kubernetes prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut requirements: Vec<&Requirement> = self.requirements.iter().collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        for (i, requirement) in requirements.into_iter().enumerate() {
            write!(f, "{}{requirement}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn inequality_holds_for_an_absent_label() {
        assert!(Selector::parse("a!=1").unwrap().matches(&labels(&[])));
        assert!(Selector::parse("a notin (1,2)").unwrap().matches(&labels(&[("b", "1")])));
    }

    #[test]
    fn bounds_need_an_integer() {
        let selector = Selector::parse("n>3").unwrap();
        assert!(selector.matches(&labels(&[("n", "4")])));
        assert!(!selector.matches(&labels(&[("n", "3")])));
        assert!(!selector.matches(&labels(&[("n", "x")])));
    }

    #[test]
    fn an_object_selector_is_a_conjunction_of_both_parts() {
        let selector = LabelSelector {
            match_labels: Some(labels(&[("app", "web")])),
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "tier".to_owned(),
                operator: "Exists".to_owned(),
                values: None,
            }]),
        };
        let selector = Selector::try_from(&selector).unwrap();
        assert_eq!(selector.to_string(), "app=web,tier");
        assert!(!selector.matches(&labels(&[("app", "web")])));
    }

    #[test]
    fn an_unknown_operator_is_named() {
        let requirement = LabelSelectorRequirement { key: "a".into(), operator: "Near".into(), values: None };
        let error = Requirement::try_from(&requirement).unwrap_err();
        assert_eq!(error.to_string(), "\"Near\" is not a valid label selector operator");
    }
}

//! The short texts that builders take, in kubectl's forms. What cannot be read ends the test.

use std::fmt::Display;

use k8s_openapi::{
    api::core::v1::{NodeSelectorRequirement, Taint, Toleration},
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
    },
};
use orchestra_core::{
    quantity,
    scheduler::Effect,
    selector::label::{Operator, Requirement, Selector},
};

/// `500m`, `4Gi`, 2.
#[track_caller]
pub(super) fn quantity(amount: impl Display) -> Quantity {
    let text = amount.to_string();
    if let Err(error) = text.parse::<quantity::Quantity>() {
        panic!("{text:?} is no quantity: {error}");
    }
    Quantity(text)
}

/// `key=value:Effect` or `key:Effect`, as in `kubectl taint`.
#[track_caller]
pub(super) fn taint(text: &str) -> Taint {
    let (key, value, effect) = key_value_effect(text);
    let Some(effect) = effect else { panic!("taint {text:?} has no effect: write it as key=value:Effect") };
    Taint { key, value, effect, time_added: None }
}

/// `key=value:Effect`; without value any value, without effect any effect.
#[track_caller]
pub(super) fn toleration(text: &str) -> Toleration {
    let (key, value, effect) = key_value_effect(text);
    let operator = if value.is_some() { "Equal" } else { "Exists" };
    Toleration { key: Some(key), operator: Some(operator.to_owned()), value, effect, toleration_seconds: None }
}

#[track_caller]
fn key_value_effect(text: &str) -> (String, Option<String>, Option<String>) {
    let (rest, effect) = match text.rsplit_once(':') {
        Some((rest, effect)) => (rest, Some(effect)),
        None => (text, None),
    };
    if let Some(effect) = effect.filter(|effect| Effect::parse(effect).is_none()) {
        panic!("{effect:?} in {text:?} is no effect: NoSchedule, PreferNoSchedule or NoExecute");
    }
    let (key, value) = match rest.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (rest, None),
    };
    (key.to_owned(), value.map(str::to_owned), effect.map(str::to_owned))
}

/// `app=web, tier in (a,b), !legacy, cores>4`.
#[track_caller]
fn requirements(text: &str) -> Vec<Requirement> {
    match Selector::parse(text) {
        Ok(selector) => selector.requirements().to_vec(),
        Err(error) => panic!("{text:?} is no label selector: {error}"),
    }
}

/// What nodes' labels must be like.
#[track_caller]
pub(super) fn node_requirements(text: &str) -> Vec<NodeSelectorRequirement> {
    let read = requirements(text).into_iter().map(|requirement| {
        let (operator, values) = parts(requirement.operator);
        NodeSelectorRequirement { key: requirement.key, operator: operator.to_owned(), values }
    });
    read.collect()
}

/// What pods' labels must be like.
#[track_caller]
pub(super) fn label_selector(text: &str) -> LabelSelector {
    let read = requirements(text).into_iter().map(|requirement| {
        let (operator, values) = parts(requirement.operator);
        LabelSelectorRequirement { key: requirement.key, operator: operator.to_owned(), values }
    });
    LabelSelector { match_expressions: Some(read.collect()), match_labels: None }
}

fn parts(operator: Operator) -> (&'static str, Option<Vec<String>>) {
    match operator {
        Operator::In(values) => ("In", Some(values)),
        Operator::NotIn(values) => ("NotIn", Some(values)),
        Operator::Exists => ("Exists", None),
        Operator::DoesNotExist => ("DoesNotExist", None),
        Operator::GreaterThan(bound) => ("Gt", Some(vec![bound.to_string()])),
        Operator::LessThan(bound) => ("Lt", Some(vec![bound.to_string()])),
    }
}

//! Taints of devices and what tolerates them.

use k8s_openapi::api::resource::v1::{DeviceTaint, DeviceToleration};

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{label_selector, qualified_name},
};

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];
const OPERATORS: [&str; 2] = ["Equal", "Exists"];

pub(in super::super) fn taint(taint: &DeviceTaint, path: &Path) -> Errors {
    let mut errors = label_selector::key(&taint.key, &path.child("key"));
    errors.extend(label_value(taint.value.as_deref().unwrap_or_default(), &path.child("value")));
    let path = path.child("effect");
    match taint.effect.as_str() {
        "" => errors.push(Error::required(&path, "")),
        effect if EFFECTS.contains(&effect) => {}
        effect => errors.push(Error::not_supported(&path, effect, &EFFECTS)),
    }
    errors
}

/// Without an operator a toleration is one for equal values.
pub(in super::super) fn default_tolerations(tolerations: &mut Option<Vec<DeviceToleration>>) {
    for toleration in tolerations.iter_mut().flatten() {
        let operator = toleration.operator.get_or_insert_default();
        if operator.is_empty() {
            "Equal".clone_into(operator);
        }
    }
}

pub(in super::super) fn toleration(toleration: &DeviceToleration, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, value, effect) = (text(&toleration.key), text(&toleration.value), text(&toleration.effect));
    if !key.is_empty() {
        errors.extend(label_selector::key(&key, &path.child("key")));
    }
    let operator_path = path.child("operator");
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" if !value.is_empty() => {
            errors.push(Error::invalid(&path.child("value"), &value, "must be empty for operator `Exists`"));
        }
        "Exists" => {}
        "Equal" => errors.extend(label_value(&value, &path.child("value"))),
        "" => errors.push(Error::required(&operator_path, "")),
        operator => errors.push(Error::not_supported(&operator_path, operator, &OPERATORS)),
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect.as_str()) {
        errors.push(Error::not_supported(&path.child("effect"), &effect, &EFFECTS));
    }
    errors
}

fn label_value(value: &str, path: &Path) -> Errors {
    qualified_name::label_value(value).into_iter().map(|why| Error::invalid(path, value, why)).collect()
}

//! Tolerations.

use k8s_openapi::api::core::v1::Toleration;

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{label_selector, qualified_name},
};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(in crate::apiserver::kinds) fn tolerations(tolerations: &[Toleration], path: &Path) -> Errors {
    tolerations.iter().enumerate().flat_map(|(index, toleration)| one(toleration, &path.index(index))).collect()
}

fn one(toleration: &Toleration, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, operator, effect) = (text(&toleration.key), text(&toleration.operator), text(&toleration.effect));
    let value = text(&toleration.value);
    let operator_path = path.child("operator");
    if !key.is_empty() {
        errors.extend(label_selector::key(&key, &path.child("key")));
    } else if operator != "Exists" {
        let why = r#"operator must be Exists when `key` is empty, which means "match all values and all keys""#;
        errors.push(Error::invalid(&operator_path, &operator, why));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(Error::invalid(&path.child("effect"), &effect, why));
    }
    match operator.as_str() {
        "" | "Equal" => {
            let found = qualified_name::label_value(&value);
            if !found.is_empty() {
                errors.push(Error::invalid(&operator_path, &value, found.join(";")));
            }
        }
        "Exists" if !value.is_empty() => {
            errors.push(Error::invalid(&operator_path, &value, "value must be empty when `operator` is 'Exists'"));
        }
        "Exists" => {}
        operator => errors.push(Error::not_supported(&operator_path, operator, &["Equal", "Exists"])),
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect.as_str()) {
        errors.push(Error::not_supported(&path.child("effect"), &effect, &EFFECTS));
    }
    errors
}

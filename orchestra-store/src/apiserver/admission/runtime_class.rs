use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{Pod, PodSpec, Toleration},
    node::v1::{RuntimeClass, Scheduling},
};

use super::{Admission, Admitted, ApiError, Operation};

const CLASSES: (&str, &str, &str) = ("node.k8s.io", "v1", "runtimeclasses");

/// Gives each pod what its runtime class says: what the runtime itself takes, and which nodes have it (KEP-585, KEP-688).
pub(super) struct RuntimeClasses;

#[async_trait]
impl Admission for RuntimeClasses {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        let forbidden = |why: &str| ApiError::forbidden(write.resource, write.name, why);
        let class = match spec.runtime_class_name.as_deref().filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => {
                let found = write.reader.get(CLASSES, None, name).await?;
                let found = found.and_then(|json| serde_json::from_slice::<RuntimeClass>(&json).ok());
                Some(found.ok_or_else(|| forbidden(&format!("pod rejected: RuntimeClass {name:?} not found")))?)
            }
        };
        let (overhead, scheduling) = class.map_or((None, None), |class| (class.overhead, class.scheduling));
        match (overhead, &spec.overhead) {
            (Some(given), None) => spec.overhead = given.pod_fixed,
            (Some(given), own) if given.pod_fixed != *own => {
                return Err(forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
            }
            (None, Some(_)) => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                return Err(forbidden(why));
            }
            _ => {}
        }
        scheduling.map_or(Ok(()), |rules| schedule(spec, rules)).map_err(|why| forbidden(&why))
    }
}

/// Has the pod go only where the class is.
fn schedule(spec: &mut PodSpec, rules: Scheduling) -> Result<(), String> {
    for (key, value) in rules.node_selector.into_iter().flatten() {
        let selector = spec.node_selector.get_or_insert_default();
        if let Some(own) = selector.get(&key).filter(|own| **own != value) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            ));
        }
        selector.insert(key, value);
    }
    if let Some(more) = rules.tolerations {
        let all: Vec<Toleration> = spec.tolerations.take().unwrap_or_default().into_iter().chain(more).collect();
        spec.tolerations = Some(merged(&all));
    }
    Ok(())
}

/// Without those that others cover; of equal ones the first stays (`MergeTolerations`).
fn merged(all: &[Toleration]) -> Vec<Toleration> {
    let mut merged: Vec<Toleration> = Vec::with_capacity(all.len());
    for (index, toleration) in all.iter().enumerate() {
        let is_covered = merged.iter().any(|other| covers(other, toleration))
            || all[index + 1..].iter().any(|other| other != toleration && covers(other, toleration));
        if !is_covered {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Whether `all` tolerates whatever `one` does.
fn covers(all: &Toleration, one: &Toleration) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if all == one {
        return true;
    }
    let operator = text(&all.operator);
    let any_key = text(&all.key).is_empty() && operator == "Exists";
    let (effect, of_one) = (text(&all.effect), text(&one.effect));
    if (text(&all.key) != text(&one.key) && !any_key) || (effect != of_one && !effect.is_empty()) {
        return false;
    }
    if effect == "NoExecute"
        && let Some(seconds) = all.toleration_seconds
        && one.toleration_seconds.is_none_or(|other| other > seconds)
    {
        return false;
    }
    match operator.as_str() {
        "Exists" => true,
        "" | "Equal" => matches!(text(&one.operator).as_str(), "" | "Equal") && text(&one.value) == text(&all.value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tolerations_that_others_cover_are_left_out() {
        let list = |list: Value| serde_json::from_value::<Vec<Toleration>>(list).unwrap();
        let own = json!({ "key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule" });
        let any = json!({ "key": "k", "operator": "Exists" });
        let other = json!({ "key": "x", "operator": "Exists" });
        assert_eq!(merged(&list(json!([own, other, any]))), list(json!([other, any])));
        assert_eq!(merged(&list(json!([any, any, own]))), list(json!([any])));
        let short = json!({ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 });
        let long = json!({ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9 });
        assert_eq!(merged(&list(json!([short, long]))), list(json!([long])));
    }

    #[test]
    fn a_selector_must_not_be_another() {
        let mut spec: PodSpec =
            serde_json::from_value(json!({ "containers": [], "nodeSelector": { "a": "1" } })).unwrap();
        let rules = |selector: Value| serde_json::from_value(json!({ "nodeSelector": selector })).unwrap();
        assert_eq!(schedule(&mut spec, rules(json!({ "a": "1", "b": "2" }))), Ok(()));
        assert_eq!(spec.node_selector.as_ref().unwrap().len(), 2);
        let why = schedule(&mut spec, rules(json!({ "b": "3" }))).unwrap_err();
        assert_eq!(why, "conflict: runtimeClass.scheduling.nodeSelector[b] = 3; pod.spec.nodeSelector[b] = 2");
    }
}

use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{Pod, PodSpec},
    scheduling::v1::PriorityClass,
};

use super::{Admission, Admitted, ApiError, Operation, Reader, Resource};
use crate::cache::Freshness;

const CLASSES: (&str, &str, &str) = ("scheduling.k8s.io", "v1", "priorityclasses");

/// Resolves a pod's priority class to its number, and keeps the classes to one default.
pub(super) struct Priority;

#[async_trait]
impl Admission for Priority {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let object = object as &mut dyn Any;
        if let Some(class) = object.downcast_ref::<PriorityClass>() {
            let asks = class.global_default == Some(true);
            return if asks { is_only_default(write).await } else { Ok(()) };
        }
        match object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
            Some(spec) if write.operation == Operation::Create => {
                resolve(spec, write.resource, write.name, write.reader).await
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a class that is to be the default while another one is.
async fn is_only_default(write: &Admitted<'_>) -> Result<(), ApiError> {
    let default =
        default_class(write.reader.list(CLASSES, Freshness::Latest).await?).and_then(|class| class.metadata.name);
    match default.filter(|default| write.operation == Operation::Create || default != write.name) {
        Some(default) => {
            let why = format!("PriorityClass {default} is already marked as default. Only one default can exist");
            Err(ApiError::forbidden(write.resource, write.name, &why))
        }
        None => Ok(()),
    }
}

async fn resolve(spec: &mut PodSpec, resource: &Resource, name: &str, reader: Reader<'_>) -> Result<(), ApiError> {
    let forbidden = |why: &str| ApiError::forbidden(resource, name, why);
    let class = match spec.priority_class_name.as_deref().filter(|name| !name.is_empty()) {
        None => default_class(reader.list(CLASSES, Freshness::NotOlderThan(0)).await?),
        Some(name) => {
            let found = reader.get(CLASSES, None, name).await?;
            let class = found.and_then(|json| serde_json::from_slice::<PriorityClass>(&json).ok());
            Some(class.ok_or_else(|| forbidden(&format!("no PriorityClass with name {name} was found")))?)
        }
    };
    let priority = class.as_ref().map_or(0, value);
    if let Some(asked) = spec.priority.filter(|asked| *asked != priority) {
        return Err(forbidden(&format!(
            "the integer value of priority ({asked}) must not be provided in pod spec; \
             priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    let preemption = class.as_ref().and_then(|class| class.preemption_policy.clone());
    if let Some(class) = class {
        spec.priority_class_name = class.metadata.name;
    }
    spec.priority = Some(priority);
    spec.preemption_policy = preemption.or(spec.preemption_policy.take()).or(Some("PreemptLowerPriority".to_owned()));
    Ok(())
}

fn value(class: &PriorityClass) -> i32 {
    class.value.unwrap_or_default()
}

/// The class of pods that name none: of several global defaults the one with the lowest value.
fn default_class(classes: Vec<bytes::Bytes>) -> Option<PriorityClass> {
    let classes = classes.iter().filter_map(|json| serde_json::from_slice::<PriorityClass>(json).ok());
    classes.filter(|class| class.global_default == Some(true)).min_by_key(value)
}
